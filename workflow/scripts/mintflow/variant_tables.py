"""Tidy tables of variants: a metric against what is varied, and against the size of the base model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from .errors import InputError
from .sweeps import PAIRS_KEY
from .tables import METRICS

ESTIMATE = list(METRICS[1:])
SWEEPS = ["key", "parent", "arm", "value", *(name if name != "value" else "estimate" for name in ESTIMATE)]
SIZES = ["kind", "arm", "base", "parameters", *ESTIMATE]


def sweep_table(
    metrics: pd.DataFrame, varied: Sequence[Mapping[str, Any]], pairs: Mapping[str, int]
) -> pd.DataFrame:
    """Every metric of the arms that vary one thing.

    Args:
        metrics: metrics.csv.
        varied: arm, parent, key, value, as from ``sweeps.sweeps``.
        pairs: training pairs of each arm; they are the value where their number is varied, as "all" is no
            number and a limit need not be reached.

    Returns:
        Columns ``SWEEPS``; the value is text.

    Raises:
        InputError: an arm has no metrics, or its number of pairs is not known.
    """
    rows = []
    for entry in varied:
        arm, value = entry["arm"], entry["value"]
        if entry["key"] == PAIRS_KEY:
            if arm not in pairs:
                raise InputError("its number of training pairs is not known", record=arm, field=PAIRS_KEY)
            value = pairs[arm]
        for row in _of(metrics, arm):
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            rows.append((entry["key"], entry["parent"], arm, shown, *row))
    return pd.DataFrame(rows, columns=SWEEPS)


def size_table(
    metrics: pd.DataFrame, arms: Sequence[Mapping[str, str]], parameters: Mapping[str, int]
) -> pd.DataFrame:
    """Every metric of the arms that have counterparts on other base models.

    Args:
        metrics: metrics.csv.
        arms: arm, kind, base, as from ``sweeps.sizes``.
        parameters: of each base model.

    Returns:
        Columns ``SIZES``, sorted by kind, parameters and arm.
    """
    rows = [
        (entry["kind"], entry["arm"], entry["base"], parameters[entry["base"]], *row)
        for entry in arms
        for row in _of(metrics, entry["arm"])
    ]
    table = pd.DataFrame(rows, columns=SIZES)
    return table.sort_values(["kind", "parameters", "arm", "metric"], ignore_index=True)


def _of(metrics: pd.DataFrame, arm: str) -> list[tuple[Any, ...]]:
    own = metrics[metrics["arm"] == arm]
    if own.empty:
        raise InputError("has no row of this arm", file="metrics.csv", record=arm)
    return list(own[ESTIMATE].itertuples(index=False, name=None))
