"""Pixels of a slide at any resolution, each native tile decoded once.

A :class:`LevelBlocks` reads one pyramid level in blocks along its native tiles and keeps them until they are
no longer needed. A :class:`Canvas` lays a grid of output pixels over the level and reads windows of it,
resampled with antialiasing. Where a block cannot be decoded it is made from a finer level; where that fails
too, its pixels are marked, never painted.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .grid import LevelChoice
from .slides import Slide, UnreadableRegion

_BUDGET = 256 << 20  # bytes of blocks kept
_SMALLEST_BLOCK = 200  # smaller native tiles are read several at a time
_LARGEST_BLOCK = 2048  # larger ones in parts, through OpenSlide's own cache
_UNKNOWN_BLOCK = 512
_LARGEST_READ = 4096  # side of what is read of a finer level at once

# reach of the filter on either side, in output pixels (1 when enlarging: in input pixels)
_SUPPORT = {Image.Resampling.BOX: 0.5, Image.Resampling.LANCZOS: 3.0}


@dataclass(frozen=True)
class Pixels:
    """A rectangle of pixels."""

    rgb: np.ndarray  # (h, w, 3) uint8
    scanned: np.ndarray | None  # (h, w) bool, where anything was scanned; None for everywhere
    unreadable: np.ndarray | None  # (h, w) bool; None for nowhere

    @property
    def bytes(self) -> int:
        """Memory held."""
        return sum(part.nbytes for part in (self.rgb, self.scanned, self.unreadable) if part is not None)

    def crop(self, x: int, y: int, width: int, height: int) -> Pixels:
        """A part of it, as views."""
        window = (slice(y, y + height), slice(x, x + width))
        scanned, unreadable = (
            None if part is None else part[window] for part in (self.scanned, self.unreadable)
        )
        return Pixels(self.rgb[window], scanned, unreadable)


class LevelBlocks:
    """One level of a slide in blocks along its native tiles.

    Args:
        slide: open.
        level: position in ``slide.levels``.
        budget: bytes of blocks kept; when the blocks of one row need more, some are decoded again.
    """

    def __init__(self, slide: Slide, level: int, budget: int = _BUDGET) -> None:
        self.slide, self.level = slide, level
        self.width, self.height = slide.levels[level].width, slide.levels[level].height
        native = (slide.levels[level].tile_width, slide.levels[level].tile_height)
        self.native = tuple(side or _UNKNOWN_BLOCK for side in native)
        self.block = tuple(_block_side(side) for side in self.native)
        self.decoded = 0  # blocks, for tests and the log
        self.mended = 0  # blocks that came from a finer level, at least in part
        self._budget, self._held = budget, 0
        self._blocks: OrderedDict[tuple[int, int], Pixels] = OrderedDict()

    def region(self, left: int, top: int, right: int, bottom: int) -> Pixels:
        """Pixels from (left, top) up to (right, bottom); beyond the level its edge is repeated."""
        inner = max(left, 0), max(top, 0), min(right, self.width), min(bottom, self.height)
        x0, y0, x1, y1 = inner
        rgb = np.empty((y1 - y0, x1 - x0, 3), dtype=np.uint8)
        scanned = unreadable = None
        for row in range(y0 // self.block[1], (y1 - 1) // self.block[1] + 1):
            for column in range(x0 // self.block[0], (x1 - 1) // self.block[0] + 1):
                block = self._get(column, row)
                bx, by = column * self.block[0], row * self.block[1]
                height, width = block.rgb.shape[:2]
                ax0, ay0 = max(x0, bx), max(y0, by)
                ax1, ay1 = min(x1, bx + width), min(y1, by + height)
                into = (slice(ay0 - y0, ay1 - y0), slice(ax0 - x0, ax1 - x0))
                part = (slice(ay0 - by, ay1 - by), slice(ax0 - bx, ax1 - bx))
                rgb[into] = block.rgb[part]
                if block.scanned is not None:
                    scanned = np.ones(rgb.shape[:2], dtype=bool) if scanned is None else scanned
                    scanned[into] = block.scanned[part]
                if block.unreadable is not None:
                    unreadable = np.zeros(rgb.shape[:2], dtype=bool) if unreadable is None else unreadable
                    unreadable[into] = block.unreadable[part]
        beyond = ((y0 - top, bottom - y1), (x0 - left, right - x1))
        if any(map(any, beyond)):
            rgb = np.pad(rgb, (*beyond, (0, 0)), mode="edge")
            scanned, unreadable = (
                None if part is None else np.pad(part, beyond, mode="edge") for part in (scanned, unreadable)
            )
        return Pixels(rgb, scanned, unreadable)

    def forget_above(self, y: int) -> None:
        """Let go of blocks that end above ``y`` (level pixels)."""
        for key in [key for key in self._blocks if (key[1] + 1) * self.block[1] <= y]:
            self._held -= self._blocks.pop(key).bytes

    def _get(self, column: int, row: int) -> Pixels:
        key = (column, row)
        if key in self._blocks:
            self._blocks.move_to_end(key)
            return self._blocks[key]
        x, y = column * self.block[0], row * self.block[1]
        width, height = min(self.block[0], self.width - x), min(self.block[1], self.height - y)
        block = self._load(x, y, width, height)
        self.decoded += 1
        self._blocks[key] = block
        self._held += block.bytes
        while self._held > self._budget and len(self._blocks) > 1:
            self._held -= self._blocks.popitem(last=False)[1].bytes
        return block

    def _load(self, x: int, y: int, width: int, height: int) -> Pixels:
        """One block: as it is, else from a finer level, else native tile by native tile."""
        try:
            return Pixels(*self.slide.read(self.level, x, y, width, height), None)
        except UnreadableRegion:
            pass
        for finer in reversed(range(self.level)):
            try:
                block = self._from_finer(finer, x, y, width, height)
            except UnreadableRegion:
                continue
            self.mended += 1
            return block
        if width <= self.native[0] and height <= self.native[1]:
            colour = np.empty((height, width, 3), dtype=np.uint8)
            colour[:] = self.slide.background
            return Pixels(colour, None, np.ones((height, width), dtype=bool))
        parts = [
            [
                self._load(px, py, min(self.native[0], x + width - px), min(self.native[1], y + height - py))
                for px in range(x, x + width, self.native[0])
            ]
            for py in range(y, y + height, self.native[1])
        ]
        return _join(parts)

    def _from_finer(self, finer: int, x: int, y: int, width: int, height: int) -> Pixels:
        """The same pixels as means of those of a finer level, in parts that fit the memory."""
        source = self.slide.levels[finer]
        ratio = self.slide.levels[self.level].downsample / source.downsample
        side = max(1, int(_LARGEST_READ / ratio))
        rows = []
        for py in range(y, y + height, side):
            row = []
            for px in range(x, x + width, side):
                w, h = min(side, x + width - px), min(side, y + height - py)
                left, top = int(px * ratio), int(py * ratio)
                right = min(math.ceil((px + w) * ratio), source.width)
                bottom = min(math.ceil((py + h) * ratio), source.height)
                rgb, scanned = self.slide.read(finer, left, top, right - left, bottom - top)
                box = (
                    px * ratio - left,
                    py * ratio - top,
                    min((px + w) * ratio, right) - left,
                    min((py + h) * ratio, bottom) - top,
                )
                shrunk = _resize(Pixels(rgb, scanned, None), (w, h), box, Image.Resampling.BOX)
                row.append(shrunk)
            rows.append(row)
        return _join(rows)


def _block_side(native: int) -> int:
    if native > _LARGEST_BLOCK:
        return _LARGEST_BLOCK // 2
    return native * math.ceil(_SMALLEST_BLOCK / native)


def _join(parts: list[list[Pixels]]) -> Pixels:
    """Put rows of rectangles together."""

    def joined(name: str, missing: bool) -> np.ndarray | None:
        if all(getattr(part, name) is None for row in parts for part in row):
            return None
        return np.concatenate(
            [
                np.concatenate(
                    [
                        np.full(part.rgb.shape[:2], missing)
                        if getattr(part, name) is None
                        else getattr(part, name)
                        for part in row
                    ],
                    axis=1,
                )
                for row in parts
            ]
        )

    rgb = np.concatenate([np.concatenate([part.rgb for part in row], axis=1) for row in parts])
    return Pixels(rgb, joined("scanned", True), joined("unreadable", False))


def _resize(
    pixels: Pixels,
    size: tuple[int, int],
    box: tuple[float, float, float, float],
    filter_: Image.Resampling,
) -> Pixels:
    """Resample a box of ``pixels`` (fractions allowed) to ``size`` (width, height).

    The filter also weighs the pixels around the box. A result that any unreadable pixel went into is
    unreadable; it counts as scanned when at least half of it is.
    """
    rgb = np.asarray(Image.fromarray(pixels.rgb).resize(size, filter_, box=box))
    scanned = unreadable = None
    if pixels.scanned is not None:
        mask = Image.fromarray(pixels.scanned.view(np.uint8) * np.uint8(255))
        scanned = np.asarray(mask.resize(size, Image.Resampling.BOX, box=box)) >= 128
    if pixels.unreadable is not None:
        # the filter's own weights; less than a thousandth changes no pixel
        mask = Image.fromarray(pixels.unreadable.astype(np.float32))
        unreadable = np.abs(np.asarray(mask.resize(size, filter_, box=box))) > 1e-3
    return Pixels(rgb, scanned, unreadable)


class Canvas:
    """A grid of output pixels over a level.

    Args:
        blocks: the level.
        left, top: where output pixel (0, 0) begins (level pixels, fractions allowed).
        ratio: level pixels per output pixel; exactly 1 takes level pixels as they are.
        filter_: how to resample.
    """

    def __init__(
        self,
        blocks: LevelBlocks,
        left: float,
        top: float,
        ratio: float,
        filter_: Image.Resampling = Image.Resampling.LANCZOS,
    ) -> None:
        self.blocks, self.left, self.top, self.ratio, self.filter_ = blocks, left, top, ratio, filter_
        self.plain = ratio == 1 and float(left).is_integer() and float(top).is_integer()
        self.margin = 0 if self.plain else math.ceil(_SUPPORT[filter_] * max(ratio, 1)) + 1

    def read(self, x: int, y: int, width: int, height: int) -> Pixels:
        """A window, in output pixels; what lies beyond the slide has the background colour."""
        side = max(1, int(_LARGEST_READ / self.ratio))
        if self.plain or width * height <= 2 * side**2:
            return self._window(x, y, width, height)
        return _join(  # a large tile of a much finer level does not fit the memory at once
            [
                [
                    self._window(px, py, min(side, x + width - px), min(side, y + height - py))
                    for px in range(x, x + width, side)
                ]
                for py in range(y, y + height, side)
            ]
        )

    def _window(self, x: int, y: int, width: int, height: int) -> Pixels:
        left, top = self.left + x * self.ratio, self.top + y * self.ratio
        right, bottom = left + width * self.ratio, top + height * self.ratio
        if self.plain:
            pixels = self.blocks.region(int(left), int(top), int(right), int(bottom))
        else:
            x0, y0 = math.floor(left) - self.margin, math.floor(top) - self.margin
            x1, y1 = math.ceil(right) + self.margin, math.ceil(bottom) + self.margin
            box = (left - x0, top - y0, right - x0, bottom - y0)
            pixels = _resize(self.blocks.region(x0, y0, x1, y1), (width, height), box, self.filter_)
        return self._background_beyond(pixels, left, top)

    def forget_above(self, y: int) -> None:
        """No window above output row ``y`` will be read again."""
        self.blocks.forget_above(math.floor(self.top + y * self.ratio) - self.margin)

    def _background_beyond(self, pixels: Pixels, left: float, top: float) -> Pixels:
        """Give output pixels whose centre lies outside the level the background colour."""
        height, width = pixels.rgb.shape[:2]
        columns, rows = (
            max(0, min(count, math.ceil((end - start) / self.ratio - 0.5)))
            for count, end, start in ((width, self.blocks.width, left), (height, self.blocks.height, top))
        )
        if (columns, rows) == (width, height):
            return pixels
        rgb = pixels.rgb.copy()
        rgb[rows:], rgb[:, columns:] = self.blocks.slide.background, self.blocks.slide.background
        scanned = np.ones((height, width), dtype=bool) if pixels.scanned is None else pixels.scanned.copy()
        scanned[rows:], scanned[:, columns:] = False, False
        unreadable = None if pixels.unreadable is None else pixels.unreadable & scanned
        return Pixels(rgb, scanned, unreadable)


class SlidePixels:
    """The blocks of each level, made once a slide, so that a level read twice is decoded once."""

    def __init__(self, slide: Slide) -> None:
        self.slide = slide
        self._blocks: dict[int, LevelBlocks] = {}

    def blocks(self, level: int) -> LevelBlocks:
        """The level at this position in ``slide.levels``."""
        if level not in self._blocks:
            self._blocks[level] = LevelBlocks(self.slide, level)
        return self._blocks[level]

    def canvas(self, left: float, top: float, choice: LevelChoice, filter_: Image.Resampling) -> Canvas:
        """Output pixels of ``choice`` from (left, top), level-0 pixels."""
        down = choice.downsample
        return Canvas(self.blocks(choice.level), left / down, top / down, choice.ratio, filter_)

    @property
    def mended(self) -> int:
        """Blocks that came from a finer level."""
        return sum(blocks.mended for blocks in self._blocks.values())
