"""Finished slides are found again by content, and only whole ones are trusted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mintflow import tile_cache, tiling
from mintflow.sheets import SlideRow
from mintflow.tile_cache import SlideJob, cache_key, code_fingerprint, cut_slide, lookup, place
from slide_material import tiling_settings, tissue, write_slide

SETTINGS = tiling_settings(min_sharpness=0.0, tile_size=64, mpp=0.5)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return write_slide(tmp_path / "a.tiff", [tissue(256, 256)])


@pytest.fixture
def cut_count(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Slides that were cut rather than found."""
    real, cut = tiling.tile_slide, []

    def counted(row: SlideRow, *rest: object):
        cut.append(row.path)
        return real(row, *rest)

    monkeypatch.setattr(tiling, "tile_slide", counted)
    return cut


def job(path: Path, cache: Path, **changes: object) -> SlideJob:
    return SlideJob(SlideRow("s", "p", str(path)), SETTINGS | changes, str(cache))


def test_the_same_content_is_found_at_another_place(
    tmp_path: Path, slide: Path, cut_count: list[str]
) -> None:
    first, entry = cut_slide(job(slide, tmp_path / "cache"))
    moved = shutil.copy(slide, tmp_path / "renamed.svs")
    second, again = cut_slide(job(Path(moved), tmp_path / "cache"))
    assert len(cut_count) == 1
    assert entry == again
    assert second == {**first, "path": str(moved)}
    assert first["status"] == "ok"
    assert len(first["sha256"]) == 64


def test_another_content_under_the_same_name_is_cut_anew(
    tmp_path: Path, slide: Path, cut_count: list[str]
) -> None:
    first, _ = cut_slide(job(slide, tmp_path / "cache"))
    write_slide(slide, [tissue(256, 256, seed=9)])
    second, _ = cut_slide(job(slide, tmp_path / "cache"))
    assert len(cut_count) == 2
    assert first["sha256"] != second["sha256"]


def test_the_key_holds_all_that_tiles_depend_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roi = tmp_path / "roi.geojson"
    roi.write_text("{}")
    row = SlideRow("s", "p", "a.svs", roi=str(roi))
    keys = {
        "base": cache_key(row, SETTINGS, "abc"),
        "slide": cache_key(SlideRow("t", "p", "a.svs", roi=str(roi)), SETTINGS, "abc"),
        "bytes": cache_key(row, SETTINGS, "abd"),
        "mpp": cache_key(SlideRow("s", "p", "a.svs", roi=str(roi), mpp=0.5), SETTINGS, "abc"),
        "no roi": cache_key(SlideRow("s", "p", "a.svs"), SETTINGS, "abc"),
        "settings": cache_key(row, SETTINGS | {"overlap": 1}, "abc"),
    }
    roi.write_text('{"type": 1}')
    keys["roi bytes"] = cache_key(row, SETTINGS, "abc")
    roi.unlink()
    keys["roi missing"] = cache_key(row, SETTINGS, "abc")
    monkeypatch.setattr(tile_cache, "code_fingerprint", lambda: "other code")
    keys["code"] = cache_key(row, SETTINGS, "abc")
    assert len(set(keys.values())) == len(keys)


def test_the_key_holds_nothing_else() -> None:
    row = SlideRow("s", "p", "a.svs", label="tumor")
    moved = SlideRow("s", "q", "elsewhere/b.svs", label=None)
    assert cache_key(row, SETTINGS, "abc") == cache_key(moved, SETTINGS | {"timeout": 1.0}, "abc")


def test_the_code_that_makes_tiles_is_in_the_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tile_cache.code.sources
    named = {Path(path).name for path in real(Path(tiling.__file__), Path(tiling.__file__).parent)}
    assert {"tiling.py", "quality.py", "tissue_mask.py", "sampling.py", "rois.py"} <= named
    before = code_fingerprint()
    changed = tmp_path / "quality.py"
    changed.write_text("# other\n")

    def with_a_change(*where: Path) -> list[str]:
        return [str(changed) if path.endswith("quality.py") else path for path in real(*where)]

    monkeypatch.setattr(tile_cache.code, "sources", with_a_change)
    code_fingerprint.cache_clear()
    after = code_fingerprint()
    code_fingerprint.cache_clear()
    assert before != after


@pytest.mark.parametrize("harm", ["cut short", "changed", "missing", "no record", "half a record"])
def test_a_damaged_entry_is_cut_anew(tmp_path: Path, slide: Path, cut_count: list[str], harm: str) -> None:
    first, entry = cut_slide(job(slide, tmp_path / "cache"))
    tiles, record = Path(entry) / "tiles.parquet", Path(entry) / "slide.json"
    whole = tiles.read_bytes()
    if harm == "cut short":
        tiles.write_bytes(whole[:-100])
    elif harm == "changed":
        tiles.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    elif harm == "missing":
        (Path(entry) / "overlay.png").unlink()
    elif harm == "no record":
        record.unlink()
    else:
        record.write_text(json.dumps({"files": json.loads(record.read_text())["files"]}))
    assert lookup(Path(entry)) is None
    second, again = cut_slide(job(slide, tmp_path / "cache"))
    assert len(cut_count) == 2
    assert (second, again) == (first, entry)
    assert tiles.read_bytes() == whole


def test_what_failed_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_text("text")
    row, entry = cut_slide(job(tmp_path / "a.svs", tmp_path / "cache"))
    assert (row["status"], entry) == ("unreadable-file", None)
    assert len(row["sha256"]) == 64
    assert not list((tmp_path / "cache").iterdir())
    row, entry = cut_slide(job(tmp_path / "missing.svs", tmp_path / "cache"))
    assert (row["status"], row["sha256"], entry) == ("unreadable-file", None, None)
    assert str(tmp_path) not in row["message"]


def test_a_surprise_is_a_row_too(
    tmp_path: Path, slide: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def surprised(*_: object) -> None:
        raise ZeroDivisionError(f"no way through {slide}, or '{slide.name}'")

    monkeypatch.setattr(tiling, "tile_slide", surprised)
    row, entry = cut_slide(job(slide, tmp_path / "cache"))
    assert (row["status"], entry) == ("unreadable-file", None)
    assert row["message"] == "unexpected ZeroDivisionError: no way through it, or 'it'"
    assert slide.name not in caplog.text and "no way through it" in caplog.text


def test_files_are_placed_under_the_slides_name(tmp_path: Path, slide: Path) -> None:
    _, entry = cut_slide(job(slide, tmp_path / "cache"))
    (tmp_path / "out").mkdir()
    place(entry, tmp_path / "out", "a%2Fb")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a%2Fb.parquet", "a%2Fb.png"]
    assert (tmp_path / "out" / "a%2Fb.parquet").samefile(Path(entry) / "tiles.parquet")


def test_files_are_copied_where_links_cannot_be(
    tmp_path: Path, slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    _, entry = cut_slide(job(slide, tmp_path / "cache"))
    monkeypatch.setattr(tile_cache.os, "link", refuse)
    (tmp_path / "out").mkdir()
    place(entry, tmp_path / "out", "s")
    copy = tmp_path / "out" / "s.parquet"
    assert not copy.samefile(Path(entry) / "tiles.parquet")
    assert copy.read_bytes() == (Path(entry) / "tiles.parquet").read_bytes()
