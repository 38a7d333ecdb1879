"""The text of a table as spreadsheets and registries save it: its encoding, and what is no text at all."""

from __future__ import annotations

import codecs
import logging

from .errors import InputError

log = logging.getLogger("mintflow")

LOST = "\ufffd"  # stands for what could not be decoded

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_EXPECTED = "expected tab-separated text"
_OTHERS = (
    (b"PK\x03\x04", f"is a zip or a workbook (.xlsx); {_EXPECTED} (.tsv)"),
    (b"PK\x05\x06", f"is an empty zip; {_EXPECTED} (.tsv)"),
    (b"\xd0\xcf\x11\xe0", f"is a workbook (.xls); {_EXPECTED} (.tsv)"),
    (b"\x1f\x8b", f"is compressed (gzip); {_EXPECTED}, unpacked"),
)


def decode(data: bytes, *, file: str, field: str) -> str:
    """The text: UTF-8, or UTF-16 with its mark; a line that is neither, Windows-1252, which is logged.

    A byte without a meaning there becomes ``LOST``: it must not cost the whole table.

    Args:
        data: the whole file.
        file: its name, for messages.
        field: the key of the configuration that names it.

    Raises:
        InputError: another kind of file, or UTF-16 that cannot be read.
    """
    for start, problem in _OTHERS:
        if data.startswith(start):
            raise InputError(problem, file=file, field=field)
    text = _text(data, file, field)
    if text.lstrip()[:1] in ("{", "["):
        problem = f"is JSON; {_EXPECTED}; phenopackets are given as a folder or a zip"
        raise InputError(problem, file=file, field=field)
    return text


def _text(data: bytes, file: str, field: str) -> str:
    not_read = "is UTF-16 or UTF-32 that cannot be read: save it as UTF-8"
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise InputError(not_read, file=file, field=field)
    if data.startswith(_UTF_16):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise InputError(not_read, file=file, field=field) from error
    while data.startswith(codecs.BOM_UTF8):
        data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        log.warning("%s: line %d, and perhaps others, is not UTF-8: read as Windows-1252", file, line)
        text = "".join(map(_line, data.splitlines(keepends=True)))
    # every second byte of Latin letters
    if text[:100].count("\0") > len(text[:100]) // 3:
        raise InputError(not_read, file=file, field=field)
    return text


def _line(data: bytes) -> str:
    # one by one: a stray byte must not change the ids of all other lines
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def cell(text: str) -> str:
    """A cell without blanks around it and without the quotes that spreadsheets put around a comma."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('""', '"').strip()
    return text
