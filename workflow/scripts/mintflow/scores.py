"""Rankings of diseases: the interface of whoever ranks, ranks with ties, and scores made elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd

from .errors import InputError
from .io import read_parquet

if TYPE_CHECKING:
    from .features import Cohort

COLUMNS = ["case_id", "disease_id", "score"]


class Teacher(Protocol):
    """Whoever scores diseases for patients."""

    def score(self, cohort: Cohort, disease_ids: Sequence[str]) -> np.ndarray:
        """Scores, cases x diseases, finite float, higher is likelier, in the order of both arguments."""
        ...


def out_of_fold(
    cohort: Cohort, disease_ids: Sequence[str], build: Callable[[set[str]], Teacher]
) -> np.ndarray:
    """Score everyone with a teacher that never saw the patient's own publication.

    Args:
        cohort: the patients; those with fold >= 0 are training patients.
        disease_ids: the candidates.
        build: makes a teacher from everything except the given publications: those of one fold, or
            none for the teacher that scores the patients outside the training split.

    Returns:
        Scores, cases x diseases, float64.
    """
    folds = cohort.cases["fold"].to_numpy()
    result = np.empty((len(cohort), len(disease_ids)))
    for fold in sorted(set(folds.tolist())):
        mask = folds == fold
        teacher = build(cohort.publications(mask) if fold >= 0 else set())
        result[mask] = teacher.score(cohort, disease_ids)[mask]
    return result


def ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks within each row, 1 for the highest score; ties share the worst rank, as in PhEval.

    Args:
        scores: any number of rows x diseases.

    Returns:
        int32 of the same shape: how many scores of the row are at least as high.
    """
    order = np.argsort(scores, axis=1)
    ordered = np.take_along_axis(scores, order, axis=1)
    n = scores.shape[1]
    starts = np.ones(scores.shape, bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    # ascending, so the first of a run of equal scores carries the run's worst rank
    first = np.maximum.accumulate(np.where(starts, np.arange(n, dtype=np.int32), 0), axis=1)
    result = np.empty(scores.shape, np.int32)
    np.put_along_axis(result, order, (n - first).astype(np.int32), axis=1)
    return result


def guess_among_equals(scores: np.ndarray, seed: int) -> np.ndarray:
    """Order equal scores of a patient at random, so that a ranker of few values is not made a strawman.

    Ties share the worst rank (see ``ranks``). Five candidate genes that each fit one disease would
    all rank fifth: a lookup would never be first, though a guess among the five is right one time in five.

    Args:
        scores: cases x diseases, or whatever is ranked.
        seed: seed of the guesses.

    Returns:
        Scores without ties whose order is otherwise the same.
    """
    draws = np.random.default_rng(seed).random(scores.shape)
    broken = np.empty_like(scores, dtype=np.float64)
    for row, values in enumerate(scores):
        steps = np.diff(np.unique(values))
        # half the smallest step keeps different scores in their order
        broken[row] = values + draws[row] * (steps.min() / 2 if len(steps) else 1.0)
    return broken


def rank_table(
    scores: np.ndarray, case_ids: Sequence[str], disease_ids: Sequence[str], label: str = "disease_id"
) -> pd.DataFrame:
    """The tidy table of a ranking.

    Args:
        scores: cases x diseases, or whatever labels a track ranks.
        case_ids: of the rows.
        disease_ids: of the columns.
        label: what the column of label ids is called.

    Returns:
        case_id, disease_id, score (float64), rank (int, ties share the worst); sorted by case_id,
        rank, disease_id; every case with every disease.

    Raises:
        InputError: a score that is not finite, named by case and disease.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != (len(case_ids), len(disease_ids)):
        raise ValueError(f"scores {scores.shape} for {len(case_ids)} cases x {len(disease_ids)} diseases")
    if not np.isfinite(scores).all():
        row, column = np.argwhere(~np.isfinite(scores))[0]
        place = f"{case_ids[row]}, {disease_ids[column]}"
        raise InputError(f"not finite: {scores[row, column]}", record=place, field="score")
    table = pd.DataFrame(
        {
            "case_id": np.repeat(np.asarray(case_ids, dtype=object), len(disease_ids)),
            label: np.tile(np.asarray(disease_ids, dtype=object), len(case_ids)),
            "score": scores.ravel(),
            "rank": ranks(scores).ravel().astype(np.int64),
        }
    )
    return table.sort_values(["case_id", "rank", label], ignore_index=True)


def accuracy(scores: np.ndarray, truth: np.ndarray, k: int = 1) -> float | None:
    """Share of rows whose true column has rank ``k`` or better; None without rows."""
    if not len(truth):
        return None
    return float((ranks(scores)[np.arange(len(truth)), truth] <= k).mean())


class ExternalScores:
    """Scores made elsewhere, read from a file; ids are translated through MONDO.

    A disease that several rows of one case lead to keeps its best score. Diseases that are no
    candidates are ignored: a tool made elsewhere may rank many more. A candidate that the file does
    not mention for a case ranks below all it does mention.
    """

    def __init__(self, path: str | Path, mondo: pd.DataFrame | None = None) -> None:
        self.path = Path(path)
        self.table = read_score_table(self.path, COLUMNS)
        # two ids are one disease when they share a MONDO id
        self._mondo = {} if mondo is None else _mondo_ids(mondo)

    def score(self, cohort: Cohort, disease_ids: Sequence[str]) -> np.ndarray:
        """See ``Teacher``.

        Raises:
            InputError: patients without any score of a candidate, an unknown case, or a score that
                is missing, infinite or no number.
        """
        case_ids = cohort.cases["case_id"].tolist()
        table = self._checked(case_ids, disease_ids)
        scores = np.full((len(case_ids), len(disease_ids)), -np.inf)
        rows = table["case_id"].map({name: i for i, name in enumerate(case_ids)}).to_numpy(np.int64)
        np.maximum.at(scores, (rows, table["column"].to_numpy(np.int64)), table["score"].to_numpy())
        missing = ~np.isfinite(scores)
        if missing.all(axis=1).any():
            empty = [case_ids[i] for i in np.flatnonzero(missing.all(axis=1))]
            raise InputError(
                f"{len(empty)} patient(s) without a score of any candidate, first {', '.join(empty[:3])}",
                file=self.path.name,
                field="case_id",
            )
        lowest = np.where(missing, np.inf, scores).min(axis=1, keepdims=True)
        return np.where(missing, lowest - 1.0, scores)

    def _checked(self, case_ids: Sequence[str], disease_ids: Sequence[str]) -> pd.DataFrame:
        table = self.table
        strange = table.loc[~table["case_id"].isin(case_ids), "case_id"]
        if len(strange):
            # by its place: what stands there may be a name
            raise InputError(
                f"{strange.nunique()} unknown case(s); ids: results/<run>/rare/cohort/cases.parquet",
                file=self.path.name,
                record=f"row {strange.index[0] + 1}",
                field="case_id",
            )
        values = pd.to_numeric(table["score"], errors="coerce").to_numpy(np.float64)
        wrong = ~np.isfinite(values)
        if wrong.any():
            row = table[wrong].iloc[0]
            raise InputError(
                f"{row['score']!r} is no finite number",
                file=self.path.name,
                record=f"{row['case_id']}, {row['disease_id']}",
                field="score",
            )
        column_of = {self._identity(name): i for i, name in reversed(list(enumerate(disease_ids)))}
        column_of.update({name: i for i, name in enumerate(disease_ids)})
        identities = {
            name: column_of.get(name, column_of.get(self._identity(name)))
            for name in table["disease_id"].unique()
        }
        prefixes = ("OMIM:", "MONDO:", "ORPHA:", "Orphanet:", "DECIPHER:")
        odd = sorted(
            name for name, found in identities.items() if found is None and not str(name).startswith(prefixes)
        )
        if odd:
            raise InputError(
                f"{odd[0]!r} is no disease id (expected {', '.join(prefixes)}...)",
                file=self.path.name,
                field="disease_id",
            )
        table = table.assign(score=values, column=table["disease_id"].map(identities))
        return table[table["column"].notna()]

    def _identity(self, disease_id: str) -> str:
        disease_id = str(disease_id).replace("Orphanet:", "ORPHA:")
        return self._mondo.get(disease_id, disease_id)


def read_score_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Scores made elsewhere: ``columns`` of a parquet file, or of a TSV as text.

    Raises:
        InputError: the file cannot be read, or lacks a column.
    """
    if path.suffix == ".parquet":
        table = read_parquet(path, list(columns))
    else:
        try:
            table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, index_col=False)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be read as TSV: {error}", file=path.name) from error
        missing = [name for name in columns if name not in table]
        if missing:
            raise InputError(f"lacks column(s) {', '.join(missing)}", file=path.name)
    return table[list(columns)]


def _mondo_ids(mondo: pd.DataFrame) -> dict[str, str]:
    ordered = mondo.sort_values(["source_id", "mondo_id"])
    return dict(zip(ordered["source_id"][::-1], ordered["mondo_id"][::-1], strict=True))
