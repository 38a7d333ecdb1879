"""All arms on the clean patients of a further cohort, within the closed set and over everybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from .evaluation import Ranks, Study
from .external import IN_SET
from .metrics import AGREEMENT_METRICS, HIT_METRICS, RANKING_METRICS, Labels, TeacherLists, teacher_lists
from .statistics import Bounds, compare, summarise

# the split of the rows that count everybody, and what each split adds to a metric's name
ALL = "all"
SUFFIXES = {IN_SET: "", ALL: "_all"}
BUCKETS = ("1", "2-3", "4-10", ">10/not named")
BY_DISEASE = ["arm", "disease_id", "name", "bucket", "count"]
HEADLINE = ("top1", "top3", "top10", "mrr")


def build_study(
    cases: pd.DataFrame,
    labels: Labels,
    teacher: Ranks | None,
    *,
    k: int,
    q: int,
    car_lambda: float,
) -> Study:
    """What the arms are measured against; without a teacher, lists that ``measured`` never shows."""
    if teacher is None:
        lists = dict.fromkeys(cases["case_id"], TeacherLists(frozenset(), frozenset()))
    else:
        lists = {case: teacher_lists(teacher[case], k, q) for case in cases["case_id"]}
    return Study(cases.sort_values("case_id", ignore_index=True), labels, lists, k, q, car_lambda)


def measured(per_case: Sequence[pd.DataFrame], *, has_teacher: bool) -> pd.DataFrame:
    """The arms' values in one table.

    A disease that is no candidate counts as not found, even where a written answer names it: a closed
    set is asked for, and rankings of candidates can never win there.
    """
    table = pd.concat(per_case).sort_values(["arm", "case_id", "metric"], ignore_index=True)
    missed = (table["split"] != IN_SET) & table["metric"].isin(HIT_METRICS)
    table.loc[missed, "value"] = 0.0
    return table if has_teacher else table[~table["metric"].isin(AGREEMENT_METRICS)].reset_index(drop=True)


def everybody(per_case: pd.DataFrame) -> pd.DataFrame:
    """The rows once more as split ``ALL``, but for ``rank_*``, which is of a sample of the set."""
    again = per_case[~per_case["metric"].isin(RANKING_METRICS)].assign(split=ALL)
    return pd.concat([per_case[per_case["split"] == IN_SET], again], ignore_index=True)


def tables(
    per_case: pd.DataFrame,
    pairs: Mapping[tuple[str, str], str],
    bounds: Mapping[str, Bounds],
    **common: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """metrics.csv and comparisons.csv; ``pairs`` as from ``evaluation.arm_pairs``."""
    rows = everybody(per_case)
    metrics = summarise(rows, SUFFIXES, bounds, **common)
    return metrics, compare(rows, list(pairs), SUFFIXES, bounds, families=pairs, **common)


def rank_by_disease(per_case: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """How many patients within the set of each disease an arm put in which place; zeros included.

    Args:
        per_case: values of every arm, as from ``measured``.
        names: disease_id -> name.

    Returns:
        Columns ``BY_DISEASE``, in order of arm, disease and ``BUCKETS``.
    """
    rows = per_case[(per_case["split"] == IN_SET) & per_case["metric"].isin(["top1", "top3", "top10"])]
    wide = rows.pivot(index=["arm", "disease_id", "case_id"], columns="metric", values="value")
    # found within 10, 3 and 1: each narrower hit moves one bucket to the front
    hits = wide.reindex(columns=["top1", "top3", "top10"]).sum(axis=1).astype(int)
    bucket = (len(BUCKETS) - 1 - hits).map(dict(enumerate(BUCKETS)))
    found = bucket.groupby([bucket.index.get_level_values(name) for name in ("arm", "disease_id")])
    counts = found.value_counts().unstack(fill_value=0).reindex(columns=BUCKETS, fill_value=0)
    result = counts.rename_axis(columns="bucket").stack().rename("count").reset_index()
    result["name"] = result["disease_id"].map(names)
    return result[BY_DISEASE]


def headline(metrics: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Arm -> metric -> value, interval and n, of ``HEADLINE`` in both figures."""
    wanted = [f"{name}{suffix}" for suffix in SUFFIXES.values() for name in HEADLINE]
    found: dict[str, dict[str, Any]] = {}
    for row in metrics[metrics["metric"].isin(wanted)].itertuples(index=False):
        entry = {"value": row.value, "ci_low": row.ci_low, "ci_high": row.ci_high}
        rounded = {key: None if pd.isna(value) else round(float(value), 6) for key, value in entry.items()}
        found.setdefault(row.arm, {})[row.metric] = {**rounded, "n": int(row.n)}
    return found
