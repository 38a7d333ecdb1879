from __future__ import annotations

import gzip
import io
import logging
import zipfile

import pytest

from mintflow import sheet_text
from mintflow.errors import InputError

TEXT = "case_id\tdisease_name\np1\tMénière – α\n"


def decode(data: bytes) -> str:
    return sheet_text.decode(data, file="patients.tsv", field="external")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_says_its_encoding_is_read(encoding: str, caplog: pytest.LogCaptureFixture) -> None:
    assert decode(TEXT.encode(encoding)) == TEXT
    assert decode(b"\xfe\xff" + TEXT.encode("utf-16-be")) == TEXT
    assert not caplog.records


def test_windows_1252_is_read_and_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mintflow")
    text = TEXT.replace("α", "Jane")
    assert decode(text.encode("cp1252")) == text
    told = caplog.messages
    assert len(told) == 1 and "patients.tsv" in told[0] and "Windows-1252" in told[0] and "line 2" in told[0]
    assert "Jane" not in told[0] and "p1" not in told[0]


def test_a_byte_that_no_encoding_has_is_marked() -> None:
    assert decode(b"case_id\np\x81\n") == f"case_id\np{sheet_text.LOST}\n"
    # a mark of UTF-8 is no text, even where the rest is none
    assert decode(b"\xef\xbb\xbfcase_id\np\xe9\n") == "case_id\npé\n"


def _workbook() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xff\xfea\0\xff", "UTF-16.*save it as UTF-8"),
        (TEXT.encode("utf-16-le"), "UTF-16.*save it as UTF-8"),
        (_workbook(), r"a zip or a workbook \(.xlsx\).*tab-separated text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(20), r"a workbook \(.xls\).*tab-separated text"),
        (gzip.compress(b"case_id"), "compressed"),
        (b' {"id": "p1"}', "JSON.*folder or a zip"),
        (b"\xef\xbb\xbf[\n{}]", "JSON.*folder or a zip"),
    ],
)
def test_what_is_no_table_is_told(data: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        decode(data)
    assert (caught.value.file, caught.value.field) == ("patients.tsv", "external")
    assert "p1" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (" a ", "a"),
        ('"HP:1, HP:2"', "HP:1, HP:2"),
        ('" a ""b"" "', 'a "b"'),
        ('"', '"'),
        ('"a', '"a'),
        ('a "b"', 'a "b"'),
        ('""', ""),
        ("\u00a0a\u2003", "a"),
    ],
)
def test_quotes_of_spreadsheets_are_no_text(cell: str, text: str) -> None:
    assert sheet_text.cell(cell) == text
