"""Panels with one row an arm, which several figures share: estimates with intervals, arms by group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator, PercentFormatter

from . import labels
from .figure_style import BLUE, FAINT, GREEN, GREY, VERMILLION

HUES = {
    labels.STUDENT: BLUE,
    labels.VARIANT: GREEN,
    labels.CONTROL: BLUE,
    labels.YARDSTICK: VERMILLION,
}
Rows = Mapping[tuple[str, str], Any]


def rows_of(metrics: pd.DataFrame, wanted: Iterable[str]) -> Rows:
    """Rows of metrics.csv by (arm, metric); those without a value are left out."""
    table = metrics[metrics["metric"].isin(list(wanted))].dropna(subset=["value"])
    return {(row.arm, row.metric): row for row in table.itertuples(index=False)}


def places(arms: Sequence[labels.Arm], gap: float = 0.5) -> list[float]:
    """Height of each arm's row, with a gap between groups."""
    found, place = [], 0.0
    for before, one in zip([None, *arms], arms, strict=False):
        if before is not None:
            place += 1.0 + gap * (before.group != one.group)
        found.append(place)
    return found


def interval(axes: Axes, row: Any, position: float, group: str, marker: str) -> None:
    """One estimate; controls are hollow and dashed."""
    hue, control = HUES[group], group == labels.CONTROL
    dash = (0, (1.5, 0.8)) if control else "solid"
    axes.plot([row.ci_low, row.ci_high], [position, position], color=hue, linewidth=1, linestyle=dash)
    face = "white" if control else hue
    axes.plot(
        row.value,
        position,
        marker,
        color=hue,
        markerfacecolor=face,
        markersize=4,
        markeredgewidth=0.9,
        clip_on=False,
    )


def arm_panel(
    axes: Axes, arms: Sequence[labels.Arm], heights: Sequence[float], name: str, rows: Rows
) -> None:
    """One metric of every arm, from 0 to 100 %."""
    for position, one in zip(heights, arms, strict=True):
        axes.axhline(position, color=FAINT, linewidth=0.4, zorder=0)
        if (one.key, name) in rows:
            interval(axes, rows[one.key, name], position, one.group, "o")
        else:
            axes.text(
                0.5,
                position,
                "n/a",
                ha="center",
                va="center",
                color=GREY,
                fontsize=6,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )
    name_rows(axes, arms, heights)
    share_axis(axes, 0.5)


def name_rows(axes: Axes, arms: Sequence[labels.Arm], heights: Sequence[float]) -> None:
    """Labels of the arms at their rows, the first on top."""
    axes.set_yticks(heights, [one.label for one in arms])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(heights[-1] + 0.6, heights[0] - 0.6)
    axes.spines["left"].set_visible(False)


def share_axis(axes: Axes, step: float) -> None:
    """An axis of shares, in percent."""
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
    axes.grid(axis="x", color=FAINT, linewidth=0.4)
    axes.spines["left"].set_visible(False)
