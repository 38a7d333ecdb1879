"""The program: a batch of slides, good and bad, whole outputs, the truth in the manifest."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import tile_slides
from mintflow import sheets
from mintflow.errors import InputError
from mintflow.tile_cache import lookup
from slide_material import tiling_settings, tissue, write_large, write_sheet, write_slide

LENIENT = {"min_sharpness": 0.0, "max_pen": 1.0, "max_fold": 1.0, "max_blood": 1.0, "max_black": 1.0}


def arguments(
    folder: Path, sheet: Path, *, batch: str = "0", batches: int = 1, workers: int = 1, **tiling: Any
):
    return [
        *("--settings", json.dumps(tiling_settings(**LENIENT | tiling))),
        *("--sheet", str(sheet)),
        *("--batch", batch),
        *("--batches", str(batches)),
        *("--workers", str(workers)),
        *("--cache", str(folder / "cache")),
        *("--output-tiles", str(folder / "tiles")),
        *("--output-manifest", str(folder / "manifest.parquet")),
    ]


def run(folder: Path, sheet: Path, **options: Any) -> dict[str, dict[str, Any]]:
    """Run in this process; the manifest by slide."""
    tile_slides.main(tile_slides.arguments().parse_args(arguments(folder, sheet, **options)))
    rows = pq.read_table(folder / "manifest.parquet").to_pylist()
    assert [row["slide_id"] for row in rows] == sorted(row["slide_id"] for row in rows)
    return {row["slide_id"]: row for row in rows}


def outputs(folder: Path) -> dict[str, bytes]:
    files = [folder / "manifest.parquet", *sorted((folder / "tiles").iterdir())]
    return {file.name: file.read_bytes() for file in files}


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """A sheet of four slides."""
    rows = []
    for number in range(4):
        path = write_slide(tmp_path / f"{number}.tiff", [tissue(300, 300, seed=number)])
        rows.append({"slide": f"s/{number}", "patient": f"p{number}", "path": path})
    return write_sheet(tmp_path / "slides.tsv", rows)


def test_bad_slides_stop_no_other(tmp_path: Path, shared_data: Path) -> None:
    real = shared_data / "slides"
    (tmp_path / "empty.svs").write_bytes(b"")
    (tmp_path / "text.svs").write_text("not a slide")
    (tmp_path / "truncated.svs").write_bytes((real / "CMU-1-Small-Region.svs").read_bytes()[:900_000])
    shutil.copy(real / "CMU-1-Small-Region.svs", tmp_path / "wrong-extension.txt")
    write_slide(tmp_path / "glass.tiff", [np.full((400, 400, 3), 243, dtype=np.uint8)])
    write_slide(tmp_path / "no-mpp.tiff", [tissue(300, 300)], mpp=None)
    named = {
        "empty": (tmp_path / "empty.svs", "unreadable-file"),
        "text": (tmp_path / "text.svs", "unreadable-file"),
        "truncated": (tmp_path / "truncated.svs", "unreadable-file"),
        "missing": (tmp_path / "missing.svs", "unreadable-file"),
        "wrong-extension": (tmp_path / "wrong-extension.txt", "ok"),
        "glass": (tmp_path / "glass.tiff", "empty"),
        "no-mpp": (tmp_path / "no-mpp.tiff", "no-mpp"),
        "good": (real / "CMU-1-Small-Region.svs", "ok"),
        "hundredfold": (real / "CMU-1-Small-Region.jpeg.tiff", "implausible-mpp"),
        "72-dpi": (real / "boxes.tiff", "implausible-mpp"),
        "unreadable": (real / "unreadable.svs", "unreadable-file"),
        "unopenable": (real / "unopenable.tiff", "unreadable-file"),
        "jp2": (real / "CMU-1-Small-Region.jp2.tiff", "unreadable-file"),
        "webp": (real / "CMU-1-Small-Region.webp.tiff", "unreadable-file"),
    }
    rows = [{"slide": name, "patient": name, "path": path} for name, (path, _) in named.items()]
    manifest = run(tmp_path, write_sheet(tmp_path / "slides.tsv", rows), workers=2, mpp=1.0)
    assert {name: row["status"] for name, row in manifest.items()} == {
        name: status for name, (_, status) in named.items()
    }
    assert all(row["message"] for row in manifest.values() if row["status"] != "ok")
    assert not any(str(tmp_path) in row["message"] for row in manifest.values())
    with_files = {"wrong-extension", "glass", "good"}
    assert {path.stem for path in (tmp_path / "tiles").iterdir()} == with_files
    assert manifest["good"]["sha256"] == manifest["wrong-extension"]["sha256"]
    assert manifest["good"]["kept"] == manifest["wrong-extension"]["kept"] > 40


def test_same_bytes_whatever_the_number_of_workers(tmp_path: Path, slides: Path) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        run(tmp_path / name, slides, workers=workers, mpp=0.5, tile_size=64)
    assert outputs(tmp_path / "one") == outputs(tmp_path / "two")
    assert len(outputs(tmp_path / "one")) == 9


def test_batches_divide_the_slides(tmp_path: Path, slides: Path) -> None:
    seen = []
    for batch in sheets.batch_names(3):
        manifest = run(tmp_path, slides, batch=batch, batches=3, tile_size=64, mpp=0.5)
        assert all(sheets.batch_of(slide, 3) == batch for slide in manifest)
        names = {path.stem for path in (tmp_path / "tiles").iterdir()}
        assert names == {sheets.file_name(slide) for slide in manifest}
        seen += manifest
    assert sorted(seen) == ["s/0", "s/1", "s/2", "s/3"]


def test_a_second_run_cuts_nothing_and_a_new_slide_alone(tmp_path: Path, slides: Path) -> None:
    first = run(tmp_path, slides, tile_size=64, mpp=0.5)
    before = outputs(tmp_path)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    path = write_slide(tmp_path / "new.tiff", [tissue(300, 300, seed=7)])
    slides.write_text(slides.read_text() + f"new\tp9\t{path}\n")
    second = run(tmp_path, slides, tile_size=64, mpp=0.5)
    assert {name: second[name] for name in first} == first
    after = outputs(tmp_path)
    assert {name: after[name] for name in before if name != "manifest.parquet"}.items() <= before.items()
    now = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert made.items() <= now.items()
    assert len(now) == len(made) + 1


def test_without_a_cache(tmp_path: Path, slides: Path) -> None:
    flags = arguments(tmp_path, slides, tile_size=64, mpp=0.5)
    at = flags.index("--cache")
    tile_slides.main(tile_slides.arguments().parse_args(flags[:at] + flags[at + 2 :]))
    assert len(outputs(tmp_path)) == 9
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"tiles", "manifest.parquet", "slides.tsv", *(f"{n}.tiff" for n in range(4))}


def test_a_slide_that_takes_too_long_is_given_up(tmp_path: Path, slides: Path) -> None:
    rows = [{"slide": "large", "patient": "p", "path": write_large(tmp_path / "l.tiff", 20_000, 0.5)}]
    rows.append({"slide": "small", "patient": "q", "path": tmp_path / "0.tiff"})
    sheet = write_sheet(tmp_path / "both.tsv", rows)
    manifest = run(tmp_path, sheet, tile_size=64, mpp=0.5, timeout=3)
    assert (manifest["large"]["status"], manifest["small"]["status"]) == ("timeout", "ok")
    assert "given up after 3 s" in manifest["large"]["message"]
    assert {path.stem for path in (tmp_path / "tiles").iterdir()} == {"small"}


def test_kill_9_leaves_nothing_that_is_trusted(tmp_path: Path, slides: Path) -> None:
    path = write_large(tmp_path / "l.tiff", 2_000, 0.5)
    slides.write_text(slides.read_text() + f"z\tp9\t{path}\n")
    clean = tmp_path / "clean"
    clean.mkdir()
    flags = arguments(tmp_path, slides, workers=1, tile_size=64, mpp=0.5)
    program = subprocess.Popen([sys.executable, tile_slides.__file__, *flags], start_new_session=True)
    half = None
    for _ in range(1200):
        # four slides are finished and the fifth is being written
        half = next((f for f in tmp_path.glob("cache/.*.part/tiles.parquet") if f.stat().st_size), None)
        if half and len(list((tmp_path / "cache").glob("[!.]*"))) == 4:
            break
        time.sleep(0.05)
    os.killpg(program.pid, signal.SIGKILL)
    program.wait()
    assert half
    assert not (tmp_path / "tiles").exists()
    assert not (tmp_path / "manifest.parquet").exists()
    entries = list((tmp_path / "cache").glob("[!.]*"))
    assert len(entries) == 4
    assert all(lookup(entry) for entry in entries)
    made = {entry: entry.stat().st_mtime_ns for entry in entries}

    manifest = run(tmp_path, slides, tile_size=64, mpp=0.5)
    assert {row["status"] for row in manifest.values()} == {"ok"}
    assert all(entry.stat().st_mtime_ns == when for entry, when in made.items())  # what was whole is kept
    assert not list(tmp_path.rglob("*.part"))
    run(clean, slides, tile_size=64, mpp=0.5)
    assert outputs(tmp_path) == outputs(clean)


@pytest.mark.slow
def test_memory_is_bounded_whatever_the_slide(tmp_path: Path) -> None:
    """A slide of 40,000 x 40,000 pixels: 4.8 GB of RGB."""
    path = write_large(tmp_path / "l.tiff", 40_000, 0.12)
    sheet = write_sheet(tmp_path / "s.tsv", [{"slide": "large", "patient": "p", "path": path}])
    flags = arguments(tmp_path, sheet, tile_size=256, mpp=1.0)
    watch = (
        "import resource, subprocess, sys\n"
        "subprocess.run([sys.executable, *sys.argv[1:]], check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    program = [sys.executable, "-c", watch, tile_slides.__file__, *flags]
    result = subprocess.run(program, capture_output=True, text=True, check=True)
    unit = 1024 if sys.platform == "linux" else 1
    peak = int(result.stdout) * unit
    manifest = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    assert manifest[0]["status"] == "ok"
    # area of the disc over that of a tile: pi x 4800² / 512² = 276
    assert manifest[0]["kept"] == pytest.approx(276, rel=0.15)
    assert peak < 1.5e9, peak


def test_wrong_settings_are_named(tmp_path: Path, slides: Path) -> None:
    flags = arguments(tmp_path, slides)
    flags[1] = json.dumps({"mpp": 0.5})
    with pytest.raises(InputError, match=r"missing.*tile_size"):
        tile_slides.main(tile_slides.arguments().parse_args(flags))
