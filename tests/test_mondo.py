from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from mintflow import io, mondo
from mintflow.errors import InputError

HEAD = "# curie_map:\n#   OMIM: https://omim.org/entry/\nsubject_id\tsubject_label\tpredicate_id\tobject_id\t"
HEAD += "object_label\tmapping_justification\n"
ROWS = [
    ("MONDO:2", "b", "skos:exactMatch", "Orphanet:25", 'b "quoted'),
    ("MONDO:2", "b", "skos:exactMatch", "OMIM:231670", "B"),
    ("MONDO:2", "b", "skos:exactMatch", "OMIM:100000", "B2"),
    ("MONDO:1", "series", "skos:exactMatch", "OMIMPS:100", "Series"),
    ("MONDO:1", "series", "skos:broadMatch", "OMIM:100", "too broad"),
    ("MONDO:1", "series", "skos:exactMatch", "DOID:4", "other source"),
    ("MONDO:3", "c", "skos:exactMatch", "Orphanet:3", ""),
]


def wheel(folder: Path, text: str | None = None, member: str = "pheval/resources/mondo.sssom.tsv") -> Path:
    text = HEAD + "".join("\t".join(row) + "\tx\n" for row in ROWS) if text is None else text
    path = folder / "pheval.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, text)
    return path


def test_extract(tmp_path: Path) -> None:
    table = mondo.extract_mondo(wheel(tmp_path))
    assert table.to_numpy().tolist() == [
        ["MONDO:1", "series", "OMIMPS:100", "Series"],
        ["MONDO:2", "b", "OMIM:100000", "B2"],
        ["MONDO:2", "b", "OMIM:231670", "B"],
        ["MONDO:2", "b", "ORPHA:25", 'b "quoted'],
        ["MONDO:3", "c", "ORPHA:3", ""],
    ]


def test_look_ups(tmp_path: Path) -> None:
    table = mondo.extract_mondo(wheel(tmp_path))
    found = mondo.Mondo(table)
    assert found.mondo_id("Orphanet:25") == found.mondo_id("ORPHA:25") == "MONDO:2"
    assert found.mondo_id("MONDO:2") == "MONDO:2"
    assert found.mondo_id("OMIM:999999") is None
    assert found.canonical("ORPHA:25") == found.canonical("MONDO:2") == "OMIM:100000"
    # an OMIM entry stays what it is, even where MONDO joins two
    assert found.canonical("OMIM:231670") == "OMIM:231670"
    assert found.canonical("Orphanet:3") == "ORPHA:3"
    assert found.canonical("MONDO:404") == "MONDO:404"
    assert found.same("ORPHA:3") == found.same("MONDO:3") == "MONDO:3"
    assert found.same("ORPHA:25") == "OMIM:100000" != found.same("OMIM:231670") == "OMIM:231670"
    assert found.names("OMIM:231670") == ["b", "B2", "B", 'b "quoted']
    assert found.names("ORPHA:3") == ["c"]
    assert found.names("OMIM:999999") == []
    assert found.series_titles == {"series": "OMIMPS:100"}
    shuffled = mondo.Mondo(table.iloc[::-1])
    assert shuffled.names("ORPHA:25") == found.names("ORPHA:25")
    assert shuffled.canonical("ORPHA:25") == "OMIM:100000"


def test_script_and_round_trip(tmp_path: Path, root: Path) -> None:
    script = root / "workflow" / "scripts" / "extract_mondo.py"
    output = tmp_path / "mondo.parquet"
    command = [sys.executable, str(script), "--wheel", str(wheel(tmp_path)), "--output", str(output)]
    subprocess.run(command, check=True)
    assert mondo.Mondo.from_parquet(output).canonical("ORPHA:25") == "OMIM:100000"
    pd.testing.assert_frame_equal(io.read_parquet(output), mondo.extract_mondo(wheel(tmp_path)))


def test_wrong_wheels_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected one mondo\.sssom\.tsv inside, found 0"):
        mondo.extract_mondo(wheel(tmp_path, member="other.tsv"))
    with pytest.raises(InputError, match=r"pheval\.whl.*mondo\.sssom\.tsv cannot be read"):
        mondo.extract_mondo(wheel(tmp_path, "a\tb\n1\t2\n"))
    (tmp_path / "broken.whl").write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"broken\.whl"):
        mondo.extract_mondo(tmp_path / "broken.whl")
    with pytest.raises(InputError, match=r"absent\.whl"):
        mondo.extract_mondo(tmp_path / "absent.whl")
