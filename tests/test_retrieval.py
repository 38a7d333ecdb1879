"""Retrieval: documents, search, prompts with context, and nothing that only a test publication says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mini_ontology import ontology, terms
from mintflow import io, retrieval
from mintflow.conversations import typed
from mintflow.errors import InputError
from mintflow.knowledge import Knowledge, build
from mintflow.mondo import COLUMNS, Mondo
from mintflow.prompts import Template, build_prompts
from mintflow.retrieval import Context, disease_documents, frequency_word, nearest, similarities
from patients import A1, A2, B1, A, B, annotation, annotations, cases
from tiny_encoder import make_encoder

IC = pd.DataFrame({"hpo_id": [A, A1, A2, B, B1], "ic": [1.0, 2.0, 2.0, 3.0, 4.0]})
ONE, TWO, THREE = "OMIM:100001", "OMIM:100002", "OMIM:100003"
CANDIDATES = pd.DataFrame(
    {"disease_id": [TWO, ONE], "name": ["Second disease.", "First disease"], "genes": [["G2"], ["G1"]]}
)
TEMPLATE = {
    "system": "S",
    "user": "{patient}Has {phenotypes}.{excluded} List {k}.",
    "max_terms": 2,
    "max_excluded": 1,
    "demographics": True,
}


def profiles(*rows: tuple[str, str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["disease_id", "hpo_id", "frequency"])


def texts(max_terms: int, *rows: tuple[str, str, float]) -> dict[str, str]:
    table = disease_documents(CANDIDATES, profiles(*rows), IC, ontology(), max_terms)
    assert table.columns.tolist() == ["disease_id", "document"]
    return dict(zip(table["disease_id"], table["document"], strict=True))


def test_document_names_the_most_telling_phenotypes_with_frequency_words() -> None:
    rows = [(ONE, A, 1.0), (ONE, A1, 0.5), (ONE, B1, 0.2), (ONE, B, 0.6), (THREE, A2, 1.0)]
    # information content times frequency: B 1.8, A 1.0 and A1 1.0 (by id), B1 0.8
    assert texts(3, *rows) == {
        ONE: f"First disease. Phenotypes: term {B} (frequent), Limb (very frequent), Hand (frequent).",
        TWO: "Second disease.",  # nothing is known of it, yet it can be found by its name
    }
    assert list(texts(3, *rows[::-1]).items()) == list(texts(3, *rows).items())
    assert f"term {B1} (occasional)" in texts(4, *rows)[ONE]


@pytest.mark.parametrize(
    ("frequency", "word"),
    [
        *((1.0, "very frequent"), (0.8, "very frequent"), (0.79, "frequent"), (0.3, "frequent")),
        *((0.29, "occasional"), (0.05, "occasional"), (0.049, "very rare"), (1e-9, "very rare")),
    ],
)
def test_frequency_words_are_those_of_hpo(frequency: float, word: str) -> None:
    assert frequency_word(frequency) == word


def test_bad_documents_are_named() -> None:
    def make(candidates: pd.DataFrame, table: pd.DataFrame) -> None:
        disease_documents(candidates, table, IC, ontology(), 3)

    with pytest.raises(InputError, match="no candidate disease"):
        make(CANDIDATES[:0], profiles())
    with pytest.raises(InputError, match=f"{TWO}.*disease_id: appears twice"):
        make(pd.concat([CANDIDATES, CANDIDATES[:1]]), profiles())
    with pytest.raises(InputError, match=f"{ONE}, field name: has no name"):
        make(CANDIDATES.assign(name=["x", None]), profiles())
    with pytest.raises(InputError, match="HP:9999999: has no information content"):
        make(CANDIDATES, profiles((ONE, "HP:9999999", 1.0)))


def test_similarity_is_the_cosine_with_six_decimals() -> None:
    queries = np.array([[3.0, 4.0], [0.0, 2.0]], np.float32)
    documents = np.array([[1.0, 0.0], [0.0, 5.0], [-1.0, 0.0]], np.float32)
    assert similarities(queries, documents).tolist() == [[0.6, 0.8, -0.6], [0.0, 1.0, 0.0]]
    assert not np.signbit(similarities(queries, documents)[1]).any()
    assert similarities(queries[:0], documents).shape == (0, 3)


def test_ties_go_by_disease_id_whatever_the_order_of_columns() -> None:
    ids = ["OMIM:3", "OMIM:1", "OMIM:2"]
    scores = np.array([[0.5, 0.5, 0.9], [0.1, 0.1, 0.1]])
    assert [[ids[i] for i in row] for row in nearest(scores, ids, 2)] == [
        ["OMIM:2", "OMIM:1"],
        ["OMIM:1", "OMIM:2"],
    ]
    assert nearest(scores, ids, 9).shape == (2, 3)


def test_context_stands_in_front_of_the_question() -> None:
    prompt = [{"role": "system", "content": "S"}, {"role": "user", "content": "Q {k}?"}]
    context = Context("{{Known}}:\n{documents}\n")
    assert context.put_before(prompt, ["a {x}.", "b."]) == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "{Known}:\n1. a {x}.\n2. b.\n\nQ {k}?"},
    ]
    assert context.put_before(prompt, [])[1]["content"] == "{Known}:\nnot available\n\nQ {k}?"
    assert prompt[1]["content"] == "Q {k}?"
    with pytest.raises(InputError, match="no user message"):
        context.put_before(prompt[:1], [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Context:", "lacks {documents}"),
        ("{{documents}}", "lacks {documents}"),
        ("{documents} {patient}", "unknown placeholder {patient}"),
        ("{documents!r}", "unknown placeholder"),
        ("{documents} {", "a literal brace is doubled"),
    ],
)
def test_bad_context_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=rf"rare\.retrieval\.context: .*{said}"):
        Context(text)


# One patient a publication: disease 1 in training and test, disease 2 in test, disease 3 unseen.
TRAIN, TEST, OTHER, UNSEEN = "PMID:1", "PMID:2", "PMID:3", "PMID:4"
SECRET = B1
CONTEXT = "Known:\n{documents}"


def patients() -> pd.DataFrame:
    rows = [("a", TRAIN, ONE), ("b", TEST, ONE), ("c", OTHER, TWO), ("d", UNSEEN, THREE)]
    table = cases(rows, split=["train", "test", "test", "test_unseen"])
    return table.assign(sex="FEMALE", age_years=3.0, fold=[0, -1, -1, -1])


def phenotypes() -> pd.DataFrame:
    rows = [("a", A1), ("a", B), ("b", A1), ("b", A2), ("b", A), ("c", B), ("d", A2)]
    table = pd.DataFrame(rows, columns=["case_id", "hpo_id"]).assign(excluded=False)
    absent = pd.DataFrame([("b", SECRET)], columns=["case_id", "hpo_id"]).assign(excluded=True)
    table = pd.concat([table, absent], ignore_index=True)
    return table.assign(name=table["hpo_id"].map(ontology().name))


def knowledge(planted: list[dict[str, Any]] | None = None, controlled: bool = True) -> Knowledge:
    rows = [
        annotation(0, ONE, A1, TRAIN, n=1, m=4, frequency=0.25),
        annotation(1, TWO, B, "PMID:99", n=3, m=3, frequency=1.0),
        # all that is known of the unseen disease is from its patient's publication
        annotation(2, THREE, A2, UNSEEN),
        *(planted or []),
    ]
    genes = pd.DataFrame([("GENE1", ONE), ("GENE2", TWO)], columns=["gene_symbol", "disease_id"])
    mondo = Mondo(pd.DataFrame([("MONDO:0000001", "first disease", ONE, "Disease 1")], columns=COLUMNS))
    settings = {"drop_held_out_publications": controlled}
    return build(patients(), annotations(rows), genes, ontology(), mondo, settings)


def prompts(known: Knowledge, **changes: Any) -> pd.DataFrame:
    template = Template.from_settings({**TEMPLATE, **changes})
    ic = known.information_content
    return build_prompts(patients(), phenotypes(), ic, template, 3, ["blank", "shuffled"], 7)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = [" ".join(terms()["name"]), "disease 1 2 3. phenotypes: (very frequent), occasional, rare"]
    return make_encoder(tmp_path_factory.mktemp("models") / "tiny", words)


def run(
    folder: Path, encoder: Path, known: Knowledge, *, check: bool = True, **changes: Any
) -> subprocess.CompletedProcess[str]:
    """The program on tables written to ``folder``."""
    tables = {
        "cases": patients(),
        "phenotypes": phenotypes(),
        "terms": terms(),
        "candidates": known.candidates,
        "profiles": known.profiles,
        "ic": known.information_content,
        "prompts": typed(changes.pop("prompts", prompts(known)), ["prompt"]),
    }
    flags = []
    for name, table in tables.items():
        io.write_parquet(table, folder / f"{name}.parquet")
        flags += [f"--{name}", str(folder / f"{name}.parquet")]
    keys = {"context": CONTEXT, "top_k": 2, "max_terms": 3, "batch_size": 2, "device": "cpu"} | changes
    settings = {"prompt": TEMPLATE, "controls": ["blank", "shuffled"], "seed": 7, "retrieval": keys}
    for name in ("prompts", "retrieved", "scores"):
        flags += [f"--output-{name}", str(folder / "out" / f"{name}.parquet")]
    flags += ["--output-summary", str(folder / "out" / "summary.json"), "--encoder", str(encoder)]
    script = Path(retrieval.__file__).parent.parent / "retrieve_profiles.py"
    command = [sys.executable, str(script), "--settings", json.dumps(settings), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=check)


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "out").iterdir())}


def test_search_texts_are_what_the_prompts_show() -> None:
    known = knowledge()
    table = retrieval.search_texts(
        patients(),
        phenotypes(),
        known.information_content,
        Template.from_settings(TEMPLATE),
        ["blank", "shuffled"],
        7,
    )
    shown = prompts(known)
    retrieval.check_prompts(shown, table)
    by_row = table.set_index(["case_id", "control"])["query"]
    # no age, no excluded term, as many terms as the prompt shows
    assert by_row["b", "none"] == "Limb, Hand"
    assert by_row["c", "blank"] == ""
    assert by_row["c", "shuffled"] in {by_row["b", "none"], by_row["d", "none"]}
    assert not any(SECRET in query for query in table["query"])

    with pytest.raises(InputError, match="rows are not those"):
        retrieval.check_prompts(shown[1:], table)
    with pytest.raises(InputError, match="record a, field prompt: does not show"):
        retrieval.check_prompts(shown, table.assign(query=table["query"].replace(by_row["a", "none"], "x")))


def test_program_writes_prompts_findings_and_a_ranking(encoder: Path, tmp_path: Path) -> None:
    known = knowledge()
    run(tmp_path, encoder, known)
    before, shown = prompts(known), io.read_parquet(tmp_path / "out/prompts.parquet")
    found = io.read_parquet(tmp_path / "out/retrieved.parquet")
    scores = io.read_parquet(tmp_path / "out/scores.parquet")

    assert found.columns.tolist() == ["case_id", "position", "disease_id", "similarity", "document"]
    assert found["case_id"].tolist() == ["a", "a", "b", "b", "c", "c", "d", "d"]
    assert found["position"].tolist() == [1, 2] * 4
    assert (found.groupby("case_id")["similarity"].diff().dropna() <= 0).all()

    keys = ["case_id", "split", "control"]
    assert shown.columns.tolist() == [*keys, "prompt"] and shown[keys].equals(before[keys])
    documents = found.groupby("case_id")["document"].agg(list)
    for control, case, old, new in zip(
        before["control"], before["case_id"], before["prompt"], shown["prompt"], strict=True
    ):
        assert new[0] == old[0] == {"role": "system", "content": "S"}
        block, _, question = new[1]["content"].partition("\n\n")
        assert question == old[1]["content"]
        if control == "none":
            first, second = documents[case]
            assert block == f"Known:\n1. {first}\n2. {second}"
        elif control == "blank":
            assert block == "Known:\nnot available"
        else:  # the documents of the patient who lent the phenotypes
            donor = question.split("Has ")[1].split(".")[0]
            lender = next(
                name
                for name, kind, prompt in zip(
                    before["case_id"], before["control"], before["prompt"], strict=True
                )
                if kind == "none" and name != case and f"Has {donor}." in prompt[1]["content"]
            )
            assert documents[lender][0] in block

    assert scores.columns.tolist() == ["case_id", "disease_id", "score", "rank"]
    assert len(scores) == 4 * 3
    best = scores[scores["rank"] == 1].set_index("case_id")["disease_id"]
    assert best.to_dict() == found[found["position"] == 1].set_index("case_id")["disease_id"].to_dict()
    summary = io.read_json(tmp_path / "out/summary.json")
    assert summary["arm"] == "retrieval" and summary["top1"]["test"]["n"] == 2


def test_same_bytes_whatever_the_order_of_the_tables(encoder: Path, tmp_path: Path) -> None:
    known = knowledge()
    run(tmp_path / "one", encoder, known)
    turned = Knowledge(
        known.profiles[::-1],
        known.information_content[::-1],
        known.candidates[::-1],
        known.vocabulary,
        known.leakage,
    )
    run(tmp_path / "two", encoder, turned)
    assert outputs(tmp_path / "one") == outputs(tmp_path / "two")


PLANTED = [
    annotation(10, ONE, SECRET, TEST, n=9, m=9, frequency=1.0),
    annotation(11, ONE, A1, TEST, n=9, m=9, frequency=1.0),
    annotation(12, TWO, SECRET, "PMID:03", n=9, m=9, frequency=1.0),
    annotation(13, THREE, SECRET, UNSEEN, n=9, m=9, frequency=1.0),
]


def test_what_only_a_test_publication_says_reaches_no_output(encoder: Path, tmp_path: Path) -> None:
    run(tmp_path / "clean", encoder, knowledge())
    run(tmp_path / "planted", encoder, knowledge(PLANTED))
    assert outputs(tmp_path / "clean") == outputs(tmp_path / "planted")
    for name in ("prompts", "retrieved"):
        table = io.read_parquet(tmp_path / "planted/out" / f"{name}.parquet")
        words = table.to_json()
        # the excluded term of patient b is in the prompt itself
        assert words.count(SECRET) == (1 if name == "prompts" else 0)
    documents = io.read_parquet(tmp_path / "planted/out/retrieved.parquet")["document"]
    assert "disease 3." in set(documents)  # what is left of a disease that test publications alone describe
    assert not documents.str.contains("GENE").any()


def test_the_leak_would_be_seen(encoder: Path, tmp_path: Path) -> None:
    """Without the control each planted row changes a document, so the test above can fail."""

    def documents(known: Knowledge) -> dict[str, str]:
        table = disease_documents(known.candidates, known.profiles, known.information_content, ontology(), 3)
        return dict(zip(table["disease_id"], table["document"], strict=True))

    clean = documents(knowledge(controlled=False))
    for row in PLANTED:
        leaky = documents(knowledge([row], controlled=False))
        assert leaky[row["disease_id"]] != clean[row["disease_id"]]
    run(tmp_path, encoder, knowledge(PLANTED, controlled=False), top_k=3)
    assert io.read_parquet(tmp_path / "out/retrieved.parquet")["document"].str.contains(SECRET).any()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"encoder": Path("nowhere")}, "file nowhere, field rare.retrieval.encoder.id"),
        ({"context": "Known:"}, "field rare.retrieval.context: lacks {documents}"),
        ({"top": 2}, "field rare.retrieval: unknown top"),
        ({"prompts": "shuffled"}, "does not show this patient's phenotypes"),
    ],
)
def test_program_says_what_is_wrong_and_writes_nothing(
    encoder: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    known = knowledge()
    if "prompts" in changes:
        changes = {"prompts": prompts(known, max_terms=1)}
    done = run(
        tmp_path,
        changes.get("encoder", encoder),
        known,
        check=False,
        **{key: value for key, value in changes.items() if key != "encoder"},
    )
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
