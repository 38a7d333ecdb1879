"""Does a ranking know how sure it may be? Confidence in the first candidate, against how often it is right.

Confidence is the first candidate's share of the softmax over all candidates: of a teacher's scores, or of
a student's log-likelihoods of the candidates' names. The expected calibration error (ECE) is the mean gap
between confidence and accuracy over bins of equal width, weighted by their cases.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .statistics import codes, estimate, limits, stream

BINS = 10
ECE = "ece"
COLUMNS = ["arm", "bin", "confidence", "accuracy", "n", "value", "ci_low", "ci_high"]


def confidences(table: pd.DataFrame, truth: Mapping[str, str], label: str, score: str) -> pd.DataFrame:
    """Confidence in the first candidate of each case, and whether it is the true one.

    Args:
        table: case_id, ``label``, ``score``; every candidate of a case. Cases without a truth are left out.
        truth: case to its true label.
        label: column of the candidates.
        score: column of unnormalised log probabilities.

    Returns:
        case_id, confidence, correct (1.0 or 0.0); several first ones are not correct, as nothing is first.

    Raises:
        InputError: a score is not finite.
    """
    rows = table[table["case_id"].isin(list(truth))]
    values = rows[score].to_numpy(float)
    if not np.isfinite(values).all():
        case = rows["case_id"].iloc[int(np.argmin(np.isfinite(values)))]
        raise InputError("not finite", record=str(case), field=score)
    case_ids = rows["case_id"]
    most = rows[score].groupby(case_ids).transform("max")
    rest = np.exp(rows[score] - most).groupby(case_ids, sort=True).sum()
    first = rows[rows[score] == most].groupby("case_id", sort=True)[label].agg(["first", "size"])
    right = first["first"] == pd.Series(dict(truth)).reindex(first.index)
    return pd.DataFrame(
        {
            "case_id": first.index.astype(str),
            "confidence": (1.0 / rest).to_numpy(),
            "correct": (right & (first["size"] == 1)).to_numpy(float),
        }
    )


def bin_of(confidence: ArrayLike) -> NDArray[np.intp]:
    """Bin of each confidence, 0 to ``BINS`` - 1; a bin has its upper edge in it."""
    return np.clip(np.ceil(np.asarray(confidence, float) * BINS).astype(np.intp) - 1, 0, BINS - 1)


def calibration_error(
    confidence: ArrayLike, correct: ArrayLike, clusters: ArrayLike, *, samples: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Expected calibration error with its percentile interval, resampling whole clusters.

    The error of few cases is too high on average, that of a resample even more so: read the interval with
    the number of cases.
    """
    gaps = np.asarray(correct, float) - np.asarray(confidence, float)
    groups, places = codes(clusters), bin_of(confidence)
    count = int(groups.max()) + 1
    sums = np.bincount(groups * BINS + places, weights=gaps, minlength=count * BINS).reshape(count, BINS)
    sizes = np.bincount(groups, minlength=count).astype(float)
    value = float(np.abs(sums.sum(axis=0)).sum() / len(gaps))
    times = np.stack([np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(samples)])
    draws = np.abs(times @ sums).sum(axis=1) / (times @ sizes)
    found = limits(value, draws, count, (0.0, 1.0))
    return found.value, found.low, found.high


def calibration_table(
    arms: Mapping[str, pd.DataFrame], clusters: Mapping[str, str], *, samples: int, seed: int
) -> pd.DataFrame:
    """Reliability of every arm by bin, and its expected calibration error.

    Args:
        arms: arm to its `confidences`; one without cases is left out.
        clusters: case to what is resampled (publication or patient).
        samples: bootstrap samples.
        seed: of the bootstrap.

    Returns:
        Columns ``COLUMNS``. Row ``bin`` 1 to ``BINS``: mean confidence, accuracy (also ``value``, with its
        interval) and number of its cases; bins without a case are left out. Row ``ece``: the same means over
        all cases, and the error as ``value``.
    """
    rows = []
    for arm, found in arms.items():
        if found.empty:
            continue
        units = found["case_id"].map(clusters)
        places = bin_of(found["confidence"])
        for place in sorted(set(places.tolist())):
            part = found[places == place]
            accuracy = estimate(
                part["correct"],
                units[places == place],
                samples=samples,
                rng=stream(seed, "calibration", arm, str(place)),
            )
            rows.append(
                (
                    *(arm, str(place + 1), part["confidence"].mean(), accuracy.value, len(part)),
                    *(accuracy.value, accuracy.low, accuracy.high),
                )
            )
        error = calibration_error(
            found["confidence"],
            found["correct"],
            units,
            samples=samples,
            rng=stream(seed, "calibration", arm, ECE),
        )
        rows.append((arm, ECE, found["confidence"].mean(), found["correct"].mean(), len(found), *error))
    return pd.DataFrame(rows, columns=COLUMNS)
