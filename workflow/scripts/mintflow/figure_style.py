"""What all figures share: one column wide, vector and PNG, the same bytes for the same numbers.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which stay apart for
colour-blind readers; no panel tells things apart by colour alone. Fonts are the ones that
matplotlib ships, drawn as paths, so a figure looks the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .io import whole_file

WIDTH = 3.5  # inches: one journal column (89 mm)
BLUE, VERMILLION, GREEN, SKY, GREY = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#6B6B6B"
ORANGE, PURPLE, YELLOW, BLACK = "#E69F00", "#CC79A7", "#F0E442", "#000000"
INK, FAINT = "#222222", "#D9D9D9"
# colour, marker and dash of an arm's line; an arm that is not here takes the next of ``FURTHER_LINES``
_SOLID, _DASHED, _DOTTED, _MIXED = "solid", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (4, 1.2, 1, 1.2))
ARM_LINES: dict[str, tuple[str, str, Any]] = {
    "base": (GREY, "o", _DASHED),
    "orpo": (BLUE, "o", _SOLID),
    "sft": (VERMILLION, "s", _SOLID),
    "sft-truth": (ORANGE, "D", _DASHED),
    "dpo": (GREEN, "^", _SOLID),
    "listwise": (PURPLE, "v", _MIXED),
    "rag": (SKY, "P", _DASHED),
    "orpo+rag": (BLACK, "X", _DOTTED),
    "teacher": (VERMILLION, "s", _DASHED),
    "teacher-phenotype": (ORANGE, "D", _DOTTED),
}
FURTHER_LINES = ((GREEN, "v", _DOTTED), (PURPLE, "X", _DASHED), (BLACK, "P", _SOLID), (GREY, "^", _DOTTED))
PANEL_TITLE: dict[str, Any] = {"x": 0.01, "ha": "left", "fontsize": 7.5, "fontweight": "bold"}

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "lines.linewidth": 1.2,
    "text.color": INK,
    "svg.fonttype": "path",
    "svg.hashsalt": "mintflow",
    "figure.dpi": 100,
    "figure.constrained_layout.w_pad": 0.03,
    "figure.constrained_layout.h_pad": 0.03,
}


@contextmanager
def style() -> Iterator[None]:
    """The figures' style, whatever matplotlibrc the user has; drawing and saving both need it."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def save(figure: Figure, svg: str | Path, png: str | Path) -> None:
    """Write ``figure`` as SVG and as PNG (300 dpi), without date or version in the files."""
    with style():
        with whole_file(svg) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": "mintflow"})
        with whole_file(png) as temporary:
            figure.savefig(temporary, format="png", dpi=300, metadata={"Software": None})


def arm_line(key: str, index: int = 0) -> tuple[str, str, Any]:
    """Colour, marker and dash of an arm; ``index`` is its place among those drawn."""
    return ARM_LINES.get(key, FURTHER_LINES[index % len(FURTHER_LINES)])


def arm_handle(key: str, label: str, index: int = 0) -> Line2D:
    """The arm's entry in a legend of lines."""
    hue, marker, dash = arm_line(key, index)
    return Line2D([], [], color=hue, marker=marker, linestyle=dash, markersize=3.5, label=label)


def blank(height: float) -> Figure:
    """An empty figure of one column, ``height`` inches tall."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def settle(figure: Figure) -> None:
    """Lay out once, then round: the layout solver's last digits differ from run to run."""
    for _ in range(2):  # the second pass knows the size of what the first one placed
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for part in figure.subfigs:
        part.bbox_relative.p0, part.bbox_relative.p1 = np.round(part.bbox_relative.get_points(), 6)
    for axes in figure.axes:
        axes.set_position(np.round(axes.get_position().bounds, 6).tolist())


def header(figure: Figure, text: str, simulated: bool, who: str = "patients") -> None:
    """Title of the whole figure; what is simulated is named on it, never only in a caption."""
    title = f"{text} · SIMULATED {who}" if simulated else text
    figure.suptitle(title, x=0.01, ha="left", fontsize=8, fontweight="bold")
