"""What is seen in a tile, measured from its pixels and put into words that name no tissue.

Nuclei are found in the optical density of the red channel, which haematoxylin absorbs and eosin hardly
does; the strength of eosin is the density of green beyond that of red, beside nuclei. Words follow from
where a tile stands among the training tiles (thirds of each measure), so that they are about as frequent as
each other whatever the stain or scanner. Nothing of patient, slide or label is used.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MEASURES = ("count", "size", "spread", "elongation", "nuclear_share", "eosin", "white", "direction")
# measure: words for its lower, middle and upper third
WORDS: Mapping[str, tuple[str, str, str]] = {
    "count": ("few", "some", "many"),
    "size": ("small", "medium-sized", "large"),
    "elongation": ("round", "oval", "elongated"),
    "spread": ("even", "mixed", "uneven"),
    "nuclear_share": ("sparse", "loose", "crowded"),
    "eosin": ("pale", "pink", "deep pink"),
    "white": ("no", "small", "wide"),
    "direction": ("no", "weak", "strong"),
}
TEMPLATE = (
    "{count} {size} {elongation} nuclei, {spread} in size, {nuclear_share}; {eosin} stroma; "
    "{white} white spaces; {direction} direction."
)
WHITE_DENSITY = 0.12  # mean optical density below which there is glass or a lumen
LEAST_NUCLEAR_DENSITY = 0.3  # of red; a paler tile has no nuclei, whatever its own threshold
LEAST_AREA = 6  # pixels; smaller specks are noise


def measure(rgb: NDArray[np.uint8]) -> dict[str, float]:
    """Measures of one tile.

    Args:
        rgb: (H, W, 3) uint8.

    Returns:
        ``count`` (nuclei per 10,000 pixels), ``size`` (median area of a nucleus, pixels), ``spread``
        (inter-quartile range of the areas over their median), ``elongation`` (median ratio of a nucleus'
        axes, 1 is round), ``nuclear_share`` (of the tile), ``eosin`` (optical density), ``white`` (share of
        the tile), ``direction`` (coherence of the structure tensor, 0 to 1), rounded to 6 digits; 0 where
        there is no nucleus.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    density = -np.log((rgb.astype(np.float32) + 1) / 256)
    red = ndimage.gaussian_filter(density[..., 0], 0.7)
    white = ndimage.gaussian_filter(density.mean(-1), 1.0) < WHITE_DENSITY
    inside = red[~white]
    cut = LEAST_NUCLEAR_DENSITY
    if inside.size > 50 and np.ptp(inside) > 0.05:
        cut = max(cut, float(threshold_otsu(inside)))
    mask = ndimage.binary_opening(red > cut)
    areas, ratios = _nuclei(mask)
    stroma = ~white & ~mask
    green_beyond = (density[..., 1] - density[..., 0])[stroma]
    lower, middle, upper = np.percentile(areas, [25, 50, 75]) if len(areas) else (0.0, 0.0, 0.0)
    found = {
        "count": 1e4 * len(areas) / mask.size,
        "size": middle,
        "spread": (upper - lower) / middle if middle else 0.0,
        "elongation": float(np.median(ratios)) if len(ratios) else 0.0,
        "nuclear_share": mask.mean(),
        "eosin": float(np.median(green_beyond)) if green_beyond.size else 0.0,
        "white": white.mean(),
        "direction": _coherence(density.mean(-1)),
    }
    return {name: round(float(found[name]), 6) for name in MEASURES}


def _nuclei(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas (pixels) and axis ratios of the connected parts of a mask, by their moments."""
    from scipy import ndimage

    parts, count = ndimage.label(mask)
    if not count:
        return np.empty(0), np.empty(0)
    y, x = np.nonzero(parts)
    index = parts[y, x] - 1
    area = np.bincount(index, minlength=count).astype(float)
    mean_y, mean_x = (np.bincount(index, axis, count) / area for axis in (y, x))
    dy, dx = y - mean_y[index], x - mean_x[index]
    yy, xx, xy = (np.bincount(index, values, count) / area for values in (dy * dy, dx * dx, dx * dy))
    # a pixel has an extent of its own, so that a line one pixel wide has a finite ratio
    half, root = (yy + xx) / 2 + 1 / 12, np.sqrt(((yy - xx) / 2) ** 2 + xy**2)
    kept = area >= LEAST_AREA
    return area[kept], np.sqrt((half + root) / np.maximum(half - root, 1 / 12))[kept]


def _coherence(density: NDArray[np.float32]) -> float:
    """How much of the gradient runs in one direction: 0 in none, 1 in one alone."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(density, 1.0)
    gy, gx = np.gradient(smooth)
    yy, xx, xy = float((gy * gy).mean()), float((gx * gx).mean()), float((gx * gy).mean())
    total = yy + xx
    return float(np.hypot(yy - xx, 2 * xy) / total) if total > 1e-9 else 0.0


def cuts(measures: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Lower and upper third of every measure.

    Args:
        measures: of the training tiles, columns ``MEASURES``.
    """
    return {name: tuple(np.quantile(measures[name], [1 / 3, 2 / 3]).tolist()) for name in MEASURES}


def caption(measures: Mapping[str, float], limits: Mapping[str, tuple[float, float]]) -> str:
    """The measures of one tile in words."""
    words = {}
    for name, choices in WORDS.items():
        low, high = limits[name]
        words[name] = choices[int(measures[name] > low) + int(measures[name] > high)]
    if measures["count"] == 0:
        text = TEMPLATE[TEMPLATE.index(";") :].format(**words)
        return f"No nuclei{text}"
    text = TEMPLATE.format(**words)
    return text[0].upper() + text[1:]
