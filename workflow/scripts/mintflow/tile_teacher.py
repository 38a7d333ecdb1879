"""Whoever ranks the labels of a tile: training tiles by a model that saw no tile of their patient's fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .errors import InputError
from .scores import accuracy, read_score_table

# makes (tiles to score x labels) scores from tiles to learn from and tiles to stop by, given as masks
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
COLUMNS = ["case_id", "label_id", "score"]


def label_codes(cases: pd.DataFrame, labels: Sequence[str]) -> np.ndarray:
    """Position of each case's label, -1 where it has none in the closed set."""
    return pd.Index(labels).get_indexer(cases["label_id"])


def out_of_fold(cases: pd.DataFrame, labels: Sequence[str], fit: Fit) -> np.ndarray:
    """Scores of all cases, (cases, labels).

    Args:
        cases: split, fold; training tiles have folds >= 0.
        labels: ids of the closed set.
        fit: learns from the cases of the first mask, may stop by those of the second, and scores those
            of the third.

    Raises:
        InputError: a training tile belongs to no fold.
    """
    train = (cases["split"] == "train").to_numpy()
    held_out = (cases["split"] == "validation").to_numpy()
    folds = np.where(train, cases["fold"].to_numpy(), -1)
    if (train & (folds < 0)).any():
        # it would be scored by the model that learned from it
        first = cases["case_id"].to_numpy()[train & (folds < 0)][0]
        raise InputError("a training tile without a fold", record=first, field="fold")
    scores = np.empty((len(cases), len(labels)))
    for fold in sorted(set(folds.tolist())):
        here = folds == fold
        scores[here] = fit(train & ~here if fold >= 0 else train, held_out, here)
    return scores


def summary(scores: np.ndarray, cases: pd.DataFrame, labels: Sequence[str]) -> dict[str, Any]:
    """Labelled tiles and top-1 and top-5 accuracy per split."""
    codes = label_codes(cases, labels)
    found: dict[str, Any] = {}
    for split in sorted(set(cases["split"]) - {"unlabelled"}):
        mask = (cases["split"] == split).to_numpy() & (codes >= 0)
        found[split] = {
            "n": int(mask.sum()),
            **{f"top{k}": accuracy(scores[mask], codes[mask], k) for k in (1, 5)},
        }
    return {"accuracy": found, "labels": list(labels)}


def read_scores(path: str | Path, cases: pd.DataFrame, labels: Sequence[str]) -> np.ndarray:
    """Scores made elsewhere, (cases, labels); labels that a case lacks rank below all it has.

    Args:
        path: parquet or TSV of case_id, label_id, score.
        cases: case_id.
        labels: ids of the closed set, each of which must occur; rows of others are ignored.

    Raises:
        InputError: a column or every score of a case is missing, a case or score is unusable.
    """
    path = Path(path)
    table = read_score_table(path, COLUMNS)
    values = pd.to_numeric(table["score"], errors="coerce").to_numpy(np.float64)
    if not np.isfinite(values).all():
        row = table[~np.isfinite(values)].iloc[0]
        raise InputError(
            f"{row['score']!r} is no finite number",
            file=path.name,
            record=f"{row['case_id']}, {row['label_id']}",
            field="score",
        )
    rows = pd.Index(cases["case_id"]).get_indexer(table["case_id"])
    columns = pd.Index(labels).get_indexer(table["label_id"])
    if unnamed := sorted(set(labels) - set(table["label_id"])):
        raise InputError(
            f"scores no tile for {unnamed[0]}: is it called otherwise there?",
            file=path.name,
            field="label_id",
        )
    scores = np.full((len(cases), len(labels)), -np.inf)
    known = (rows >= 0) & (columns >= 0)
    np.maximum.at(scores, (rows[known], columns[known]), values[known])
    empty = np.isinf(scores).all(axis=1)
    if empty.any():
        first = cases["case_id"].to_numpy()[empty][0]
        raise InputError(
            f"{int(empty.sum())} tile(s) without a score of any label", file=path.name, record=first
        )
    lowest = np.where(np.isinf(scores), np.inf, scores).min(axis=1, keepdims=True)
    return np.where(np.isinf(scores), lowest - 1.0, scores)


def prior(cases: pd.DataFrame, labels: Sequence[str]) -> np.ndarray:
    """Share of training tiles of each label, the same for every tile, (cases, labels)."""
    codes = label_codes(cases, labels)
    counted = codes[(cases["split"] == "train").to_numpy() & (codes >= 0)]
    counts = np.bincount(counted, minlength=len(labels))
    return np.tile(counts / max(counts.sum(), 1), (len(cases), 1))
