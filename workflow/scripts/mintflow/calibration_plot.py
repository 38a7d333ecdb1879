"""Figure of calibration: accuracy against confidence, one panel an arm."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from . import labels
from .calibration import BINS, ECE
from .errors import InputError
from .figure_style import FAINT, GREY, arm_line, blank, header, settle, style

_COLUMNS = 3


def calibration_figure(calibration: pd.DataFrame, *, simulated: bool, track: str = "rare") -> Figure:
    """Reliability diagrams with the expected calibration error; variants are left out.

    Args:
        calibration: calibration.csv, columns of ``calibration.COLUMNS``.
        simulated: whether the patients are simulated; written on the figure.
        track: ``rare`` or ``tissue``.

    Raises:
        InputError: the table is empty.
    """
    words = labels.TRACKS[track]
    arms = [one for one in words.in_order(calibration["arm"]) if one.group != labels.VARIANT]
    if not arms:
        raise InputError("holds no arm", file="calibration.csv")
    # the teacher first: the students are taught by it
    arms.sort(key=lambda one: one.group != labels.YARDSTICK)
    columns = min(_COLUMNS, len(arms))
    lines = -(-len(arms) // columns)
    with style():
        figure = blank(1.37 * lines + 0.35 if columns > 1 else 2.6)
        panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
        for index, (axes, one) in enumerate(zip(panels.flat, arms, strict=False)):
            _panel(axes, calibration[calibration["arm"] == one.key], one)
            if index % columns == 0:
                axes.set_ylabel("right, %")
            if index >= columns * (lines - 1):
                axes.set_xlabel("confidence, %")
        for axes in panels.flat[len(arms) :]:
            axes.set_visible(False)
        header(figure, "Calibration", simulated, labels.WHO[track])
        settle(figure)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, arm: labels.Arm) -> None:
    hue, marker, _ = arm_line(arm.key)
    bins = rows[rows["bin"].astype(str) != ECE]
    whole = rows[rows["bin"].astype(str) == ECE]
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.6, linestyle=(0, (4, 2)))
    most = max(int(bins["n"].max()), 1)
    # how many cases stand behind each point
    left = (bins["bin"].astype(int) - 1) / BINS
    axes.bar(left, 0.3 * bins["n"] / most, width=1 / BINS, align="edge", color=FAINT, edgecolor="white")
    axes.vlines(bins["confidence"], bins["ci_low"], bins["ci_high"], color=hue, linewidth=0.9)
    axes.plot(
        bins["confidence"],
        bins["accuracy"],
        color=hue,
        marker=marker,
        markersize=3.2,
        linewidth=0.6,
        clip_on=False,
    )
    label = arm.label.replace(" student", "").replace(", untuned", "").replace(", aligned on captions", "")
    title = label.replace("phenotype only", "phenotypes")
    for found in whole.itertuples(index=False):
        error = f"{_percent(found.value)} ({_percent(found.ci_low)}–{_percent(found.ci_high)})"
        title = f"{title}\nECE {error}"
        axes.text(0.04, 0.97, f"n = {int(found.n):,}", transform=axes.transAxes, va="top", fontsize=6)
    axes.set_title(title, fontsize=6, fontweight="normal", linespacing=1.2)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks([0, 0.5, 1])
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
    axes.set_aspect("equal")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0")
