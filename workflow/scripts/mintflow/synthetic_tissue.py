"""Drawn H&E-like tissue: nothing in it comes from a patient.

Each of eight types is drawn as two fields, haematoxylin and eosin density, which the Beer-Lambert law
turns into colour. The types differ in nuclei (how many, how large, which shape), in how these are arranged,
and in what lies between. The colours belong to the patient: `draw_stain` varies hue and strength of both
dyes more than the types differ, so that a label cannot be told from colour alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .errors import InputError
from .synthetic_field import Field, cells, ramp
from .synthetic_nuclei import Nucleus, press, scatter, stamps


@dataclass(frozen=True)
class Stain:
    """The dyes of one slide.

    Attributes:
        haematoxylin, eosin: unit vectors of optical density (natural logarithm) in R, G, B.
        haematoxylin_strength, eosin_strength: factors on the densities of both dyes.
        glass: colour of the empty glass, each in [0, 1].
    """

    haematoxylin: tuple[float, float, float] = (0.5626, 0.7201, 0.4062)
    eosin: tuple[float, float, float] = (0.2159, 0.8012, 0.5581)
    haematoxylin_strength: float = 1.0
    eosin_strength: float = 1.0
    glass: tuple[float, float, float] = (0.96, 0.95, 0.96)


def draw_stain(rng: np.random.Generator) -> Stain:
    """Dyes of one patient, around the vectors of Macenko et al. (ISBI 2009), as wide as between sites."""

    def unit(*limits: tuple[float, float]) -> tuple[float, float, float]:
        vector = np.array([rng.uniform(*limit) for limit in limits])
        red, green, blue = np.round(vector / np.linalg.norm(vector), 6).tolist()
        return red, green, blue

    white = rng.uniform(0.93, 0.98)
    tint = rng.normal(0, 0.006, 3)
    red, green, blue = np.round(np.clip(white + tint, 0.9, 0.99), 6).tolist()
    return Stain(
        haematoxylin=unit((0.48, 0.66), (0.68, 0.80), (0.24, 0.48)),
        eosin=unit((0.06, 0.28), (0.78, 0.92), (0.30, 0.58)),
        haematoxylin_strength=round(float(np.exp(rng.uniform(-0.45, 0.4))), 6),
        eosin_strength=round(float(np.exp(rng.uniform(-0.55, 0.5))), 6),
        glass=(red, green, blue),
    )


def _adipose(f: Field) -> None:
    border, _, angle, _ = cells(f, f.rng.uniform(42, 56), 0.16, 2.0)
    thick = 0.9 + 0.45 * f.noise(30)
    septum = ramp(border, 1.0, 0.3) * 0.4 + ramp(border - thick, 0.5, -0.2) * 0.6
    f.eosin += septum * (0.62 + 0.12 * f.noise(6)) + 0.015
    f.haematoxylin += septum * 0.16
    x, y = scatter(f.rng, f.height, f.width, f.um(5), 0.4, 0.3)
    on = f.at(border, x, y) < 1.3
    x, y = x[on], y[on]
    f.put(Nucleus(8, 2.6, 0.15, 0.05, 0.5, (0.9, 1.4)), x, y, f.at(angle, x, y))


def _cartilage(f: Field) -> None:
    f.haematoxylin += 0.34 + 0.05 * f.noise(60) + 0.02 * f.noise(3)
    f.eosin += 0.2 + 0.06 * f.noise(90) + 0.015 * f.noise(2)
    x, y = scatter(f.rng, f.height, f.width, f.um(f.rng.uniform(30, 38)), 0.25, 0.9)
    twins = f.rng.random(x.shape) < 0.55  # isogenous groups
    apart, turn = f.um(7.0), f.anyhow(x)
    shift_x, shift_y = np.cos(turn) * apart * twins, np.sin(turn) * apart * twins
    x, y = (
        np.concatenate([x + shift_x, (x - shift_x)[twins]]),
        np.concatenate([y + shift_y, (y - shift_y)[twins]]),
    )
    turn = np.concatenate([turn, turn[twins]]) + np.pi / 2
    halo, hole = np.zeros_like(f.eosin), np.zeros_like(f.eosin)
    press(
        halo,
        stamps(f.rng, Nucleus(24, 21, 0.1, 0.05, 0, (0.7, 1), 0, 0.0, blur=2.5), f.mpp),
        x,
        y,
        turn,
        f.rng,
    )
    press(hole, stamps(f.rng, Nucleus(13, 10, 0.12, 0.06, 0, (1, 1), 0, 0.0), f.mpp), x, y, turn, f.rng)
    f.haematoxylin += 0.22 * halo
    f.haematoxylin *= 1 - 0.93 * hole
    f.eosin *= 1 - 0.75 * hole
    f.eosin += hole * 0.06 * (1 + f.noise(2))
    f.put(Nucleus(5.5, 4.8, 0.12, 0.08, 0, (1.0, 1.5)), x, y, turn)


def _epithelium(f: Field) -> None:
    angle = f.rng.uniform(0, np.pi)
    period = f.rng.uniform(78, 92)
    _, across = f.axes(angle, 7, 70)
    depth = np.mod(across + f.rng.uniform(0, period), period)  # 0 at the basement membrane
    stroma = ramp(depth, period - 15, period - 13)
    top = ramp(depth, 45, 62) * (1 - stroma)
    flakes = f.stripes(across + 1.2 * f.noise(8), 1.6)
    f.eosin += (1 - stroma) * (0.5 + 0.05 * f.noise(5)) + top * (0.15 + 0.07 * flakes)
    f.eosin += stroma * (0.4 + 0.12 * f.stripes(across + 2 * f.noise(12), 2.2))
    f.haematoxylin += (1 - stroma) * 0.2 - 0.12 * top + 0.03 * f.noise(4)
    f.eosin += 0.2 * np.exp(-((depth - 0.8) ** 2)).astype(np.float32)
    x, y = scatter(f.rng, f.height, f.width, f.um(8.6), 0.13)
    at, slope = f.at(depth, x, y), f.slope(across, x, y)
    low = (at > 2.5) & (at < 14)
    middle = (at >= 14) & (at < 46) & (f.rng.random(x.shape) < 0.86)
    high = (at >= 46) & (at < period - 18) & (f.rng.random(x.shape) < 0.25)
    rest = (at > period - 13) & (f.rng.random(x.shape) < 0.3)
    f.put(Nucleus(8.2, 5.4, 0.08, 0.03, 0, (1.05, 1.45), 0.2), x[low], y[low], slope[low] + np.pi / 2)
    f.put(
        Nucleus(7.4, 6.2, 0.1, 0.04, 0, (0.8, 1.15), 0.3, 0.15, 0.3),
        x[middle],
        y[middle],
        f.anyhow(x[middle]),
    )
    f.put(Nucleus(7.5, 3.0, 0.12, 0.04, 0, (0.9, 1.3)), x[high], y[high], slope[high])
    f.put(Nucleus(9, 2.8, 0.15, 0.04, 0.5, (1.0, 1.4)), x[rest], y[rest], slope[rest])


def _gland(f: Field) -> None:
    _, across = f.axes(f.rng.uniform(0, np.pi), 12, 60)
    f.eosin += 0.42 + 0.13 * f.stripes(across + 2.5 * f.noise(10), 2.6) + 0.04 * f.noise(3)
    f.haematoxylin += 0.07
    pitch = f.rng.uniform(66, 78)
    x, y = scatter(f.rng, f.height, f.width, f.um(pitch), 0.08, 0.96)
    squeeze, turn = f.rng.uniform(1.0, 1.3, x.shape), f.anyhow(x)
    radius, lumen = f.rng.uniform(26, 31, x.shape), f.rng.uniform(8, 15, x.shape)
    shape = 3 * f.noise(14)
    nuclei: list[tuple[np.ndarray, ...]] = []
    inside = np.zeros((f.height, f.width), bool)
    for number in range(len(x)):
        half = int(f.um(radius[number] * 1.5)) + 2
        rows = slice(max(int(y[number]) - half, 0), max(int(y[number]) + half, 0))
        columns = slice(max(int(x[number]) - half, 0), max(int(x[number]) + half, 0))
        part = f.eosin[rows, columns]
        if not part.size:
            continue
        down = (np.arange(part.shape[0], dtype=np.float32) + rows.start - y[number])[:, None] * f.mpp
        right = (np.arange(part.shape[1], dtype=np.float32) + columns.start - x[number])[None, :] * f.mpp
        along = (np.cos(turn[number]) * right + np.sin(turn[number]) * down) / squeeze[number] ** 0.5
        side = (-np.sin(turn[number]) * right + np.cos(turn[number]) * down) * squeeze[number] ** 0.5
        away = np.hypot(along, side) + shape[rows, columns]
        gland, hollow = (
            ramp(away, radius[number] + 0.6, radius[number] - 0.6),
            ramp(away, lumen[number] + 1, lumen[number] - 1),
        )
        cytoplasm = 0.36 + 0.12 * ramp(away, lumen[number], radius[number])
        # mucus makes the inner half of the cells pale
        part += gland * (cytoplasm - part)
        part *= 1 - 0.95 * hollow
        f.haematoxylin[rows, columns] += gland * (0.14 - 0.19 * hollow)
        part += 0.22 * np.exp(-(((away - radius[number]) / 0.9) ** 2)).astype(np.float32)
        inside[rows, columns] |= gland > 0.05
        around = 2 * np.pi * (radius[number] - 5)
        for ring, pace in ((5.2, 5.6), (9.5, 14.0)):
            count = int(around / pace)
            theta = (np.arange(count) + f.rng.uniform(-0.25, 0.25, count)) / count * 2 * np.pi
            far = radius[number] - ring + f.rng.normal(0, 0.7, count)
            east, south = (
                np.cos(theta) * far * squeeze[number] ** 0.5,
                np.sin(theta) * far / squeeze[number] ** 0.5,
            )
            dx = np.cos(turn[number]) * east - np.sin(turn[number]) * south
            dy = np.sin(turn[number]) * east + np.cos(turn[number]) * south
            pull = 1 - f.at(shape, x[number] + dx / f.mpp, y[number] + dy / f.mpp) / np.maximum(far, 1)
            dx, dy = dx * pull, dy * pull
            nuclei.append((x[number] + dx / f.mpp, y[number] + dy / f.mpp, np.arctan2(dy, dx)))
    np.maximum(f.haematoxylin, 0, out=f.haematoxylin)
    if nuclei:
        gx, gy, towards = (np.concatenate(part) for part in zip(*nuclei, strict=True))
        f.put(Nucleus(8.0, 5.0, 0.1, 0.04, 0.2, (1.0, 1.45), 0.2, 0.15, 0.2), gx, gy, towards)
    x, y = scatter(f.rng, f.height, f.width, f.um(13), 0.3, 0.75)
    out = ~f.at(inside, x, y)
    x, y = x[out], y[out]
    f.put(Nucleus(9, 3.0, 0.15, 0.05, 0.6, (1.0, 1.4)), x, y, f.slope(across, x, y))


def _lymphoid(f: Field) -> None:
    f.eosin += 0.3 + 0.1 * f.noise(5) + 0.06 * f.noise(2)
    f.haematoxylin += 0.12 + 0.04 * f.noise(4)
    gaps = ramp(f.noise(9), 1.5, 1.9)
    f.eosin *= 1 - 0.85 * gaps
    f.haematoxylin *= 1 - 0.9 * gaps
    open_ = f.noise(40) > 1.1
    small = Nucleus(5.9, 5.5, 0.1, 0.05, 0, (1.25, 1.75), 0.1, 0.22)
    x, y = scatter(f.rng, f.height, f.width, f.um(f.rng.uniform(6.8, 7.6)), 0.17, 0.95)
    free = (f.at(gaps, x, y) < 0.3) & ~(f.at(open_, x, y) & (f.rng.random(x.shape) < 0.45))
    f.put(small, x[free], y[free], f.anyhow(x[free]))
    f.strew(Nucleus(8.5, 7.2, 0.1, 0.06, 0, (0.6, 0.9), 0.3, 0.2, 0.6), 14, open_, 0.6)


def _muscle(f: Field) -> None:
    angle, thick = f.rng.uniform(0, np.pi), f.rng.uniform(13, 19)
    along, across = f.axes(angle, 5, 130)
    lanes = across + 1.3 * f.noise(35)
    lane = lanes / thick
    number = np.floor(lane)
    middle = np.abs(lane - number - 0.5) * 2  # 0 in the middle of a fibre, 1 at its border
    table = f.rng.standard_normal(4096).astype(np.float32)
    tone = table[number.astype(np.int32) & 4095]
    crack = ramp(middle, 0.86 - 0.02, 0.97) * ramp(f.noise(22), -0.7, 0.6)
    f.eosin += 0.86 + 0.08 * tone + 0.05 * f.stripes(lanes + 0.3 * f.noise(4), 1.1) + 0.03 * f.noise(2)
    bands = np.sin(along * np.float32(2 * np.pi / 2.6) + 2 * tone)
    f.eosin += np.float32(0.05) * bands * ramp(f.noise(45), -0.2, 0.8)
    f.eosin *= 1 - 0.9 * crack
    f.haematoxylin += 0.06 * (1 - crack)
    x, y = scatter(f.rng, f.height, f.width, f.um(8), 0.4, 0.42)
    edge = f.at(middle, x, y)
    chosen = (edge > 0.62) & (edge < 0.98)
    x, y = x[chosen], y[chosen]
    f.put(Nucleus(11, 2.9, 0.15, 0.03, 0.3, (1.05, 1.5)), x, y, f.slope(lanes, x, y))


def _nerve(f: Field) -> None:
    angle = f.rng.uniform(0, np.pi)
    along, across = f.axes(angle, 7, 110)
    wave = f.rng.uniform(30, 38)
    phase = along * np.float32(2 * np.pi / wave) + 0.7 * f.noise(90)
    wavy = across + (3.4 + 0.6 * f.noise(60)) * np.sin(phase)
    fine, coarse = f.stripes(wavy + 0.35 * f.noise(5), 1.7), f.stripes(wavy + 0.8 * f.noise(12), 6.5)
    f.eosin += 0.38 + 0.16 * fine + 0.08 * coarse + 0.03 * f.noise(2)
    f.haematoxylin += 0.08 + 0.03 * fine
    pale = ramp(f.stripes(wavy, 3.6), 1.0, 1.7)
    f.eosin *= 1 - 0.75 * pale
    np.maximum(f.eosin, 0.03, out=f.eosin)
    x, y = scatter(f.rng, f.height, f.width, f.um(14.5), 0.28, 0.85)
    f.put(Nucleus(12, 2.5, 0.14, 0.03, 1.6, (0.95, 1.35)), x, y, f.slope(wavy, x, y))


def _tumor(f: Field) -> None:
    border, _, _, (x, y) = cells(f, f.rng.uniform(12.5, 14.5), 0.2, 1.5)
    f.eosin += 0.42 + 0.1 * f.noise(14) + 0.06 * f.noise(2.5)
    f.haematoxylin += 0.2 + 0.06 * f.noise(8)
    f.eosin *= 0.75 + 0.25 * ramp(border, 0.2, 1.0)
    _, across = f.axes(f.rng.uniform(0, np.pi), 18, 70)
    band = ramp(np.abs(f.noise(75)), 0.16, 0.08)
    f.eosin += band * (0.08 + 0.14 * f.stripes(across, 2.4))
    f.haematoxylin *= 1 - 0.8 * band
    within = f.at(band, x, y) < 0.4
    x, y = x[within] + f.rng.normal(0, f.um(0.8), within.sum()), y[within]
    kind = f.rng.random(x.shape)
    pale, dark = kind < 0.62, (kind >= 0.62) & (kind < 0.94)
    giant = kind >= 0.94
    f.put(Nucleus(11.5, 8.8, 0.2, 0.12, 0, (0.6, 1.05), 0.4, 0.28, 0.85), x[pale], y[pale], f.anyhow(x[pale]))
    f.put(Nucleus(10.5, 7.2, 0.25, 0.16, 0.6, (1.2, 1.75), 0.1, 0.18), x[dark], y[dark], f.anyhow(x[dark]))
    f.put(
        Nucleus(17, 12.5, 0.15, 0.16, 0, (0.8, 1.3), 0.35, 0.28, 1.0), x[giant], y[giant], f.anyhow(x[giant])
    )
    f.strew(Nucleus(10, 2.8, 0.15, 0.04, 0.6, (1.0, 1.4)), 9, band > 0.7, 0.5)


_DRAW: dict[str, Callable[[Field], None]] = {
    "adipose": _adipose,
    "cartilage": _cartilage,
    "epithelium": _epithelium,
    "gland": _gland,
    "lymphoid": _lymphoid,
    "muscle": _muscle,
    "nerve": _nerve,
    "tumor": _tumor,
}
TISSUES = tuple(_DRAW)


def draw_tissue(
    tissue: str, height: int, width: int, mpp: float, rng: np.random.Generator, stain: Stain
) -> np.ndarray:
    """A piece of drawn tissue, uint8 (height, width, 3).

    Args:
        tissue: one of ``TISSUES``.
        height, width: size (pixels).
        mpp: resolution (µm per pixel).
        rng: source of everything random in the structure.
        stain: the slide's dyes.

    Raises:
        InputError: unknown ``tissue``.
    """
    if tissue not in _DRAW:
        raise InputError(f"unknown tissue {tissue}; known are {', '.join(TISSUES)}", field="tissues")
    f = Field(height, width, mpp, rng)
    _DRAW[tissue](f)
    # thickness of the section and staining time vary within a slide, too
    eosin_tone, haematoxylin_tone = np.exp(rng.normal(0, 0.2, 2)).astype(np.float32)
    covered = np.clip(f.nuclei * np.float32(1.6), 0, 1)
    eosin = np.maximum(f.eosin, 0) * (1 - np.float32(0.55) * covered) * eosin_tone
    haematoxylin = (np.maximum(f.haematoxylin, 0) * (1 - covered) + f.nuclei) * haematoxylin_tone
    grain = rng.standard_normal((height, width), dtype=np.float32) * np.float32(2.0)
    return colour(haematoxylin, eosin, stain, grain)


def colour(
    haematoxylin: np.ndarray, eosin: np.ndarray, stain: Stain, grain: np.ndarray | float = 0.0
) -> np.ndarray:
    """Colour of dye densities by the Beer-Lambert law, uint8 (..., 3); ``grain`` is added in grey levels."""
    result = np.empty((*haematoxylin.shape, 3), np.uint8)
    for channel in range(3):
        density = haematoxylin * np.float32(stain.haematoxylin[channel] * stain.haematoxylin_strength)
        density += eosin * np.float32(stain.eosin[channel] * stain.eosin_strength)
        np.exp(-density, out=density)
        density *= np.float32(255 * stain.glass[channel])
        density += grain
        np.clip(density, 0, 255, out=density)
        result[..., channel] = np.rint(density)
    return result
