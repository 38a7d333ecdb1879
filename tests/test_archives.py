"""JSON files out of folders and zips that a stranger packed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from mintflow.archives import json_members
from mintflow.errors import InputError
from mintflow.quarantine import Quarantine


def read(path: Path, max_file_mb: float = 1, max_total_mb: float = 10) -> tuple[dict, list[tuple]]:
    quarantine = Quarantine("read")
    found = dict(json_members(path, quarantine, max_file_mb=max_file_mb, max_total_mb=max_total_mb))
    return found, [(row[1], row[5]) for row in quarantine.rows]


def zip_of(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_folder_and_zip_give_the_same_in_order_of_name(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "b.json").write_bytes(b"2")
    (folder / "deep" / "a.JSON").write_bytes(b"3")
    (folder / ".hidden.json").write_bytes(b"no")
    (folder / "readme.txt").write_bytes(b"no")
    archive = zip_of(
        tmp_path / "x.zip",
        **{"b.json": b"2", "deep/a.JSON": b"3", "__MACOSX/b.json": b"no", ".hidden.json": b"no"},
    )
    assert read(folder) == read(archive) == ({"b.json": b"2", "deep/a.JSON": b"3"}, [])


def test_names_that_leave_the_zip_are_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    names = {"../up.json": b"1", "/root.json": b"1", "C:/x.json": b"1", "good.json": b"1"}
    found, aside = read(zip_of(tmp_path / "x.zip", **names))
    assert found == {"good.json": b"1"}
    assert sorted(aside) == [
        ("../up.json", "a name that leaves the zip"),
        ("/root.json", "an absolute name in a zip"),
        ("C:/x.json", "an absolute name in a zip"),
    ]


def test_a_file_that_is_too_large_is_set_aside_unread(tmp_path: Path) -> None:
    found, aside = read(zip_of(tmp_path / "x.zip", **{"a.json": b"0" * 2_000_000, "b.json": b"1"}))
    assert found == {"a.json": None, "b.json": b"1"}
    assert aside == [("a.json", "larger than rare.cohort.max_file_mb")]


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    bomb = zip_of(tmp_path / "bomb.zip", **{f"{n}.json": b"0" * 900_000 for n in range(5)})
    assert bomb.stat().st_size < 20_000
    with pytest.raises(InputError, match=r"bomb\.zip.*max_total_mb"):
        read(bomb, max_total_mb=2)


@pytest.mark.parametrize(
    ("content", "words"), [(None, "no such file"), (b"PK", "neither a folder nor a zip"), (b"", "neither")]
)
def test_what_is_no_archive_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "patients.zip"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read(path)
    assert "patients.zip" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_an_empty_zip_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty zip"):
        read(zip_of(tmp_path / "x.zip"))
