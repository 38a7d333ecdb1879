"""Figures from tidy tables: metrics by arm, training curves, the rare cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, MultipleLocator, PercentFormatter
from matplotlib.transforms import blended_transform_factory

from . import labels
from .errors import InputError
from .figure_style import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    INK,
    PANEL_TITLE,
    SKY,
    VERMILLION,
    blank,
    header,
    settle,
    style,
)

# Metrics by arm

_TOPS = {"top1": "o", "top3": "s", "top5": "^", "top10": "^", "macro_f1": "D"}
# which of them a track shows, and how it words the figure
_TRACKS: dict[str, dict[str, Any]] = {
    "rare": {
        "tops": ("top1", "top3", "top10"),
        "title": "Diagnosis by arm",
        "panel": "a  Right disease within the first …",
        "cases": "test patients",
        "who": "patients",
        "words": labels.RARE,
    },
    "tissue": {
        "tops": ("top1", "top5"),
        "title": "Tissue type by arm",
        "panel": "a  Right tissue within the first …",
        "cases": "test tiles",
        "who": "slides",
        "words": labels.TISSUE,
    },
}
_HUES = {labels.STUDENT: BLUE, labels.CONTROL: BLUE, labels.YARDSTICK: VERMILLION}
_Rows = Mapping[tuple[str, str], Any]


def metrics_figure(metrics: pd.DataFrame, *, simulated: bool, track: str = "rare") -> Figure:
    """Accuracy, ungrounded rate and CAR of every arm, with 95 % intervals.

    Args:
        metrics: columns arm, metric, value, ci_low, ci_high, n; values are shares in [0, 1].
        simulated: whether the patients are simulated; written on the figure.
        track: ``rare`` or ``tissue``.

    Raises:
        InputError: none of the track's top-k metrics is in the table.
    """
    terms = _TRACKS[track]
    words: labels.Vocabulary = terms["words"]
    tops = [name for name in terms["tops"] if (metrics["metric"] == name).any()]
    if not tops:
        raise InputError(
            f"has none of the metrics {', '.join(terms['tops'])}", file="metrics", field="metric"
        )
    wanted = metrics[metrics["metric"].isin([*tops, "ungrounded", "car"])].dropna(subset=["value"])
    rows = {(row.arm, row.metric): row for row in wanted.itertuples(index=False)}
    arms = words.in_order(key for key, name in rows if name in tops)
    listing = words.in_order(key for key, name in rows if name not in tops)
    groups = len({one.group for one in arms})
    upper, lower = 0.25 * len(arms) + 0.2 * groups + 0.75, 0.17 * len(listing) + 0.65

    with style():
        figure = blank(upper + lower + 0.2)
        above, below = figure.subfigures(2, 1, height_ratios=[upper, lower])
        _top_panel(above, arms, tops, rows, terms)
        left, right = below.subplots(1, 2, sharey=True)
        _single_panel(left, listing, "ungrounded", rows)
        _single_panel(right, listing, "car", rows)
        left.set_title("b  Ungrounded")
        right.set_title("c  CAR")
        left.set_xlabel("%, lower is better")
        right.set_xlabel("%, higher is better")
        header(figure, terms["title"], simulated, terms["who"])
        settle(figure)
    return figure


def _top_panel(
    above: SubFigure,
    arms: Sequence[labels.Arm],
    tops: Sequence[str],
    rows: _Rows,
    terms: Mapping[str, Any],
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
                terms["words"].groups[group],
                transform=blended_transform_factory(above.transSubfigure, axes.transData),
                va="center",
                fontsize=6.5,
                fontweight="bold",
                color=_HUES[group],
            )
            heading.set_in_layout(False)
            position += 0.9
        ticks[one.label] = position
        axes.axhline(position, color=FAINT, linewidth=0.4, zorder=0)
        for name, offset in zip(tops, np.linspace(-0.25, 0.25, len(tops)), strict=True):
            if (one.key, name) in rows:
                _interval(axes, rows[one.key, name], position + offset, one.group, _TOPS[name])
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
    _share_axis(axes, 0.25)
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


def _interval(axes: Axes, row: Any, position: float, group: str, marker: str) -> None:
    hue, control = _HUES[group], group == labels.CONTROL
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


def _single_panel(axes: Axes, arms: Sequence[labels.Arm], name: str, rows: _Rows) -> None:
    for position, one in enumerate(arms):
        axes.axhline(position, color=FAINT, linewidth=0.4, zorder=0)
        if (one.key, name) in rows:
            _interval(axes, rows[one.key, name], position, one.group, "o")
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
    axes.set_yticks(range(len(arms)), [one.label for one in arms])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(arms) - 0.4, -0.6)
    _share_axis(axes, 0.5)


def _share_axis(axes: Axes, step: float) -> None:
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
    axes.grid(axis="x", color=FAINT, linewidth=0.4)
    axes.spines["left"].set_visible(False)


# Training curves

_CURVES = (
    ("loss", "a  Loss"),
    ("nll", "b  Likelihood (NLL)"),
    ("log_odds", "c  Log-odds ratio"),
    ("accuracy", "d  Chosen preferred"),
)
_ARM_HUES = (BLUE, VERMILLION, GREEN, SKY, GREY)


def training_figure(
    logs: Mapping[str, Sequence[Mapping[str, Any]]], *, simulated: bool, track: str = "rare"
) -> Figure:
    """Loss, NLL, log-odds and reward accuracy over optimiser steps, on training and held-out pairs.

    Args:
        logs: events of each arm, in order; each has ``step`` and some of the quantities in ``KEYS``,
            with the prefix ``eval_`` where they were taken on held-out pairs.
        simulated: whether the patients are simulated; written on the figure.
        track: ``rare`` or ``tissue``.

    Raises:
        InputError: no event of an arm has a step and a loss.
    """
    for key, events in logs.items():
        if not len(series(events, "loss")[0]):
            raise InputError("no event with step and loss", file="training log", record=key)
    with style():
        figure = blank(3.6)
        panels = figure.subplots(2, 2)
        for axes, (quantity, title) in zip(panels.flat, _CURVES, strict=True):
            for index, events in enumerate(logs.values()):
                _curve(axes, events, quantity, _ARM_HUES[index % len(_ARM_HUES)])
            axes.set_title(title)
            axes.grid(axis="y", color=FAINT, linewidth=0.4)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(5))
            if not axes.lines:
                axes.text(
                    0.5, 0.5, "not logged", transform=axes.transAxes, ha="center", va="center", color=GREY
                )
        last = panels[1, 1]
        last.set_ylim(-0.03, 1.03)
        last.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        last.axhline(0.5, color=GREY, linewidth=0.6, linestyle=(0, (4, 2)))
        for axes in panels[1]:
            axes.set_xlabel("optimiser step")
        handles = [
            Line2D([], [], color=_ARM_HUES[index % len(_ARM_HUES)], linewidth=3, label=labels.arm(key).label)
            for index, key in enumerate(logs)
            if len(logs) > 1
        ]
        handles.append(Line2D([], [], color=GREY, linewidth=0.8, alpha=0.6, label="training batches"))
        handles.append(Line2D([], [], color=GREY, marker="o", markersize=3, label="held-out pairs"))
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
        header(figure, "Student training", simulated, _TRACKS[track]["who"])
        settle(figure)
    return figure


# What the training log calls each quantity.
KEYS = {"loss": "loss", "nll": "nll_loss", "log_odds": "log_odds_chosen", "accuracy": "rewards/accuracies"}


def series(
    events: Sequence[Mapping[str, Any]], quantity: str, *, held_out: bool = False
) -> tuple[list[int], list[float]]:
    """Steps and values of one quantity of ``KEYS``; a value that is not finite is left out."""
    key = f"{'eval_' if held_out else ''}{KEYS[quantity]}"
    points: dict[int, float] = {}
    for event in events:
        value = event.get(key)
        if value is not None and "step" in event and np.isfinite(value):
            points[int(event["step"])] = float(value)  # a resumed run repeats steps: the later one holds
    steps = sorted(points)
    return steps, [points[step] for step in steps]


def _curve(axes: Axes, events: Sequence[Mapping[str, Any]], quantity: str, hue: str) -> None:
    steps, values = series(events, quantity)
    if steps:
        axes.plot(steps, values, color=hue, linewidth=0.8, alpha=0.5)
    steps, values = series(events, quantity, held_out=True)
    if steps:
        axes.plot(steps, values, color=hue, marker="o", markersize=2.8)


# Cohort overview

_SPLIT_HUES = {"train": BLUE, "validation": SKY, "test": VERMILLION, "test_unseen": GREY}


def cohort_figure(
    steps: Sequence[tuple[str, int]], cases: pd.DataFrame, phenotypes: pd.DataFrame, *, simulated: bool
) -> Figure:
    """Selection funnel, patients and publications per split, terms per patient, patients per disease.

    Args:
        steps: (words, patients left) of each selection step, in order.
        cases: one row a kept patient: case_id, publication, disease_id, split.
        phenotypes: one row a term: case_id, excluded; those of other patients are ignored.
        simulated: whether the patients are simulated; written on the figure.

    Raises:
        InputError: ``cases`` is empty or has an unknown split.
    """
    if cases.empty:
        raise InputError("no patients", file="cases")
    unknown = sorted(set(cases["split"]) - set(_SPLIT_HUES))
    if unknown:
        raise InputError(f"unknown split {unknown[0]}", file="cases", field="split")
    splits = [name for name in _SPLIT_HUES if (cases["split"] == name).any()]
    funnel, shares = 0.19 * len(steps) + 0.3, 0.3 * len(splits) + 0.45
    with style():
        figure = blank(funnel + shares + 1.9)
        rows = figure.subfigures(3, 1, height_ratios=[funnel, shares, 1.6])
        _funnel(rows[0].subplots(), steps)
        _splits(rows[1].subplots(), cases, splits)
        left, right = rows[2].subplots(1, 2)
        _terms(left, cases, phenotypes)
        _diseases(right, cases, splits)
        rows[0].suptitle("a  Selection of patients", **PANEL_TITLE)
        rows[1].suptitle("b  Patients and publications by split", **PANEL_TITLE)
        header(figure, "Cohort", simulated)
        settle(figure)
    return figure


def _funnel(axes: Axes, steps: Sequence[tuple[str, int]]) -> None:
    counts = [count for _, count in steps]
    axes.barh(range(len(steps)), counts, color=GREY, height=0.65)
    _bar_ends(axes, range(len(steps)), counts)
    _bare(axes, [words for words, _ in steps])


def _splits(axes: Axes, cases: pd.DataFrame, splits: Sequence[str]) -> None:
    patients = [int((cases["split"] == name).sum()) for name in splits]
    papers = [int(cases.loc[cases["split"] == name, "publication"].nunique()) for name in splits]
    rows = np.arange(len(splits))
    hues = [_SPLIT_HUES[name] for name in splits]
    axes.barh(rows - 0.19, patients, color=hues, height=0.36)
    axes.barh(rows + 0.19, papers, color="white", edgecolor=hues, hatch="/////", height=0.33, linewidth=0.8)
    _bar_ends(axes, rows - 0.19, patients, "patients")
    _bar_ends(axes, rows + 0.19, papers, "publications")
    axes.set_xlim(0, 1.28 * max(patients))
    _bare(axes, [labels.SPLITS[name].replace(", ", ",\n") for name in splits])


def _bar_ends(axes: Axes, rows: Sequence[float], counts: Sequence[int], noun: str = "") -> None:
    for row, count in zip(rows, counts, strict=True):
        axes.annotate(
            f"{count:,} {noun}".strip(),
            (count, row),
            xytext=(2, 0),
            textcoords="offset points",
            va="center",
            fontsize=6,
        )


def _bare(axes: Axes, names: Sequence[str]) -> None:
    """Bars with their numbers at the end need no value axis."""
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)


def _terms(axes: Axes, cases: pd.DataFrame, phenotypes: pd.DataFrame) -> None:
    axes.set_title("c  Terms per patient")
    counts = [
        phenotypes.loc[phenotypes["excluded"] == side, "case_id"]
        .value_counts()
        .reindex(cases["case_id"], fill_value=0)
        .to_numpy()
        for side in (False, True)
    ]
    most = int(max(np.percentile(count, 99) for count in counts))
    width = max(1, most // 20)
    edges = np.arange(0, max(most, 5) + 2 * width, width) - 0.5
    observed, excluded = (np.clip(count, 0, edges[-1]) for count in counts)
    axes.hist(observed, edges, color=BLUE, label="observed")
    if excluded.any():
        axes.hist(
            excluded[excluded > 0], edges, histtype="step", color=VERMILLION, linewidth=1, label="excluded"
        )
        axes.legend(loc="upper right", borderpad=0, handlelength=0.9)
    median = float(np.median(counts[0]))
    axes.set_ylim(0, 1.4 * axes.get_ylim()[1])  # room for the legend
    axes.axvline(median, ymax=0.72, color=INK, linewidth=0.8, linestyle=(0, (3, 2)))
    axes.set_xlabel(f"HPO terms (median {median:g})")
    axes.set_ylabel("patients")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _diseases(axes: Axes, cases: pd.DataFrame, splits: Sequence[str]) -> None:
    counts = cases.groupby(["disease_id", "split"]).size().unstack(fill_value=0)
    order = sorted(counts.index, key=lambda disease: (-counts.loc[disease].sum(), disease))
    axes.set_title(f"d  {labels.plural(len(order), 'disease')} by size")
    floor = np.zeros(len(order))
    for name in splits:
        heights = counts.loc[order, name].to_numpy()
        axes.bar(
            range(1, len(order) + 1), heights, bottom=floor, width=0.9, color=_SPLIT_HUES[name], linewidth=0
        )
        floor += heights
    axes.set_xlim(0.5, len(order) + 0.5)
    axes.set_xlabel("rank; colours as in b")
    axes.set_ylabel("patients")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
