"""The drawing board of a piece of drawn tissue: densities of both dyes, noise, fibres and cells.

Lengths are in µm, positions in pixels, angles in radians from the x axis towards the y axis (down).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from .synthetic_nuclei import Nucleus, press, scatter, stamps


@dataclass
class Field:
    """Densities while a piece of tissue is drawn, each float32 (height, width).

    Attributes:
        height, width: size (pixels).
        mpp: resolution (µm per pixel).
        rng: source of everything random.
        haematoxylin, eosin: what lies between the nuclei.
        nuclei: haematoxylin of the nuclei.
    """

    height: int
    width: int
    mpp: float
    rng: np.random.Generator
    haematoxylin: np.ndarray = field(init=False)
    eosin: np.ndarray = field(init=False)
    nuclei: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        """Start with nothing."""
        shape = (self.height, self.width)
        self.haematoxylin = np.zeros(shape, np.float32)
        self.eosin = np.zeros(shape, np.float32)
        self.nuclei = np.zeros(shape, np.float32)

    def um(self, length: float) -> float:
        """``length`` µm in pixels."""
        return length / self.mpp

    def noise(self, size: float) -> np.ndarray:
        """Smooth noise of about unit variance whose grains have ``size`` µm."""
        step = max(self.um(size), 1.0)
        rows, columns = int(self.height / step) + 3, int(self.width / step) + 3
        grid = self.rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(1.4)
        box = (1.0, 1.0, 1.0 + self.width / step, 1.0 + self.height / step)
        image = Image.fromarray(grid).resize((self.width, self.height), Image.Resampling.BICUBIC, box)
        return np.asarray(image)

    def axes(self, angle: float, wander: float = 0.0, scale: float = 150.0) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates (µm) along and across fibres at ``angle``; ``wander`` µm of slow displacement."""
        y = np.arange(self.height, dtype=np.float32)[:, None] * np.float32(self.mpp)
        x = np.arange(self.width, dtype=np.float32)[None, :] * np.float32(self.mpp)
        cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        across = -sine * x + cosine * y
        if wander:
            across += np.float32(wander) * self.noise(scale)
        return cosine * x + sine * y, across

    def stripes(self, across: np.ndarray, size: float) -> np.ndarray:
        """Random stripes of about ``size`` µm along lines of equal ``across``, about unit variance."""
        table = self.rng.standard_normal(4096).astype(np.float32)
        fine = np.interp(np.arange(4096 * 8) / 8, np.arange(4096), table).astype(np.float32) * np.float32(1.3)
        return fine[(across * np.float32(8 / size)).astype(np.int32) & (4096 * 8 - 1)]

    def at(self, values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """``values`` at pixel positions, those outside moved to the border."""
        column = np.clip(np.rint(x).astype(int), 0, self.width - 1)
        row = np.clip(np.rint(y).astype(int), 0, self.height - 1)
        return values[row, column]

    def slope(self, across: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Angle of the fibres (lines of equal ``across``) at pixel positions."""
        step = max(2.0, self.um(2))
        down = self.at(across, x, y + step) - self.at(across, x, y - step)
        right = self.at(across, x + step, y) - self.at(across, x - step, y)
        return np.arctan2(-right, down)

    def put(self, kind: Nucleus, x: np.ndarray, y: np.ndarray, angle: np.ndarray | float) -> None:
        """Nuclei of ``kind`` at pixel positions, their long axes at ``angle``."""
        press(self.nuclei, stamps(self.rng, kind, self.mpp), x, y, angle, self.rng)

    def anyhow(self, x: np.ndarray) -> np.ndarray:
        """A random angle for each of ``x``."""
        return self.rng.uniform(0, np.pi, x.shape)

    def strew(
        self, kind: Nucleus, spacing: float, where: np.ndarray | None = None, keep: float = 1.0
    ) -> None:
        """Nuclei of ``kind`` at any angle, ``spacing`` µm apart, where ``where`` is true."""
        x, y = scatter(self.rng, self.height, self.width, self.um(spacing), 0.3, keep)
        if where is not None:
            chosen = self.at(where, x, y)
            x, y = x[chosen], y[chosen]
        self.put(kind, x, y, self.anyhow(x))


def ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, straight between (``high`` < ``low`` falls)."""
    return np.clip((values - low) / (high - low), 0, 1).astype(np.float32)


def cells(
    f: Field, spacing: float, jitter: float, wander: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Polygonal cells: distance (µm) to the border, to the centre, angle of the border, centres (pixels)."""
    x, y = scatter(f.rng, f.height, f.width, f.um(spacing), jitter)
    tree = cKDTree(np.column_stack([x, y]))
    step = 2 if f.mpp < 0.8 else 1
    rows, columns = -(-f.height // step), -(-f.width // step)
    grid = np.empty((rows, columns, 2), np.float32)
    grid[..., 0] = np.arange(columns, dtype=np.float32) * step
    grid[..., 1] = np.arange(rows, dtype=np.float32)[:, None] * step
    for axis in range(2):
        grid[..., axis] += f.um(wander) * f.noise(spacing / 3)[::step, ::step]
    away, index = tree.query(grid.reshape(-1, 2), k=2)
    away = (away * f.mpp).astype(np.float32).reshape(rows, columns, 2)
    towards = np.column_stack([x, y])[index]
    between = towards[:, 1] - towards[:, 0]
    angle = np.arctan2(between[:, 0], -between[:, 1]).reshape(rows, columns).astype(np.float32)

    def full(values: np.ndarray) -> np.ndarray:
        image = Image.fromarray(np.ascontiguousarray(values))
        return np.asarray(image.resize((f.width, f.height), Image.Resampling.BILINEAR))

    nearest = np.asarray(Image.fromarray(angle).resize((f.width, f.height), Image.Resampling.NEAREST))
    return full((away[..., 1] - away[..., 0]) / 2), full(away[..., 0]), nearest, (x, y)
