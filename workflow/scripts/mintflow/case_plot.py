"""Figure of test patients in full: phenotypes, the truth, and the lists of the teacher and the students."""

from __future__ import annotations

import textwrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import labels
from .case_view import CORRECT, EXCLUDED, OBSERVED, RELATED, TEACHER, TRUTH, UNGROUNDED, UNSEEN
from .errors import InputError
from .figure_style import BLUE, FAINT, GREEN, GREY, INK, VERMILLION, blank, header, settle, style

_WIDE, _NARROW = 70, 35  # characters of a line over the figure, and over half of it
_LINE = 0.105  # inches
_TERMS = 12  # of a patient, so that one with many does not fill the page
_ITEMS = 3  # of a list, and the right one beyond
_TALLEST = 9.3  # inches, a page; patients beyond it are in the table and in the report
_MARKS = {CORRECT: ("✓", GREEN), RELATED: ("≈", BLUE), UNGROUNDED: ("?", VERMILLION)}
_Line = tuple[str, str, str]  # text, colour, weight


def case_figure(cases: pd.DataFrame, *, simulated: bool) -> Figure:
    """One block a patient; the right disease has a tick, one of its series a wave, no known name a ?.

    Args:
        cases: case_view.csv, columns of ``case_view.COLUMNS``.
        simulated: whether the patients are simulated; written on the figure.

    Raises:
        InputError: the table is empty.
    """
    if cases.empty:
        raise InputError("no patient to show", field="rare.evaluation.report_cases")
    blocks = []
    for number, rows in cases.groupby("patient", sort=True):
        sources = list(dict.fromkeys(rows["source"]))
        lists = [TEACHER, *(name for name in sources if name not in (OBSERVED, EXCLUDED, TRUTH, TEACHER))]
        blocks.append((_top(int(str(number)), rows), [_list(rows, name) for name in lists]))
    heights = [len(top) + sum(map(_pair_height, _in_pairs(lists))) + 1.2 for top, lists in blocks]
    fit = sum(_LINE * sum(heights[: place + 1]) + 0.3 <= _TALLEST for place in range(len(heights)))
    blocks, heights = blocks[: max(fit, 1)], heights[: max(fit, 1)]
    with style():
        figure = blank(_LINE * sum(heights) + 0.3)
        panels = figure.subplots(len(blocks), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, height, (top, lists) in zip(panels, heights, blocks, strict=True):
            axes.axis("off")
            axes.set_xlim(0, 1)
            axes.set_ylim(height, 0)
            axes.axhline(0, color=FAINT, linewidth=0.8)
            _write(axes, top, 0.0, 0.7)
            down = len(top) + 0.9
            for pair in _in_pairs(lists):
                for left, lines in zip((0.0, 0.5), pair, strict=False):
                    _write(axes, lines, left, down)
                down += _pair_height(pair)
        header(figure, "Test patients", simulated)
        settle(figure)
    return figure


def _top(number: int, rows: pd.DataFrame) -> list[_Line]:
    truth = rows[rows["source"] == TRUTH].iloc[0]
    title = f"Patient {number}: {truth['text']}"
    if truth["mark"] == UNSEEN:
        title += " (disease unseen in training)"
    lines = [(text, INK, "bold") for text in _wrapped(title, _WIDE - 8)]
    for source, words in ((OBSERVED, "has"), (EXCLUDED, "has not")):
        names = rows.loc[rows["source"] == source, "text"].tolist()
        if names:
            more = f"; and {len(names) - _TERMS} more" if len(names) > _TERMS else ""
            text = f"{words}: {'; '.join(names[:_TERMS])}{more}"
            lines += [(text, INK, "normal") for text in _wrapped(text, _WIDE)]
    return lines


def _list(rows: pd.DataFrame, source: str) -> list[_Line]:
    """A heading and the items, long ones on two lines."""
    items = rows[(rows["source"] == source) & (rows["position"] > 0)].sort_values("position")
    lines = [(labels.arm(source).label, GREY, "bold")]
    further = items[items["mark"] == CORRECT].iloc[:1]
    items = pd.concat([items.head(_ITEMS), further]).drop_duplicates(["position", "text"])
    for item in items.itertuples(index=False):
        sign, colour = _MARKS.get(item.mark, (" ", INK))
        text = _wrapped(f"{item.position}. {item.text} {sign}".rstrip(), _NARROW)
        lines += [(text[0], colour, "normal"), *((f"    {more}", colour, "normal") for more in text[1:])]
    if items.empty:
        lines.append(("no list", VERMILLION, "normal"))
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, max_lines=6, placeholder=" …") or [""]


def _in_pairs(lists: list[list[_Line]]) -> list[list[list[_Line]]]:
    return [lists[place : place + 2] for place in range(0, len(lists), 2)]


def _pair_height(pair: list[list[_Line]]) -> float:
    return max(map(len, pair)) + 0.4


def _write(axes: Axes, lines: list[_Line], left: float, down: float) -> None:
    for place, (text, colour, weight) in enumerate(lines):
        axes.text(
            left, down + place, text, va="center", fontsize=6, color=colour, fontweight=weight
        ).set_in_layout(False)
