"""Figures of the tissue track: tiles per slide and why dropped, confusion, example tiles, alignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from . import labels
from .errors import InputError
from .figure_style import (
    BLACK,
    BLUE,
    FAINT,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
    blank,
    header,
    settle,
    style,
)
from .names import normalize_name

# reason: colour, hatch; so that reasons stay apart without colour
_FATES = {
    "kept": (BLUE, ""),
    "blur": (SKY, "////"),
    "fold": (ORANGE, "\\\\\\\\"),
    "pen": (GREEN, "...."),
    "blood": (VERMILLION, "xxxx"),
    "black": (BLACK, ""),
    "edge": (YELLOW, "----"),
    "unreadable": (PURPLE, "++++"),
    "limit": (FAINT, "||||"),
}
_VIEWS = {"right": "own image", "shuffled": "other tile", "blank": "blank"}
MOST_SLIDES = 40
SHOWN = 3  # names of a list in the figure of examples
NO_LABEL = "(none)"  # of confusion.csv


def tiles_figure(manifest: pd.DataFrame, *, simulated: bool) -> Figure:
    """Tiles with tissue on each slide: kept, or dropped and why; slides that failed by their status.

    Args:
        manifest: slide_id, status, kept, dropped_<reason>; of many slides the first ``MOST_SLIDES`` - 1
            are drawn one by one, those that are not ok before the others; of the rest the sums are written.
        simulated: whether the slides are synthetic; written on the figure.

    Raises:
        InputError: there is no slide.
    """
    if manifest.empty:
        raise InputError("holds no slide", file="manifest")
    rows = manifest.sort_values("slide_id", ignore_index=True)
    if len(rows) > MOST_SLIDES:
        rows = rows.sort_values("status", key=lambda status: status == "ok", kind="stable")
        rest, rows = rows.iloc[MOST_SLIDES - 1 :], rows.iloc[: MOST_SLIDES - 1]
        dropped = rest[[name for name in rest if name.startswith("dropped_")]].sum().sum()
        told = f"{rest['kept'].sum():,.0f} kept, {dropped:,.0f} dropped"
        if bad := int((rest["status"] != "ok").sum()):
            told += f", {bad:,} slides not ok"
        summed = pd.DataFrame([{"slide_id": f"{len(rest):,} more slides", "status": told}])
        rows = pd.concat([rows, summed], ignore_index=True)
    counts = {
        fate: rows["kept" if fate == "kept" else f"dropped_{fate}"].fillna(0).to_numpy(float)
        for fate in _FATES
        if fate == "kept" or f"dropped_{fate}" in rows
    }
    counts = {fate: values for fate, values in counts.items() if fate == "kept" or values.any()}
    with style():
        figure = blank(0.14 * len(rows) + 1.1)
        axes = figure.subplots()
        left = np.zeros(len(rows))
        for fate, values in counts.items():
            colour, hatch = _FATES[fate]
            axes.barh(
                range(len(rows)),
                values,
                left=left,
                height=0.75,
                color=colour,
                hatch=hatch,
                edgecolor="white",
                linewidth=0.2,
                label=fate if fate == "kept" else f"dropped: {fate}",
            )
            left += values
        most = max(left.max(), 1.0)
        for place, row in enumerate(rows.itertuples(index=False)):
            if row.status != "ok":
                axes.text(left[place] + 0.01 * most, place, row.status, va="center", fontsize=6, color=INK)
        axes.set_yticks(range(len(rows)), [_short(name) for name in rows["slide_id"]])
        axes.tick_params(axis="y", length=0, labelsize=6)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0, 1.12 * most)
        axes.grid(axis="x", color=FAINT, linewidth=0.4)
        axes.set_xlabel("tiles with tissue")
        figure.legend(loc="outside lower center", ncols=3)
        header(figure, "Tiles per slide", simulated, "slides")
        settle(figure)
    return figure


def confusion_figure(
    confusion: pd.DataFrame, names: Mapping[str, str], arms: Sequence[str], *, simulated: bool
) -> Figure:
    """What is named first for tiles of each tissue, one matrix an arm; shade is the share of the row.

    Args:
        confusion: arm, truth, predicted, count.
        names: label id to name.
        arms: those drawn, one below the other.
        simulated: whether the slides are synthetic; written on the figure.

    Raises:
        InputError: an arm is not in the table.
    """
    if missing := sorted(set(arms) - set(confusion["arm"])):
        raise InputError("is not in the table", file="confusion", record=missing[0], field="arm")
    order = sorted(names)
    titles = [_short(names[key], 16) for key in order]
    with style():
        figure = blank((0.2 * len(order) + 0.25) * len(arms) + 0.95)
        panels = figure.subplots(len(arms), 1, squeeze=False)[:, 0]
        for letter, axes, arm in zip("abcdef", panels, arms, strict=False):
            table = confusion[confusion["arm"] == arm].pivot(
                index="truth", columns="predicted", values="count"
            )
            table = table.reindex(index=order, columns=[*order, NO_LABEL]).fillna(0)
            shares = table.div(table.sum(axis=1).clip(lower=1), axis=0).to_numpy()
            axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
            for (row, column), count in np.ndenumerate(table.to_numpy()):
                if count:
                    shade = "white" if shares[row, column] > 0.55 else INK
                    axes.text(
                        column, row, f"{count:g}", ha="center", va="center_baseline", fontsize=6, color=shade
                    )
            axes.axvline(len(order) - 0.5, color=GREY, linewidth=0.6)
            axes.set_yticks(range(len(titles)), titles)
            last = axes is panels[-1]
            axes.set_xticks(
                range(len(titles) + 1),
                [*titles, "no label"] if last else [],
                rotation=40,
                ha="right",
                rotation_mode="anchor",
            )
            axes.tick_params(length=0, labelsize=6)
            axes.set_title(f"{letter}  {labels.TISSUE.arm(arm).label}")
            axes.set_ylabel("true tissue")
            for spine in axes.spines.values():
                spine.set_visible(False)
        panels[-1].set_xlabel("named first")
        header(figure, "Confusion of tissues", simulated, "slides")
        figure.draw_without_rendering()  # turned names need one more pass
        settle(figure)
    return figure


def examples_figure(examples: Sequence[Mapping[str, Any]], *, simulated: bool) -> Figure:
    """Tiles, what they are, and the first ``SHOWN`` names of student and teacher.

    Args:
        examples: ``image`` (RGB), ``truth`` (name), ``teacher`` and ``student`` (names, best first).
        simulated: whether the tiles are synthetic; written on the figure.

    Raises:
        InputError: there is none.
    """
    if not examples:
        raise InputError("no tile to show", field="tissue.evaluation.report_cases")
    rows = -(-len(examples) // 2)
    with style():
        figure = blank(0.95 * rows + 0.25)
        cells = figure.subplots(rows, 4, squeeze=False, width_ratios=[1, 1.4, 1, 1.4]).reshape(-1, 2)
        for (tile, words), example in zip(cells, examples, strict=False):
            tile.imshow(np.asarray(_square(example["image"])))
            tile.set_xticks([])
            tile.set_yticks([])
            for spine in tile.spines.values():
                spine.set_visible(True)
                spine.set_color(GREY)
            _lists(words, example)
        for axes in cells[len(examples) :].flat:  # a cell without a tile
            axes.set_visible(False)
        header(figure, "Test tiles", simulated, "slides")
        settle(figure)
    return figure


def _lists(axes: Axes, example: Mapping[str, Any]) -> None:
    """Truth, then the first names of student and teacher, the right one marked."""
    axes.axis("off")
    lines = [(_short(example["truth"], 22), INK, "bold")]
    for who in ("student", "teacher"):
        lines.append((who, GREY, "normal"))
        for name in example[who][:SHOWN]:
            right = normalize_name(name) == normalize_name(example["truth"])
            lines.append((f"{'✓' if right else '–'} {_short(name, 19)}", GREEN if right else INK, "normal"))
        if not example[who]:
            lines.append(("no list", VERMILLION, "normal"))
    for number, (text, colour, weight) in enumerate(lines):
        axes.text(
            0,
            1 - (number + 0.5) / (2 * SHOWN + 3),
            text,
            transform=axes.transAxes,
            va="center",
            fontsize=6,
            color=colour,
            fontweight=weight,
        ).set_in_layout(False)


def alignment_figure(
    events: Sequence[Mapping[str, Any]], losses: Mapping[str, float], *, simulated: bool
) -> Figure:
    """Caption loss while the student learns to see, and what the image is worth on held-out tiles.

    Args:
        events: step and loss, in order.
        losses: held-out caption loss (nats a token) by what was shown: right, shuffled, blank; may be empty.
        simulated: whether the slides are synthetic; written on the figure.

    Raises:
        InputError: no event has a step and a loss.
    """
    losses_by_step = {
        int(event["step"]): event["loss"] for event in events if {"step", "loss"} <= event.keys()
    }
    steps = sorted(step for step, loss in losses_by_step.items() if np.isfinite(loss))
    values = [losses_by_step[step] for step in steps]
    if not steps:
        raise InputError("no event with step and loss", file="alignment log")
    with style():
        figure = blank(1.9)
        left, right = figure.subplots(1, 2, width_ratios=[1.3, 1])
        left.plot(steps, values, color=BLUE)
        left.set_title("a  Training")
        left.set_xlabel("optimiser step")
        left.set_ylabel("caption loss, nats a token")
        left.set_ylim(bottom=0)
        left.grid(axis="y", color=FAINT, linewidth=0.4)
        right.set_title("b  Held-out tiles")
        shown = [(key, words) for key, words in _VIEWS.items() if key in losses]
        for place, (key, _) in enumerate(shown):
            hue = BLUE if key == "right" else GREY
            hatch = "" if key == "right" else "/////"
            right.barh(
                place, losses[key], height=0.6, color=hue, hatch=hatch, edgecolor="white", linewidth=0.2
            )
            right.text(losses[key], place, f" {losses[key]:.2f}", va="center", fontsize=6)
        right.set_yticks(range(len(shown)), [words for _, words in shown])
        right.tick_params(axis="y", length=0)
        right.set_ylim(len(_VIEWS) - 0.4, -0.6)
        right.set_xlim(0, 1.3 * max(losses.values(), default=1.0))
        right.set_xlabel("caption loss")
        if not shown:
            right.text(0.5, 0.5, "not measured", transform=right.transAxes, ha="center", color=GREY)
        header(figure, "Learning to see", simulated, "slides")
        settle(figure)
    return figure


def _square(image: Image.Image, side: int = 160) -> Image.Image:
    """Small enough to embed; enlarged tiles keep their pixels."""
    kind = Image.Resampling.NEAREST if image.width < side else Image.Resampling.BICUBIC
    return image.resize((side, side), kind)


def _short(text: str, longest: int = 24) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
