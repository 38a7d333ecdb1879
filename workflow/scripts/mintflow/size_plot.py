"""Figure of base models of several sizes: how often right and how often ungrounded, by parameters."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from . import labels
from .errors import InputError
from .figure_style import FAINT, arm_handle, arm_line, blank, header, settle, style

_METRICS = {"rare": ("top1", "top10", "ungrounded"), "tissue": ("top1", "top5", "ungrounded")}


def size_figure(sizes: pd.DataFrame, *, simulated: bool, track: str = "rare") -> Figure:
    """Top-1, a wider cut-off and ungrounded rate by size of the base model, one line a kind of arm.

    Args:
        sizes: sizes.csv, columns of ``variant_tables.SIZES``.
        simulated: whether the patients are simulated; written on the figure.
        track: ``rare`` or ``tissue``.

    Raises:
        InputError: the table is empty.
    """
    if sizes.empty:
        raise InputError("holds no arm", file="sizes.csv")
    kinds = labels.TRACKS[track].in_order(sizes["kind"])
    bases = sizes.drop_duplicates("base").sort_values(["parameters", "base"])
    with style():
        figure = blank(2.35 + 0.12 * len(bases))
        for letter, axes, name in zip("abc", figure.subplots(1, 3), _METRICS[track], strict=True):
            for index, kind in enumerate(kinds):
                rows = sizes[(sizes["kind"] == kind.key) & (sizes["metric"] == name)]
                rows = rows.sort_values(["parameters", "arm"])
                if rows.empty:
                    continue
                hue, marker, dash = arm_line(kind.key, index)
                # side by side, so that no interval hides another
                shift = 1.0 + 0.05 * (index - (len(kinds) - 1) / 2)
                at = rows["parameters"] * shift
                axes.vlines(at, 100 * rows["ci_low"], 100 * rows["ci_high"], color=hue, linewidth=0.9)
                axes.plot(
                    at,
                    100 * rows["value"],
                    color=hue,
                    marker=marker,
                    linestyle=dash,
                    markersize=3.5,
                    linewidth=0.9,
                )
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
            ticks = sorted(set(bases["parameters"]))
            axes.set_xticks(ticks if len(ticks) <= 3 else [ticks[0], ticks[len(ticks) // 2], ticks[-1]])
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
            axes.margins(x=0.15)
            axes.set_ylim(bottom=0)
            axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.grid(axis="y", color=FAINT, linewidth=0.4)
            axes.set_title(f"{letter} {labels.metric(name)}, %", fontsize=6.5)
            axes.set_xlabel("parameters")
        handles = [arm_handle(kind.key, kind.label, index) for index, kind in enumerate(kinds)]
        told = "\n".join(f"{count(row.parameters)}: {row.base}" for row in bases.itertuples(index=False))
        figure.legend(
            handles=handles, loc="outside lower left", ncols=2, title=told, title_fontsize=6, alignment="left"
        )
        header(figure, "By size of the base model", simulated, labels.WHO[track])
        settle(figure)
    return figure


def count(parameters: float) -> str:
    """A number of parameters: ``135M``, ``1.7B``."""
    for limit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if parameters >= limit:
            return f"{parameters / limit:.3g}{letter}"
    return f"{parameters:.0f}"
