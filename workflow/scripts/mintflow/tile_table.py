"""The tables that whole slides become: one of tiles per slide, and one row per slide in the manifest.

``datasets.load_dataset("parquet", ...)`` opens a table of tiles with its images decoded. Every row carries
``schema_version`` and level-0 coordinates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .io import whole_file

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1

# How a slide ended: the only words for it, in the manifest, the report and the exit code.
STATUSES = (
    "ok",  # at least one tile kept, every tile with tissue could be read
    "empty",  # read, but no tile kept; the message says whether there was no tissue or what dropped the tiles
    "unreadable-file",  # missing, no slide, no pixel can be read, or the reader died on it
    "unreadable-region",  # some tiles with tissue cannot be read; the others are there
    "no-mpp",  # no source says how large a pixel is
    "implausible-mpp",  # the source that says so cannot be right, or the slide is too coarse for the tiles
    "timeout",  # given up after tissue.tiling.timeout
    "bad-row",  # its row of the sheet cannot be used, so it was never looked at
)
FAILED = ("unreadable-file", "unreadable-region", "no-mpp", "implausible-mpp", "timeout")

# Why a tile with tissue was dropped; the first that holds.
REASONS = ("unreadable", "edge", "pen", "fold", "black", "blood", "blur", "limit")
QUALITY = ("sharpness", "pen", "fold", "blood", "black")

# keys of tissue.tiling
TILING_KEYS = (
    *("mpp", "tile_size", "overlap", "edges", "level_tolerance", "upsample"),
    *("mpp_sources", "mpp_min", "mpp_max"),
    *("mask_mpp", "min_saturation", "max_brightness", "min_area_um2", "min_tissue", "min_roi"),
    *("min_sharpness", "max_pen", "max_fold", "max_blood", "max_black"),
    *("stain", "format", "jpeg_quality", "max_tiles", "timeout", "overlay_px", "seed"),
)

# name, type; the order of the columns in the file
TILE_COLUMNS: dict[str, str] = {
    "tile_id": "string",
    "slide_id": "string",
    "x": "int64",  # level-0 pixels, top left, rounded
    "y": "int64",
    "footprint": "float64",  # side in level-0 pixels
    "level": "int64",  # pyramid level that was read
    "level_downsample": "float64",
    "slide_mpp": "float64",
    "mpp_source": "string",
    "mpp": "float64",  # of the tile
    "tile_size": "int64",
    "tissue": "float64",  # share of the tile
    "roi": "string",
    "roi_share": "float64",
    **dict.fromkeys(QUALITY, "float64"),
    "kept": "bool",
    "reason": "string",  # empty when kept
    "schema_version": "int64",
    "image": "image",
}
MANIFEST_COLUMNS: dict[str, str] = {
    "slide_id": "string",
    "path": "string",  # as in the sample sheet
    "sha256": "string",
    "vendor": "string",
    "compression": "string",
    "width": "int64",
    "height": "int64",
    "levels": "int64",
    "mpp_x": "float64",
    "mpp_y": "float64",
    "mpp_source": "string",
    "level": "int64",
    "status": "string",
    "message": "string",
    "positions": "int64",  # of the grid
    "background": "int64",  # of them without enough tissue: never read
    "kept": "int64",
    **{f"dropped_{reason}": "int64" for reason in REASONS},
    "schema_version": "int64",
}

_ROWS_PER_GROUP = 1000
_BYTES_PER_GROUP = 32 << 20


class SlideFailure(Exception):
    """A slide cannot be tiled.

    Args:
        status: one of ``FAILED``.
        message: what is wrong and what could be done; no path.

    ``known`` may hold columns of the manifest that were found out before.
    """

    def __init__(self, status: str, message: str) -> None:
        if status not in FAILED:
            raise ValueError(f"{status} is no status of a failed slide")
        self.status, self.message = status, message
        self.known: dict[str, Any] = {}
        super().__init__(f"{status}: {message}")


def _schema(columns: Mapping[str, str], metadata: Mapping[str, str]) -> pa.Schema:
    import pyarrow as pa

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    types = {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "image": image,
    }
    return pa.schema([(name, types[kind]) for name, kind in columns.items()], metadata=dict(metadata))


def tile_schema() -> pa.Schema:
    """Arrow schema of a table of tiles; its metadata tells ``datasets`` that ``image`` is an image."""
    features = {
        name: {"_type": "Image"} if kind == "image" else {"dtype": kind, "_type": "Value"}
        for name, kind in TILE_COLUMNS.items()
    }
    return _schema(
        TILE_COLUMNS,
        {
            "huggingface": json.dumps({"info": {"features": features}}),
            "mintflow_schema_version": str(SCHEMA_VERSION),
        },
    )


class TileWriter:
    """Writes tiles to an open path in row groups, so that memory does not grow with the slide.

    Use as a context manager; ``path`` is a temporary file of :func:`mintflow.io.whole_file` or a file in a
    folder of :func:`mintflow.io.whole_directory`.
    """

    def __init__(self, path: str | Path) -> None:
        import pyarrow.parquet as pq

        self._schema = tile_schema()
        compression = {name: "ZSTD" for name, kind in TILE_COLUMNS.items() if kind != "image"}
        # an encoded image does not shrink again
        compression |= {"image.bytes": "NONE", "image.path": "ZSTD"}
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression=compression,
            use_dictionary=[name for name, kind in TILE_COLUMNS.items() if kind == "string"],
            write_statistics=[name for name, kind in TILE_COLUMNS.items() if kind != "image"],
        )
        self._rows: list[Mapping[str, Any]] = []
        self._bytes = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one row with exactly ``TILE_COLUMNS``; ``image`` is a dict of bytes and path, or None."""
        if row.keys() != TILE_COLUMNS.keys():
            raise ValueError(f"a tile needs {', '.join(TILE_COLUMNS)}")
        self._rows.append(row)
        self._bytes += len(row["image"]["bytes"]) if row["image"] else 0
        if len(self._rows) >= _ROWS_PER_GROUP or self._bytes >= _BYTES_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows, self._bytes = [], 0

    def __enter__(self) -> TileWriter:
        """The writer itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write what is left, and the footer."""
        if kind is None:
            self._flush()
        self._writer.close()


def manifest_row(slide_id: str, path: str, status: str, message: str, **known: Any) -> dict[str, Any]:
    """One row of the manifest; what is not ``known`` is null, counts are 0.

    Raises:
        ValueError: ``status`` is not in ``STATUSES``, or ``known`` holds an unknown column.
    """
    if status not in STATUSES:
        raise ValueError(f"{status} is not one of {', '.join(STATUSES)}")
    row: dict[str, Any] = dict.fromkeys(MANIFEST_COLUMNS)
    row |= dict.fromkeys(["positions", "background", "kept", *(f"dropped_{r}" for r in REASONS)], 0)
    row |= {"slide_id": slide_id, "path": path, "status": status, "message": message}
    row |= {"schema_version": SCHEMA_VERSION, **known}
    if row.keys() != MANIFEST_COLUMNS.keys():
        raise ValueError(f"unknown column {', '.join(row.keys() - MANIFEST_COLUMNS.keys())}")
    return row


def write_manifest(rows: Iterable[Mapping[str, Any]], path: str | Path) -> None:
    """Write the manifest, sorted by slide, with the same types even when a column is null throughout."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ordered: Sequence[Mapping[str, Any]] = sorted(rows, key=lambda row: row["slide_id"])
    schema = _schema(MANIFEST_COLUMNS, {"mintflow_schema_version": str(SCHEMA_VERSION)})
    with whole_file(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(ordered), schema=schema), temporary, compression="zstd")
