"""Answers to new patients and tiles: the question as in training, the record of an answer, and its table.

``workflow/schemas/prediction.schema.yaml`` describes the document; a change that breaks readers changes
the number in ``SCHEMA``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .conversations import Messages
from .errors import InputError
from .ontology import Ontology
from .patient_terms import GivenTerm, ids_of
from .phenopackets import Patient
from .phenotypes import ACTIONS, normalize
from .prompts import BLANK, CONTROL_SPLITS, NONE, Template, build_prompts, order_terms
from .quarantine import Quarantine

SCHEMA = "mintflow.prediction/1"
NOTICE = (
    "Research software, not a medical device: not for diagnosis or treatment. It names what it was trained "
    "to name, is neither validated nor calibrated, and can be wrong with confidence."
)
RANKED = ("rank", "name", "disease_id", "mondo_id", "label_id", "candidate", "score", "softmax_uncalibrated")
WANTED = "expected a GA4GH phenopacket (version 2, JSON) or a folder of them"
_ONE = "case"  # every patient is asked about alone, under the same name


def empty_record(number: int, kind: str) -> dict[str, Any]:
    """The record of one input before anything is known; files are told apart by number, never by name."""
    return {
        "number": number,
        "kind": kind,
        "sha256": None,
        "error": None,
        "terms": [],
        "left_out": [],
        "demographics": None,
        "image": None,
        "prompt": [],
        "answer": None,
        "finished": None,
        "ranked": [],
    }


def file_key(data: bytes) -> str:
    """What answers are linked to files by without their names: the beginning of a file's SHA-256."""
    return hashlib.sha256(data).hexdigest()[:12]


def require_json(data: bytes) -> None:
    """Tell a file of another kind from broken JSON.

    Raises:
        InputError: it is no JSON and does not begin like an object or a list; says what is expected.
    """
    if data.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n")[:1] in (b"{", b"["):  # behind a mark of its encoding
        return
    try:
        json.loads(data)
    except ValueError as error:
        kinds = {b"PK": "a zip: unpack it and give the folder", b"\x1f\x8b": "gzipped: unpack it"}
        raise InputError(f"is {kinds.get(data[:2], 'no JSON')}; {WANTED}") from error


class PatientReader:
    """Turns patients into prompts exactly as the workflow does.

    Args:
        ontology: the compiled release.
        information_content: hpo_id, ic.
        template: the wording.
        k: how many diseases are asked for.
    """

    def __init__(
        self, ontology: Ontology, information_content: pd.DataFrame, template: Template, k: int
    ) -> None:
        self.ontology, self.information_content = ontology, information_content
        self.template, self.k = template, k

    def ask(
        self, record: dict[str, Any], patient: Patient, texts: Mapping[str, Sequence[str]] | None = None
    ) -> Messages:
        """Fill in what was understood and the prompt.

        Args:
            record: from `empty_record`; ``left_out`` may hold entries already.
            patient: ids, sex and age.
            texts: what was written for each id, where it was not the id.

        Returns:
            The prompt without the patient's phenotypes, for ranking by pmi.

        Raises:
            InputError: no observed term was understood.
        """
        raw = pd.DataFrame(patient.terms, columns=["hpo_id", "excluded"])
        raw = raw.astype({"hpo_id": "str", "excluded": "bool"}).assign(case_id=_ONE)
        aside = Quarantine("predict")
        kept, changes = normalize(raw, self.ontology, aside)
        unknown = {row[4]: row[5] for row in aside.rows}  # value, reason
        written = {term: list(names) for term, names in (texts or {}).items()}
        became = {term: self.ontology.resolve(term)[0] for term, _ in patient.terms}
        for change in changes.itertuples(index=False):
            if change.action.startswith("mapped_") or change.action == "dropped_duplicate":
                continue  # the term is there, with all that was written for it
            record["left_out"].append(
                {
                    "given": self._given(change.hpo_id, became, written),
                    "excluded": bool(change.excluded),
                    "reason": unknown.get(change.hpo_id, ACTIONS[change.action]),
                }
            )
        terms = [
            {
                "hpo_id": row.hpo_id,
                "name": row.name,
                "excluded": bool(row.excluded),
                "given": self._given(row.hpo_id, became, written),
                "shown": False,
            }
            for row in kept.itertuples(index=False)
        ]
        record["terms"] = terms
        if not any(not term["excluded"] for term in terms):
            raise InputError(f"no observed term was understood{_why(record['left_out'])}")
        case = {
            "case_id": [_ONE],
            "disease_id": [""],
            "split": [CONTROL_SPLITS[0]],  # these get the blank control too
            "sex": [patient.sex],
            "age_years": [np.nan if patient.age_years is None else patient.age_years],
        }
        prompts = build_prompts(
            pd.DataFrame(case), kept, self.information_content, self.template, self.k, [BLANK], seed=0
        ).set_index("control")["prompt"]
        self._mark_shown(terms)
        used = self.template.demographics
        record["demographics"] = {
            "used": used,
            "sex": patient.sex if used else None,
            "age_years": patient.age_years if used else None,
        }
        record["prompt"] = prompts[NONE]
        return prompts[BLANK]

    def _given(
        self, hpo_id: str, became: Mapping[str, str | None], written: Mapping[str, list[str]]
    ) -> list[str]:
        """What the user wrote that led to an id."""
        sources = [term for term, current in became.items() if hpo_id in (term, current)]
        texts = [text for term in sources for text in written.get(term, [term])]
        return list(dict.fromkeys(texts)) or [hpo_id]

    def _mark_shown(self, terms: Sequence[dict[str, Any]]) -> None:
        """The most telling terms, as many as the template shows."""
        table = pd.DataFrame(terms)[["hpo_id", "name", "excluded"]].assign(case_id=_ONE)
        ordered = order_terms(table, self.information_content)
        shown = {
            *ordered.loc[~ordered["excluded"], "hpo_id"][: self.template.max_terms],
            *ordered.loc[ordered["excluded"], "hpo_id"][: self.template.max_excluded],
        }
        for term in terms:
            term["shown"] = term["hpo_id"] in shown


def _why(left_out: Iterable[Mapping[str, Any]]) -> str:
    reasons = [f"{', '.join(entry['given'])}: {entry['reason']}" for entry in left_out]
    more = f"; and {len(reasons) - 5} more" if len(reasons) > 5 else ""
    return f" ({'; '.join(reasons[:5])}{more})" if reasons else ""


def patient_of_terms(
    observed: Sequence[GivenTerm], excluded: Sequence[GivenTerm], sex: str, age_years: float | None
) -> tuple[Patient, dict[str, list[str]], list[dict[str, Any]]]:
    """A patient of typed terms.

    Returns:
        The patient, what was written for each id, and what named no term (entries of ``left_out``).
    """
    sides = ((observed, False), (excluded, True))
    left_out = [
        {"given": [term.text], "excluded": flag, "reason": term.reason}
        for side, flag in sides
        for term in side
        if term.hpo_id is None
    ]
    terms = [(term.hpo_id, flag) for side, flag in sides for term in side if term.hpo_id is not None]
    return Patient(sex, age_years, tuple(terms), ()), ids_of([*observed, *excluded]), left_out


def ranked_item(rank: int, name: str, **more: Any) -> dict[str, Any]:
    """One row of an answer, with every key of ``RANKED``."""
    return dict.fromkeys(RANKED) | {"rank": rank, "name": name} | more


def softmax(scores: Sequence[float]) -> list[float]:
    """Scores as shares of one: how the student divides its preference, not a probability of disease."""
    shifted = np.exp(np.asarray(scores, dtype=np.float64) - np.max(scores))
    return (shifted / shifted.sum()).tolist()


_HEADS = {"phenopacket": "Phenopacket", "terms": "Terms", "image": "Image"}


def render(document: Mapping[str, Any], top: int) -> str:
    """The document as text: what was understood, what was left out, and a table for each input."""
    lines = [document["notice"], ""]
    lines += [f"Note: {note}." for note in document["notes"]]
    for record in document["results"]:
        lines += [_headline(record)]
        lines += [
            f"  left out: {', '.join(entry['given'])} ({entry['reason']})" for entry in record["left_out"]
        ]
        hidden = [term["name"] for term in record["terms"] if not term["shown"]]
        if hidden:
            lines.append(f"  understood, but beyond what the prompt shows: {', '.join(hidden)}")
        if record["error"]:
            lines += [f"  no answer: {record['error']}", ""]
            continue
        if not record["finished"] and document["method"] == "written":
            lines.append("  the answer was cut: it did not end within the tokens it is allowed")
        lines += [f"  {line}" for line in _table(document, record, top)]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _headline(record: Mapping[str, Any]) -> str:
    head = f"{_HEADS[record['kind']]} {record['number']}"
    if record["image"]:
        return f"{head}: {record['image']['width']} x {record['image']['height']} pixels"
    if record["kind"] == "image":
        return head
    observed = [term["name"] for term in record["terms"] if not term["excluded"]]
    absent = [term["name"] for term in record["terms"] if term["excluded"]]
    absence = f"; absent: {', '.join(absent)}" if absent else ""
    return f"{head}: {', '.join(observed) or 'no observed term'}{absence}"


def _table(document: Mapping[str, Any], record: Mapping[str, Any], top: int) -> list[str]:
    of_tissue = document["track"] == "tissue"
    rows = [("rank", "tissue", "label") if of_tissue else ("rank", "disease", "id", "mondo")]
    scored = document["method"] == "likelihood"
    if scored:
        rows[0] += ("score", "softmax (uncalibrated)")
    items = record["ranked"][:top] if scored else record["ranked"]
    for item in items:
        ids = (item["label_id"],) if of_tissue else (item["disease_id"], item["mondo_id"])
        row = (str(item["rank"]), item["name"], *(value or "-" for value in ids))
        if scored:
            row += (f"{item['score']:.3f}", f"{item['softmax_uncalibrated']:.3f}")
        rows.append(row)
    if not items:
        return ["the student wrote no list"]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    if len(items) < len(record["ranked"]):
        lines.append(f"and {len(record['ranked']) - len(items)} more (--top, --json)")
    return lines
