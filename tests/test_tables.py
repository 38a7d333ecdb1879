from __future__ import annotations

import math
from pathlib import Path

import pytest

from mintflow import tables
from mintflow.errors import InputError


def test_read_csv_keeps_words_and_reads_empty_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("arm,value\nNA,\nnull,0.5\n")
    table = tables.read_csv(path, ["arm", "value"])
    assert table["arm"].tolist() == ["NA", "null"]
    assert math.isnan(table["value"][0])


def test_bad_tables_name_file_and_field(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("arm\nbase\n")
    with pytest.raises(InputError, match=r"m\.csv.*lacks column\(s\) value"):
        tables.read_csv(path, ["arm", "value"])
    with pytest.raises(InputError, match="absent"):
        tables.read_csv(tmp_path / "absent.csv", [])
    path.write_text("")
    with pytest.raises(InputError, match="cannot be read"):
        tables.read_csv(path, [])


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1, "loss": NaN}\n\n{"step": 2}\n')
    assert [event["step"] for event in tables.read_json_lines(path)] == [1, 2]
    for bad in ("{", "[1]"):
        path.write_text('{"step": 1}\n' + bad)
        with pytest.raises(InputError, match="line 2"):
            tables.read_json_lines(path)


def test_named_paths() -> None:
    assert tables.named_paths(["orpo=a/b=c", "dpo=x"], "--log") == {"orpo": "a/b=c", "dpo": "x"}
    for bad in (["orpo"], ["=x"], ["orpo="], ["a=1", "a=2"]):
        with pytest.raises(InputError, match="--log"):
            tables.named_paths(bad, "--log")
