"""Figure of what each training cost: time, memory, tokens, and time per pair."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from . import labels
from .arm_panels import HUES, name_rows, places
from .errors import InputError
from .figure_style import FAINT, GREY, blank, header, settle, style
from .training_table import RESULT

# title, column, divided by, unit
_PANELS = (
    ("Time", "seconds", 60, "minutes"),
    ("Memory", "peak_memory_mb", 1024, "GB, peak"),
    ("Tokens", "tokens", 1000, "thousands"),
    ("Per pair", "seconds_per_pair", 1, "seconds"),
)


def cost_figure(training: pd.DataFrame, *, simulated: bool, track: str = "rare") -> Figure:
    """One row an arm, one mark a training; learning rates on trial are hollow.

    Args:
        training: training.csv, columns of ``training_table.COLUMNS``.
        simulated: whether the patients are simulated; written on the figure.
        track: ``rare`` or ``tissue``.

    Raises:
        InputError: the table is empty.
    """
    arms = labels.TRACKS[track].in_order(training["arm"])
    if not arms:
        raise InputError("holds no training", file="training.csv")
    heights = places(arms)
    with style():
        figure = blank(0.17 * (heights[-1] + 1) + 0.95)
        for letter, axes, (title, column, unit, words) in zip(
            "abcd", figure.subplots(1, len(_PANELS), sharey=True), _PANELS, strict=True
        ):
            for one, height in zip(arms, heights, strict=True):
                axes.axhline(height, color=FAINT, linewidth=0.4, zorder=0)
                _marks(axes, training[training["arm"] == one.key], height, column, unit, HUES[one.group])
            name_rows(axes, arms, heights)
            most = training[column].max() / unit
            # a training that only went on from its last step has no time per pair
            axes.set_xlim(0, 1.12 * most if most > 0 else 1)
            axes.xaxis.set_major_locator(MaxNLocator(2))
            axes.grid(axis="x", color=FAINT, linewidth=0.4)
            axes.set_title(f"{letter} {title}", fontsize=7)
            axes.set_xlabel(words, fontsize=6.5)
        if (training["purpose"] != RESULT).any():
            handles = [
                Line2D([], [], color=GREY, marker="o", markersize=3.5, linestyle="", label="training"),
                Line2D(
                    [],
                    [],
                    color=GREY,
                    marker="o",
                    markersize=3.5,
                    linestyle="",
                    markerfacecolor="white",
                    label="learning rate on trial",
                ),
            ]
            figure.legend(handles=handles, loc="outside lower center", ncols=2)
        header(figure, "Cost of training", simulated, labels.WHO[track])
        settle(figure)
    return figure


def _marks(axes: Axes, rows: pd.DataFrame, height: float, column: str, unit: float, hue: str) -> None:
    for kind, face in ((rows["purpose"] == RESULT, hue), (rows["purpose"] != RESULT, "white")):
        values = rows.loc[kind, column].dropna() / unit
        axes.plot(
            values,
            [height] * len(values),
            "o",
            color=hue,
            markerfacecolor=face,
            markersize=3.5,
            markeredgewidth=0.8,
            zorder=3 if face != "white" else 2,
        )
