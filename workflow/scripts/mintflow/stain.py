"""Stain normalisation: one look for all slides, fitted on a slide's tissue and applied to its tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .errors import InputError

METHODS = ("none", "reinhard", "macenko")
_LEAST = 200  # pixels of tissue that a fit needs

# Reinhard et al., IEEE CG&A 21(5), 2001: RGB to LMS; the logarithm is then turned to axes l, alpha, beta.
_LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
_AXES = np.diag(1 / np.sqrt([3, 6, 2])) @ np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]])
# Mean and standard deviation of pixels of the eight drawn types in the default stain (0.5 µm per pixel).
_REINHARD_MEAN = np.array([-0.3966, -0.0348, 0.0154])
_REINHARD_SPREAD = np.array([0.1868, 0.0348, 0.0101])

# Macenko et al., ISBI 2009, with the reference that its public implementations use: unit vectors of
# haematoxylin and eosin (R, G, B) and the 99th percentile of both dyes.
_WHITE = 240.0
_MACENKO_DYES = np.array([[0.5626, 0.7201, 0.4062], [0.2159, 0.8012, 0.5581]])
_MACENKO_STRENGTH = np.array([1.9705, 1.0308])
_PALE = 0.15  # pixels with a lower density in any channel are left out of the fit
_TAIL = 1.0  # percent of extreme angles left out on both sides


@dataclass(frozen=True)
class Normaliser:
    """Maps uint8 (..., 3) to the reference look.

    Attributes:
        method: one of ``METHODS``; none if the fit fell back.
        note: why the fit fell back, or "".
    """

    method: str
    note: str
    _apply: Callable[[np.ndarray], np.ndarray]

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """``rgb`` normalised, a new array of the same shape."""
        return self._apply(rgb)


class _DegenerateError(Exception):
    pass


def normaliser(method: str, pixels: np.ndarray) -> Normaliser:
    """Fit ``method`` on tissue pixels of a slide.

    Args:
        method: one of ``METHODS``.
        pixels: tissue of the slide, uint8 (n, 3); some thousands suffice.

    Returns:
        The normaliser; with too little or too uniform tissue one that changes nothing and says why.

    Raises:
        InputError: unknown ``method``.
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method}; known are {', '.join(METHODS)}", field="stain")
    if method == "none":
        return Normaliser("none", "", np.copy)
    try:
        if len(pixels) < _LEAST:
            raise _DegenerateError(f"only {len(pixels)} pixels of tissue")
        return Normaliser(method, "", (_reinhard if method == "reinhard" else _macenko)(pixels))
    except _DegenerateError as error:
        return Normaliser("none", f"{method} left out: {error}", np.copy)


def _to_axes(rgb: np.ndarray) -> np.ndarray:
    return np.log10((rgb.astype(np.float64) + 1) / 256 @ _LMS.T) @ _AXES.T


def _from_axes(values: np.ndarray) -> np.ndarray:
    rgb = 10 ** (values @ np.linalg.inv(_AXES).T) @ np.linalg.inv(_LMS).T
    return np.rint(np.clip(rgb * 256 - 1, 0, 255)).astype(np.uint8)


def _reinhard(pixels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    values = _to_axes(pixels)
    mean, spread = values.mean(axis=0), values.std(axis=0)
    if spread[0] < 0.01 or spread[1:].max() < 0.001:
        raise _DegenerateError("the tissue has one colour")
    # the hue axes of a pale slide may be nearly constant: blowing them up would show noise
    factor = np.clip(_REINHARD_SPREAD / np.maximum(spread, 1e-6), 0.2, 5)
    return lambda rgb: _from_axes((_to_axes(rgb) - mean) * factor + _REINHARD_MEAN)


def _density(rgb: np.ndarray) -> np.ndarray:
    return -np.log((rgb.astype(np.float64) + 1) / _WHITE)


def _macenko(pixels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    density = _density(pixels)
    density = density[(density > _PALE).all(axis=1)]
    if len(density) < _LEAST:
        raise _DegenerateError(f"only {len(density)} stained pixels")
    spread, axes = np.linalg.eigh(np.cov(density.T))
    if spread[1] < 1e-4 * max(spread[2], 1e-9) or spread[2] < 1e-4:
        raise _DegenerateError("the tissue has one colour")
    plane = axes[:, [2, 1]]
    plane *= np.where(plane.sum(axis=0) < 0, -1, 1)
    at = density @ plane
    low, high = np.percentile(np.arctan2(at[:, 1], at[:, 0]), [_TAIL, 100 - _TAIL])
    dyes = np.array([plane @ [np.cos(angle), np.sin(angle)] for angle in (low, high)])
    dyes = dyes[np.argsort(-dyes[:, 0])]  # haematoxylin absorbs more red
    if (dyes < -0.1).any() or dyes[0] @ dyes[1] > 0.9995:
        raise _DegenerateError("two dyes cannot be told apart")
    inverse = np.linalg.pinv(dyes)
    strength = np.percentile(density @ inverse, 99, axis=0)
    if (strength < 0.05).any():
        raise _DegenerateError("one dye is missing")
    change = inverse * (_MACENKO_STRENGTH / strength) @ _MACENKO_DYES

    def apply(rgb: np.ndarray) -> np.ndarray:
        return np.rint(np.clip(_WHITE * np.exp(-(_density(rgb) @ change)) - 1, 0, 255)).astype(np.uint8)

    return apply
