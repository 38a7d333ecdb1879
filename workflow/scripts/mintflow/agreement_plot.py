"""Figure of the agreement with the teacher: coverage, avoidance and CAR by arm."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from . import labels
from .arm_panels import HUES, arm_panel, places, rows_of
from .errors import InputError
from .figure_style import blank, header, settle, style

_METRICS = ("coverage", "avoidance", "car")
_SHORT = {
    labels.STUDENT: "language models",
    labels.CONTROL: "controls",
    labels.YARDSTICK: "teacher, yardsticks",
}


def agreement_figure(metrics: pd.DataFrame, *, simulated: bool, track: str = "rare") -> Figure:
    """How much of the teacher's first names an arm lists, how many of its last it avoids, and both in one.

    Args:
        metrics: columns arm, metric, value, ci_low, ci_high, n; variants are left out.
        simulated: whether the patients are simulated; written on the figure.
        track: ``rare`` or ``tissue``.

    Raises:
        InputError: no arm has any of the three.
    """
    words = labels.TRACKS[track]
    rows = rows_of(metrics, _METRICS)
    arms = [one for one in words.in_order(arm for arm, _ in rows) if one.group != labels.VARIANT]
    if not arms:
        raise InputError(f"has none of {', '.join(_METRICS)}", file="metrics", field="metric")
    heights = places(arms)
    with style():
        figure = blank(0.17 * (heights[-1] + 1) + 0.95)
        for letter, axes, name in zip("abc", figure.subplots(1, 3, sharey=True), _METRICS, strict=True):
            arm_panel(axes, arms, heights, name, rows)
            axes.set_title(f"{letter} {labels.metric(name)}", fontsize=6.5)
            axes.set_xlabel("%")
        shown = list(dict.fromkeys(one.group for one in arms))
        marks = [
            Line2D(
                [],
                [],
                color=HUES[group],
                marker="o",
                markersize=4,
                markerfacecolor="white" if group == labels.CONTROL else HUES[group],
                linestyle=(0, (1.5, 0.8)) if group == labels.CONTROL else "solid",
                linewidth=1,
                label=_SHORT[group],
            )
            for group in shown
        ]
        figure.legend(handles=marks, loc="outside lower center", ncols=3, columnspacing=1)
        header(figure, "Agreement with the teacher", simulated, labels.WHO[track])
        settle(figure)
    return figure
