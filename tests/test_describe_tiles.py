"""The program that measures tiles and puts them in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import describe_tiles
from mintflow import captions, io
from mintflow.errors import InputError
from mintflow.quarantine import Quarantine
from mintflow.synthetic_tissue import Stain, draw_tissue
from mintflow.tile_sets import read_tile_set, write_tile_set
from test_tile_sets import entry

TISSUES = ("adipose", "lymphoid", "muscle")


@pytest.fixture
def cases(tmp_path: Path) -> pd.DataFrame:
    from PIL import Image

    for tissue in TISSUES:
        for number in range(4):
            path = tmp_path / "set" / tissue / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(number)
            Image.fromarray(draw_tissue(tissue, 64, 64, 1.0, rng, Stain())).save(path)
    rows = read_tile_set(entry(tmp_path / "set"), Quarantine("x"))
    write_tile_set(rows, tmp_path / "tiles.parquet")
    table = io.read_parquet(tmp_path / "tiles.parquet", ["tile_id", "label"])
    table = table.rename(columns={"tile_id": "case_id", "label": "label_id"})
    table = table.assign(file=str(tmp_path / "tiles.parquet"), row=range(len(table)))
    table["split"] = ["train", "train", "test", "unlabelled"] * len(TISSUES)
    return table.iloc[::-1]


def call(folder: Path, cases: pd.DataFrame, name: str = "out.parquet", **more: object) -> pd.DataFrame:
    io.write_parquet(cases, folder / "cases.parquet")
    flags = ["--cases", str(folder / "cases.parquet"), "--output", str(folder / name)]
    flags += [str(part) for key, value in more.items() for part in (f"--{key}", value)]
    describe_tiles.main(describe_tiles.arguments().parse_args(flags))
    return io.read_parquet(folder / name)


def test_every_case_gets_numbers_and_a_caption(tmp_path: Path, cases: pd.DataFrame) -> None:
    table = call(tmp_path, cases)
    assert list(table.columns) == ["case_id", *captions.DESCRIPTORS, "caption"]
    assert table["case_id"].tolist() == sorted(cases["case_id"])
    words = table.set_index("case_id")["caption"]
    assert words["mine@lymphoid/0.png"].startswith("dense ")
    assert "much white in wide spaces" in words["mine@adipose/2.png"]
    assert "many parallel lines" in words["mine@muscle/1.png"]
    assert not words.str.contains("|".join(TISSUES)).any()


def test_same_bytes_again_and_held_out_tiles_change_no_word(tmp_path: Path, cases: pd.DataFrame) -> None:
    first = call(tmp_path, cases)
    call(tmp_path, cases.iloc[::-1], "again.parquet")
    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()
    fewer = call(tmp_path, cases[cases["split"] == "train"], "fewer.parquet")
    pd.testing.assert_frame_equal(
        first[first["case_id"].isin(fewer["case_id"])].reset_index(drop=True), fewer
    )


def test_labels_are_compared_with_the_captions(tmp_path: Path, cases: pd.DataFrame) -> None:
    for names, fine in ((["lymphoid", "muscle"], True), (["wide spaces", "muscle"], False)):
        io.write_parquet(pd.DataFrame({"label_id": ["a", "b"], "name": names}), tmp_path / "labels.parquet")
        if fine:
            call(tmp_path, cases, labels=tmp_path / "labels.parquet")
        else:
            with pytest.raises(InputError, match="give the label another name"):
                call(tmp_path, cases, labels=tmp_path / "labels.parquet")


def test_words_need_training_tiles(tmp_path: Path, cases: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="no training tile"):
        call(tmp_path, cases[cases["split"] == "test"])
