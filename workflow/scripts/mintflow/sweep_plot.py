"""Figure of the variants that vary one thing: each metric against it, one row a thing."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from . import labels
from .errors import InputError
from .figure_style import FAINT, arm_handle, arm_line, blank, header, settle, style

# in the order of rows; any other key is shown by its name, after these
_KEYS = {
    "preferences.q": "Length of the rejected list (q)",
    "preferences.k": "Length of the chosen list (k)",
    "preferences.max_pairs": "Training pairs",
    "preferences.rejected": "Rejected list taken from",
    "student.orpo.beta": "Weight of the odds ratio (beta)",
    "student.dpo.beta": "DPO: beta",
    "teacher": "Teacher of the pairs",
    "preferences.views": "Further views of a patient",
    "preferences.leave_out": "Share of phenotypes left out of a view",
    "preferences.unlabelled": "Pairs of patients without a diagnosis",
    "student.orpo.nll_scope": "Scope of the likelihood",
    "student.orpo.odds_scope": "Scope of the odds",
    "student.training.budget": "What is equal between arms",
    "student.training.epochs": "Passes of ORPO that set the budget",
}
_VALUES = {
    "bottom": "last",
    "hard": "next",
    "True": "yes",
    "False": "no",
    "teacher-phenotype": "phenotype\nonly",
    "teacher": "all it sees",
}
_METRICS = {"rare": ("top1", "car", "ungrounded"), "tissue": ("top1", "car", "ungrounded")}
_SPREAD = 8  # values that differ by more than this factor get a logarithmic axis


def sweep_figure(sweeps: pd.DataFrame, *, simulated: bool, track: str = "rare") -> Figure:
    """Top-1, CAR and ungrounded rate against each thing that was varied, with 95 % intervals.

    Args:
        sweeps: sweeps.csv, columns of ``variant_tables.SWEEPS``.
        simulated: whether the patients are simulated; written on the figure.
        track: ``rare`` or ``tissue``.

    Raises:
        InputError: the table is empty.
    """
    if sweeps.empty:
        raise InputError("holds no variant", file="sweeps.csv")
    found = set(sweeps["key"])
    keys = [key for key in _KEYS if key in found] + sorted(found - set(_KEYS))
    parents = [one.key for one in labels.TRACKS[track].in_order(sweeps["parent"])]
    names = _METRICS[track]
    with style():
        figure = blank(1.25 * len(keys) + 0.35 + 0.2 * (len(parents) > 1))
        parts = figure.subfigures(len(keys), 1, squeeze=False)[:, 0]
        for letter, part, key in zip(_letters(len(keys)), parts, keys, strict=True):
            panels = part.subplots(1, len(names))
            part.suptitle(
                f"{letter}  {_KEYS.get(key, key)}", x=0.01, ha="left", fontsize=7.5, fontweight="bold"
            )
            rows = sweeps[sweeps["key"] == key]
            for axes, name in zip(panels, names, strict=True):
                _panel(axes, rows[rows["metric"] == name], parents, _order(rows["value"]))
                axes.set_title(f"{labels.metric(name)}, %", fontsize=6.5, fontweight="normal")
        if len(parents) > 1:
            handles = [
                arm_handle(key, labels.TRACKS[track].arm(key).label, index)
                for index, key in enumerate(parents)
            ]
            figure.legend(handles=handles, loc="outside lower center", ncols=min(3, len(parents)))
        header(figure, "What was varied", simulated, labels.WHO[track])
        settle(figure)
    return figure


def _letters(count: int) -> list[str]:
    """a, b, ... z, then none: no sweep loses its row for want of a letter."""
    return [*ascii_lowercase[:count], *[""] * (count - len(ascii_lowercase))]


def _order(values: pd.Series) -> list[str]:
    """Distinct values: numbers by size, words in their alphabet."""
    distinct = sorted({str(value) for value in values})
    return sorted(distinct, key=float) if _numeric(distinct) else distinct


def _numeric(values: Sequence[str]) -> bool:
    try:
        return all(np.isfinite(float(value)) for value in values)
    except ValueError:
        return False


def _panel(axes: Axes, rows: pd.DataFrame, parents: Sequence[str], order: Sequence[str]) -> None:
    numbers = _numeric(order)
    place = {value: float(value) if numbers else float(index) for index, value in enumerate(order)}
    span = list(place.values())
    shared = 0.0 if numbers else 0.12
    for index, parent in enumerate(parents):
        own = rows[rows["parent"] == parent].copy()
        if own.empty:
            continue
        hue, marker, dash = arm_line(parent, index)
        own["place"] = own["value"].astype(str).map(place) + shared * (index - (len(parents) - 1) / 2)
        own = own.sort_values(["place", "arm"])
        axes.vlines(own["place"], 100 * own["ci_low"], 100 * own["ci_high"], color=hue, linewidth=0.9)
        axes.plot(
            own["place"],
            100 * own["estimate"],
            color=hue,
            marker=marker,
            markersize=3.5,
            linestyle=dash if numbers else "",
            linewidth=0.9,
        )
    if numbers and min(span) > 0 and max(span) / min(span) > _SPREAD:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    if numbers:
        ticks = span if len(span) <= 4 else [span[0], span[len(span) // 2], span[-1]]
        axes.set_xticks(ticks)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
        axes.margins(x=0.12)
    else:
        axes.set_xticks(span, [_VALUES.get(value, value) for value in order])
        axes.set_xlim(min(span) - 0.5, max(span) + 0.5)
    axes.tick_params(axis="x", labelsize=6)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.grid(axis="y", color=FAINT, linewidth=0.4)
