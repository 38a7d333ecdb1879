"""The sample sheet of slides: who gave which slide, where it lies, and in which batch it is tiled.

Imported while Snakemake parses the workflow, so it needs the standard library alone.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .errors import InputError

NEEDED = ("slide", "patient", "path")
OPTIONAL = ("label", "roi", "mpp")
MAX_BYTES = 100_000_000
_KEY = "tissue.slides.sheet"  # of the configuration, which names the sheet


@dataclass(frozen=True)
class SlideRow:
    """One slide of the sheet.

    Attributes:
        slide: its id.
        patient: who gave it; slides of one patient are never parted.
        path: the file, relative to the working directory.
        label: label of its tiles outside of labelled regions, None if unknown.
        roi: GeoJSON of regions, None without.
        mpp: micrometres per pixel of level 0 where the sheet knows better than the slide.
    """

    slide: str
    patient: str
    path: str
    label: str | None = None
    roi: str | None = None
    mpp: float | None = None

    @property
    def tiling(self) -> dict[str, Any]:
        """What tiling depends on; a corrected label or patient cuts nothing again."""
        return {key: value for key, value in asdict(self).items() if key not in ("patient", "label")}


@dataclass(frozen=True)
class Problem:
    """One row, or one slide, of the sheet that cannot be used.

    Attributes:
        record: its line, or the slide.
        field: what is wrong.
        value: as it stands there.
        reason: why it cannot be used.
        slide: the slide that is lost by it as far as its row names one; None where none is lost.
        path: of that slide.
    """

    record: str
    field: str
    value: str
    reason: str
    slide: str | None = ""
    path: str = ""


def read_sheet(path: str | Path) -> tuple[list[SlideRow], list[Problem]]:
    """Read a tab-separated sheet (UTF-8, with or without a byte order mark).

    Two equal rows for one slide count once; two that differ leave the slide out, as none of them can
    be trusted. Both are problems, as are rows with an empty needed field or a resolution that is no
    positive number.

    Returns:
        The usable rows sorted by slide, and the problems in order of the sheet.

    Raises:
        InputError: the file cannot be read as UTF-8, is too large, or lacks a column or has an unknown one.
    """
    try:
        return _rows(path)
    except csv.Error as error:
        raise InputError(f"cannot be read as a table: {error}", file=path, field=_KEY) from error


def _rows(path: str | Path) -> tuple[list[SlideRow], list[Problem]]:
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    columns = [name.strip() for name in reader.fieldnames or []]
    reader.fieldnames = columns
    missing = [name for name in NEEDED if name not in columns]
    unknown = [name for name in columns if name not in (*NEEDED, *OPTIONAL)]
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    for names, what in ((missing, "lacks"), (unknown, "has unknown"), (repeated, "repeats")):
        if names:
            raise InputError(
                f"{what} column(s) {', '.join(map(repr, names))}; needed {', '.join(NEEDED)}, "
                f"allowed {', '.join(OPTIONAL)}",
                file=path,
                field=_KEY,
            )
    found: dict[str, list[SlideRow]] = {}
    problems: list[Problem] = []
    for line in reader:
        record = f"line {reader.line_num}"
        if not any(isinstance(value, str) and value.strip() for value in line.values()):
            continue
        row = _row(line, record, problems)
        if row is not None:
            found.setdefault(row.slide, []).append(row)
    rows = []
    for slide, same in sorted(found.items()):
        if len(set(same)) > 1:
            differing = [key for key in asdict(same[0]) if len({getattr(row, key) for row in same}) > 1]
            problems.append(
                Problem(slide, differing[0], "", f"{len(same)} rows for one slide, and they differ", slide)
            )
            continue
        if len(same) > 1:
            problems.append(Problem(slide, "slide", slide, f"{len(same)} equal rows, one counts", slide=None))
        rows.append(same[0])
    return rows, problems


def _text(path: str | Path) -> str:
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            problem = f"is larger than {MAX_BYTES} bytes, no sample sheet is"
            raise InputError(problem, file=path, field=_KEY)
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        raise InputError(problem, file=path, field=_KEY) from error
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 (byte {error.start})"
        raise InputError(problem, file=path, field=_KEY) from error


def _row(line: Mapping[str | None, Any], record: str, problems: list[Problem]) -> SlideRow | None:
    def problem(field: str, value: object, reason: str) -> None:
        slide, path = ((line.get(key) or "").strip() for key in ("slide", "path"))
        problems.append(Problem(record, field, str(value), reason, slide, path))

    if None in line or None in line.values():
        return problem("", "", "has another number of fields than the header")
    cells = {key: value.strip() for key, value in line.items() if key is not None}
    for key in NEEDED:
        if not cells[key]:
            return problem(key, "", "is empty")
    mpp = None
    if cells.get("mpp"):
        try:
            mpp = float(cells["mpp"])
        except ValueError:
            mpp = math.nan
        if not (math.isfinite(mpp) and mpp > 0):
            return problem("mpp", cells["mpp"], "is no positive number")
    return SlideRow(
        *(cells[key] for key in NEEDED),
        label=cells.get("label") or None,
        roi=cells.get("roi") or None,
        mpp=mpp,
    )


def synthetic_rows(settings: Mapping[str, Any], folder: str | Path) -> list[SlideRow]:
    """Rows of the synthetic slides, which are known before they are drawn.

    Args:
        settings: the slice tissue.slides.synthetic.
        folder: where they are drawn.
    """
    names = [f"patient-{number:03d}" for number in range(1, settings["patients"] + 1)]
    return [SlideRow(name, name, f"{folder}/{name}.tiff", roi=f"{folder}/{name}.geojson") for name in names]


def batch_names(batches: int) -> list[str]:
    """Names of all batches, in order: numbers of equal width."""
    width = len(str(batches - 1))
    return [f"{number:0{width}d}" for number in range(batches)]


def batch_of(slide: str, batches: int) -> str:
    """Name of the slide's batch; depends on its id alone, so a new slide moves no other."""
    return batch_names(batches)[int.from_bytes(hashlib.sha256(slide.encode()).digest()[:8], "big") % batches]


def file_name(slide: str) -> str:
    """The slide's id as the stem of a file name; all but letters, digits and ``-_.`` is percent-encoded.

    A long id ends in its hash instead, so that no file system refuses it.
    """
    stem = quote(slide, safe="")
    if stem.startswith("."):
        stem = "%2E" + stem[1:]
    if len(stem) > 120:
        stem = f"{stem[:80].rstrip('%')}-{hashlib.sha256(slide.encode()).hexdigest()[:16]}"
    return stem
