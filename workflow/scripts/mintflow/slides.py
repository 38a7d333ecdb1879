"""Whole slides, read through OpenSlide, in pixels of one level."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .grid import whole_downsample
from .tile_table import SlideFailure

if TYPE_CHECKING:
    import numpy as np
    import openslide
    from PIL import Image

_CACHE_BYTES = 64 << 20  # of OpenSlide itself; ours is in sampling.py


class UnreadableRegion(Exception):
    """A region of a slide cannot be decoded; the slide has been reopened and can be read elsewhere."""


@dataclass(frozen=True)
class Level:
    """One level of the pyramid."""

    index: int
    width: int
    height: int
    downsample: float  # level-0 pixels per pixel; the whole number where rounding hides it
    reported: float  # OpenSlide's, which it places regions with
    tile_width: int | None  # native tiles, where the format tells
    tile_height: int | None


class Slide:
    """An open slide; a context manager. Not to be shared by processes or threads.

    Raises:
        SlideFailure: ``unreadable-file``, it cannot be opened or has no pixels.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._handle = self._open()
        self.properties: Mapping[str, str] = dict(self._handle.properties)
        self.vendor = self.properties.get("openslide.vendor", "")
        self.levels, self.notes = read_levels(
            self._handle.level_dimensions, self._handle.level_downsamples, self.properties
        )

    def _open(self) -> openslide.OpenSlide:
        import openslide

        if not self.path.is_file():
            raise SlideFailure("unreadable-file", "there is no such file")
        if self.path.stat().st_size == 0:
            raise SlideFailure("unreadable-file", "the file is empty")
        try:
            handle = openslide.OpenSlide(self.path)
            handle.set_cache(openslide.OpenSlideCache(_CACHE_BYTES))
        except (openslide.OpenSlideError, OSError) as error:
            problem = str(error).replace(str(self.path), "it")
            raise SlideFailure("unreadable-file", f"OpenSlide cannot open it: {problem}") from error
        return handle

    def __enter__(self) -> Slide:
        """The slide itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._handle.close()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of level 0."""
        return self.levels[0].width, self.levels[0].height

    @property
    def area(self) -> tuple[int, int, int, int]:
        """Left, top, width and height of what was scanned (level-0 pixels), the whole slide if not said."""
        width, height = self.size
        keys = [f"openslide.bounds-{side}" for side in ("x", "y", "width", "height")]
        try:
            x, y, w, h = (int(self.properties[key]) for key in keys)
        except (KeyError, ValueError):
            return 0, 0, width, height
        x, y = max(x, 0), max(y, 0)
        w, h = min(w, width - x), min(h, height - y)
        return (x, y, w, h) if w > 0 and h > 0 else (0, 0, width, height)

    @property
    def background(self) -> tuple[int, int, int]:
        """Colour of what was not scanned: what the slide says, or white."""
        text = self.properties.get("openslide.background-color", "")
        try:
            red, green, blue = bytes.fromhex(text)
        except ValueError:
            return 255, 255, 255
        return red, green, blue

    def read(
        self, level: int, x: int, y: int, width: int, height: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """A region, in pixels of ``level``, wholly inside it.

        Returns:
            RGB (height, width, 3) uint8 over the background colour, and where something was scanned
            (height, width) bool, or None where that is everywhere.

        Raises:
            UnreadableRegion: it cannot be decoded. OpenSlide answers nothing more after an error, so the
                slide was reopened.
            SlideFailure: reopening failed.
        """
        import openslide

        # OpenSlide takes whole level-0 pixels and paints the nearest pixel of the level; only where native
        # tiles meet does the rounding mix in a neighbour, by at most an eighth at a downsample of 4
        reported = self.levels[level].reported
        try:
            image = self._handle.read_region(
                (round(x * reported), round(y * reported)), self._index(level), (width, height)
            )
        except openslide.OpenSlideError as error:
            self._handle.close()
            self._handle = self._open()
            raise UnreadableRegion(str(error)) from error
        return over_background(image, self.background)

    def _index(self, level: int) -> int:
        return self.levels[level].index


def over_background(
    image: Image.Image, background: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Lay an RGBA image over a colour; also where anything is (alpha > 0), None for everywhere."""
    import numpy as np

    if image.getchannel("A").getextrema()[0] == 255:
        return np.asarray(image.convert("RGB")), None
    rgba = np.asarray(image)
    alpha = rgba[..., 3]
    share = alpha[..., None].astype(np.uint32)
    colour = np.asarray(background, dtype=np.uint32)
    rgb = (rgba[..., :3] * share + colour * (255 - share) + 127) // 255
    return rgb.astype(np.uint8), alpha > 0


def read_levels(
    sizes: tuple[tuple[int, int], ...], downsamples: tuple[float, ...], properties: Mapping[str, str]
) -> tuple[tuple[Level, ...], tuple[str, ...]]:
    """The levels that have pixels, finest first, and notes on those that have none.

    Raises:
        SlideFailure: ``unreadable-file``, level 0 has no pixels.
    """
    if not sizes or min(sizes[0]) <= 0:
        raise SlideFailure("unreadable-file", "level 0 has no pixels")
    levels, notes = [], []
    for index, (size, reported) in enumerate(zip(sizes, downsamples, strict=True)):
        if min(size) <= 0 or not reported > 0:
            notes.append(f"level {index} has no pixels and is left out")
            continue
        tile = (properties.get(f"openslide.level[{index}].tile-{side}", "") for side in ("width", "height"))
        tile_width, tile_height = (int(text) if text.isdigit() and int(text) > 0 else None for text in tile)
        downsample = whole_downsample(sizes[0], size, reported)
        levels.append(Level(index, *size, downsample, reported, tile_width, tile_height))
    return tuple(levels), tuple(notes)


def compression(path: str | Path, properties: Mapping[str, str] | None = None) -> str | None:
    """How the pixels are compressed, as far as a TIFF tag or the properties tell; None if unknown."""
    for key in ("mirax.LAYER_0_LEVEL_0_SECTION.IMAGE_FORMAT", "dicom.TransferSyntaxUID"):
        if properties and properties.get(key):
            return properties[key].lower()
    import logging

    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(path) as file:
            code = file.pages[0].compression
    except Exception:  # whatever a broken file makes it raise; this is a remark for the manifest
        return None
    return getattr(code, "name", str(code)).lower()


def slide_files(path: str | Path) -> list[Path]:
    """Every file that holds a part of the slide, sorted; ``path`` alone for one-file formats.

    MIRAX keeps its pixels in a folder of the same name, DICOM and VMS in files beside it.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".mrxs" and path.with_suffix("").is_dir():
        return [path, *sorted(file for file in path.with_suffix("").rglob("*") if file.is_file())]
    if suffix == ".dcm":
        return sorted(file for file in path.parent.iterdir() if file.suffix.lower() == ".dcm")
    if suffix in (".vms", ".vmu"):
        return sorted(file for file in path.parent.iterdir() if file.name.startswith(path.stem))
    return [path]


def slide_digest(path: str | Path) -> str:
    """SHA-256 of the slide's content; for several files, of their names and contents.

    Raises:
        SlideFailure: ``unreadable-file``, a file is missing or may not be read.
    """
    digest = hashlib.sha256()
    try:
        files = slide_files(path)
        for file in files:
            if len(files) > 1:
                name = os.path.relpath(file, Path(path).parent)
                digest.update(f"{name}\0{file.stat().st_size}\0".encode())
            with open(file, "rb") as handle:
                for block in iter(lambda: handle.read(1 << 20), b""):
                    digest.update(block)
    except OSError as error:
        raise SlideFailure("unreadable-file", f"cannot be read: {error.strerror}") from error
    return digest.hexdigest()
