"""Figure of the metrics by arm: how often right, how often ungrounded, agreement with the teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.transforms import blended_transform_factory

from . import labels
from .arm_panels import HUES, Rows, arm_panel, interval, places, rows_of, share_axis
from .arms import OBJECTIVES
from .errors import InputError
from .figure_style import FAINT, INK, PANEL_TITLE, blank, header, settle, style

_TOPS = {"top1": "o", "top3": "s", "top5": "^", "top10": "^", "macro_f1": "D"}
# metrics of a ranking of all candidates
_RANKED = "rank_"
# which of them a track shows, and how it words the figure
_TRACKS: dict[str, dict[str, Any]] = {
    "rare": {
        "tops": ("top1", "top3", "top10"),
        "title": "Diagnosis by arm",
        "panel": "a  Right disease within the first …",
        "cases": "test patients",
    },
    "tissue": {
        "tops": ("top1", "top3", "top5"),
        "title": "Tissue type by arm",
        "panel": "a  Right tissue within the first …",
        "cases": "test tiles",
    },
}


def metrics_figure(
    metrics: pd.DataFrame, *, simulated: bool, track: str = "rare", variants: bool = False
) -> Figure:
    """Accuracy of every arm, ungrounded rate and CAR of those that write lists, with 95 % intervals.

    Args:
        metrics: columns arm, metric, value, ci_low, ci_high, n; values are shares in [0, 1].
        simulated: whether the patients are simulated; written on the figure.
        track: ``rare`` or ``tissue``.
        variants: draw the variants, and the untuned and the trained students to compare them with, in
            place of all other arms.

    Raises:
        InputError: none of the track's top-k metrics is in the table.
    """
    terms, words = _TRACKS[track], labels.TRACKS[track]
    metrics = metrics[[_is_drawn(words.arm(key), variants) for key in metrics["arm"]]]
    tops = [name for name in terms["tops"] if (metrics["metric"] == name).any()]
    if not tops:
        raise InputError(
            f"has none of the metrics {', '.join(terms['tops'])}", file="metrics", field="metric"
        )
    rows = rows_of(metrics, [*tops, "ungrounded", "car"])
    arms = words.in_order(key for key, name in rows if name in tops)
    listing = [one for one in arms if one.writes_lists]
    heights = places(listing)
    upper, lower = _top_height(arms), 0.17 * (heights[-1] + 1 if listing else 0) + 0.65

    with style():
        figure = blank(upper + (lower if listing else 0) + 0.2)
        if listing:
            above, below = figure.subfigures(2, 1, height_ratios=[upper, lower])
        else:
            above, below = figure.subfigures(1, 1), None
        _top_panel(above, arms, tops, rows, terms, words)
        if below is not None:
            left, right = below.subplots(1, 2, sharey=True)
            arm_panel(left, listing, heights, "ungrounded", rows)
            arm_panel(right, listing, heights, "car", rows)
            left.set_title("b  Ungrounded")
            right.set_title("c  CAR")
            left.set_xlabel("%, lower is better")
            right.set_xlabel("%, higher is better")
        title = f"{terms['title']}: variants" if variants else terms["title"]
        header(figure, title, simulated, labels.WHO[track])
        settle(figure)
    return figure


def ranking_figure(metrics: pd.DataFrame, *, simulated: bool, track: str = "rare") -> Figure:
    """Rankers on one footing: all candidates are ranked, by a student's likelihood or a ranker's score.

    The first panel is of the patients of seen diseases, the second of all held-out ones.

    Args:
        metrics: as of ``metrics_figure``; the ``rank_*`` rows are drawn, all of the same patients.
        simulated: as of ``metrics_figure``.
        track: ``rare``.

    Raises:
        InputError: no arm that writes lists was ranked, or nobody else has ``rank_*`` rows, as in a table
            of an earlier version.
    """
    terms, words = _TRACKS[track], labels.TRACKS[track]
    writes = metrics["arm"].map(lambda key: words.arm(key).writes_lists)
    ranked = metrics["metric"].str.startswith(_RANKED)
    if not (writes & ranked).any():
        raise InputError("holds no ranking of a student", file="metrics", field="metric")
    if (~writes).any() and not (~writes & ranked).any():
        raise InputError("holds rank_* rows of students alone: make it anew", file="metrics", field="metric")
    table = metrics[ranked].assign(metric=lambda rows: rows["metric"].str.removeprefix(_RANKED))
    parts = {"a  Seen diseases": "", "b  All held-out patients": "_all"}
    rows = {
        suffix: {
            (arm, name.removesuffix(suffix)): row
            for (arm, name), row in rows_of(table, [top + suffix for top in terms["tops"]]).items()
        }
        for suffix in parts.values()
    }
    arms = words.in_order(key for key, name in rows[""] if name == terms["tops"][0])
    with style():
        figure = blank(2 * _top_height(arms) + 0.3)
        for above, (panel, suffix) in zip(figure.subfigures(2, 1), parts.items(), strict=True):
            _top_panel(above, arms, terms["tops"], rows[suffix], {**terms, "panel": panel}, words)
        header(figure, "All ranked: right disease within the first …", simulated, labels.WHO[track])
        settle(figure)
    return figure


def _is_drawn(arm: labels.Arm, variants: bool) -> bool:
    if variants:
        return arm.group == labels.VARIANT or arm.key in ("base", *OBJECTIVES)
    return arm.group != labels.VARIANT


def _top_height(arms: Sequence[labels.Arm]) -> float:
    return 0.25 * len(arms) + 0.2 * len({one.group for one in arms}) + 0.75


def _top_panel(
    above: SubFigure,
    arms: Sequence[labels.Arm],
    tops: Sequence[str],
    rows: Rows,
    terms: Mapping[str, Any],
    words: labels.Vocabulary,
) -> None:
    axes = above.subplots()
    above.suptitle(terms["panel"], **PANEL_TITLE)
    position, ticks, group = 0.0, {}, None
    for one in arms:
        if one.group != group:
            group = one.group
            heading = axes.text(
                0.01,
                position + 0.1,
                words.groups[group],
                transform=blended_transform_factory(above.transSubfigure, axes.transData),
                va="center",
                fontsize=6.5,
                fontweight="bold",
                color=HUES[group],
            )
            heading.set_in_layout(False)
            position += 0.9
        ticks[one.label] = position
        axes.axhline(position, color=FAINT, linewidth=0.4, zorder=0)
        for name, offset in zip(tops, np.linspace(-0.25, 0.25, len(tops)), strict=True):
            if (one.key, name) in rows:
                interval(axes, rows[one.key, name], position + offset, one.group, _TOPS[name])
        first = rows.get((one.key, tops[0]))
        if first is not None:
            _beside(axes, position, f"{100 * first.value:.1f}")
        position += 1.1
    _beside(axes, -0.35, f"{labels.metric(tops[0])}, %")
    axes.set_yticks(list(ticks.values()), list(ticks))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(position - 0.4, -0.4)
    counts = sorted({int(row.n) for (_, name), row in rows.items() if name in tops})
    spread = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,}–{counts[-1]:,}"
    share_axis(axes, 0.25)
    axes.set_xlabel(f"% of {terms['cases']} (n = {spread})")
    marks = [Line2D([], [], color=INK, marker=_TOPS[name], linestyle="", markersize=4) for name in tops]
    axes.legend(
        marks,
        [name.removeprefix("top") for name in tops],
        loc="upper left",
        bbox_to_anchor=(0.56, 1.01),
        bbox_transform=above.transSubfigure,
        ncols=len(tops),
        borderpad=0.4,
        handletextpad=0.1,
        columnspacing=1,
    ).set_in_layout(False)


def _beside(axes: Axes, position: float, text: str) -> None:
    """Write ``text`` right of the panel, at one row's height."""
    axes.annotate(
        text, (1.16, position), xycoords=("axes fraction", "data"), ha="right", va="center", fontsize=6.5
    )
