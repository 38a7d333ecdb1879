"""Whoever ranks the labels of a tile: training tiles by a model that saw no tile of their patient's fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .errors import InputError
from .placeholders import check_placeholders
from .scores import accuracy, read_score_table

# makes (tiles to score x labels) scores from tiles to learn from and tiles to stop by, given as masks
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
COLUMNS = ["case_id", "label_id", "score"]


def label_codes(cases: pd.DataFrame, labels: Sequence[str]) -> np.ndarray:
    """Position of each case's label, -1 where it has none in the closed set."""
    return pd.Index(labels).get_indexer(cases["label_id"])


def rounds(cases: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Masks of what to learn from, stop by and score, for each model: one a fold, first that of all others.

    Args:
        cases: case_id, split, fold; training tiles have folds >= 0.

    Raises:
        InputError: a training tile has no fold, or a model would have nothing to learn from.
    """
    train = (cases["split"] == "train").to_numpy()
    held_out = (cases["split"] == "validation").to_numpy()
    folds = np.where(train, cases["fold"].to_numpy(), -1)
    if (bad := train & (folds < 0)).any():
        raise InputError(
            "a training tile without a fold would be scored by a model that saw it",
            record=cases["case_id"].to_numpy()[bad][0],
            field="fold",
        )
    found = []
    for fold in sorted(set(folds.tolist())):
        here = folds == fold
        learn = train & ~here
        if not learn.any():
            problem = "no training tile" if fold < 0 else f"fold {fold} holds every training tile"
            raise InputError(problem, field="tissue.split.folds")
        found.append((learn, held_out, here))
    return found


def out_of_fold(cases: pd.DataFrame, labels: Sequence[str], fit: Fit) -> np.ndarray:
    """Scores of all cases, (cases, labels).

    Args:
        cases: case_id, split, fold.
        labels: ids of the closed set.
        fit: learns from the cases of the first mask, may stop by those of the second, and scores those
            of the third.

    Raises:
        InputError: as for `rounds`.
    """
    scores = np.empty((len(cases), len(labels)))
    for learn, stop, here in rounds(cases):
        scores[here] = fit(learn, stop, here)
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


def check_prompts(prompts: Sequence[str]) -> None:
    """Refuse a label prompt that says the same of every label.

    Raises:
        InputError: one lacks ``{label}``, or holds another placeholder.
    """
    for prompt in prompts:
        if "label" not in check_placeholders(prompt, ("label",), "tissue.teacher.prompts"):
            raise InputError(f"{prompt!r} lacks {{label}}", field="tissue.teacher.prompts")


def read_scores(path: str | Path, cases: pd.DataFrame, labels: Sequence[str]) -> np.ndarray:
    """Scores made elsewhere, (cases, labels); labels that a case lacks rank below all it has.

    Args:
        path: parquet or TSV of case_id, label_id, score; rows of other cases and labels are ignored.
        cases: case_id, split.
        labels: ids of the closed set.

    Returns:
        Scores; NaN in the whole row of an unlabelled case that the file lacks.

    Raises:
        InputError: a column, every score of a label or every score of a labelled case is missing, or a
            score is unusable.
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
    scores = np.full((len(cases), len(labels)), -np.inf)
    known = (rows >= 0) & (columns >= 0)
    np.maximum.at(scores, (rows[known], columns[known]), values[known])
    missing = np.isinf(scores)
    empty = missing.all(axis=1)
    if (lost := empty & (cases["split"] != "unlabelled").to_numpy()).any():
        first = cases["case_id"].to_numpy()[lost][0]
        raise InputError(
            f"{int(lost.sum())} tile(s) without a score of any label", file=path.name, record=first
        )
    if (never := missing.all(axis=0)).any():  # a label under another name would come last everywhere
        raise InputError(
            f"no tile has a score of {', '.join(np.array(labels)[never])}; label ids are those of "
            "labels.parquet",
            file=path.name,
            field="label_id",
        )
    lowest = np.where(missing, np.inf, scores).min(axis=1, keepdims=True)
    return np.where(empty[:, None], np.nan, np.where(missing, lowest - 1.0, scores))


def prior(cases: pd.DataFrame, labels: Sequence[str]) -> np.ndarray:
    """Share of training tiles of each label, the same for every tile, (cases, labels)."""
    codes = label_codes(cases, labels)
    counted = codes[(cases["split"] == "train").to_numpy() & (codes >= 0)]
    counts = np.bincount(counted, minlength=len(labels))
    return np.tile(counts / max(counts.sum(), 1), (len(cases), 1))
