"""Intervals and paired tests for means over cases that belong together.

Patients of one publication are not independent, nor are tiles of one patient, so the unit that is
resampled or flipped is a cluster (a publication, a patient, or a case where so configured).
Every random stream is seeded by what it estimates, so adding an arm or a
metric leaves all other figures unchanged. Formulas: docs/metrics.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
Z = 1.959963984540054  # normal quantile of LEVEL, two-sided
EXACT_CLUSTERS = 14  # 2**14 sign patterns are enumerated, more are sampled
_FLAT = 1e-12
_BLOCK = 4_000_000

Bounds = tuple[float, float] | None


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval; NaN limits mean that none can be given."""

    value: float
    low: float
    high: float


def stream(seed: int, *names: str) -> np.random.Generator:
    """A generator that depends on ``seed`` and ``names`` alone."""
    digest = hashlib.sha256("\x1f".join((str(seed), *names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def codes(labels: ArrayLike) -> NDArray[np.intp]:
    """Number the distinct ``labels`` 0..m-1 in sorted order."""
    return np.unique(np.asarray(labels, dtype=str), return_inverse=True)[1]


def case_weights(strata: NDArray[np.intp] | None, n: int) -> NDArray[np.float64]:
    """Weight of each of ``n`` cases in the mean: equal, or equal per stratum (macro)."""
    if strata is None:
        return np.full(n, 1.0 / n)
    sizes = np.bincount(strata)
    return 1.0 / (sizes[strata] * np.count_nonzero(sizes))


def bootstrap_means(
    values: NDArray[np.float64],
    clusters: NDArray[np.intp],
    strata: NDArray[np.intp] | None,
    samples: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Means of ``samples`` draws of whole clusters with replacement.

    Args:
        values: (n,) one value a case.
        clusters: (n,) cluster of each case, 0..g-1.
        strata: (n,) disease of each case for a macro mean, or None for the plain mean. The macro
            mean is taken anew in every draw over the strata that the draw contains.
        samples: number of draws.
        rng: source of randomness.

    Returns:
        (samples,) means.
    """
    groups = int(clusters.max()) + 1
    columns = strata if strata is not None else np.zeros(len(values), dtype=np.intp)
    width = int(columns.max()) + 1
    flat = clusters * width + columns
    sums = np.bincount(flat, weights=values, minlength=groups * width).reshape(groups, width)
    sizes = np.bincount(flat, minlength=groups * width).reshape(groups, width).astype(float)
    means = np.empty(samples)
    block = max(1, _BLOCK // max(groups, width))
    for start in range(0, samples, block):
        rows = min(block, samples - start)
        drawn = rng.integers(0, groups, size=(rows, groups)) + np.arange(rows)[:, None] * groups
        times = np.bincount(drawn.ravel(), minlength=rows * groups).reshape(rows, groups).astype(float)
        totals, counts = times @ sums, times @ sizes
        present = counts > 0
        per_stratum = np.divide(totals, counts, out=np.zeros_like(totals), where=present)
        means[start : start + rows] = per_stratum.sum(axis=1) / present.sum(axis=1)
    return means


def unseen_mass(clusters: int) -> float:
    """Upper 95 % Wilson limit of a share of which 0 in ``clusters`` were seen: z^2 / (n + z^2).

    The score-interval counterpart of the rule of three (3 / n).
    """
    return Z * Z / (clusters + Z * Z)


def estimate(
    values: ArrayLike,
    clusters: ArrayLike,
    *,
    strata: ArrayLike | None = None,
    bounds: Bounds = (0.0, 1.0),
    samples: int,
    rng: np.random.Generator,
) -> Estimate:
    """Mean of ``values`` with a percentile cluster-bootstrap interval.

    Where every draw gives the same mean (all patients right, say, or one cluster only) the
    percentile interval has no width and would claim certainty. With ``bounds`` (a, b) the limits
    are then those of a mean of which at most ``unseen_mass`` lies at a or b, which for a
    proportion of 0 or 1 is Wilson's interval with n = number of clusters. Without bounds the
    interval is [value, value], or NaN for a single cluster.

    Raises:
        ValueError: no values.
    """
    data = np.asarray(values, dtype=float)
    if not len(data):
        raise ValueError("an estimate needs at least one case")
    groups = codes(clusters)
    kinds = codes(strata) if strata is not None else None
    value = float(data.mean() if kinds is None else np.mean(np.bincount(kinds, data) / np.bincount(kinds)))
    draws = bootstrap_means(data, groups, kinds, samples, rng)
    return limits(value, draws, int(groups.max()) + 1, bounds)


def limits(value: float, draws: NDArray[np.float64], clusters: int, bounds: Bounds) -> Estimate:
    """The percentile interval of bootstrap draws; where all are equal, as told at ``estimate``."""
    if np.ptp(draws) > _FLAT:
        low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Estimate(value, float(low), float(high))
    if bounds is None:
        limit = value if clusters > 1 else float("nan")
        return Estimate(value, limit, limit)
    share = unseen_mass(clusters)
    return Estimate(value, value - share * (value - bounds[0]), value + share * (bounds[1] - value))


def sign_flip_test(
    differences: ArrayLike,
    clusters: ArrayLike,
    *,
    strata: ArrayLike | None = None,
    samples: int,
    rng: np.random.Generator,
) -> float:
    """Two-sided p-value of a mean paired difference of 0, flipping the sign of whole clusters.

    All sign patterns are enumerated for up to ``EXACT_CLUSTERS`` clusters that differ; otherwise
    ``samples`` patterns are drawn and p = (1 + as extreme) / (1 + samples).
    """
    data = np.asarray(differences, dtype=float)
    kinds = codes(strata) if strata is not None else None
    totals = np.bincount(codes(clusters), weights=case_weights(kinds, len(data)) * data)
    totals = totals[np.abs(totals) > _FLAT]
    if not len(totals):
        return 1.0
    limit = abs(totals.sum()) - 1e-9 * np.abs(totals).sum()  # rounding must not undo a tie
    if len(totals) <= EXACT_CLUSTERS:
        patterns = np.arange(2 ** len(totals))[:, None] >> np.arange(len(totals)) & 1
        return float(np.mean(np.abs((1.0 - 2.0 * patterns) @ totals) >= limit))
    extreme = 0
    block = max(1, _BLOCK // len(totals))
    for start in range(0, samples, block):
        signs = 1.0 - 2.0 * rng.integers(0, 2, size=(min(block, samples - start), len(totals)))
        extreme += int(np.count_nonzero(np.abs(signs @ totals) >= limit))
    return (1 + extreme) / (1 + samples)


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Holm's step-down adjustment, in the order given."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def spread_sample(ids: Sequence[str], strata: Sequence[str], size: int | None, seed: int) -> list[str]:
    """Choose ``size`` ids spread over the strata, in sorted order.

    Strata and the ids within each are shuffled by ``seed``; one id of each stratum is taken in
    turn. None takes all.
    """
    if size is None or size >= len(ids):
        return sorted(ids)
    rng = stream(seed, "spread_sample")
    table = pd.DataFrame({"id": list(ids), "stratum": list(strata)}).sort_values("id", ignore_index=True)
    table["order"] = rng.permutation(len(table))
    table["turn"] = table.sort_values("order").groupby("stratum").cumcount()
    names = sorted(table["stratum"].unique())
    table["place"] = table["stratum"].map(dict(zip(names, rng.permutation(len(names)), strict=True)))
    return sorted(table.sort_values(["turn", "place"])["id"].head(size))


def _variants(
    table: pd.DataFrame, suffixes: Mapping[str, str], together: str | None
) -> Iterable[tuple[str, str, bool, pd.DataFrame]]:
    """Yield (full name, metric, macro?, rows) for each metric and split, micro then macro."""
    table = table[table["split"].isin(suffixes)]
    for metric, of_metric in table.groupby("metric", sort=True):
        parts = [(suffixes[split], rows) for split, rows in of_metric.groupby("split", sort=True)]
        if together is not None and len(parts) > 1:
            parts.append((together, of_metric))
        for suffix, rows in parts:
            for macro in (False, True):
                yield f"{metric}{suffix}{'_macro' if macro else ''}", str(metric), macro, rows


def summarise(
    per_case: pd.DataFrame,
    suffixes: Mapping[str, str],
    bounds: Mapping[str, Bounds],
    *,
    unit: str,
    samples: int,
    seed: int,
    stratum: str = "disease_id",
    together: str | None = None,
) -> pd.DataFrame:
    """Every metric of every arm with its interval.

    Args:
        per_case: columns arm, case_id, ``stratum``, publication or patient_id, split, metric, value.
        suffixes: what a split adds to the metric's name; splits not named are left out.
        bounds: range of each metric, None where it has no upper end.
        unit: ``publication``, ``patient`` or ``case``, what is resampled.
        samples: bootstrap samples.
        seed: of the bootstrap.
        stratum: column of the label, over which macro means are taken.
        together: suffix of metrics over all these splits, where there are several; None for none.

    Returns:
        arm, metric, value, ci_low, ci_high, n (cases); sorted by arm and metric.
    """
    column = _unit_column(unit)
    rows = []
    for arm, table in per_case.groupby("arm", sort=True):
        for name, metric, macro, cases in _variants(table, suffixes, together):
            found = estimate(
                cases["value"],
                cases[column],
                strata=cases[stratum] if macro else None,
                bounds=bounds[metric],
                samples=samples,
                rng=stream(seed, "summary", str(arm), name),
            )
            rows.append((arm, name, found.value, found.low, found.high, len(cases)))
    table = pd.DataFrame(rows, columns=["arm", "metric", "value", "ci_low", "ci_high", "n"])
    return table.sort_values(["arm", "metric"], ignore_index=True)


def compare(
    per_case: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    suffixes: Mapping[str, str],
    bounds: Mapping[str, Bounds],
    *,
    unit: str,
    samples: int,
    seed: int,
    stratum: str = "disease_id",
    families: Mapping[tuple[str, str], str] | None = None,
    together: str | None = None,
) -> pd.DataFrame:
    """Paired differences ``arm_a - arm_b`` of every metric that both arms have.

    Args: as ``summarise``; ``pairs`` lists (arm_a, arm_b); ``families`` says which of them are adjusted
        together, all by default.

    Returns:
        arm_a, arm_b, metric, difference, ci_low, ci_high, p_value, p_adjusted (Holm over the pairs
        of one metric and family), n; sorted by metric, arm_a, arm_b.

    Raises:
        ValueError: two arms were measured on different cases.
    """
    column = _unit_column(unit)
    shared_columns = [name for name in per_case.columns if name not in ("arm", "value")]
    rows = []
    for arm_a, arm_b in pairs:
        first, second = (per_case[per_case["arm"] == arm] for arm in (arm_a, arm_b))
        shared = set(first["metric"]) & set(second["metric"])
        first, second = (table[table["metric"].isin(shared)] for table in (first, second))
        both = first.merge(second, on=shared_columns, suffixes=("_a", "_b"), validate="one_to_one")
        if not len(both) == len(first) == len(second):
            raise ValueError(f"arms {arm_a} and {arm_b} were not measured on the same cases")
        both["value"] = both["value_a"] - both["value_b"]
        for name, metric, macro, cases in _variants(both, suffixes, together):
            limits, strata = bounds[metric], cases[stratum] if macro else None
            width = limits[1] - limits[0] if limits else None
            found = estimate(
                cases["value"],
                cases[column],
                strata=strata,
                bounds=(-width, width) if width is not None else None,
                samples=samples,
                rng=stream(seed, "difference", arm_a, arm_b, name),
            )
            p_value = sign_flip_test(
                cases["value"],
                cases[column],
                strata=strata,
                samples=samples,
                rng=stream(seed, "sign flip", arm_a, arm_b, name),
            )
            rows.append((arm_a, arm_b, name, found.value, found.low, found.high, p_value, len(cases)))
    table = pd.DataFrame(
        rows, columns=["arm_a", "arm_b", "metric", "difference", "ci_low", "ci_high", "p_value", "n"]
    ).sort_values(["metric", "arm_a", "arm_b"], ignore_index=True)
    adjusted = [
        pd.Series(holm(group["p_value"].tolist()), index=group.index)
        for _, group in table.groupby([table["metric"], _families(table, families)], sort=True)
    ]
    table.insert(7, "p_adjusted", pd.concat(adjusted) if adjusted else pd.Series(dtype=float))
    return table


def _families(table: pd.DataFrame, families: Mapping[tuple[str, str], str] | None) -> pd.Series:
    found = [(families or {}).get(pair, "") for pair in zip(table["arm_a"], table["arm_b"], strict=True)]
    return pd.Series(found, index=table.index, dtype=str)


def _unit_column(unit: str) -> str:
    return {"publication": "publication", "patient": "patient_id", "case": "case_id"}[unit]
