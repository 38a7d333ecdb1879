"""Whether a VCF or BCF may be unpacked: lines that do not end are refused before anything holds them."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

_GZIP = b"\x1f\x8b"
_BCF = b"BCF\x02"
_PIECE = 1 << 20


class TooLong(Exception):
    """The header, or one record, is longer than allowed; the message says which."""


def check(path: str | Path, max_bytes: int, max_records: int) -> None:
    """Read a file once, holding at most ``max_bytes`` of it.

    A damaged file passes: whoever reads it says what is wrong.

    Args:
        path: VCF or BCF, plain or (b)gzipped.
        max_bytes: most bytes of the unpacked header, and of a record.
        max_records: where to stop; the reader refuses the file for more of them.

    Raises:
        TooLong: there is more.
        OSError: the file cannot be opened.
    """
    with open(path, "rb") as file:
        packed = file.read(2) == _GZIP
    with cast(BinaryIO, gzip.open(path) if packed else open(path, "rb")) as file:
        try:
            start = file.read(len(_BCF) + 1)
            (_check_bcf if start[:-1] == _BCF else _check_text)(file, start, max_bytes, max_records)
        except (EOFError, zlib.error, gzip.BadGzipFile, struct.error):
            return


def _check_text(file: BinaryIO, start: bytes, max_bytes: int, max_records: int) -> None:
    header = records = 0
    while records <= max_records:
        line = start + file.readline(max_bytes + 1)
        start = b""
        if not line:
            return
        if len(line) > max_bytes:
            raise TooLong("a line")
        if line.startswith(b"#"):
            header += len(line)
            if header > max_bytes:
                raise TooLong("the header")
        else:
            records += 1


def _check_bcf(file: BinaryIO, start: bytes, max_bytes: int, max_records: int) -> None:
    _skip(file, struct.unpack("<I", file.read(4))[0], max_bytes, "the header")
    for _ in range(max_records + 1):
        sizes = file.read(8)
        if not sizes:
            return
        _skip(file, sum(struct.unpack("<II", sizes)), max_bytes, "a record")


def _skip(file: BinaryIO, size: int, max_bytes: int, what: str) -> None:
    if size > max_bytes:
        raise TooLong(what)
    while size > 0:
        piece = file.read(min(size, _PIECE))
        if not piece:
            raise EOFError
        size -= len(piece)
