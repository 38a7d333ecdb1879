"""Figure of the training curves: one row an arm where there are several, one line a seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from . import labels
from .errors import InputError
from .figure_style import FAINT, GREY, INK, arm_line, blank, header, settle, style
from .training_table import HELD_OUT, TRAINING

_TITLES = {
    "loss": "Loss",
    "nll": "Likelihood (NLL)",
    "log_odds": "Log-odds ratio",
    "margin": "Reward margin",
    "divergence": "Divergence (KL)",
    "accuracy": "Reward accuracy, %",
}
# what an objective has beside its loss and the preferred share: the middle column of several arms
_OWN = {"orpo": "log_odds", "dpo": "margin", "listwise": "divergence"}
_DASHES = ("solid", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (4, 1.2, 1, 1.2)))


def training_figure(curves: pd.DataFrame, *, simulated: bool, track: str = "rare") -> Figure:
    """Course of the training of every arm, on training and on held-out pairs.

    Args:
        curves: training_curves.csv (columns of ``training_table.CURVES``). Variants and learning rates on
            trial are left out.
        simulated: whether the patients are simulated; written on the figure.
        track: ``rare`` or ``tissue``.

    Raises:
        InputError: there is nothing to draw.
    """
    words = labels.TRACKS[track]
    arms = [one for one in words.in_order(curves["arm"]) if one.group == labels.STUDENT]
    if not arms:
        raise InputError("holds no training of an arm", file="training_curves.csv")
    with style():
        if len(arms) == 1:
            figure = blank(3.6)
            panels = figure.subplots(2, 2)
            shown = list(zip(panels.flat, 4 * arms, ("loss", "nll", "log_odds", "accuracy"), strict=True))
        else:
            figure = blank(0.95 * len(arms) + 0.7)
            panels = figure.subplots(len(arms), 3, squeeze=False)
            quantities = [("loss", _OWN.get(_objective(one.key), "nll"), "accuracy") for one in arms]
            shown = [
                (axes, one, quantity)
                for row, one, wanted in zip(panels, arms, quantities, strict=True)
                for axes, quantity in zip(row, wanted, strict=True)
            ]
        for index, (axes, one, quantity) in enumerate(shown):
            _panel(axes, curves[(curves["arm"] == one.key) & (curves["quantity"] == quantity)], one, quantity)
            if len(arms) == 1:
                axes.set_title(f"{'abcd'[index]}  {_TITLES[quantity]}")
            else:
                title = _TITLES[quantity].partition(" (")[0].removesuffix(", %")
                place = "right" if quantity == "accuracy" else "center"
                axes.set_title(title, fontsize=6.5, fontweight="normal", loc=place)
        if len(arms) > 1:
            for row, one in zip(panels, arms, strict=True):
                row[0].set_ylabel(one.label.replace(" student", ""), fontweight="bold")
        for axes in panels[-1]:
            axes.set_xlabel("optimiser step")
        seeds = list(dict.fromkeys(curves.loc[curves["arm"].isin([one.key for one in arms]), "seed"]))
        figure.legend(handles=_legend(seeds), loc="outside lower center", ncols=3)
        header(figure, "Student training", simulated, labels.WHO[track])
        settle(figure)
    return figure


def _objective(arm: str) -> str:
    return arm.partition("+")[0]


def _panel(axes: Axes, rows: pd.DataFrame, arm: labels.Arm, quantity: str) -> None:
    hue = arm_line(arm.key)[0]
    for index, (_, run) in enumerate(rows.groupby("training", sort=True)):
        dash = _DASHES[index % len(_DASHES)]
        for pairs in (TRAINING, HELD_OUT):
            line = run[run["pairs"] == pairs].sort_values("step")
            held_out = pairs == HELD_OUT
            axes.plot(
                line["step"],
                line["value"],
                color=hue,
                linestyle=dash,
                marker="o" if held_out else "",
                markersize=2.6,
                linewidth=1.2 if held_out else 0.7,
                alpha=1.0 if held_out else 0.5,
            )
    axes.grid(axis="y", color=FAINT, linewidth=0.4)
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    if rows.empty:
        axes.axis("off")
        axes.text(0.5, 0.5, "not logged", transform=axes.transAxes, ha="center", va="center", color=GREY)
    elif quantity == "accuracy":
        axes.set_ylim(-0.03, 1.03)
        axes.set_yticks(np.linspace(0, 1, 3))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
        axes.axhline(0.5, color=GREY, linewidth=0.6, linestyle=(0, (4, 2)))


def _legend(seeds: Sequence[int]) -> list[Line2D]:
    handles = [
        Line2D([], [], color=GREY, linewidth=0.7, alpha=0.6, label="training batches"),
        Line2D([], [], color=GREY, marker="o", markersize=2.6, label="held-out pairs"),
    ]
    if len(seeds) > 1:
        handles += [
            Line2D(
                [], [], color=INK, linewidth=1, linestyle=_DASHES[index % len(_DASHES)], label=f"seed {seed}"
            )
            for index, seed in enumerate(seeds)
        ]
    return handles
