"""Test patients in full: what they have, what is true, what everyone lists; named by the user or drawn.

Patients are numbered; nothing here tells who they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pandas as pd

from .errors import InputError
from .metrics import Labels

OBSERVED, EXCLUDED, TRUTH, TEACHER = "observed", "excluded", "truth", "teacher"
CORRECT, RELATED, WRONG, UNGROUNDED = "correct", "related", "wrong", "ungrounded"
UNSEEN = "unseen"
TESTED = ("test", "test_unseen")
COLUMNS = ["patient", "source", "position", "text", "disease_id", "mark"]


def draw(cases: pd.DataFrame, wanted: int, seed: int) -> list[str]:
    """Test patients spread over diseases, in order of the draw, which hashes seed and case.

    Args:
        cases: case_id, disease_id, split.
        wanted: how many.
        seed: of the draw.
    """
    tested = cases[cases["split"].isin(TESTED)]
    lot = tested["case_id"].map(lambda case: hashlib.sha256(f"{seed} {case}".encode()).hexdigest())
    table = tested.assign(lot=lot).sort_values("lot")
    table["turn"] = table.groupby("disease_id").cumcount()
    return table.sort_values(["turn", "lot"])["case_id"].head(wanted).tolist()


def pick(cases: pd.DataFrame, named: Sequence[str]) -> list[str]:
    """The test patients that were asked for, as they were listed.

    Args:
        cases: case_id, disease_id, split.
        named: their case_id.

    Raises:
        InputError: one of them is not a test patient of the cohort.
    """
    split = dict(zip(cases["case_id"], cases["split"], strict=True))
    for case in named:
        if split.get(case) not in TESTED:
            found = f"is in {split[case]}" if case in split else "is no patient of the cohort"
            raise InputError(
                f"{found}; only test patients are shown", record=case, field="rare.evaluation.report_case_ids"
            )
    return list(named)


def case_table(
    cases: pd.DataFrame,
    phenotypes: pd.DataFrame,
    candidates: pd.DataFrame,
    teacher: pd.DataFrame,
    grounded: pd.DataFrame,
    labels: Labels,
    *,
    chosen: Sequence[str],
    arms: Sequence[str],
    k: int,
) -> pd.DataFrame:
    """All that is shown of the chosen patients.

    Args:
        cases: case_id, disease_id, split.
        phenotypes: case_id, hpo_id, name, excluded.
        candidates: disease_id, name, series.
        teacher: case_id, disease_id, rank.
        grounded: arm, case_id, position, text, disease_id (null where an item names no disease).
        labels: the candidates, which collapse ids.
        chosen: their case_id, in order, see ``pick`` and ``draw``.
        arms: students whose lists are shown, in order; seeds after the first are not.
        k: length of the teacher's list; its rank of the true disease is there even beyond.

    Returns:
        Columns ``COLUMNS``: one row a phenotype, the truth (mark ``unseen`` if no patient of the disease
        was trained on), and one row an item of each list; of a list without items one at position 0.
    """
    names = dict(zip(candidates["disease_id"], candidates["name"], strict=True))
    rows: list[tuple[int, str, int, str, str | None, str | None]] = []
    by_case = cases.set_index("case_id")
    for number, case in enumerate(chosen, start=1):
        truth = labels.collapse(by_case.loc[case, "disease_id"])
        terms = phenotypes[phenotypes["case_id"] == case].sort_values(["name", "hpo_id"])
        for source, kind in ((OBSERVED, False), (EXCLUDED, True)):
            for place, name in enumerate(terms.loc[terms["excluded"] == kind, "name"], start=1):
                rows.append((number, source, place, name, None, None))
        split = by_case.loc[case, "split"]
        rows.append((number, TRUTH, 1, names[truth], truth, UNSEEN if split == "test_unseen" else None))
        ranks = teacher[teacher["case_id"] == case].sort_values(["rank", "disease_id"])
        for place, row in enumerate(ranks.itertuples(index=False), start=1):
            label = labels.collapse(row.disease_id)
            if place <= k or label == truth:
                shown = place if place <= k else int(row.rank)
                rows.append(
                    (number, TEACHER, shown, names[row.disease_id], label, mark(label, truth, labels))
                )
        written = grounded[grounded["case_id"] == case].sort_values("position")
        for arm in arms:
            own = written[written["arm"] == arm]
            if own.empty:
                rows.append((number, arm, 0, "", None, None))
            for item in own.itertuples(index=False):
                label = item.disease_id if isinstance(item.disease_id, str) and item.disease_id else None
                rows.append((number, arm, item.position, item.text, label, mark(label, truth, labels)))
    return pd.DataFrame(rows, columns=COLUMNS)


def mark(disease: str | None, truth: str, labels: Labels) -> str:
    """``correct``, ``related`` (same phenotypic series), ``wrong``, or ``ungrounded`` (no disease's name)."""
    if not disease:
        return UNGROUNDED
    if disease == truth:
        return CORRECT
    return RELATED if labels.related(disease, truth) else WRONG
