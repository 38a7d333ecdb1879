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
    "nuclear_width",  # mean width (share of the tile's side)
    "nuclear_spread",  # spread of the width over its median
    "nuclear_length",  # area over that of a disc of the same width
    "nuclear_contrast",  # density of nuclei above that of the rest
    "grouping",  # how unevenly nuclei are spread over the tile
    "ground_density",  # density of what is neither nucleus nor white
    "ground_strength",  # that over the red density of nuclei: tells tissues, not stains
    "ground_hue",  # of the ground, red density over green: low is pink, high is blue
    "ground_texture",  # of that, variation from pixel to pixel
    "white_share",  # share of the tile
    "white_width",  # width of the largest white space (share of the side)
    "parallel",  # how far all edges of the tile have one direction, 0 to 1
    "streaky",  # how far neighbouring edges have, 0 to 1
)

# words of the lower, middle and upper third of the training tiles
WORDS: dict[str, tuple[str, str, str]] = {
    "nuclear_area": ("sparse", "spaced", "dense"),
    "nuclear_width": ("small", "medium", "large"),
    "nuclear_length": ("round", "oval", "long"),
    "nuclear_spread": ("equal", "similar", "unequal"),
    "grouping": ("spread evenly", "loosely grouped", "closely grouped"),
    "ground_strength": ("pale", "medium", "deep"),
    "ground_hue": ("pink", "mauve", "blue"),
    "white_share": ("little", "some", "much"),
    "white_width": ("narrow", "medium", "wide"),
    "parallel": ("no", "some", "many"),
    "streaky": ("even", "mixed", "streaky"),
}
_NUCLEI = "{nuclear_area} {nuclear_width} {nuclear_length} nuclei, {nuclear_spread} in size, {grouping}"
_GROUND = "{ground_strength} {ground_hue} ground"
_WHITE = "{white_share} white in {white_width} spaces"
_LINES = "{parallel} parallel lines, {streaky} texture"
_ABSENT = {_NUCLEI: "no nuclei", _GROUND: "no ground", _WHITE: "no white spaces"}
_CONTRAST = 0.3  # nuclei are at least so much denser than the ground, whatever the stain's strength
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
    white = _is_white(density)
    nuclei = _nuclei(red, white, side)
    ground = ~white & ~nuclei
    found = dict.fromkeys(DESCRIPTORS, np.nan)
    found |= _shapes(nuclei, side)
    if nuclei.any() and ground.any():
        found["nuclear_contrast"] = float(red[nuclei].mean() - red[ground].mean())
    if ground.sum() >= 30:
        found["ground_density"] = float(np.median(green[ground]))
        # a tile without nuclei counts as if they had the usual contrast
        nuclear = float(np.median(red[ground])) + float(np.nan_to_num(found["nuclear_contrast"], nan=0.5))
        found["ground_strength"] = found["ground_density"] / max(nuclear, 0.05)
        found["ground_hue"] = float(np.median(red[ground]) / max(float(np.median(green[ground])), 0.02))
        detail = green - ndimage.gaussian_filter(green, 0.02 * side, truncate=2.5)
        found["ground_texture"] = float(detail[ground].std() / max(float(green[ground].mean()), 0.02))
    found["white_share"] = float(white.mean())
    depth = ndimage.distance_transform_edt(np.pad(white, 1))  # the border closes spaces that the tile cuts
    found["white_width"] = 2 * float(depth.max()) / side
    found["parallel"], found["streaky"] = _directions(green + red, side)
    return {name: round(float(value), 4) for name, value in found.items()}


def thirds(training: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Where the middle and the upper third of each worded descriptor begin, over tiles that have it."""
    limits = {}
    for name in WORDS:
        known = training[name].dropna().to_numpy(float)
        low, high = np.quantile(known, [1 / 3, 2 / 3]) if len(known) else (np.nan, np.nan)
        limits[name] = (float(low), float(high))
    return limits


def caption(measured: Mapping[str, float], limits: Mapping[str, tuple[float, float]]) -> str:
    """One tile in words, 9 to 23 of them.

    Args:
        measured: ``DESCRIPTORS``.
        limits: of `thirds`.
    """
    words = {
        name: choices[int(measured[name] > limits[name][0]) + int(measured[name] > limits[name][1])]
        for name, choices in WORDS.items()
    }
    absent = {
        _NUCLEI: not measured["nuclei"] > 0,
        _GROUND: not measured["ground_density"] > 0,
        _WHITE: not measured["white_share"] >= _NO_WHITE,
    }
    phrases = [
        _ABSENT[phrase] if absent.get(phrase) else phrase.format_map(words)
        for phrase in (_NUCLEI, _GROUND, _WHITE, _LINES)
    ]
    return ", ".join(phrases)


def describe(measured: pd.DataFrame, training: Sequence[bool] | pd.Series) -> pd.Series:
    """Captions of all tiles, in words that the training tiles define.

    Args:
        measured: ``DESCRIPTORS``, one row a tile.
        training: which rows are training tiles.
    """
    limits = thirds(measured[np.asarray(training, bool)])
    rows = measured[list(DESCRIPTORS)].to_dict("records")
    return pd.Series([caption(row, limits) for row in rows], index=measured.index, dtype="str")


def check_names(captions: Iterable[str], names: Iterable[str]) -> None:
    """Prove that no caption names a label.

    Raises:
        InputError: a label is made of words of the captions; it needs another name.
    """
    text = "\n".join(sorted(set(captions))).lower()
    for name in names:
        if re.search(rf"\b{re.escape(name.lower())}\b", text):
            raise InputError(
                f"captions use these words for what is seen: {name!r}; give the label another name",
                field="tissue.cohort.labels",
            )


def _is_white(density: np.ndarray) -> np.ndarray:
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
    return float(edges[int(np.argmax(np.nan_to_num(between[:-1]))) + 1])


def _nuclei(red: np.ndarray, white: np.ndarray, side: float) -> np.ndarray:
    """Where haematoxylin is: it takes red light, eosin hardly does, so nuclei are dark in red."""
    tissue = ~white
    if tissue.sum() < 30:
        return np.zeros_like(tissue)
    smooth = ndimage.gaussian_filter(red, 0.006 * side)
    inside = smooth[tissue]
    threshold = _otsu(inside)
    dark, light = inside[inside > threshold], inside[inside <= threshold]
    if not (len(dark) and len(light)):
        return np.zeros_like(tissue)
    # few nuclei on much ground: Otsu parts the ground; a second cut within the dark part finds them
    if dark.mean() - light.mean() < _CONTRAST * dark.mean():
        threshold = max(_otsu(dark), (1 + _CONTRAST) * float(np.median(inside)))
    return ndimage.binary_opening(tissue & (smooth > threshold), iterations=1)


def _shapes(nuclei: np.ndarray, side: float) -> dict[str, float]:
    """Number, size, shape, arrangement; peaks of the distance map tell touching nuclei apart."""
    # a nucleus that the tile cuts ends there
    depth = ndimage.distance_transform_edt(np.pad(nuclei, 1))[1:-1, 1:-1]
    smooth = ndimage.gaussian_filter(depth, 0.008 * side)
    window = max(3, 2 * round(0.02 * side) + 1)
    peaks = nuclei & (smooth >= ndimage.maximum_filter(smooth, window) - 1e-6) & (depth >= 1.0)
    single, count = ndimage.label(peaks, np.ones((3, 3)))  # level tops are several pixels wide
    widths = 2 * ndimage.maximum(depth, single, np.arange(1, count + 1)) if count else np.empty(0)
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
        "nuclear_width": float(widths.mean()) / side,
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
