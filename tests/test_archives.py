"""JSON files out of folders and zips that a stranger packed."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from mintflow.archives import json_members, natural
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


PASSED_OVER = "is no *.json file: not read"
OTHERS = ["a.json.gz", "b.jsonl", "c.phenopacket", "d.yaml", "deep/more.ZIP", "e"]
HARMLESS = ["LICENSE", "readme", "README.rst", "n.md", "n.TXT", "t.tsv", "t.csv", "x.xml", "p.pdf", "i.PNG"]
HARMLESS += ["v.vcf", "v.vcf.gz", "v.vcf.gz.tbi", "v.bcf", "v.bcf.csi"]  # named by phenopackets


def test_what_is_passed_over_is_told_but_for_what_is_no_patient(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    names = [*OTHERS, *HARMLESS, "b.json", ".hidden.zip", ".git/x.zip", "__MACOSX/x.zip"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"{}")
    archive = zip_of(tmp_path / "x.zip", **dict.fromkeys(names, b"{}"))
    told = [(name, PASSED_OVER) for name in OTHERS]
    assert read(folder) == read(archive) == ({"b.json": b"{}"}, told)


def test_links_and_special_files_are_told_and_never_followed(tmp_path: Path) -> None:
    folder, away = tmp_path / "folder", tmp_path / "away"
    for made in (folder / "real.json", away):
        made.mkdir(parents=True)
    (folder / "real.json" / "z.json").write_bytes(b"1")
    (away / "y.json").write_bytes(b"2")
    (folder / "linked").symlink_to(away)
    (folder / "lost.JSON").symlink_to(tmp_path / "nowhere")
    (folder / "lost.zip").symlink_to(tmp_path / "nowhere")
    (folder / "README").symlink_to(tmp_path / "nowhere")
    (folder / "loop.json").symlink_to("loop.json")
    (folder / "one.json").symlink_to(away / "y.json")
    os.mkfifo(folder / "pipe.json")
    found, aside = read(folder)
    opened = {name: data for name, data in found.items() if data is not None}
    assert opened == {"one.json": b"2", "real.json/z.json": b"1"}
    # what is not called .json comes first; the others have their place in the order
    assert aside == [
        ("linked", "a link to a folder: not followed"),
        ("lost.zip", "a broken link"),
        ("loop.json", "a broken link"),
        ("lost.JSON", "a broken link"),
        ("pipe.json", "no regular file"),
        ("real.json", "a folder, not a file"),
    ]
    assert list(found) == sorted(found)


def test_what_cannot_be_opened_is_told_without_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason ends in a log where no phenopacket can be used."""
    for name in ("deep/a.json", "shut/b.json"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"1")
    listed = os.scandir

    def scandir(folder: str) -> object:
        if Path(folder).name in shut:
            raise PermissionError(13, "Permission denied", folder)
        return listed(folder)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "deep/a.json"))

    shut = ["shut"]
    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr("mintflow.archives._read_file", refuse)
    assert read(tmp_path) == (
        {"deep/a.json": None},
        [
            ("shut", "the folder cannot be opened: Permission denied"),
            ("deep/a.json", "the file cannot be read: Permission denied"),
        ],
    )
    shut[:] = [tmp_path.name]
    with pytest.raises(
        InputError, match=r"rare\.cohort\.path: cannot be opened: Permission denied"
    ) as caught:
        read(tmp_path)
    assert str(tmp_path) not in str(caught.value)


def test_damaged_and_encrypted_members_are_told_without_their_names(tmp_path: Path) -> None:
    content = bytearray(zip_of(tmp_path / "x.zip", **{"Ann.json": b"1", "Bob.json": b"2"}).read_bytes())
    content[content.index(b"PK\1\2") + 16] ^= 1  # checksum of the first
    content[content.rindex(b"PK\1\2") + 8] |= 1  # flags of the second
    (tmp_path / "x.zip").write_bytes(content)
    told = [
        (f"{name}.json", f"the file cannot be read: {why}")
        for name, why in (("Ann", "damaged"), ("Bob", "encrypted"))
    ]
    assert read(tmp_path / "x.zip") == ({"Ann.json": None, "Bob.json": None}, told)


def test_numbers_in_names_can_be_told_apart_by_value(tmp_path: Path) -> None:
    names = ["p_10.json", "p_2.json", "p_2/b.json", "p_02.json", "q.json"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    limits = {"max_file_mb": 1, "max_total_mb": 10}
    found = [name for name, _ in json_members(tmp_path, Quarantine("read"), order=natural, **limits)]
    assert found == ["p_02.json", "p_2.json", "p_2/b.json", "p_10.json", "q.json"]
    assert list(read(tmp_path)[0]) == sorted(names)


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
