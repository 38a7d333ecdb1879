"""Collecting and splitting, as the workflow calls them, on tables as tiling writes them."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

import collect_tiles
import split_tiles
from mintflow import images, io, sheets
from mintflow.errors import InputError
from mintflow.quarantine import Quarantine
from mintflow.tile_sets import read_tile_set, write_tile_set
from mintflow.tile_table import TILE_COLUMNS, TileWriter, manifest_row, write_manifest
from test_tile_cohort import COHORT, SPLIT
from test_tile_sets import entry, picture


def call(program: ModuleType, *flags: object) -> None:
    program.main(program.arguments().parse_args([str(flag) for flag in flags]))


def tile(slide: str, number: int, roi: str | None, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(TILE_COLUMNS)
    row |= {"tile_id": f"{slide}@{number},0", "slide_id": slide, "x": number, "y": 0, "roi": roi}
    row |= {"kept": True, "reason": "", "sharpness": 9.0, "schema_version": 1}
    level = (hash_of(slide) + number) % 256
    row["image"] = {"bytes": picture(level), "path": "x.png"}
    return row | more


def hash_of(slide: str) -> int:
    return int.from_bytes(slide.encode()[-2:], "big") * 37


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven slides in two batches: regions, a slide label, no label, a failed one; and a tile set."""
    monkeypatch.chdir(tmp_path)
    lines = ["slide\tpatient\tpath\tlabel"]
    manifests: dict[str, list[dict[str, Any]]] = {"0": [], "1": []}
    for number in range(7):
        slide = f"s/{number}"
        lines.append(f"{slide}\tp{number}\t{number}.svs\t{'gland' if number == 5 else ''}")
        if number == 6:
            manifests["0"].append(manifest_row(slide, "6.svs", "unreadable-file", "is no slide"))
            continue
        batch = str(number % 2)
        Path("tiles", batch).mkdir(parents=True, exist_ok=True)
        regions = [None] * 4 if number in (4, 5) else ["gland", "gland", "fat", None]
        with TileWriter(Path("tiles", batch, f"{sheets.file_name(slide)}.parquet")) as writer:
            for place, roi in enumerate(regions):
                writer.add(tile(slide, place, roi))
            writer.add(tile(slide, 9, None, kept=False, reason="pen", image=None))
        manifests[batch].append(
            manifest_row(slide, f"{number}.svs", "ok", "", width=123456789, kept=4, dropped_pen=1)
        )
    lines.append("\tp9\t9.svs\t")
    Path("slides.tsv").write_text("\n".join(lines) + "\n")
    for batch, rows in manifests.items():
        write_manifest(rows, f"{batch}.manifest.parquet")
    for name in ("a/1.png", "b/1.png"):
        Path("set", name).parent.mkdir(parents=True, exist_ok=True)
        Path("set", name).write_bytes(picture(ord(name[0])))
    settings = entry(Path("set"), labels={"a": "gland", "b": "fat"}, split="test")
    write_tile_set(read_tile_set(settings, Quarantine("x")), "mine.parquet")
    return tmp_path


OUTPUTS = ("tiles.parquet", "manifest.csv", "quarantine.tsv")


def collect(folder: str = "out", **more: Any) -> pd.DataFrame:
    flags: dict[str, list[Any]] = {
        "sheet": ["slides.tsv"],
        "simulated": ["true"],
        "manifests": ["1.manifest.parquet", "0.manifest.parquet"],
        "tiles": ["tiles/0", "tiles/1"],
        "sets": ["mine.parquet"],
        **{f"output-{name.split('.')[0]}": [f"{folder}/{name}"] for name in OUTPUTS},
        **more,
    }
    call(collect_tiles, *[part for name, values in flags.items() for part in (f"--{name}", *values)])
    return io.read_parquet(f"{folder}/tiles.parquet")


def test_tiles_of_slides_and_sets_in_one_table(run: Path) -> None:
    tiles = collect().set_index("case_id")
    assert len(tiles) == 6 * 5 + 2
    assert tiles.loc["s/0@0,0", ["label", "patient_id", "file", "source"]].tolist() == [
        "gland",
        "p0",
        "tiles/0/s%2F0.parquet",
        "slides",
    ]
    assert tiles.loc["s/5@3,0", "label"] == "gland" and pd.isna(tiles.loc["s/0@3,0", "label"])
    assert tiles.loc["s/0@9,0", ["kept", "reason", "content"]].tolist() == [False, "pen", ""]
    assert tiles.loc["mine@a/1.png", ["label", "set_split", "simulated"]].tolist() == ["gland", "test", False]
    assert tiles["simulated"].sum() == 30
    kept = tiles[tiles["kept"]].reset_index()
    found = dict(images.load_images(kept[images.REFERENCE]))
    assert found["s/3@2,0"].getpixel((0, 0))[0] == (hash_of("s/3") + 2) % 256
    assert len(found) == 26


def test_manifest_and_quarantine(run: Path) -> None:
    collect()
    manifest = pd.read_csv("out/manifest.csv")
    # one row a slide, also for that which the sheet lost
    assert manifest["slide_id"].tolist() == ["line 9", *(f"s/{number}" for number in range(7))]
    assert manifest["status"].tolist() == ["bad-row"] + ["ok"] * 6 + ["unreadable-file"]
    assert manifest.loc[0, "message"] == "slide is empty"
    assert "123456789" in Path("out/manifest.csv").read_text()
    aside = pd.read_csv("out/quarantine.tsv", sep="\t", keep_default_na=False)
    assert aside[["record", "field", "value", "reason"]].to_numpy().tolist() == [
        ["line 9", "slide", "", "is empty"],
        ["s/6", "status", "unreadable-file", "is no slide"],
    ]


def test_same_inputs_same_bytes(run: Path) -> None:
    for folder in ("one", "two"):
        collect(folder)
        split(folder)
    for name in (*OUTPUTS, "cases.parquet", "labels.parquet", "cohort.json"):
        first, second = Path("one", name).read_bytes(), Path("two", name).read_bytes()
        assert first == second, name


def test_sets_alone(run: Path) -> None:
    Path("empty.tsv").write_text("slide\tpatient\tpath\n")
    assert collect(sheet=["empty.tsv"], manifests=[], tiles=[])["source"].unique().tolist() == ["mine"]
    assert pd.read_csv("out/manifest.csv").empty
    call(
        collect_tiles,
        *("--simulated", "false", "--manifests", "--tiles", "--sets", "mine.parquet"),
        *("--output-tiles", "t.parquet", "--output-manifest", "m.csv", "--output-quarantine", "q.tsv"),
    )
    assert len(io.read_parquet("t.parquet")) == 2


def test_what_does_not_fit_together_is_a_clear_error(run: Path) -> None:
    with pytest.raises(InputError, match="record s/1, field slide: is in no manifest"):
        collect(manifests=["0.manifest.parquet"])
    with pytest.raises(InputError, match="in two manifests"):
        collect(manifests=["0.manifest.parquet", "1.manifest.parquet", "1.manifest.parquet"])
    with pytest.raises(InputError, match="4 tiles are gone"):
        collect(tiles=["tiles/0"])
    with pytest.raises(InputError, match="two tiles have one id"):
        collect(sets=["mine.parquet", "mine.parquet"])
    with TileWriter(Path("tiles", "0", "s%2F0.parquet")) as writer:
        writer.add(tile("s/0", 0, "gland", image=None))
    collect()  # coordinates are a result, too, but nothing to learn from
    with pytest.raises(InputError, match="kept without its image"):
        split("out")


def split(folder: str, **more: Any) -> dict[str, Any]:
    settings = {"cohort": COHORT, "split": {**SPLIT, **more}}
    call(
        split_tiles,
        *("--settings", json.dumps(settings), "--tiles", f"{folder}/tiles.parquet"),
        *("--output-cases", f"{folder}/cases.parquet", "--output-labels", f"{folder}/labels.parquet"),
        *("--output-summary", f"{folder}/cohort.json"),
    )
    return json.loads(Path(folder, "cohort.json").read_text())


def test_split(run: Path) -> None:
    collect()
    summary = split("out")
    cases = io.read_parquet("out/cases.parquet")
    assert list(cases.columns) == (
        [
            "case_id",
            "label_id",
            "patient_id",
            "slide_id",
            "source",
            "split",
            "fold",
            "file",
            "row",
            "simulated",
        ]
    )
    assert io.read_parquet("out/labels.parquet").to_numpy().tolist() == [["fat", "fat"], ["gland", "gland"]]
    assert set(cases.loc[cases["source"] == "mine", "split"]) == {"test"}
    assert set(cases.loc[cases["slide_id"] == "s/4", "split"]) == {"unlabelled"}
    assert summary["patients_unknown"] == ["mine"] and summary["simulated"] is True
    assert summary["settings"]["split"] == SPLIT
    assert str(run) not in Path("out/cohort.json").read_text()


def test_settings_are_checked(run: Path) -> None:
    collect()
    with pytest.raises(InputError, match=r"field tissue\.split: unknown more"):
        split("out", more=1)
