"""The program that draws slides."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import openslide
import pytest

from conftest import SCRIPTS

SETTINGS = {
    "patients": 3,
    "tissues": ["adipose", "gland", "lymphoid"],
    "regions": 2,
    "region_um": 150,
    "mpp": 0.5,
    "artefacts": 0.7,
    "seed": 1,
}


def _run(output: str, cwd: Path, **changes: object) -> subprocess.CompletedProcess[str]:
    settings = json.dumps({**SETTINGS, **changes})
    command = [sys.executable, str(SCRIPTS / "make_slides.py"), "--settings", settings, "--output", output]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    done = _run("results/slides", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_sheet_names_what_was_drawn(drawn: Path) -> None:
    with open(drawn / "results/slides/slides.tsv", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert [row["slide"] for row in rows] == ["patient-001", "patient-002", "patient-003"]
    assert len({row["patient"] for row in rows}) == 3
    for row in rows:
        assert row["path"] == f"results/slides/{row['slide']}.tiff" and row["label"] == row["mpp"] == ""
        with openslide.OpenSlide(drawn / row["path"]) as slide:
            assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5, abs=1e-3)
            assert "ynthetic mintflow" in slide.properties["openslide.comment"]
        features = json.loads((drawn / row["roi"]).read_text(encoding="utf-8"))["features"]
        assert {one["properties"]["classification"]["name"] for one in features} <= set(SETTINGS["tissues"])


def test_same_bytes_again_and_nothing_left_behind(drawn: Path) -> None:
    def digests(folder: Path) -> dict[str, str]:
        return {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in folder.iterdir()}

    before = digests(drawn / "results/slides")
    assert _run("results/slides", drawn).returncode == 0
    assert digests(drawn / "results/slides") == before
    assert len(before) == 3 * 2 + 1
    assert [one.name for one in (drawn / "results").iterdir()] == ["slides"]


def test_wrong_settings_end_with_one_clear_line(tmp_path: Path) -> None:
    done = _run("slides", tmp_path, colour=1)
    assert done.returncode == 2
    assert "unknown colour" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "slides").exists()
