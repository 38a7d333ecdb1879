"""Small slides for tests: tiled TIFF pyramids whose pixels tell where they are, or that look like tissue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from conftest import ROOT
from mintflow.config_schema import read_schema

APERIO = "Aperio Image Library v11.2.1 \r\n{width}x{height} [0,0 {width}x{height}] ({tile}x{tile})|{keys}"


def tiling_settings(**changes: Any) -> dict[str, Any]:
    """Defaults of tissue.tiling from the schema, with changes."""
    schema = read_schema(ROOT / "workflow" / "schemas" / "config.schema.yaml")
    keys = schema["properties"]["tissue"]["properties"]["tiling"]["properties"]
    return {key: value["default"] for key, value in keys.items()} | changes


def coded(height: int, width: int) -> np.ndarray:
    """Pixels that tell their own column and row, both below 4096."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x & 255, y & 255, (x >> 8) | (y >> 8) << 4], -1).astype(np.uint8)


def decode(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows out of coded pixels."""
    red, green, blue = (rgb[..., i].astype(int) for i in range(3))
    return red + ((blue & 15) << 8), green + ((blue >> 4) << 8)


def ramp(height: int, width: int) -> np.ndarray:
    """A smooth image: red grows by 1 each 4 columns, green by 1 each 4 rows (up to 1020 pixels)."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x / 4, y / 4, np.full((height, width), 128)], -1).round().astype(np.uint8)


def tissue(height: int, width: int, seed: int = 1, blank: int = 0) -> np.ndarray:
    """Pink, textured pixels; the outer ``blank`` ones are glass."""
    rng = np.random.default_rng(seed)
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[:] = (243, 242, 244)
    inner = image[blank : height - blank, blank : width - blank]
    inner[:] = np.array([205, 140, 185]) + rng.integers(-30, 31, (*inner.shape[:2], 1))
    nuclei = rng.random(inner.shape[:2]) < 0.15
    inner[nuclei] = (95, 60, 140)
    return image


def write_slide(
    path: Path,
    levels: Sequence[np.ndarray],
    *,
    mpp: float | None = 0.5,
    tile: int = 128,
    compression: str | None = "deflate",
    aperio: Mapping[str, object] | None = None,
    **extra: Any,
) -> Path:
    """A tiled pyramid that OpenSlide reads: generic TIFF with mpp, or Aperio with the given keys."""
    height, width = levels[0].shape[:2]
    if aperio is not None:
        keys = "|".join(f"{key} = {value}" for key, value in aperio.items())
        extra["description"] = APERIO.format(width=width, height=height, tile=tile, keys=keys)
    elif mpp:
        extra |= {"resolution": (10_000 / mpp, 10_000 / mpp), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as file:
        for index, level in enumerate(levels):
            file.write(
                level,
                tile=(tile, tile),
                photometric="rgb",
                compression=compression,
                metadata=None,
                subfiletype=1 if index and aperio is None else 0,
                **extra,
            )
    return path


def shrink(image: np.ndarray, factor: int) -> np.ndarray:
    """Means of whole squares; what is left over at the right and bottom is cut, as scanners do."""
    height, width = (side // factor for side in image.shape[:2])
    squares = image[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return squares.mean((1, 3)).round().astype(np.uint8)


def native_tile(path: Path, level: int, column: int, row: int) -> tuple[int, int]:
    """Offset and length of a native tile's bytes in the file."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[level]
        across = -(-page.imagewidth // page.tilewidth)
        index = row * across + column
        return page.dataoffsets[index], page.databytecounts[index]


def damage(path: Path, level: int, column: int, row: int) -> None:
    """Overwrite the bytes of one native tile, so that it cannot be decoded."""
    offset, length = native_tile(path, level, column, row)
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * length)


def write_sheet(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """A sample sheet with the columns of the first row."""
    names = list(rows[0])
    lines = ["\t".join(names), *("\t".join(str(row[name]) for name in names) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_large(path: Path, side: int, radius: float, tile: int = 512, mpp: float = 0.5) -> Path:
    """A square slide of any size in little time: tissue inside a disc, glass around, each one tile repeated.

    ``radius`` is that of the disc as a share of the side. Levels 1, 4 and 16.
    """
    import imagecodecs

    images = [tissue(tile, tile), np.full((tile, tile, 3), 243, dtype=np.uint8)]
    encoded = [
        imagecodecs.jpeg8_encode(image, level=80, colorspace="RGB", outcolorspace="YCBCR", subsampling="444")
        for image in images
    ]
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for factor in (1, 4, 16):
            length = side // factor
            across = -(-length // tile)
            y, x = (np.mgrid[:across, :across] + 0.5) * tile / length - 0.5
            glass = x**2 + y**2 > radius**2
            file.write(
                (encoded[int(empty)] for empty in glass.ravel()),
                shape=(length, length, 3),
                dtype=np.uint8,
                tile=(tile, tile),
                photometric="ycbcr",
                subsampling=(1, 1),
                compression="jpeg",
                metadata=None,
                subfiletype=1 if factor > 1 else 0,
                resolution=(10_000 / mpp, 10_000 / mpp),
                resolutionunit="CENTIMETER",
            )
    return path
