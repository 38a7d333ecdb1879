"""A slide at low resolution: where tissue is, and the picture of what was kept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from . import overlay, quality
from .grid import Grid, LevelChoice, choose_level
from .sampling import SlidePixels
from .slides import Slide
from .tile_table import SlideFailure
from .tissue_mask import tissue_mask

_MASK_PIXELS = 12_000_000  # a larger mask is made coarser
_STRIP_PIXELS = 16 << 20  # level pixels held while the overview is read
_SMALL_LEVEL = 2  # pixels of a small level, over those of a square picture


@dataclass(frozen=True)
class Overview:
    """The scanned area of a slide at low resolution."""

    rgb: np.ndarray  # (h, w, 3) uint8
    mask: np.ndarray  # bool, tissue or unreadable; a mask pixel is ``reduce`` pixels of ``rgb`` wide
    pixel: float  # level-0 pixels per pixel of ``rgb``
    reduce: int
    area: tuple[float, float, float, float]  # left, top, width and height, level-0 pixels
    fold_density: float  # what counts as folded on this slide

    def shares(self, grid: Grid) -> np.ndarray:
        """Share of tissue of each position, (rows, columns); exact for the pixels of the mask."""
        side = self.pixel * self.reduce
        total = np.zeros((self.mask.shape[0] + 1, self.mask.shape[1] + 1), dtype=np.int64)
        total[1:, 1:] = self.mask.cumsum(0, dtype=np.int64).cumsum(1)
        left, top, width, height = self.area
        tile = grid.footprint / side
        ys, xs = (
            np.arange(count) * (grid.step * grid.pixel / side) + offset / side
            for count, offset in ((grid.rows, grid.top - top), (grid.columns, grid.left - left))
        )
        bands = _between(total, ys + tile, height / side) - _between(total, ys, height / side)
        shares = _between(bands.T, xs + tile, width / side) - _between(bands.T, xs, width / side)
        return shares.T / tile**2


def _between(table: np.ndarray, at: np.ndarray, end: float) -> np.ndarray:
    """Rows of ``table`` at fractional positions up to ``end``."""
    at = np.clip(at, 0, min(end, len(table) - 1))
    low = np.minimum(at.astype(np.int64), len(table) - 2)
    weight = (at - low)[:, None]
    return table[low] * (1 - weight) + table[low + 1] * weight


def _choose(
    slide: Slide, mask_pixel: float, longest: float, tiling: Mapping[str, Any]
) -> tuple[int, LevelChoice]:
    """How much finer than the mask the overview is, for the picture, and the level that it is read from.

    A level finer than the mask's is read only where it is small.
    """
    downsamples = [level.downsample for level in slide.levels]
    most = max(1, int(min(mask_pixel / (longest / tiling["overlay_px"]), mask_pixel)))
    coarsest = None
    for reduce in range(1, most + 1):
        choice = choose_level(downsamples, 1.0, mask_pixel / reduce, tiling["level_tolerance"], 1.0)
        level = slide.levels[choice.level]
        small = level.width * level.height <= _SMALL_LEVEL * tiling["overlay_px"] ** 2
        if coarsest is None or choice.level == coarsest or small:
            coarsest = choice.level if coarsest is None else coarsest
            best = reduce, choice
    return best


def read_overview(source: SlidePixels, mpp: float, tiling: Mapping[str, Any]) -> Overview:
    """Read the scanned area once, for mask and overlay, in strips.

    Raises:
        SlideFailure: ``unreadable-file``, no pixel of it can be read.
    """
    left, top, width, height = source.slide.area
    mask_pixel = max(1.0, tiling["mask_mpp"] / mpp, math.sqrt(width * height / _MASK_PIXELS))
    reduce, choice = _choose(source.slide, mask_pixel, max(width, height), tiling)
    canvas = source.canvas(left, top, choice, Image.Resampling.BOX)
    columns, rows = (max(1, math.ceil(side / choice.pixel - 1e-6)) for side in (width, height))
    strip = max(1, int(_STRIP_PIXELS / (columns * choice.ratio) / choice.ratio))
    rgb = np.empty((rows, columns, 3), dtype=np.uint8)
    scanned = np.ones((rows, columns), dtype=bool)
    unreadable = np.zeros((rows, columns), dtype=bool)
    for y in range(0, rows, strip):
        pixels = canvas.read(0, y, columns, min(strip, rows - y))
        rgb[y : y + strip] = pixels.rgb
        if pixels.scanned is not None:
            scanned[y : y + strip] = pixels.scanned
        if pixels.unreadable is not None:
            unreadable[y : y + strip] = pixels.unreadable
    if not (scanned & ~unreadable).any() and unreadable.any():
        raise SlideFailure("unreadable-file", "it opens, but no pixel of it can be read")
    small, there, bad = (_reduced(part, reduce) for part in (rgb, scanned, unreadable))
    mask = tissue_mask(small, mpp * choice.pixel * reduce, tiling)
    # what cannot be read here may be tissue: it is tried again, and counted if that fails
    mask = (mask & (there > 0.5)) | (bad > 0)
    fold_density = quality.fold_density(small, mask & (bad == 0))
    return Overview(rgb, mask, choice.pixel, reduce, (left, top, width, height), fold_density)


def _reduced(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Means of ``factor`` x ``factor`` pixels; of a mask, its share as float32."""
    image = Image.fromarray(pixels if pixels.ndim == 3 else pixels.astype(np.float32))
    return np.asarray(image.reduce(factor)) if factor > 1 else np.asarray(image)


def save_overlay(
    overview: Overview,
    tiles: Sequence[tuple[float, float, float, str]],
    title: str,
    tiling: Mapping[str, Any],
    path: Path,
) -> None:
    """Thumbnail, mask and tiles as a picture of at most ``overlay_px``, and enlarged to half of that."""
    height, width = overview.rgb.shape[:2]
    full = tiling["overlay_px"] / max(width, height)
    scale = max(min(1.0, full), full / 2)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    thumbnail = np.asarray(Image.fromarray(overview.rgb).resize(size, Image.Resampling.BOX))
    box = (0, 0, width / overview.reduce, height / overview.reduce)
    mask = Image.fromarray(overview.mask.astype(np.uint8)).resize(size, Image.Resampling.NEAREST, box=box)
    per_pixel = overview.pixel / scale
    placed = [
        ((x - overview.area[0]) / per_pixel, (y - overview.area[1]) / per_pixel, side / per_pixel, reason)
        for x, y, side, reason in tiles
    ]
    overlay.draw_overlay(thumbnail, np.asarray(mask) > 0, placed, title).save(path, "PNG")
