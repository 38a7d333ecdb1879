"""The JSON files of a folder or a zip that a stranger packed: none is unpacked to disk, none trusted."""

from __future__ import annotations

import lzma
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from .errors import InputError
from .quarantine import Quarantine

MEGABYTE = 1_000_000

_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError)

PASSED_OVER = "is no *.json file: not read"
TOO_LARGE = "larger than rare.cohort.max_file_mb"
_BROKEN_LINK, _FOLDER = "a broken link", "a folder, not a file"

# what lies beside patients and is none: words, tables, pictures, and the VCFs that phenopackets name
_NO_PATIENT = (
    *(".md", ".txt", ".tsv", ".csv", ".xml", ".pdf"),
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".bmp", ".webp", ".svg"),
    *(".vcf", ".vcf.gz", ".bcf", ".tbi", ".csi"),
)
_NO_PATIENT_NAMES = ("readme", "license", "licence")

# name, size that the file system or the zip header states, and a reader of at most so many bytes, or why
# there is nothing to read
Member = tuple[str, int, Callable[[int], bytes] | str]
# of names, for sorting; None takes them as they are
Order = Callable[[str], Any] | None


def json_members(
    path: str | Path,
    quarantine: Quarantine,
    *,
    max_file_mb: float,
    max_total_mb: float,
    order: Order = None,
) -> Iterator[tuple[str, bytes | None]]:
    """Name and content of every ``*.json`` file, in order of name; None where it went to the quarantine.

    Hidden files and macOS resource forks are passed over, and so are files that are obviously no patient's
    (``_NO_PATIENT``). Links to folders are not followed. Names are relative to the folder or zip.

    Args:
        path: a folder (searched to the bottom) or a zip.
        quarantine: receives members that are too large, unreadable or dangerously named, and, before all of
            these, what is no ``*.json`` file but could hold patients.
        max_file_mb: most megabytes (10^6 bytes) of one file.
        max_total_mb: most megabytes of all of them.
        order: of the names.

    Raises:
        InputError: nothing there, no zip, an empty zip, or more than ``max_total_mb``.
    """
    path = Path(path)
    max_file, max_total = int(max_file_mb * MEGABYTE), int(max_total_mb * MEGABYTE)
    if path.is_dir():
        source = _folder_members(path, quarantine, order)
    elif path.is_file():
        source = _zip_members(path, quarantine, max_total, order)
    else:
        raise InputError("no such file or folder", file=path.name, field="rare.cohort.path")
    total = 0
    for name, size, content in source:
        data, problem = _read(size, content, max_file)
        if data is None:
            value = "" if isinstance(content, str) else size
            quarantine.add(file=name, record=name, field="(file)", value=value, reason=problem)
        else:
            total += len(data)
            _check_total(total, max_total, path)
        yield name, data


def natural(name: str) -> tuple[Any, ...]:
    """For sorting: numbers in names by value, so that ``p_2`` comes before ``p_10``."""
    parts = re.split("([0-9]+)", name)  # words and numbers by turns
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


def _read(size: int, content: Callable[[int], bytes] | str, limit: int) -> tuple[bytes | None, str]:
    if isinstance(content, str):
        return None, content
    if size > limit:
        return None, TOO_LARGE
    try:
        # one byte more than allowed: the size is only what a header claims
        data = content(limit + 1)
    except (OSError, EOFError, RuntimeError, ValueError, *_ZIP_ERRORS) as error:
        return None, f"the file cannot be read: {_without_name(error)}"
    return (None, TOO_LARGE) if len(data) > limit else (data, "")


def _without_name(error: Exception) -> str:
    """What went wrong, without path and name, which the system and zipfile add: reasons go into logs."""
    text = getattr(error, "strerror", None) or str(error)
    if "'" in text or '"' in text:
        return "encrypted" if isinstance(error, RuntimeError) else "damaged"
    return text


def _check_total(size: int, limit: int, path: Path) -> None:
    if size > limit:
        problem = "unpacks to more than is allowed"
        raise InputError(problem, file=shown_name(path), field="rare.cohort.max_total_mb")


def shown_name(path: Path) -> str:
    """How messages name what was given: a folder may be called after a patient, and logs are read by many."""
    return "(the folder)" if path.is_dir() else path.name


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _is_json(name: str) -> bool:
    return name.lower().endswith(".json")


def _may_hold_patients(name: str) -> bool:
    last = PurePosixPath(name).name.lower()
    return not last.endswith(_NO_PATIENT) and not last.startswith(_NO_PATIENT_NAMES)


def _pass_over(name: str, reason: str, quarantine: Quarantine) -> None:
    quarantine.add(file=name, record=name, field="(file)", value="", reason=reason)


def _folder_members(path: Path, quarantine: Quarantine, order: Order) -> Iterator[Member]:
    files: dict[str, Path] = {}
    chosen: dict[str, Member] = {}

    def unopened(error: OSError) -> None:
        problem = f"cannot be opened: {error.strerror}"
        if Path(error.filename) == path:
            raise InputError(problem, file=shown_name(path), field="rare.cohort.path") from error
        _pass_over(_shown(Path(error.filename), path), f"the folder {problem}", quarantine)

    for top, folders, others in os.walk(path, onerror=unopened):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        for name in (*folders, *others):
            file = Path(top, name)
            files[file.relative_to(path).as_posix()] = file
    for name in sorted((name for name in files if not _hidden(name)), key=order):
        file, shown = files[name], _shown(files[name], path)
        size, problem = _look_at(file)
        if _is_json(name):
            chosen[name] = (shown, size, problem or (lambda limit, file=file: _read_file(file, limit)))
        elif problem == _FOLDER:
            if file.is_symlink():
                _pass_over(shown, "a link to a folder: not followed", quarantine)
        elif _may_hold_patients(name):
            reason = problem if problem == _BROKEN_LINK else PASSED_OVER
            _pass_over(shown, reason, quarantine)
    yield from chosen.values()


def _shown(file: Path, folder: Path) -> str:
    # a file system may hold names that are no UTF-8; no table could
    return file.relative_to(folder).as_posix().encode("utf-8", "backslashreplace").decode("utf-8")


def _look_at(file: Path) -> tuple[int, str]:
    """Size, and why the file cannot be read, as far as that shows without opening it."""
    try:
        found = file.stat()
    except OSError as error:
        # a link to itself is broken, too
        return 0, _BROKEN_LINK if file.is_symlink() else f"the file cannot be read: {error.strerror}"
    if stat.S_ISDIR(found.st_mode):
        return 0, _FOLDER
    # to open a pipe would wait for whoever writes into it
    return found.st_size, "" if stat.S_ISREG(found.st_mode) else "no regular file"


def _read_file(file: Path, limit: int) -> bytes:
    with open(file, "rb") as handle:
        return handle.read(limit)


def _zip_members(path: Path, quarantine: Quarantine, max_total: int, order: Order) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, NotImplementedError, ValueError, *_ZIP_ERRORS) as error:
        # ValueError: names of members that are not in the encoding that the zip states
        problem = (
            f"is neither a folder nor a zip (a table of a further cohort ends in .tsv, .txt or .tab): {error}"
        )
        raise InputError(problem, file=path.name, field="rare.cohort.path") from error
    with archive:
        key = order or str
        entries = sorted(archive.infolist(), key=lambda entry: key(entry.filename))
        if not entries:
            raise InputError("is an empty zip", file=path.name, field="rare.cohort.path")
        chosen = []
        for entry in entries:
            if reason := _unsafe(entry):
                name = entry.orig_filename
                quarantine.add(file=name, record=name, field="(file name)", value=name, reason=reason)
            elif entry.is_dir() or _hidden(entry.filename):
                continue
            elif _is_json(entry.filename):
                chosen.append(entry)
            elif _may_hold_patients(entry.filename):
                _pass_over(entry.filename, PASSED_OVER, quarantine)
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
