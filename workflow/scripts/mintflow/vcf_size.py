"""Whether a VCF or BCF may be unpacked: what does not end is refused before anything holds it."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

_GZIP = b"\x1f\x8b"
_BCF = b"BCF\x02"
_PIECE = 1 << 20


class TooLarge(Exception):
    """There is more than allowed; the message says of what, ``limit`` is the key that allows it."""

    def __init__(self, what: str, limit: str) -> None:
        self.limit = limit
        super().__init__(what)


def check(path: str | Path, max_bytes: int, max_records: int) -> None:
    """Read a file once, holding at most ``max_bytes`` of it.

    Args:
        path: VCF or BCF, plain or (b)gzipped.
        max_bytes: most bytes of the unpacked header, and of a record.
        max_records: most records; a small file may unpack to very many.

    Raises:
        TooLarge: there is more.
        OSError, EOFError, zlib.error, struct.error: the file cannot be read, or is damaged.
    """
    with open(path, "rb") as file:
        packed = file.read(2) == _GZIP
    with cast(BinaryIO, gzip.open(path) if packed else open(path, "rb")) as file:
        start = file.read(len(_BCF) + 1)
        sizes = _sizes_of_bcf if start[:-1] == _BCF else _sizes_of_text
        records = 0
        for is_header, size in sizes(file, start, max_bytes):
            records += not is_header
            if size > max_bytes:
                what = "the header" if is_header else "a record"
                raise TooLarge(f"{what} of more than {max_bytes >> 20} MB", "max_vcf_line_mb")
            if records > max_records:
                raise TooLarge(f"more than {max_records} records", "max_vcf_records")


def _sizes_of_text(file: BinaryIO, start: bytes, max_bytes: int) -> Iterator[tuple[bool, int]]:
    """Whether it is the header (so far) or a line, and its size, up to little more than allowed."""
    header = 0
    while line := start + file.readline(max_bytes + 1):
        start = b""
        if line.startswith(b"#"):
            header += len(line)
            yield True, header
        else:
            yield False, len(line)


def _sizes_of_bcf(file: BinaryIO, start: bytes, max_bytes: int) -> Iterator[tuple[bool, int]]:
    size = struct.unpack("<I", file.read(4))[0]
    yield True, size
    _skip(file, size)
    while sizes := file.read(8):
        size = sum(struct.unpack("<II", sizes))
        yield False, size
        _skip(file, size)


def _skip(file: BinaryIO, size: int) -> None:
    while size > 0:
        piece = file.read(min(size, _PIECE))
        if not piece:
            raise EOFError("ends within a record")
        size -= len(piece)
