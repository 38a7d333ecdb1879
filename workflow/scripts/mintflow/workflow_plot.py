"""Figure of the workflow itself: the rules of every stage, from patients or slides to the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import wrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from . import figure_style as fs
from .code import rules_in

COLUMNS = ["track", "stage", "rule"]
TRACKS = {"rare": "Rare diseases", "tissue": "Tissue"}
SHARED = "all"
# in the order in which data flows; the words, and the colour of the box
STAGES = {
    "models": ("base model", "#D6EFE3"),
    "knowledge": ("knowledge", "#E4E4E4"),
    "slides": ("slides to tiles", "#D8ECF8"),
    "cohort": ("cohort", "#D8ECF8"),
    "teacher": ("teacher", "#FAEBC8"),
    "unlabelled": ("patients without a label", "#FAEBC8"),
    "preferences": ("preferences", "#F9E0EC"),
    "retrieval": ("retrieval", "#F9E0EC"),
    "student": ("student", "#D6EFE3"),
    "evaluation": ("evaluation", "#F9DECB"),
    "figures": ("tables and figures", "#E6E4F5"),
    "report": ("report", "#FFFFFF"),
    "external": ("a further cohort, with teacher and students as they are", "#F9DECB"),
}
# files of rules that belong to a stage of another name
_FIGURES = {"tables", "figures", "report"}
_LINE, _TITLE, _GAP, _LETTERS = 0.098, 0.125, 0.13, 37  # inches, but for the last: letters of a line


@dataclass(frozen=True)
class Box:
    """A stage of a track, and where it is drawn: left edge, width (fractions) and height (inches)."""

    stage: str
    lines: tuple[str, ...]
    left: float
    width: float

    @property
    def height(self) -> float:
        """In inches."""
        return _TITLE + _LINE * len(self.lines) + 0.05


def rule_table(files: Mapping[str, str]) -> pd.DataFrame:
    """Track, stage and name of every rule.

    Args:
        files: the stem of a rule file (``rare_cohort``) to its text.

    Returns:
        ``COLUMNS``, in the order of the stages; rules that only name targets are left out.
    """
    rows = []
    for file, text in sorted(files.items()):
        track, _, stage = file.partition("_")
        if track not in TRACKS:
            track, stage = SHARED, file
        if track != SHARED and stage.rpartition("_")[2] in _FIGURES:
            stage = "figures"
        if stage.startswith("external"):
            stage = "external"
        if stage in STAGES:
            rows += [(track, stage, name) for name in rules_in(text)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    order = {name: place for place, name in enumerate(STAGES)}
    return table.sort_values("stage", key=lambda s: s.map(order), kind="stable", ignore_index=True)


def workflow_figure(table: pd.DataFrame) -> Figure:
    """The stages of each track from top to bottom; what tracks share spans them.

    Args:
        table: as ``rule_table`` returns it.
    """
    tracks = [track for track in TRACKS if (table["track"] == track).any()]
    shared = _boxes(table, SHARED, tuple(STAGES), 0.0, 1.0)
    first = [box for box in shared if box.stage == "models"]
    last = [box for box in shared if box.stage != "models"]
    width = 1.0 / max(1, len(tracks))
    columns = [
        _boxes(table, track, tuple(STAGES), place * width, width) for place, track in enumerate(tracks)
    ]
    tall = max((sum(box.height + _GAP for box in boxes) for boxes in columns), default=0.0)
    ends = sum(box.height + _GAP for box in first + last)
    height = tall + ends + _TITLE + 0.06
    with fs.style():
        figure = fs.blank(height)
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, fs.WIDTH), ylim=(0, height))
        axes.axis("off")
        top = height - 0.03
        for box in first:
            _draw(axes, box, top)
            top -= box.height + _GAP
        bottom = top - _TITLE - tall
        for track, boxes in zip(tracks, columns, strict=True):
            middle = (boxes[0].left + boxes[0].width / 2) * fs.WIDTH
            axes.text(middle, top, TRACKS[track], ha="center", va="top", fontsize=7.5, fontweight="bold")
            edge = top - _TITLE
            # a shorter column is spread over the height of the longer one
            slack = (tall - sum(box.height + _GAP for box in boxes)) / max(1, len(boxes) - 1)
            for box in boxes:
                _draw(axes, box, edge)
                lower = edge - box.height
                edge = lower - _GAP - (slack if box is not boxes[-1] else 0)
                _arrow(axes, middle, lower, bottom if box is boxes[-1] else edge)
        for box in last:
            _draw(axes, box, bottom)
            bottom -= box.height + _GAP
    return figure


def _boxes(table: pd.DataFrame, track: str, stages: tuple[str, ...], left: float, width: float) -> list[Box]:
    of_track = table[table["track"] == track]
    found = []
    for stage in stages:
        rules = of_track.loc[of_track["stage"] == stage, "rule"].tolist()
        if rules:
            lines = wrap(", ".join(rules), int(_LETTERS * width * 2), break_on_hyphens=False)
            found.append(Box(stage, tuple(lines), left, width))
    return found


def _draw(axes: Axes, box: Box, top: float) -> None:
    words, colour = STAGES[box.stage]
    left, width = box.left * fs.WIDTH + 0.05, box.width * fs.WIDTH - 0.1
    axes.add_patch(
        FancyBboxPatch(
            (left, top - box.height),
            width,
            box.height,
            boxstyle="round,pad=0,rounding_size=0.04",
            facecolor=colour,
            edgecolor=fs.GREY,
            linewidth=0.6,
        )
    )
    axes.text(left + 0.05, top - 0.03, words, ha="left", va="top", fontsize=6.5, fontweight="bold")
    for number, line in enumerate(box.lines):
        axes.text(left + 0.05, top - 0.03 - _TITLE - _LINE * number, line, ha="left", va="top", fontsize=6)


def _arrow(axes: Axes, x: float, start: float, end: float) -> None:
    axes.annotate(
        "",
        xy=(x, end),
        xytext=(x, start),
        arrowprops={"arrowstyle": "-|>", "color": fs.GREY, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
    )
