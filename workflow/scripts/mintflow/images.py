"""Tiles by reference: a case names the parquet file and the row in which its image lies."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from PIL import Image, UnidentifiedImageError

from .errors import InputError

REFERENCE = ["case_id", "file", "row"]
BLANK_LEVEL = 127  # mid-grey: neither glass nor ink
MAX_PIXELS = 4096 * 4096  # of a tile; more is no tile but an attack on memory


def blank_image(size: int = 96) -> Image.Image:
    """A mid-grey square: what a student is shown whose image is taken away."""
    return Image.new("RGB", (size, size), (BLANK_LEVEL,) * 3)


def decode(content: bytes, *, file: object = None, record: object = None) -> Image.Image:
    """An encoded image as RGB; transparency becomes white.

    Raises:
        InputError: it is no image, is damaged, has more than ``MAX_PIXELS``, or grey of more than 8 bits.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we judge by our own limit
            image = Image.open(io.BytesIO(content))
            if image.width * image.height > MAX_PIXELS:
                raise InputError(
                    f"{image.width} x {image.height} pixels are no tile (limit {MAX_PIXELS})",
                    file=file,
                    record=record,
                    field="image",
                )
            if image.mode == "F" or image.mode.startswith("I"):  # Pillow would clip it to white or black
                raise InputError(
                    "16-bit or float grey, not an 8-bit tile", file=file, record=record, field="image"
                )
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                over = Image.new("RGBA", image.size, (255, 255, 255, 255))
                return Image.alpha_composite(over, image.convert("RGBA")).convert("RGB")
            return image.convert("RGB")
    except InputError:
        raise
    except UnidentifiedImageError as error:  # its text holds a memory address
        raise InputError("is no image: unknown format", file=file, record=record, field="image") from error
    except Exception as error:  # Pillow raises whatever its decoders raise
        raise InputError(
            f"is no image: {str(error) or type(error).__name__}", file=file, record=record, field="image"
        ) from error


def load_images(cases: pd.DataFrame) -> Iterator[tuple[str, Image.Image]]:
    """The images of ``cases``, file by file, each file opened once and read row group by row group.

    Args:
        cases: case_id, file, row.

    Yields:
        (case_id, RGB image), in order of file and row.

    Raises:
        InputError: a file is missing or no table of tiles, a row is not there or holds no image.
    """
    for file, rows in cases.sort_values(["file", "row"]).groupby("file", sort=True):
        yield from _of_file(str(file), rows)


def _of_file(file: str, rows: pd.DataFrame) -> Iterator[tuple[str, Image.Image]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted: dict[int, list[str]] = {}
    for case_id, row in zip(rows["case_id"], rows["row"], strict=True):
        wanted.setdefault(int(row), []).append(str(case_id))
    try:
        with pq.ParquetFile(file) as table:
            if "image" not in table.schema_arrow.names:
                raise InputError("holds no column image", file=Path(file).name)
            first = 0
            for group in range(table.num_row_groups):
                count = table.metadata.row_group(group).num_rows
                here = [row for row in sorted(wanted) if first <= row < first + count]
                if here:
                    column = table.read_row_group(group, columns=["image"]).column("image")
                    for row in here:
                        content = column[row - first].as_py()
                        cases = wanted.pop(row)
                        if not content or not content.get("bytes"):
                            raise InputError("holds no image", file=Path(file).name, record=cases[0])
                        image = decode(content["bytes"], file=Path(file).name, record=cases[0])
                        for case_id in cases:
                            yield case_id, image
                first += count
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(
            f"cannot be read as a table of tiles: {error}".replace(file, "it"), file=Path(file).name
        ) from error
    if wanted:
        row, cases = min(wanted.items())
        raise InputError(f"has no row {row}", file=Path(file).name, record=cases[0])
