"""Files appear whole or not at all, and the same content gives the same bytes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mintflow import io
from mintflow.errors import InputError
from mintflow.quarantine import COLUMNS, Quarantine, read_quarantine


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    io.write_text("old", target)
    with pytest.raises(RuntimeError), io.whole_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_failed_directory_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), io.whole_directory(tmp_path / "model") as temporary:
        (temporary / "weights").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_directory_replaces_the_old_one(tmp_path: Path) -> None:
    for content in ("one", "two"):
        with io.whole_directory(tmp_path / "model") as temporary:
            (temporary / content).write_text(content)
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["two"]


def test_leftovers_of_a_killed_writer_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".a.txt.dead.part").write_text("half")
    (tmp_path / ".model.dead.part").mkdir()
    (tmp_path / ".other.txt.alive.part").write_text("not ours")
    io.write_text("whole", tmp_path / "a.txt")
    with io.whole_directory(tmp_path / "model") as temporary:
        (temporary / "x").write_text("")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".other.txt.alive.part", "a.txt", "model"]


def test_parquet_round_trip_is_byte_identical(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["b", "a"], "terms": [["x"], []], "n": [1.5, None]})
    for name in ("one", "two"):
        io.write_parquet(table, tmp_path / name, source="test")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    back = io.read_parquet(tmp_path / "one")
    assert back["terms"].tolist() == [["x"], []]
    assert isinstance(back["terms"][0], list)


def test_unreadable_tables_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_text("no parquet")
    with pytest.raises(InputError, match=r"broken\.parquet"):
        io.read_parquet(broken)
    io.write_parquet(pd.DataFrame({"a": [1]}), tmp_path / "narrow.parquet")
    with pytest.raises(InputError, match=r"lacks column\(s\) b"):
        io.read_parquet(tmp_path / "narrow.parquet", columns=["a", "b"])
    with pytest.raises(InputError, match=r"missing\.json"):
        io.read_json(tmp_path / "missing.json")


def test_fingerprint_ignores_key_order() -> None:
    assert io.fingerprint({"a": 1, "b": [2]}) == io.fingerprint({"b": [2], "a": 1})
    assert io.fingerprint({"a": 1}) != io.fingerprint({"a": 2})


def test_quarantine_table(tmp_path: Path) -> None:
    quarantine = Quarantine("read")
    quarantine.add(file="a.zip", record="x.json", field="id", value="p\tq\n" + "z" * 500, reason="bad")
    quarantine.write(tmp_path / "q.tsv")
    Quarantine("other").write(tmp_path / "empty.tsv")
    table = read_quarantine([tmp_path / "q.tsv", tmp_path / "empty.tsv"])
    assert list(table.columns) == COLUMNS
    assert len(table) == 1
    assert len(table["value"][0]) <= 200
    assert "\t" not in table["value"][0]


def test_input_error_names_the_place() -> None:
    error = InputError("is empty", file="a.vcf", record="case-1", field="sample")
    assert str(error) == "file a.vcf, record case-1, field sample: is empty"
    assert str(InputError("is empty")) == "is empty"
