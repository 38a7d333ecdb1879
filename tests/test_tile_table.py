"""The table of tiles and the manifest."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mintflow import tile_table
from mintflow.tile_table import (
    FAILED,
    MANIFEST_COLUMNS,
    QUALITY,
    STATUSES,
    TILE_COLUMNS,
    TILING_KEYS,
    SlideFailure,
    TileWriter,
    manifest_row,
    write_manifest,
)
from slide_material import tiling_settings


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def row(number: int, image: bytes | None) -> dict[str, Any]:
    return {
        "tile_id": f"s@{number},0",
        "slide_id": "s",
        "x": number,
        "y": 0,
        "footprint": 8.0,
        "level": 0,
        "level_downsample": 1.0,
        "slide_mpp": 0.5,
        "mpp_source": "openslide",
        "mpp": 0.5,
        "tile_size": 8,
        "tissue": 1.0,
        "roi": None,
        "roi_share": 0.0,
        **dict.fromkeys(QUALITY),
        "kept": image is not None,
        "reason": "" if image else "pen",
        "schema_version": 1,
        "image": {"bytes": image, "path": f"{number}_0.png"} if image else None,
    }


def write(path: Path, count: int = 5) -> Path:
    with TileWriter(path) as writer:
        for number in range(count):
            writer.add(row(number, png(20 * number) if number % 2 == 0 else None))
    return path


def test_datasets_opens_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    path = write(tmp_path / "tiles.parquet")
    loaded = datasets.load_dataset(
        "parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert isinstance(loaded.features["image"], datasets.Image)
    assert list(loaded.features) == list(TILE_COLUMNS)
    assert np.asarray(loaded[2]["image"])[0, 0].tolist() == [40, 40, 40]
    assert loaded[1]["image"] is None
    assert loaded[1]["reason"] == "pen"


def test_row_groups_bound_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_table, "_ROWS_PER_GROUP", 4)
    path = write(tmp_path / "rows.parquet", 10)
    assert pq.ParquetFile(path).num_row_groups == 3
    monkeypatch.setattr(tile_table, "_ROWS_PER_GROUP", 1000)
    monkeypatch.setattr(tile_table, "_BYTES_PER_GROUP", 2 * len(png(0)))
    path = write(tmp_path / "bytes.parquet", 10)
    assert pq.ParquetFile(path).num_row_groups == 3
    assert pq.read_table(path)["x"].to_pylist() == list(range(10))


def test_the_same_tiles_give_the_same_bytes(tmp_path: Path) -> None:
    assert write(tmp_path / "a").read_bytes() == write(tmp_path / "b").read_bytes()


def test_a_slide_without_tiles_is_a_table_with_every_column(tmp_path: Path) -> None:
    table = pq.read_table(write(tmp_path / "none.parquet", 0))
    assert (table.num_rows, table.column_names) == (0, list(TILE_COLUMNS))


def test_a_row_must_be_complete(tmp_path: Path) -> None:
    with TileWriter(tmp_path / "a.parquet") as writer, pytest.raises(ValueError, match="a tile needs"):
        writer.add({"tile_id": "x"})


def test_manifest_keeps_its_types_when_nothing_is_known(tmp_path: Path) -> None:
    rows = [
        manifest_row("b", "b.svs", "unreadable-file", "the file is empty"),
        manifest_row("a", "a.svs", "no-mpp", "none", vendor="aperio", width=7),
    ]
    write_manifest(rows, tmp_path / "m.parquet")
    table = pq.read_table(tmp_path / "m.parquet")
    assert table.column_names == list(MANIFEST_COLUMNS)
    assert table["slide_id"].to_pylist() == ["a", "b"]
    assert table["kept"].to_pylist() == [0, 0]
    assert table["width"].to_pylist() == [7, None]
    assert str(table.schema.field("mpp_x").type) == "double"
    write_manifest([], tmp_path / "empty.parquet")
    assert pq.read_table(tmp_path / "empty.parquet").schema == table.schema


def test_one_vocabulary() -> None:
    assert set(FAILED) == set(STATUSES) - {"ok", "empty", "bad-row"}
    with pytest.raises(ValueError, match="broken is not one of"):
        manifest_row("a", "a.svs", "broken", "")
    with pytest.raises(ValueError, match="unknown column"):
        manifest_row("a", "a.svs", "ok", "", colour=3)
    with pytest.raises(ValueError, match="no status of a failed slide"):
        SlideFailure("ok", "")


def test_the_keys_are_those_of_the_schema() -> None:
    assert set(TILING_KEYS) == set(tiling_settings())
