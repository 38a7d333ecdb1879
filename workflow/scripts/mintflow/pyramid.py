"""Tiled pyramidal TIFF files as slide scanners write them, from strips of pixels."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

TILE = 256  # side of a tile, and rows of a strip (pixels)
SOFTWARE = "mintflow synthetic slides"
_STEP = 4  # each level is this much coarser than the one before


def level_sizes(width: int, height: int) -> list[tuple[int, int]]:
    """Sizes (width, height) of the levels, each a quarter as wide, the last of a few hundred pixels."""
    sizes = [(width, height)]
    while max(sizes[-1]) >= 512 and min(sizes[-1]) >= _STEP * 16:
        sizes.append((sizes[-1][0] // _STEP, sizes[-1][1] // _STEP))
    return sizes


def write_pyramid(
    strips: Iterable[np.ndarray], width: int, height: int, mpp: float, path: Path, title: str
) -> None:
    """Write a tiled TIFF (JPEG, levels 1, 4, 16 ...) that OpenSlide opens and whose mpp it reports.

    Memory grows with the width of the slide, not with its area.

    Args:
        strips: the finest level from top to bottom, uint8 (TILE rows, the last may have fewer, width, 3).
        width, height: size of the finest level (pixels).
        mpp: resolution of the finest level (µm per pixel).
        path: the file; coarser levels are collected in temporary files beside it.
        title: ASCII text of the image description.
    """
    import tifffile

    sizes = level_sizes(width, height)
    with tempfile.TemporaryDirectory(prefix=".levels.", dir=path.parent) as folder:
        levels = [
            np.memmap(Path(folder) / str(number), np.uint8, "w+", shape=(rows, columns, 3))
            for number, (columns, rows) in enumerate(sizes[1:], 1)
        ]
        with tifffile.TiffWriter(path) as writer:
            for number, (columns, rows) in enumerate(sizes):
                source = _slices(levels[number - 1]) if number else strips
                following = levels[number] if number < len(levels) else None
                pixels_per_cm = 1e4 / mpp * columns / width
                writer.write(
                    _tiles(_copying(source, following)),
                    shape=(rows, columns, 3),
                    dtype=np.uint8,
                    tile=(TILE, TILE),
                    photometric="rgb",
                    compression="jpeg",
                    compressionargs={"level": 90},
                    resolution=(pixels_per_cm, pixels_per_cm),
                    resolutionunit="CENTIMETER",
                    subfiletype=1 if number else 0,
                    software=SOFTWARE,
                    description=None if number else title,
                    metadata=None,
                    maxworkers=1,
                )


def _slices(level: np.ndarray) -> Iterator[np.ndarray]:
    for top in range(0, len(level), TILE):
        yield np.ascontiguousarray(level[top : top + TILE])


def _copying(source: Iterable[np.ndarray], target: np.ndarray | None) -> Iterator[np.ndarray]:
    """The strips of ``source``, each also reduced into ``target`` (the next level)."""
    row = 0
    for strip in source:
        if target is not None:
            small = np.asarray(Image.fromarray(strip).reduce(_STEP))[:, : target.shape[1]]
            part = target[row : row + len(small)]
            part[:] = small[: len(part)]
            row += len(small)
        yield strip


def _tiles(strips: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Tiles from left to right; those at the edge are filled up by repeating the last pixels."""
    for strip in strips:
        below, right = TILE - len(strip), -strip.shape[1] % TILE
        if below or right:
            strip = np.pad(strip, ((0, below), (0, right), (0, 0)), mode="edge")
        for left in range(0, strip.shape[1], TILE):
            yield np.ascontiguousarray(strip[:, left : left + TILE])
