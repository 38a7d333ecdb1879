"""Figure of the rare cohort: selection, splits, terms per patient, patients per disease."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from . import labels
from .errors import InputError
from .figure_style import BLUE, GREY, INK, PANEL_TITLE, SKY, VERMILLION, blank, header, settle, style

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
