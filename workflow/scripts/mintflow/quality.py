"""What is wrong with a tile: blur, pen ink, folds, blood, black; numbers first, a verdict by limits second.

All measures look at optical density, the natural logarithm of white over colour, in which a thicker
section or a stronger dye is a factor. Colour rules compare channels with each other: haematoxylin and eosin
both absorb green most, pen ink and black do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

REASONS = ("pen", "fold", "black", "blood", "blur")
FOLD_DENSITY = 2.1  # green density of a fold where the slide gives no better value: 12 % of the light
_COLOUR_UM = 8.0  # colours are judged over squares of this side: larger than a nucleus
_FOLD_UM = 24.0  # folds over squares of this side: larger than a cell
_FOCUS_UM = 1.0  # focus at this resolution, or the tile's own where that is coarser
_LEAST = 8  # smallest side (pixels) of what is judged

_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)


def density(rgb: np.ndarray) -> np.ndarray:
    """Optical density of uint8 pixels, float32 of the same shape, 0 (white) to 5.5 (black)."""
    return _DENSITY[rgb]


def is_ink(rgb: np.ndarray) -> np.ndarray:
    """Where averaged colours (uint8, (..., 3)) are pen ink: blue, green, or the dark grey of black ink.

    Red ink has the colour of blood and is found as such.
    """
    red, green, blue = np.moveaxis(density(rgb), -1, 0)
    coloured = (red >= 0.95 * green) & (red >= 0.5)
    grey = (red >= 0.82 * green) & (blue >= 0.74 * green) & (green >= 1.0)
    return (coloured | grey) & ~is_black(rgb)


def is_black(rgb: np.ndarray) -> np.ndarray:
    """Where averaged colours (uint8, (..., 3)) are black: at most 13 % of the light in every channel."""
    return rgb.max(axis=-1) <= 33


def is_blood(rgb: np.ndarray) -> np.ndarray:
    """Where averaged colours (uint8, (..., 3)) are red as erythrocytes: red light passes, no other."""
    red, green, blue = np.moveaxis(density(rgb), -1, 0)
    return (green >= 0.7) & (blue >= 0.95 * green) & (red <= 0.42 * green)


def assess(rgb: np.ndarray, mpp: float, fold_density: float = FOLD_DENSITY) -> dict[str, float]:
    """Quality measures of a tile, rounded to 4 digits.

    Args:
        rgb: the tile, uint8 (height, width, 3).
        mpp: its resolution (µm per pixel).
        fold_density: what counts as folded; see `fold_density` for a slide's own value.

    Returns:
        sharpness: energy of detail of 2 to 4 µm over that of 4 to 8 µm, noise removed (no unit, 0.5 to 2 in
            focus); 1 where the tile is too small to tell. Neither stain strength nor contrast enters.
        pen, black, blood: share of squares of 8 µm that have this colour on average.
        fold: share of squares of 24 µm of which four fifths are denser than ``fold_density`` in green; ink
            and black do not count.
    """
    image = Image.fromarray(rgb)
    colours = np.asarray(_coarser(image, _COLOUR_UM / mpp))
    return {
        "sharpness": round(_sharpness(np.asarray(_coarser(image.getchannel(1), _FOCUS_UM / mpp))), 4),
        "pen": round(float(is_ink(colours).mean()), 4),
        "fold": round(_folded(rgb, mpp, fold_density), 4),
        "blood": round(float(is_blood(colours).mean()), 4),
        "black": round(float(is_black(colours).mean()), 4),
    }


def reason(measures: Mapping[str, float], tiling: Mapping[str, Any]) -> str:
    """The first of ``REASONS`` for which ``measures`` break a limit of ``tiling``; "" if none does."""
    for name in REASONS[:-1]:
        if measures[name] > tiling[f"max_{name}"]:
            return name
    return "blur" if measures["sharpness"] < tiling["min_sharpness"] else ""


def fold_density(thumbnail: np.ndarray, mask: np.ndarray) -> float:
    """What counts as folded on one slide: clearly denser than its densest flat tissue.

    Args:
        thumbnail: the slide at several µm per pixel, uint8 (height, width, 3).
        mask: tissue, bool (height, width).

    Returns:
        1.3 times the 95th percentile of the tissue's green density, between 0.8 and ``FOLD_DENSITY``.
    """
    if not mask.any():
        return FOLD_DENSITY
    dense = float(np.percentile(density(thumbnail[..., 1][mask]), 95))
    return round(min(max(1.3 * dense, 0.8), FOLD_DENSITY), 4)


def _coarser(image: Image.Image, factor: float) -> Image.Image:
    """``image`` averaged over squares of ``factor`` pixels, as far as ``_LEAST`` pixels a side remain."""
    step = min(round(factor), min(image.size) // _LEAST)
    return image.reduce(step) if step > 1 else image


def _sharpness(green: np.ndarray) -> float:
    if min(green.shape) < 24:
        return 1.0
    level = density(green)
    energy = []
    for step in (1, 2, 4):  # a pyramid of differences: detail of 1 to 2, 2 to 4 and 4 to 8 pixels
        smooth = level[: -2 * step] + level[2 * step :]
        smooth += 2 * level[step:-step]
        smoother = smooth[:, : -2 * step] + smooth[:, 2 * step :]
        smoother += 2 * smooth[:, step:-step]
        smoother /= 16
        detail = level[step:-step, step:-step] - smoother
        energy.append(float(np.mean(np.square(detail, out=detail), dtype=np.float64)))
        level = smoother
    # white noise has its energy in the finest band and leaks these shares into the others
    middle, coarse = (max(energy[1] - 0.116 * energy[0], 0.0), max(energy[2] - 0.0224 * energy[0], 0.0))
    return middle / coarse if coarse > 1e-7 else 0.0


def _folded(rgb: np.ndarray, mpp: float, limit: float) -> float:
    side = max(min(round(_FOLD_UM / mpp), *rgb.shape[:2]), 1)
    rows, columns = rgb.shape[0] // side, rgb.shape[1] // side
    tile = rgb[: rows * side, : columns * side]
    # a square is folded if four fifths of it are darker than the limit, whatever the rest is
    dark = tile[..., 1] < 256 * np.exp(-limit) - 1
    if not dark.any():
        return 0.0
    folded = dark.reshape(rows, side, columns, side).mean(axis=(1, 3)) >= 0.8
    colours = np.asarray(Image.fromarray(tile).reduce(side))
    return float((folded & ~is_ink(colours) & ~is_black(colours)).mean())
