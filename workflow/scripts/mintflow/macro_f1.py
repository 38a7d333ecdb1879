"""Macro F1 with intervals and paired tests over patients: no mean over tiles, so resampled as a whole.

F1 of a label is 2 TP / (2 TP + FP + FN); macro F1 is the mean over the labels that occur among the truths.
A draw of patients adds up their confusion matrices.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .statistics import EXACT_CLUSTERS, Estimate, codes, limits

_BLOCK = 2_000_000


def confusions(
    truth: NDArray[np.intp], predicted: NDArray[np.intp], clusters: ArrayLike, labels: int
) -> NDArray[np.float64]:
    """Confusion matrices of every cluster, (clusters, labels, labels + 1); the last column is "no label".

    Args:
        truth: (n,) 0..labels-1.
        predicted: (n,) the same, or ``labels`` where no label was named.
        clusters: (n,) patient of each tile.
        labels: number of labels.
    """
    groups = codes(clusters)
    shape = (int(groups.max()) + 1, labels, labels + 1)
    flat = (groups * labels + truth) * (labels + 1) + predicted
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape).astype(float)


def macro_f1(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Macro F1 of confusion matrices (..., labels, labels + 1)."""
    labels = matrices.shape[-2]
    right = np.diagonal(matrices[..., :labels], axis1=-2, axis2=-1)
    there, named = matrices.sum(-1), matrices[..., :labels].sum(-2)
    f1 = np.divide(2 * right, there + named, out=np.zeros_like(right), where=there + named > 0)
    occurs = there > 0
    return np.divide(
        np.where(occurs, f1, 0.0).sum(-1),
        occurs.sum(-1),
        out=np.zeros(right.shape[:-1]),
        where=occurs.any(-1),
    )


def _draws(groups: int, samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How often each cluster is drawn, (samples, clusters)."""
    drawn = rng.integers(0, groups, (samples, groups)) + np.arange(samples)[:, None] * groups
    return np.bincount(drawn.ravel(), minlength=samples * groups).reshape(samples, groups).astype(float)


def _of_draws(runs: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over runs of the macro F1 of every draw, (samples,)."""
    return np.mean([macro_f1(np.tensordot(times, run, 1)) for run in runs], axis=0)


def mean_over_runs(runs: NDArray[np.float64]) -> float:
    """Mean over runs (seeds) of the macro F1 of all clusters; runs: (runs, clusters, labels, labels + 1)."""
    return float(macro_f1(runs.sum(1)).mean())


def estimate(runs: NDArray[np.float64], samples: int, rng: np.random.Generator) -> Estimate:
    """``mean_over_runs`` with its interval; where all draws agree, as in `statistics.estimate`."""
    drawn = _of_draws(runs, _draws(runs.shape[1], samples, rng))
    return limits(mean_over_runs(runs), drawn, runs.shape[1], (0.0, 1.0))


def difference(
    first: NDArray[np.float64], second: NDArray[np.float64], samples: int, rng: np.random.Generator
) -> tuple[Estimate, float]:
    """Difference of two arms' ``mean_over_runs`` on the same clusters, with interval and p-value.

    The test exchanges the arms within whole clusters: under the null hypothesis they are exchangeable
    there. Runs are exchanged in order, those of the arm with fewer repeatedly. All patterns are enumerated
    for up to ``EXACT_CLUSTERS`` clusters in which the arms differ; else p = (1 + as extreme) / (1 + samples).

    Args:
        first, second: (runs, clusters, labels, labels + 1) of either arm.
        samples: bootstrap samples, and patterns that are drawn where not all are enumerated.
        rng: of both.
    """
    value = mean_over_runs(first) - mean_over_runs(second)
    groups = first.shape[1]
    times = _draws(groups, samples, rng)
    found = limits(value, _of_draws(first, times) - _of_draws(second, times), groups, (-1.0, 1.0))
    matched = np.arange(np.lcm(len(first), len(second)))
    first, second = (runs[matched % len(runs)] for runs in (first, second))
    changing = np.flatnonzero((first != second).any(axis=(0, 2, 3)))
    if not len(changing):
        return found, 1.0
    exact = len(changing) <= EXACT_CLUSTERS
    count = 2 ** len(changing) if exact else samples
    extreme = 0
    block = max(1, _BLOCK // first[0, 0].size // len(changing))
    for start in range(0, count, block):
        rows = min(block, count - start)
        if exact:
            pattern = (np.arange(start, start + rows)[:, None] >> np.arange(len(changing)) & 1).astype(float)
        else:
            pattern = rng.integers(0, 2, (rows, len(changing))).astype(float)
        between = np.zeros(rows)
        for one, other in zip(first, second, strict=True):
            # what the exchange of clusters takes from the first arm and gives to the second
            moved = np.tensordot(pattern, (one - other)[changing], 1)
            between += macro_f1(one.sum(0) - moved) - macro_f1(other.sum(0) + moved)
        extreme += int(np.count_nonzero(np.abs(between / len(first)) >= abs(value) - 1e-12))
    return found, extreme / count if exact else (1 + extreme) / (1 + count)
