"""Which patients of a further cohort may be counted as new: not those that the run has learned from.

A published patient can have reached a finished run in three ways: as a patient that was trained or
validated on, through another patient of the same publication, or through an annotation of HPO that cites
the publication. Whoever may have is set aside in a table with the reason. What no identifier shows, no
check finds: a patient without publication can only be compared by phenotype. One whose publication is given
and not understood is not taken for new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from .cohort import NO_PUBLICATION, cited_publications, has_unread
from .knowledge import held_out_publications, leak_free
from .metrics import Labels
from .private import opaque
from .publications import citation
from .selection import count_terms

# in order of precedence: a patient is set aside for the first that applies, the others are told beside it
REASONS = {
    "unreadable": "the record cannot be used",
    "no_terms": "no observed phenotype term of this HPO release",
    "own_patient": "a patient that the run was trained or validated on",
    "training_publication": "of a publication that the run was trained on",
    "validation_publication": "of a publication that the run was validated on",
    "knowledge_publication": "of a publication that knowledge of teacher and yardsticks cites",
    "publication_unread": "of a publication that is given and cannot be read",
    "training_twin": "same observed terms and disease as a training patient",
    "validation_twin": "same observed terms and disease as a validation patient",
    "out_of_set": "the disease is no candidate of the run",
}
SET_ASIDE = ["case_id", "file", "disease_id", "publication", "reason", "detail"]
LEARNED_FROM = {"train": "training", "validation": "validation"}

# splits as prompts, answers and rankings know them: a disease that is no candidate has no label
IN_SET, OUT_OF_SET = "test", "unlabelled"

_READER, _KEPT = "read_cohort", "the patient kept"
_NO_TERMS = "no phenotypes"


@dataclass(frozen=True)
class Run:
    """What a finished run has learned from.

    Attributes:
        cases: its split cohort.
        phenotypes: their normalised terms: case_id, hpo_id, excluded.
        references: every reference of an annotation that its knowledge holds, as ``citation`` spells it.
        labels: its candidates.
    """

    cases: pd.DataFrame
    phenotypes: pd.DataFrame
    references: frozenset[str]
    labels: Labels


def used_references(hpoa: pd.DataFrame, cases: pd.DataFrame, controlled: bool) -> frozenset[str]:
    """References of the annotation rows that a run's knowledge was made from.

    Rows of other diseases count: they are in the information content, by which terms are weighed.

    Args:
        hpoa: the whole annotation table.
        cases: the run's cohort with its splits.
        controlled: ``rare.knowledge.drop_held_out_publications``.
    """
    rows = leak_free(hpoa, held_out_publications(cases)) if controlled else hpoa
    return frozenset(citation(reference) for reference in rows["reference"].unique())


def screen(
    raw: pd.DataFrame, phenotypes: pd.DataFrame, run: Run, refused: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Divide a further cohort into patients to be evaluated and patients set aside.

    Patients whose only fault is a disease outside the set are in both tables: they are answered and
    counted in the figures over all clean patients.

    Args:
        raw: raw cases of the cohort.
        phenotypes: their normalised terms.
        run: what must not be met again.
        refused: the quarantine of the reader, and of the normalisation of terms.

    Returns:
        The clean cases, with n_observed, n_excluded, split (``IN_SET`` or ``OUT_OF_SET``), fold -1,
        given_disease_id (as the record has it; disease_id is the candidate's own id), in order of case_id;
        and the table of those set aside, columns ``SET_ASIDE``.
    """
    counted = count_terms(raw, phenotypes).sort_values("case_id", ignore_index=True)
    found = _findings(counted, phenotypes, run)
    rows = [
        ("", row.file, "", "", *_reason_of_refusal(row))
        for row in refused.itertuples(index=False)
        if row.stage == _READER and _KEPT not in row.reason
    ]
    for case, reasons in zip(counted.itertuples(index=False), found, strict=True):
        if reasons:
            first = next(iter(reasons))
            told = "; ".join(
                f"{REASONS[code]} ({what})" if what else REASONS[code] for code, what in reasons.items()
            )
            rows.append((case.case_id, case.source_file, case.disease_id, case.publication, first, told))
    aside = pd.DataFrame(rows, columns=SET_ASIDE)
    own = {run.labels.collapse(disease): disease for disease in run.cases["disease_id"].unique()}
    out_of_set = [list(reasons) == ["out_of_set"] for reasons in found]
    clean = counted.assign(
        split=[OUT_OF_SET if out else IN_SET for out in out_of_set],
        fold=-1,
        given_disease_id=counted["disease_id"],
        disease_id=[own.get(run.labels.collapse(disease), disease) for disease in counted["disease_id"]],
    )
    kept = [not reasons or out for reasons, out in zip(found, out_of_set, strict=True)]
    order = {reason: place for place, reason in enumerate(REASONS)}
    aside = aside.sort_values(
        ["reason", "case_id", "file"], key=lambda c: c.map(order) if c.name == "reason" else c
    )
    return clean[kept].reset_index(drop=True), aside.reset_index(drop=True)


def _reason_of_refusal(row: Any) -> tuple[str, str]:
    return (
        "no_terms" if row.reason == _NO_TERMS else "unreadable"
    ), f"{row.record}, {row.field}: {row.reason}"


def _findings(cases: pd.DataFrame, phenotypes: pd.DataFrame, run: Run) -> list[dict[str, str]]:
    """For each case reason -> what it was met by, in order of ``REASONS``."""
    learned = run.cases[run.cases["split"].isin(LEARNED_FROM)]
    own = set(learned["case_id"])
    written: dict[str, set[str]] = {}
    twins: dict[tuple[str, frozenset[str]], str] = {}
    for split, kind in reversed(LEARNED_FROM.items()):
        part = learned[learned["split"] == split]
        written[kind] = _references(part)
        twins |= dict.fromkeys(_likenesses(part, run.phenotypes, run.labels), kind)
    mine = _likenesses(cases, phenotypes, run.labels)
    result = []
    for case, names, likeness in zip(
        cases.itertuples(index=False), cited_publications(cases), mine, strict=True
    ):
        met: dict[str, str] = {}
        if not case.n_observed:
            met["no_terms"] = ""
        if case.case_id in own:
            met["own_patient"] = ""
        known = [(name, citation(name)) for name in names]
        for code, references in (
            ("training_publication", written["training"]),
            ("validation_publication", written["validation"]),
            ("knowledge_publication", run.references),
        ):
            if met_by := [name for name, reference in known if reference in references]:
                met[code] = ", ".join(met_by)
        if has_unread(names):
            met["publication_unread"] = ""
        if case.n_observed and likeness in twins:
            met[f"{twins[likeness]}_twin"] = ""
        if run.labels.collapse(case.disease_id) not in run.labels.candidates:
            met["out_of_set"] = case.disease_id
        result.append({code: met[code] for code in REASONS if code in met})
    return result


def _references(cases: pd.DataFrame) -> set[str]:
    return {citation(name) for names in cited_publications(cases) for name in names}


def _likenesses(
    cases: pd.DataFrame, phenotypes: pd.DataFrame, labels: Labels
) -> list[tuple[str, frozenset[str]]]:
    """Disease and observed terms of each case: excluded terms differ with who wrote the record down."""
    observed = phenotypes[~phenotypes["excluded"].astype(bool)]
    terms = observed.groupby("case_id")["hpo_id"].agg(frozenset).to_dict()
    return [
        (labels.collapse(disease), terms.get(case, frozenset()))
        for case, disease in zip(cases["case_id"], cases["disease_id"], strict=True)
    ]


def together(run: pd.DataFrame, clean: pd.DataFrame) -> pd.DataFrame:
    """The run's patients, in their order, then the new ones, whose disease is null where it is no candidate.

    A test patient of the run that the cohort holds again is there once, as a new one; these are ``further``.
    """
    columns = [name for name in run.columns if name in clean.columns]
    new = clean.assign(disease_id=clean["disease_id"].where(clean["split"] == IN_SET))
    run = run[~run["case_id"].isin(clean["case_id"])]
    parts = [part[columns].assign(further=part is new) for part in (run, new)]
    return pd.concat(parts, ignore_index=True)


def counts(raw: pd.DataFrame, clean: pd.DataFrame, aside: pd.DataFrame, run: pd.DataFrame) -> dict[str, Any]:
    """How many patients there were and what became of them."""
    in_set = clean[clean["split"] == IN_SET]
    tested = _references(run[~run["split"].isin(LEARNED_FROM)])
    again = [any(citation(name) in tested for name in names) for names in cited_publications(clean)]
    reasons: Mapping[str, int] = aside["reason"].value_counts().to_dict()
    return {
        "records": len(raw) + int((aside["case_id"] == "").sum()),
        "read": len(raw),
        "set_aside": {reason: int(reasons.get(reason, 0)) for reason in REASONS},
        "clean": _part(clean),
        "in_set": _part(in_set),
        "without_publication": int(clean["publication"].str.startswith(NO_PUBLICATION).sum()),
        "of_a_test_publication_of_the_run": int(sum(again)),
    }


def left_out(refused: pd.DataFrame, clean: pd.DataFrame) -> dict[str, int]:
    """Fields of a record, and terms unknown to HPO, that patients who count have lost; by field."""
    where = dict(zip(clean["case_id"], clean["source_file"], strict=True))
    # of a table the record is a line, of all else the patient's id
    places = {(f"line {line}", file) for file, _, line in (one.rpartition(":") for one in where.values())}
    mine = [
        (row.record, row.file) in places
        or where.get(row.record, "").rpartition(":")[0] == row.file
        or where.get(row.record) == row.file
        for row in refused.itertuples(index=False)
    ]
    lost = refused[mine]
    fields = lost["field"].str.replace(r"\[\d+\]", "[]", regex=True)
    return {str(field): int(count) for field, count in fields.value_counts().sort_index().items()}


def nameless(aside: pd.DataFrame) -> pd.DataFrame:
    """The table for a log: records that were not read are known by files, maybe called like patients."""
    return aside.assign(
        file=aside["file"].map(opaque), detail=aside["detail"].where(aside["case_id"] != "", "")
    )


def _part(cases: pd.DataFrame) -> dict[str, int]:
    return {
        "cases": len(cases),
        "diseases": int(cases["disease_id"].nunique()),
        "publications": int(cases["publication"].nunique()),
    }


def told(aside: pd.DataFrame) -> str:
    """Counts by reason, in words for a log."""
    found = aside["reason"].value_counts()
    return ", ".join(f"{found[reason]} {reason}" for reason in REASONS if reason in found) or "none"
