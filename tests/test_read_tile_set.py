"""The program that reads tile sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import read_tile_set
from mintflow import images, io
from mintflow.errors import InputError
from test_tile_sets import entry, picture

LEVELS = {"mine@a/1.png": 10, "mine@a/2.png": 20, "mine@b/1.png": 30}


def call(folder: Path, settings: dict[str, Any]) -> None:
    flags = ["--settings", json.dumps(settings)]
    flags += ["--output-tiles", str(folder / "out.parquet"), "--output-quarantine", str(folder / "out.tsv")]
    read_tile_set.main(read_tile_set.arguments().parse_args(flags))


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    for name, level in LEVELS.items():
        path = tmp_path / "set" / name.removeprefix("mine@")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(level))
    return tmp_path / "set"


def test_same_input_same_bytes_and_images_by_reference(tiles: Path, tmp_path: Path) -> None:
    (tiles / "b" / "2.png").write_bytes(b"damaged")
    made = []
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        call(tmp_path / run, entry(tiles))
        made.append([(tmp_path / run / name).read_bytes() for name in ("out.parquet", "out.tsv")])
    assert made[0] == made[1]
    assert "b/2.png" in made[0][1].decode()
    table = io.read_parquet(tmp_path / "one" / "out.parquet", ["tile_id", "label"])
    assert table["label"].tolist() == ["a", "a", "b"]
    cases = table.assign(case_id=table["tile_id"], file=str(tmp_path / "one" / "out.parquet"), row=range(3))
    found = dict(images.load_images(cases[images.REFERENCE]))
    assert {case: image.getpixel((0, 0))[0] for case, image in found.items()} == LEVELS


def test_nothing_usable_leaves_no_tiles_but_says_why(tiles: Path, tmp_path: Path) -> None:
    for path in tiles.rglob("*.png"):
        path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="no tile can be used \\(3 in quarantine"):
        call(tmp_path, entry(tiles))
    assert not (tmp_path / "out.parquet").exists()
    assert len((tmp_path / "out.tsv").read_text().splitlines()) == 4


def test_settings_are_exactly_one_entry(tiles: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown hub"):
        call(tmp_path, entry(tiles, hub=None))
