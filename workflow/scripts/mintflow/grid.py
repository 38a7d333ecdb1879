"""Where tiles lie: arithmetic alone, no pixel is touched.

Three units: *level-0 pixels* (what coordinates are given in), *level pixels* of the pyramid level that is
read, and *tile pixels* of the result. ``pixel`` is level-0 pixels per tile pixel, ``ratio`` level pixels per
tile pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .tile_table import SlideFailure

_EPSILON = 1e-6  # level-0 pixels; what adding many steps may lose


def whole_downsample(size: tuple[int, int], level_size: tuple[int, int], reported: float) -> float:
    """The downsample that a level was made with, where rounding of its size hides it.

    OpenSlide reports the mean ratio of the sizes: 17802 rows become 4450, and 4 is reported as 4.0002. When
    rounding explains the size of the level, the whole number is meant.

    Args:
        size: width and height of level 0.
        level_size: of the level.
        reported: what OpenSlide says.
    """
    whole = max(1, round(reported))
    meant = all(abs(level_side - side / whole) < 1 for side, level_side in zip(size, level_size, strict=True))
    return float(whole) if meant else reported


@dataclass(frozen=True)
class LevelChoice:
    """Which level is read, and what its pixels become."""

    level: int
    downsample: float  # level-0 pixels per level pixel
    ratio: float  # level pixels per tile pixel; exactly 1 when pixels are taken as they are
    mpp: float  # of the tiles

    @property
    def pixel(self) -> float:
        """Level-0 pixels per tile pixel."""
        return self.downsample * self.ratio


def choose_level(
    downsamples: Sequence[float], slide_mpp: float, mpp: float, tolerance: float, upsample: float
) -> LevelChoice:
    """The level for tiles of ``mpp``.

    A level within ``tolerance`` (relative) is taken as it is, the nearest first; its own resolution is then
    that of the tiles. Otherwise the next finer level is resampled. A slide that is too coarse is enlarged by
    at most ``upsample``.

    Raises:
        SlideFailure: ``implausible-mpp``, the slide is coarser than that.
    """
    wanted = mpp / slide_mpp
    distance, level = min((abs(d / wanted - 1), i) for i, d in enumerate(downsamples))
    if distance <= tolerance:
        return LevelChoice(level, downsamples[level], 1.0, slide_mpp * downsamples[level])
    finer = [(d, -i) for i, d in enumerate(downsamples) if d < wanted]
    if finer:
        downsample, level = max(finer)
        return LevelChoice(-level, downsample, wanted / downsample, mpp)
    downsample, level = min((d, i) for i, d in enumerate(downsamples))
    if downsample / wanted > upsample * (1 + _EPSILON):
        raise SlideFailure(
            "implausible-mpp",
            f"the slide has {slide_mpp * downsample:.4g} µm per pixel, too coarse for tiles of {mpp:g}; "
            f"enlarging is limited to {upsample:g} (tissue.tiling.upsample)",
        )
    return LevelChoice(level, downsample, wanted / downsample, mpp)


@dataclass(frozen=True)
class Grid:
    """Positions of tiles over an area of the slide, numbered by column and row."""

    left: float  # level-0 pixels; of the first tile
    top: float
    right: float  # end of the area
    bottom: float
    pixel: float
    tile_size: int  # tile pixels
    step: int

    @property
    def footprint(self) -> float:
        """Side of a tile in level-0 pixels."""
        return self.tile_size * self.pixel

    @property
    def columns(self) -> int:
        """Tiles side by side, up to the one that shows the last new pixel."""
        return self._count(self.right - self.left)

    @property
    def rows(self) -> int:
        """Tiles above each other."""
        return self._count(self.bottom - self.top)

    def _count(self, length: float) -> int:
        covered = (self.tile_size - self.step) * self.pixel  # a tile that shows no more adds nothing
        return max(1, math.ceil((length - covered - _EPSILON) / (self.step * self.pixel)))

    def x(self, column: int) -> float:
        """Left side in level-0 pixels."""
        return self.left + column * self.step * self.pixel

    def y(self, row: int) -> float:
        """Top side in level-0 pixels."""
        return self.top + row * self.step * self.pixel

    def inside(self, column: int, row: int) -> bool:
        """Whether the tile lies wholly in the area."""
        return (
            self.x(column) + self.footprint <= self.right + _EPSILON
            and self.y(row) + self.footprint <= self.bottom + _EPSILON
        )


def make_grid(
    area: tuple[float, float, float, float], choice: LevelChoice, tile_size: int, overlap: int
) -> Grid:
    """The grid over ``area`` (left, top, width, height; level-0 pixels).

    Where level pixels are taken as they are, the grid begins on a whole one.

    Raises:
        ValueError: ``overlap`` is not smaller than ``tile_size``.
    """
    if not 0 <= overlap < tile_size:
        raise ValueError("overlap must be smaller than tile_size")
    left, top, width, height = area
    right, bottom = left + width, top + height
    if choice.ratio == 1:
        left, top = (
            math.ceil(side / choice.downsample - _EPSILON) * choice.downsample for side in (left, top)
        )
    return Grid(left, top, right, bottom, choice.pixel, tile_size, tile_size - overlap)
