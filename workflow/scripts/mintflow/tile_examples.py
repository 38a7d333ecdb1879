"""Test tiles to show, drawn by seed whatever the result, with what teacher and student say of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pandas as pd

from .images import REFERENCE, load_images


def draw(cases: pd.DataFrame, wanted: int, seed: int) -> list[str]:
    """Test tiles spread over the labels, in order of label and case; the draw hashes seed and case.

    Args:
        cases: case_id, label_id, split.
        wanted: how many.
        seed: of the draw.
    """
    tested = cases[cases["split"] == "test"]
    lot = tested["case_id"].map(lambda case: hashlib.sha256(f"{seed} {case}".encode()).hexdigest())
    table = tested.assign(lot=lot).sort_values("lot")
    table["turn"] = table.groupby("label_id").cumcount()
    chosen = table.sort_values(["turn", "lot"]).head(wanted)
    return chosen.sort_values(["label_id", "case_id"])["case_id"].tolist()


def examples(
    cases: pd.DataFrame,
    labels: pd.DataFrame,
    grounded: pd.DataFrame,
    teacher: pd.DataFrame,
    *,
    student: str,
    k: int,
    wanted: int,
    seed: int,
) -> list[dict[str, Any]]:
    """What is shown of each drawn tile.

    Args:
        cases: case_id, label_id, patient_id, split, file, row.
        labels: label_id, name.
        grounded: arm, case_id, position, text, label_id.
        teacher: case_id, label_id, rank.
        student: arm whose lists are shown.
        k: length of the lists.
        wanted: how many tiles.
        seed: of the draw.

    Returns:
        case, image, truth, teacher (names), student (names as written).
    """
    chosen = draw(cases, wanted, seed)
    names = labels.set_index("label_id")["name"].to_dict()
    rows = cases.set_index("case_id").loc[chosen].reset_index()
    shown = dict(load_images(rows[REFERENCE]))
    written = grounded[(grounded["arm"] == student) & grounded["case_id"].isin(chosen)].sort_values(
        "position"
    )
    ranked = teacher[teacher["case_id"].isin(chosen)].sort_values(["rank", "label_id"])
    return [
        {
            "case": row.case_id,
            "image": shown[row.case_id],
            "truth": names[row.label_id],
            "teacher": _first(ranked, row.case_id, "label_id", k, names),
            "student": _first(written, row.case_id, "text", k),
        }
        for row in rows.itertuples(index=False)
    ]


def _first(
    table: pd.DataFrame, case: str, column: str, k: int, names: dict[str, str] | None = None
) -> Sequence[str]:
    values = table.loc[table["case_id"] == case, column].head(k)
    return [names[value] if names else str(value) for value in values]
