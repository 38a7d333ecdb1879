"""Stamps of nuclei for drawn tissue: drawn once at every angle, then pressed many times.

Drawing each nucleus anew would cost a thousand times more than pressing a stamp.
Lengths are in µm, angles in radians from the x axis towards the y axis (down).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

_ANGLES, _VARIANTS = 24, 8


@dataclass(frozen=True)
class Nucleus:
    """How the nuclei of one kind look; each stamp differs within these limits.

    Attributes:
        length, width: axes (µm).
        spread: relative standard deviation of the size between nuclei.
        irregular: relative depth of lobes and notches of the outline.
        bend: sideways displacement of the tips (µm); each stamp bends to either side.
        dark: range of the haematoxylin density inside.
        rim: additional density of the membrane; high for vesicular nuclei.
        clumps: relative contrast of the chromatin.
        nucleolus: chance of a visible nucleolus.
        blur: softness of the outline (µm).
    """

    length: float
    width: float
    spread: float = 0.1
    irregular: float = 0.05
    bend: float = 0.0
    dark: tuple[float, float] = (1.1, 1.5)
    rim: float = 0.15
    clumps: float = 0.15
    nucleolus: float = 0.0
    blur: float = 0.35


def stamps(rng: np.random.Generator, kind: Nucleus, mpp: float) -> np.ndarray:
    """Haematoxylin density of nuclei, float32 (24 angles from 0 to pi, 8 variants, side, side)."""
    count = _ANGLES * _VARIANTS
    reach = (
        kind.length * (1 + 2 * kind.spread) * (1 + kind.irregular) / 2 + abs(kind.bend) + 1.0 + 2 * kind.blur
    )
    half = int(np.ceil(reach / mpp))
    side = 2 * half + 1
    axis = (np.arange(side, dtype=np.float32) - half) * np.float32(mpp)
    one = np.repeat(np.arange(_ANGLES) * np.pi / _ANGLES, _VARIANTS)
    turn = (one + rng.normal(0, 0.06, count))[:, None, None].astype(np.float32)

    def each(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (count, 1, 1)).astype(np.float32)

    size = np.clip(rng.normal(1, kind.spread, (count, 1, 1)), 1 - 2 * kind.spread, 1 + 2 * kind.spread)
    size = size.astype(np.float32)
    along = np.cos(turn) * axis[None, None, :] + np.sin(turn) * axis[None, :, None]
    across = -np.sin(turn) * axis[None, None, :] + np.cos(turn) * axis[None, :, None]
    reach_along = kind.length / 2 * size
    reach_across = kind.width / 2 * size * each(0.88, 1.12)
    across = across - kind.bend * each(-1, 1) * ((along / reach_along) ** 2 - 0.4)
    radius = np.hypot(along / reach_along, across / reach_across)
    if kind.irregular:
        direction = np.arctan2(across / reach_across, along / reach_along)
        outline = np.ones_like(radius)
        for lobes in (2, 3, 4, 5):
            phase = direction * lobes + each(0, 2 * np.pi)
            outline += kind.irregular * each(0.2, 1) / lobes**0.5 * np.cos(phase)
        radius = radius / outline
    # distance to the outline in µm, to first order; the outline is as soft as the optics
    steep = np.hypot(along / reach_along**2, across / reach_across**2) / np.maximum(radius, 1e-3)
    outside = (radius - 1) / np.maximum(steep, 1e-3)
    inside = 1 / (1 + np.exp(np.clip(outside / (0.5 * max(kind.blur, mpp * 0.7)), -30, 30)))
    grain = gaussian_filter(
        rng.standard_normal((count, side, side), dtype=np.float32), (0, 0.8 / mpp, 0.8 / mpp)
    )
    grain /= max(float(grain.std()), 1e-6)
    density = each(*kind.dark) * (1 + kind.clumps * grain)
    density += kind.rim * np.exp(-(((radius - 0.88) / 0.16) ** 2))
    if kind.nucleolus:
        shown = rng.random((count, 1, 1)) < kind.nucleolus
        off_along, off_across = 0.35 * reach_along * each(-1, 1), 0.35 * reach_across * each(-1, 1)
        away = np.hypot(along - off_along, across - off_across) / each(0.8, 1.5)
        density += shown * each(0.5, 0.9) * np.exp(-(away**2))
    result = (inside * density).astype(np.float32)
    result[result < 0.02] = 0
    return result.reshape(_ANGLES, _VARIANTS, side, side)


def press(
    field: np.ndarray,
    library: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    angle: np.ndarray | float,
    rng: np.random.Generator,
) -> None:
    """Press one random stamp of ``library`` at each (x, y) in ``field`` (pixels); the darker one wins.

    Stamps over the border are cut off; centres outside by more than half a stamp are ignored.
    """
    angles, variants, side = library.shape[:3]
    half = side // 2
    height, width = field.shape
    left, top = np.rint(x).astype(int) - half, np.rint(y).astype(int) - half
    bins = np.rint(np.broadcast_to(angle, left.shape) / np.pi * angles).astype(int) % angles
    chosen = bins * variants + rng.integers(0, variants, left.shape)
    flat = library.reshape(-1, side, side)
    inner = (left >= 0) & (top >= 0) & (left + side <= width) & (top + side <= height)
    for column, row, number in zip(
        left[inner].tolist(), top[inner].tolist(), chosen[inner].tolist(), strict=True
    ):
        part = field[row : row + side, column : column + side]
        np.maximum(part, flat[number], out=part)
    touching = ~inner & (left < width) & (top < height) & (left + side > 0) & (top + side > 0)
    for column, row, number in zip(
        left[touching].tolist(), top[touching].tolist(), chosen[touching].tolist(), strict=True
    ):
        low_x, low_y = max(column, 0), max(row, 0)
        part = field[low_y : row + side, low_x : column + side]
        stamp = flat[number][
            low_y - row : low_y - row + part.shape[0], low_x - column : low_x - column + part.shape[1]
        ]
        np.maximum(part, stamp, out=part)


def scatter(
    rng: np.random.Generator, height: int, width: int, spacing: float, jitter: float = 0.25, keep: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Points on a disturbed hexagonal grid over (and a little beyond) a field: x and y (pixels).

    Args:
        rng: source of the disturbance.
        height, width: size of the field (pixels).
        spacing: distance of neighbours (pixels).
        jitter: standard deviation of the disturbance, in units of ``spacing``.
        keep: share of the points that are kept.
    """
    rows = int(np.ceil(height / (spacing * 0.866))) + 3
    columns = int(np.ceil(width / spacing)) + 3
    y, x = np.meshgrid(np.arange(rows) - 1.0, np.arange(columns) - 1.0, indexing="ij")
    x[1::2] += 0.5
    offset = rng.random(2)
    x = (x + offset[0] + rng.normal(0, jitter, x.shape)) * spacing
    y = (y + offset[1] + rng.normal(0, jitter, y.shape)) * spacing * 0.866
    kept = rng.random(x.shape) < keep
    return x[kept], y[kept]
