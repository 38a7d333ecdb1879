"""Where the tissue is on a slide, from a low-resolution picture of it.

Colour and darkness together tell tissue from glass, both measured against the slide's own glass; ink
and black are neither. Vacuoles and lumina within tissue belong to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import ndimage

from .quality import is_black, is_ink

_CLOSING_UM = 45.0  # white gaps up to twice this width count as tissue: fat cells, small lumina
_SMOOTHING_UM = 4.0
_FAINT = (
    0.4  # tissue may be this much fainter than the limits where it hangs together with tissue that is not
)
_SPECK_UM2 = 150.0  # dust of this area must not be joined into tissue


def tissue_mask(rgb: np.ndarray, mpp: float, tiling: Mapping[str, Any]) -> np.ndarray:
    """Tissue on a thumbnail.

    Args:
        rgb: the slide, transparent areas laid over white, uint8 (height, width, 3).
        mpp: its resolution (µm per pixel), best 4 to 16.
        tiling: ``min_saturation``, ``max_brightness`` (both relative to the glass, 0 to 1) and
            ``min_area_um2`` (specks and holes that are smaller are ignored).

    Returns:
        bool (height, width).
    """
    if not rgb.size:
        return np.zeros(rgb.shape[:2], bool)
    smooth = ndimage.gaussian_filter(rgb.astype(np.float32), (_SMOOTHING_UM / mpp, _SMOOTHING_UM / mpp, 0))
    foreign = is_ink(rgb) | is_black(rgb)
    foreign = ndimage.binary_dilation(foreign, iterations=2) if foreign.any() else foreign  # the soft border
    relative = np.minimum(smooth / glass(smooth, foreign), 1)
    saturation = 1 - relative.min(axis=2) / np.maximum(relative.max(axis=2), 1e-3)
    darkness = 1 - relative.mean(axis=2)
    limits = (tiling["min_saturation"], 1 - tiling["max_brightness"])
    sure, faint = (
        (saturation >= share * limits[0]) & (darkness >= share * limits[1]) & ~foreign
        for share in (1, _FAINT)
    )
    faint = _without_small(faint, _SPECK_UM2 / mpp**2)
    least = tiling["min_area_um2"] / mpp**2
    closed = _closed(faint, _CLOSING_UM / mpp) & ~foreign
    closed = ~_without_small(~closed, least) & ~foreign
    return _without_small(closed, least, of=sure)


def glass(rgb: np.ndarray, foreign: np.ndarray | None = None) -> np.ndarray:
    """Colour of the empty glass, float32 (3,), from a picture of the whole slide; white if it shows no glass.

    Args:
        rgb: uint8 or float (height, width, 3).
        foreign: pixels that are neither glass nor tissue.
    """
    pixels = rgb.reshape(-1, 3).astype(np.float32)
    high, low = pixels.max(axis=1), pixels.min(axis=1)
    bright = (low >= 200) & (high - low <= 25)
    if foreign is not None:
        bright &= ~foreign.reshape(-1)
    if bright.sum() < max(16, 0.01 * len(pixels)):
        return np.full(3, 255, np.float32)
    chosen = pixels[bright]
    # pale tissue is bright, too: glass is the brighter half of what is bright
    total = chosen.sum(axis=1)
    return np.median(chosen[total >= np.median(total)], axis=0).astype(np.float32)


def _closed(mask: np.ndarray, radius: float) -> np.ndarray:
    """Closing with a disc, by distances: its cost does not grow with the radius."""
    pad = int(np.ceil(radius)) + 1
    wide = np.pad(mask, pad)
    if radius < 1 or not mask.any():
        return mask.copy()
    grown = ndimage.distance_transform_edt(~wide) <= radius
    shrunk = ndimage.distance_transform_edt(grown) > radius
    return shrunk[pad:-pad, pad:-pad] | mask


def _without_small(mask: np.ndarray, least: float, of: np.ndarray | None = None) -> np.ndarray:
    """``mask`` without pieces of fewer than ``least`` pixels, or with hardly any (a twentieth) of ``of``."""
    labels, count = ndimage.label(mask, np.ones((3, 3), int))
    if not count:
        return mask.copy()
    size = np.bincount(labels.ravel(), minlength=count + 1)
    kept = size >= least
    if of is not None:
        kept &= np.bincount(labels.ravel(), of.ravel(), minlength=count + 1) >= 0.05 * least
    kept[0] = False
    return kept[labels]
