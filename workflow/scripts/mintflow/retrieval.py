"""Retrieval for the rare track: texts about the candidate diseases, and prompts with the nearest ones.

Documents are made from the run's own knowledge tables, which hold no row that cites a held-out
publication, and from the names of the candidates: nothing else is known here. Genes stay out, as
the student reads phenotypes only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from .conversations import Messages
from .errors import InputError
from .ontology import Ontology
from .placeholders import check_placeholders
from .prompts import BLANK, NONE, UNAVAILABLE, Template, build_prompts

# HPO's ranges (HP:0040280 and below). 100 % is no word of its own: most such terms were seen in
# one of one or two of two patients, which is not what "obligate" means.
FREQUENCY_WORDS = ((0.8, "very frequent"), (0.3, "frequent"), (0.05, "occasional"), (0.0, "very rare"))


def frequency_word(frequency: float) -> str:
    """HPO's word for a share of patients in (0, 1]."""
    return next(word for least, word in FREQUENCY_WORDS if frequency >= least)


def disease_documents(
    candidates: pd.DataFrame,
    profiles: pd.DataFrame,
    information_content: pd.DataFrame,
    ontology: Ontology,
    max_terms: int,
) -> pd.DataFrame:
    """One text per candidate disease: its name, and the phenotypes that tell most about it.

    What tells most is what is both rare among diseases and frequent in this one: information
    content times frequency; ties by ``hpo_id``. A candidate without a profile (all its rows cited
    held-out publications) keeps a text of its name alone: the set of labels is closed, and left out
    it could never be found.

    Args:
        candidates: disease_id (unique), name.
        profiles: disease_id, hpo_id, frequency in (0, 1]; rows of other diseases are ignored.
        information_content: hpo_id, ic (nats).
        ontology: names of the terms.
        max_terms: most phenotypes in a text.

    Returns:
        disease_id, document; sorted by disease_id.

    Raises:
        InputError: no candidate, one that appears twice or has no name, or a term without
            information content.
    """
    if candidates.empty:
        raise InputError("there is no candidate disease", file="candidates.parquet")
    if candidates["disease_id"].duplicated().any():
        twice = candidates.loc[candidates["disease_id"].duplicated(), "disease_id"].iloc[0]
        raise InputError("appears twice", file="candidates.parquet", record=twice, field="disease_id")
    rows = profiles[profiles["disease_id"].isin(candidates["disease_id"])]
    ic = rows["hpo_id"].map(information_content.set_index("hpo_id")["ic"])
    if ic.isna().any():
        raise InputError("has no information content", record=rows.loc[ic.isna(), "hpo_id"].iloc[0])
    rows = rows.assign(weight=-ic * rows["frequency"]).sort_values(["disease_id", "weight", "hpo_id"])
    rows = rows.groupby("disease_id").head(max_terms)
    words = [
        f"{ontology.name(term)} ({frequency_word(frequency)})"
        for term, frequency in zip(rows["hpo_id"], rows["frequency"], strict=True)
    ]
    phenotypes = pd.Series(words, rows["disease_id"], dtype=object).groupby(level=0).agg(", ".join)
    table = candidates[["disease_id", "name"]].sort_values("disease_id", ignore_index=True)
    texts = []
    for disease, name in zip(table["disease_id"], table["name"], strict=True):
        if not isinstance(name, str) or not name.strip():
            raise InputError("has no name", file="candidates.parquet", record=disease, field="name")
        found = phenotypes.get(disease)
        texts.append(f"{name.rstrip('.')}." + (f" Phenotypes: {found}." if found else ""))
    return pd.DataFrame({"disease_id": table["disease_id"], "document": texts})


def search_texts(
    cases: pd.DataFrame,
    phenotypes: pd.DataFrame,
    information_content: pd.DataFrame,
    template: Template,
    controls: Sequence[str],
    seed: int,
) -> pd.DataFrame:
    """What is searched for: the observed phenotypes of every prompt, in its order, and no other word.

    Excluded phenotypes are left out: an embedding of "Absent: seizures" lies close to seizures.
    Arguments and errors are those of `build_prompts`, which makes the texts, so that a control is
    given the documents of the phenotypes that it shows.

    Returns:
        case_id, split, control, query ("" for the blank control); in the order of the prompts.
    """
    bare = replace(template, system="", user="{phenotypes}", max_excluded=0, demographics=False)
    # how many diseases are asked for is no part of the text
    table = build_prompts(cases, phenotypes, information_content, bare, 0, controls, seed)
    texts = [messages[0]["content"] for messages in table["prompt"]]
    blank = table["control"] == BLANK
    return table.drop(columns="prompt").assign(query=np.where(blank, "", texts))


def similarities(queries: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """Cosine of every query and document, (queries, documents) float64 with six decimals.

    The last bits of an embedding depend on the processor and on what shared its batch; rounded,
    equal texts are equally near, and files have the same bytes.
    """
    # An exact search, as all similarities are needed for the ranking. FAISS's flat index would
    # compute this very matrix, and bring a second BLAS and OpenMP into torch's process.
    from sklearn.metrics.pairwise import cosine_similarity

    if not len(queries):
        return np.empty((0, len(documents)))
    # + 0.0 turns -0.0 into 0.0
    return cosine_similarity(queries.astype(np.float64), documents.astype(np.float64)).round(6) + 0.0


def nearest(scores: np.ndarray, disease_ids: Sequence[str], k: int) -> np.ndarray:
    """Columns of the ``k`` highest scores of each row, highest first, ties by disease id; (rows, k).

    With fewer than ``k`` columns, all of them.
    """
    by_id = np.argsort(np.asarray(disease_ids, dtype=object), kind="stable")
    order = np.argsort(-scores[:, by_id], axis=1, kind="stable")[:, :k]
    return by_id[order]


@dataclass(frozen=True)
class Context:
    """The block in front of a prompt; ``text`` is ``rare.retrieval.context``, with ``{documents}``.

    Raises:
        InputError: another placeholder, a stray brace, or no ``{documents}``.
    """

    text: str

    def __post_init__(self) -> None:
        """Check ``text``."""
        if not check_placeholders(self.text, ("documents",), "rare.retrieval.context"):
            problem = "lacks {documents}: what is found would not be shown"
            raise InputError(problem, field="rare.retrieval.context")

    def put_before(self, prompt: Messages, documents: Sequence[str]) -> Messages:
        """The prompt with the numbered documents in front of its first user message.

        Without documents the block reads "not available", as a prompt without phenotypes does.
        """
        listed = "\n".join(f"{number}. {text}" for number, text in enumerate(documents, 1))
        block = self.text.format(documents=listed or UNAVAILABLE).rstrip("\n")
        first = next((i for i, message in enumerate(prompt) if message["role"] == "user"), None)
        if first is None:
            raise InputError("has no user message", field="prompt")
        asked = {**prompt[first], "content": f"{block}\n\n{prompt[first]['content']}"}
        return [*prompt[:first], asked, *prompt[first + 1 :]]


def check_prompts(prompts: pd.DataFrame, queries: pd.DataFrame) -> None:
    """Stop unless ``queries`` are what ``prompts`` show, row by row.

    Raises:
        InputError: they are not; the prompts were built from another cohort or with other settings.
    """
    keys = ["case_id", "split", "control"]
    if prompts[keys].values.tolist() != queries[keys].values.tolist():
        raise InputError("its rows are not those of this cohort and its controls", file="prompts.parquet")
    for case, prompt, query in zip(prompts["case_id"], prompts["prompt"], queries["query"], strict=True):
        if query and not any(query in message["content"] for message in prompt):
            raise InputError(
                "does not show this patient's phenotypes", file="prompts.parquet", record=case, field="prompt"
            )


def retrieve(
    prompts: pd.DataFrame,
    queries: pd.DataFrame,
    documents: pd.DataFrame,
    scores: Mapping[str, np.ndarray],
    context: Context,
    top_k: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Put the nearest documents in front of every prompt.

    Args:
        prompts: case_id, split, control, prompt.
        queries: `search_texts` of the same rows.
        documents: disease_id, document.
        scores: for every query text but the empty one, its similarity to each document.
        context: the wording.
        top_k: documents per prompt.

    Returns:
        The prompts, same columns and order; and what was found for the patients' own phenotypes
        (control ``none``): case_id, position (from 1), disease_id, similarity, document.

    Raises:
        InputError: as for `check_prompts` and `Context.put_before`.
    """
    check_prompts(prompts, queries)
    ids, texts = documents["disease_id"].tolist(), documents["document"].tolist()
    columns = {query: nearest(row[None], ids, top_k)[0].tolist() for query, row in scores.items()}
    shown, found = [], []
    for case, control, prompt, query in zip(
        prompts["case_id"], prompts["control"], prompts["prompt"], queries["query"], strict=True
    ):
        chosen = columns[query] if query else []
        shown.append(context.put_before(prompt, [texts[column] for column in chosen]))
        if control == NONE:
            found += [
                (case, position, ids[column], float(scores[query][column]), texts[column])
                for position, column in enumerate(chosen, 1)
            ]
    names = ["case_id", "position", "disease_id", "similarity", "document"]
    return prompts.assign(prompt=shown), pd.DataFrame(found, columns=names)
