"""The JSON files of a folder or a zip that a stranger packed: none is unpacked to disk, none trusted."""

from __future__ import annotations

import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from .errors import InputError
from .quarantine import Quarantine

MEGABYTE = 1_000_000

_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError)

# name, size that the file system or the zip header states, and a reader of at most so many bytes
Member = tuple[str, int, Callable[[int], bytes]]


def json_members(
    path: str | Path, quarantine: Quarantine, *, max_file_mb: float, max_total_mb: float
) -> Iterator[tuple[str, bytes | None]]:
    """Name and content of every ``*.json`` file, in order of name; None where it went to the quarantine.

    Hidden files and macOS resource forks are passed over. Names are relative to the folder or zip.

    Args:
        path: a folder (searched to the bottom) or a zip.
        quarantine: receives members that are too large, unreadable or dangerously named.
        max_file_mb: most megabytes (10^6 bytes) of one file.
        max_total_mb: most megabytes of all of them.

    Raises:
        InputError: nothing there, no zip, an empty zip, or more than ``max_total_mb``.
    """
    path = Path(path)
    max_file, max_total = int(max_file_mb * MEGABYTE), int(max_total_mb * MEGABYTE)
    if path.is_dir():
        source = _folder_members(path)
    elif path.is_file():
        source = _zip_members(path, quarantine, max_total)
    else:
        raise InputError("no such file or folder", file=path.name, field="rare.cohort.path")
    total = 0
    for name, size, content in source:
        data, problem = _read(size, content, max_file)
        if data is None:
            quarantine.add(file=name, record=name, field="(file)", value=size, reason=problem)
        else:
            total += len(data)
            _check_total(total, max_total, path)
        yield name, data


def _read(size: int, content: Callable[[int], bytes], limit: int) -> tuple[bytes | None, str]:
    too_large = "larger than rare.cohort.max_file_mb"
    if size > limit:
        return None, too_large
    try:
        # one byte more than allowed: the size is only what a header claims
        data = content(limit + 1)
    except (OSError, EOFError, RuntimeError, ValueError, *_ZIP_ERRORS) as error:
        return None, f"the file cannot be read: {error}"
    return (None, too_large) if len(data) > limit else (data, "")


def _check_total(size: int, limit: int, path: Path) -> None:
    if size > limit:
        problem = "unpacks to more than is allowed"
        raise InputError(problem, file=shown_name(path), field="rare.cohort.max_total_mb")


def shown_name(path: Path) -> str:
    """How messages name what was given: a folder may be called after a patient, and logs are read by many."""
    return "(the folder)" if path.is_dir() else path.name


def _wanted(name: str) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)
    return name.lower().endswith(".json") and not hidden


def _folder_members(path: Path) -> Iterator[Member]:
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    for name in sorted(filter(_wanted, files)):
        # a file system may hold names that are no UTF-8; no table could
        shown = name.encode("utf-8", "backslashreplace").decode("utf-8")
        yield shown, files[name].stat().st_size, lambda limit, file=files[name]: _read_file(file, limit)


def _read_file(file: Path, limit: int) -> bytes:
    with open(file, "rb") as handle:
        return handle.read(limit)


def _zip_members(path: Path, quarantine: Quarantine, max_total: int) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, NotImplementedError, ValueError, *_ZIP_ERRORS) as error:
        # ValueError: names of members that are not in the encoding that the zip states
        problem = (
            f"is neither a folder nor a zip (a table of a further cohort ends in .tsv, .txt or .tab): {error}"
        )
        raise InputError(problem, file=path.name, field="rare.cohort.path") from error
    with archive:
        entries = sorted(archive.infolist(), key=lambda entry: entry.filename)
        if not entries:
            raise InputError("is an empty zip", file=path.name, field="rare.cohort.path")
        chosen = []
        for entry in entries:
            if reason := _unsafe(entry):
                name = entry.orig_filename
                quarantine.add(file=name, record=name, field="(file name)", value=name, reason=reason)
            elif not entry.is_dir() and _wanted(entry.filename):
                chosen.append(entry)
        _check_total(sum(entry.file_size for entry in chosen), max_total, path)
        for entry in chosen:
            yield (
                entry.filename,
                entry.file_size,
                lambda limit, entry=entry: _read_entry(archive, entry, limit),
            )


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> bytes:
    with archive.open(entry) as handle:
        return handle.read(limit)


def _unsafe(entry: zipfile.ZipInfo) -> str | None:
    name = entry.orig_filename.replace("\\", "/")
    if name.startswith("/") or re.match(r"^[A-Za-z]:", name) or "\0" in name:
        return "an absolute name in a zip"
    if ".." in name.split("/"):
        return "a name that leaves the zip"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "a symbolic link in a zip"
    return None
