"""Captions that say what a tile looks like and never what it is: nuclei, stain and structure, measured.

Numbers come from the pixels alone, by optical density and simple shapes; words come from where a number lies
among the training tiles (lower, middle or upper third). A small fixed vocabulary in a fixed order is all that
a small student has to learn, so that the captions teach it to see, not to diagnose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from .errors import InputError

SIDE = 128  # larger tiles are measured at this size (shorter side, pixels), smaller ones as they are

DESCRIPTORS = (
    "nuclei",  # number on the tile
    "nuclear_area",  # share of the tile
    "nuclear_width",  # median width (share of the tile's side)
    "nuclear_spread",  # spread of the width over its median
    "nuclear_length",  # area over that of a disc of the same width
    "nuclear_contrast",  # density of nuclei above that of the rest
    "grouping",  # how unevenly nuclei are spread over the tile
    "ground_density",  # density of what is neither nucleus nor white
    "ground_hue",  # of that, red density over green: low is pink, high is blue
    "ground_texture",  # of that, variation from pixel to pixel
    "white_share",  # share of the tile
    "white_width",  # width of the largest white space (share of the side)
    "parallel",  # how far all edges of the tile have one direction, 0 to 1
    "streaky",  # how far neighbouring edges have, 0 to 1
)

# phrase, descriptor, words of the lower, middle and upper third of the training tiles
_WORDS: dict[str, tuple[str, str, str]] = {
    "nuclei": ("few", "some", "many"),
    "nuclear_width": ("small", "medium", "large"),
    "nuclear_length": ("round", "oval", "long"),
    "nuclear_spread": ("equal", "similar", "unequal"),
    "grouping": ("spread evenly", "loosely grouped", "closely grouped"),
    "ground_density": ("pale", "medium", "deep"),
    "ground_hue": ("pink", "mauve", "blue"),
    "white_share": ("little", "some", "much"),
    "white_width": ("narrow", "medium", "wide"),
    "parallel": ("no", "some", "many"),
    "streaky": ("smooth", "grainy", "streaky"),
}
_NO_WHITE = 0.004  # share below which there is no white space to speak of

_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)


def measure(image: Image.Image) -> dict[str, float]:
    """``DESCRIPTORS`` of an RGB tile, rounded; NaN where there is nothing to measure (no nucleus, no tissue).

    Works on any resolution: sizes are shares of the tile, as the student sees it.
    """
    image = image if image.mode == "RGB" else image.convert("RGB")
    if min(image.size) > SIDE:
        scale = SIDE / min(image.size)
        size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
        image = image.resize(size, Image.Resampling.BOX)
    density = _DENSITY[np.asarray(image)]
    red, green = density[..., 0], density[..., 1]
    side = float(min(red.shape))
    white = _white(density)
    nuclei = _nuclei(red, green, white, side)
    ground = ~white & ~nuclei
    found = dict.fromkeys(DESCRIPTORS, np.nan)
    found |= _shapes(nuclei, side)
    if nuclei.any() and ground.any():
        found["nuclear_contrast"] = float(red[nuclei].mean() - red[ground].mean())
    if ground.sum() >= 30:
        found["ground_density"] = float(np.median(green[ground]))
        found["ground_hue"] = float(np.median(red[ground]) / max(float(np.median(green[ground])), 0.02))
        detail = green - ndimage.gaussian_filter(green, 0.02 * side, truncate=2.5)
        found["ground_texture"] = float(detail[ground].std() / max(float(green[ground].mean()), 0.02))
    found["white_share"] = float(white.mean())
    # a border closes spaces that the tile cuts: what is seen of them counts
    found["white_width"] = 2 * float(ndimage.distance_transform_edt(white).max()) / side if white.any() else 0.0
    found["parallel"], found["streaky"] = _directions(green + red, side)
    return {name: round(float(value), 4) for name, value in found.items()}


def _white(density: np.ndarray) -> np.ndarray:
    """Glass, lumina and vacuoles: hardly any dye in any channel."""
    smooth = ndimage.uniform_filter(density.max(axis=-1), 3)
    return smooth < 0.25


def _otsu(values: np.ndarray) -> float:
    """The threshold that parts ``values`` into two classes of least spread (Otsu 1979)."""
    counts, edges = np.histogram(values, 64)
    middles = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts), np.cumsum(counts * middles)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (total / below - (total[-1] - total) / above) ** 2
    return float(edges[int(np.nanargmax(between[:-1])) + 1]) if len(values) else 0.0


def _nuclei(red: np.ndarray, green: np.ndarray, white: np.ndarray, side: float) -> np.ndarray:
    """Where haematoxylin is: it takes red light, eosin hardly does, so nuclei are dark in red."""
    tissue = ~white
    if tissue.sum() < 30:
        return np.zeros_like(tissue)
    smooth = ndimage.gaussian_filter(red, 0.006 * side)
    inside = smooth[tissue]
    threshold = _otsu(inside)
    # few nuclei on much ground: Otsu parts the ground; a second cut within the dark part finds them
    dark = inside[inside > threshold]
    light = inside[inside <= threshold]
    if len(dark) > 30 and len(light) > 30 and dark.mean() - light.mean() < 0.22:
        threshold = max(_otsu(dark), float(np.median(inside)) + 0.2)
    return ndimage.binary_opening(tissue & (smooth > threshold), iterations=1)


def _shapes(nuclei: np.ndarray, side: float) -> dict[str, float]:
    """Number, size, shape and arrangement; touching nuclei are told apart by the peaks of their distance map."""
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(nuclei), 0.5)
    window = max(3, 2 * round(0.02 * side) + 1)
    peaks = nuclei & (depth == ndimage.maximum_filter(depth, window)) & (depth >= 1.0)
    widths = 2 * depth[peaks]
    share = float(nuclei.mean())
    if not len(widths):
        return {"nuclei": 0.0, "nuclear_area": share}
    discs = float((np.pi / 4 * widths**2).sum())
    rows, columns = np.nonzero(nuclei)
    cells = np.zeros((4, 4))
    np.add.at(cells, (rows * 4 // nuclei.shape[0], columns * 4 // nuclei.shape[1]), 1)
    return {
        "nuclei": float(len(widths)),
        "nuclear_area": share,
        "nuclear_width": float(np.median(widths)) / side,
        "nuclear_spread": float(widths.std() / widths.mean()),
        "nuclear_length": float(nuclei.sum()) / max(discs, 1.0),
        "grouping": float(cells.std() / cells.mean()),
    }


def _directions(density: np.ndarray, side: float) -> tuple[float, float]:
    """Coherence of the structure tensor, over the whole tile and over neighbourhoods."""
    smooth = ndimage.gaussian_filter(density, 0.008 * side)
    down, right = np.gradient(smooth)
    tensor = [right * right, down * down, right * down]

    def coherence(xx: np.ndarray, yy: np.ndarray, xy: np.ndarray) -> np.ndarray:
        return np.hypot(xx - yy, 2 * xy) / np.maximum(xx + yy, 1e-9)

    whole = float(coherence(*(np.asarray(part.mean()) for part in tensor)))
    near = [ndimage.uniform_filter(part, max(3, round(0.1 * side))) for part in tensor]
    energy = near[0] + near[1]
    return whole, float((coherence(*near) * energy).sum() / max(float(energy.sum()), 1e-9))
