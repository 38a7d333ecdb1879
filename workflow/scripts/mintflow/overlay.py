"""The picture that shows at a glance what became of a slide: tissue, kept tiles, dropped tiles and why.

Colours are those of Okabe and Ito; each reason also has its own mark, so that none is told by colour alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

KEPT = ""
# reason: colour, mark, words of the legend
_LOOK = {
    KEPT: ("#009E73", "frame", "kept"),
    "tissue": ("#6B6B6B", "dot", "little tissue"),
    "roi": ("#56B4E9", "dot", "outside regions of interest"),
    "pen": ("#0072B2", "slash", "pen ink"),
    "fold": ("#D55E00", "backslash", "fold"),
    "black": ("#000000", "slash", "black"),
    "blood": ("#CC79A7", "backslash", "blood"),
    "blur": ("#E69F00", "slash", "out of focus"),
    "edge": ("#56B4E9", "backslash", "over the edge"),
    "limit": ("#0072B2", "dot", "over the limit of tiles"),
    "unreadable": ("#D55E00", "cross", "unreadable"),
}
_OTHER = ("#000000", "cross")
_INK, _PAPER, _OUTLINE = "#222222", "#FFFFFF", "#222222"


def draw_overlay(
    thumbnail: np.ndarray, mask: np.ndarray, tiles: Sequence[tuple[float, float, float, str]], title: str
) -> Image.Image:
    """Thumbnail with outline of the mask, tiles by reason, title, and a legend with counts.

    Args:
        thumbnail: uint8 (height, width, 3).
        mask: tissue, bool of any size; it covers the same area as the thumbnail.
        tiles: left, top and side in thumbnail pixels, and why the tile was dropped ("" if kept).
        title: one line above the picture; it is cut if it does not fit.
    """
    height, width = thumbnail.shape[:2]
    picture = Image.fromarray(thumbnail).convert("RGB")
    _outline(picture, mask)
    shades = Image.new("RGBA", picture.size)
    draw = ImageDraw.Draw(shades)
    # kept tiles last, so that an overlapping dropped one does not hide them
    for x, y, side, why in sorted(tiles, key=lambda tile: (tile[3] == KEPT, tile[1], tile[0])):
        _tile(draw, x, y, side, why)
    picture = Image.alpha_composite(picture.convert("RGBA"), shades).convert("RGB")

    size = max(11, min(20, width // 45))
    font, small = ImageFont.load_default(size), ImageFont.load_default(max(10, size - 2))
    entries = _entries(tiles)
    line, gap = round(size * 1.5), round(size * 0.6)
    rows: list[list[tuple[str, str]]] = [[]]
    used = float(gap)
    for why, words in entries:
        room = line + small.getlength(words) + 2 * gap
        if rows[-1] and used + room > width:
            rows.append([])
            used = float(gap)
        rows[-1].append((why, words))
        used += room
    page = Image.new("RGB", (width, height + line + gap + line * len(rows) + gap), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((gap, line / 2 + gap / 2), _fitting(title, font, width - 2 * gap), _INK, font, anchor="lm")
    page.paste(picture, (0, line + gap))
    for number, row in enumerate(rows):
        left, middle = float(gap), height + line + gap + gap / 2 + line * (number + 0.5)
        for why, words in row:
            side = size * 0.9
            keys = Image.new("RGBA", page.size)
            _tile(ImageDraw.Draw(keys), left, middle - side / 2, side, why)
            page.paste(keys, (0, 0), keys)
            draw.text((left + line, middle), words, _INK, small, anchor="lm")
            left += line + small.getlength(words) + 2 * gap
    return page


def _entries(tiles: Sequence[tuple[float, float, float, str]]) -> list[tuple[str, str]]:
    counts = Counter(tile[3] for tile in tiles)
    known = [why for why in _LOOK if why == KEPT or counts[why]]
    others = sorted(why for why in counts if why not in _LOOK)
    return [(why, f"{_LOOK[why][2] if why in _LOOK else why}: {counts[why]}") for why in [*known, *others]]


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: float) -> str:
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}…") > room:
        text = text[:-1]
    return f"{text}…"


def _outline(picture: Image.Image, mask: np.ndarray) -> None:
    """Draw the border of ``mask``, scaled to ``picture``, as a line of one or two pixels."""
    if not mask.size:
        return
    scaled = Image.fromarray(mask.astype(np.uint8) * 255).resize(picture.size, Image.Resampling.NEAREST)
    inside = np.asarray(scaled) > 0
    border = np.zeros_like(inside)
    border[1:] |= inside[1:] != inside[:-1]
    border[:, 1:] |= inside[:, 1:] != inside[:, :-1]
    picture.paste(_OUTLINE, mask=Image.fromarray(border))


def _tile(draw: ImageDraw.ImageDraw, x: float, y: float, side: float, why: str) -> None:
    colour, mark = _LOOK[why][:2] if why in _LOOK else _OTHER
    left, top, right, bottom = round(x), round(y), round(x + side) - 1, round(y + side) - 1
    right, bottom = max(right, left), max(bottom, top)
    if mark != "frame":
        draw.rectangle((left, top, right, bottom), fill=f"{colour}50")
    stroke = 2 if side >= 12 else 1
    draw.rectangle((left, top, right, bottom), outline=colour, width=stroke)
    if mark in ("slash", "cross"):
        draw.line((left, bottom, right, top), fill=colour, width=stroke)
    if mark in ("backslash", "cross"):
        draw.line((left, top, right, bottom), fill=colour, width=stroke)
    if mark == "dot":
        half = max(1.0, side / 10)
        middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
        draw.ellipse((middle_x - half, middle_y - half, middle_x + half, middle_y + half), fill=colour)
