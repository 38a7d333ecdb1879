"""The tables on the pages of the study are those of the committed CSV files."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pandas as pd
import pytest

from conftest import ROOT

STUDY = ROOT / "docs" / "study"
sys.path.insert(0, str(STUDY))

from table import adjusted, cell  # noqa: E402

RANKERS = {
    "teacher with genotype": "teacher",
    "teacher, phenotypes alone": "teacher-phenotype",
    "nearest training patient": "nearest-patient",
    "retrieval by profile": "retrieval",
    "phenotype similarity (Resnik, HPOA)": "similarity",
    "likelihood ratio (HPOA)": "likelihood-ratio",
    "gene lookup": "gene-lookup",
    "prior": "prior",
    "base, untrained": "base",
    "`orpo`, another patient's phenotypes": "orpo-shuffled",
    "`orpo`, no phenotypes": "orpo-blank",
}
# page, tables of a run, and its columns; of a page's tables the one with all of them is meant
PAGES = {
    "README.md": ("", {"top-1": "top1", "top-3": "top3", "MRR": "mrr", "ungrounded": "ungrounded"}),
    "ablations.md": (
        "ablations_",
        {
            "top-1, seen": "top1",
            "top-3, seen": "top3",
            "MRR, seen": "mrr",
            "ungrounded": "ungrounded",
            "MRR, held-out diseases (32)": "mrr_unseen",
            "top-1, all (253)": "top1_all",
        },
    ),
    "arms.md": (
        "",
        {
            "top-1, ranked": "rank_top1",
            "top-3, ranked": "rank_top3",
            "top-10, ranked": "rank_top10",
            "MRR, ranked": "rank_mrr",
            "MRR, held-out diseases (32)": "rank_mrr_unseen",
        },
    ),
}


def rows(page: Path, columns: list[str]) -> list[dict[str, str]]:
    """The rows of the page's table that has ``columns``, by its heads."""
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
    start = next(i for i, line in enumerate(cells) if set(columns) <= set(line))
    found = []
    for line in cells[start + 2 :]:
        if len(line) != len(cells[start]):
            break
        found.append(dict(zip(cells[start], line, strict=True)))
    return found


def arm_of(row: dict[str, str]) -> str:
    label = next(iter(row.values())).strip("*")
    if label in RANKERS:
        return RANKERS[label]
    name = re.fullmatch(r"`([^`]+)`", label)
    assert name, label
    return name[1]


@pytest.mark.parametrize("page", PAGES)
def test_values_and_intervals(page: str) -> None:
    start, columns = PAGES[page]
    metrics = pd.read_csv(STUDY / f"{start}metrics.csv")
    measured = set(metrics["arm"])
    checked = 0
    for row in rows(STUDY / page, list(columns)):
        arm = arm_of(row)
        if arm not in measured and row.get("p") == "*":
            continue  # of another run, as the page says
        shown = {head: row[head] for head in columns}
        assert shown == {head: cell(metrics, arm, metric) for head, metric in columns.items()}, arm
        checked += 1
    assert checked >= 4


def test_p_of_the_study_are_those_against_orpo() -> None:
    comparisons = pd.read_csv(STUDY / "comparisons.csv")
    for row in rows(STUDY / "README.md", ["p"]):
        if row["p"] != "*":
            assert row["p"] == adjusted(comparisons, arm_of(row), "orpo", "mrr"), row


def test_every_disease() -> None:
    """Students and the nearest patient by their rankings, other rankers by the same values of ``top*``."""
    metrics = pd.read_csv(STUDY / "all_diseases.csv")
    columns = {
        "top-1, all": "top1_all",
        "top-10, all": "top10_all",
        "top-1, seen (300)": "top1",
        "top-10, seen": "top10",
        "top-1, unseen (207)": "top1_unseen",
    }
    found = rows(STUDY / "all_diseases.md", list(columns))
    assert len(found) >= 10
    for row in found:
        arm = arm_of(row)
        ranked = "" if arm in set(RANKERS.values()) - {"nearest-patient"} else "rank_"
        shown = {head: row[head] for head in columns}
        assert shown == {head: cell(metrics, arm, ranked + metric) for head, metric in columns.items()}, arm
