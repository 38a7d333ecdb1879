"""Tiles of finished slides, kept by content: what is known to be the same is not cut again.

An entry is a folder named by a fingerprint of everything that the tiles depend on: the bytes of slide and
regions, the settings, the schema, the source code of the library and the versions of what decodes and
encodes.
It appears at once, and is trusted only while its files have the recorded digests.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from . import cli, code, io
from .private import opaque, without_paths
from .sheets import SlideRow
from .tile_table import MANIFEST_COLUMNS, SCHEMA_VERSION, SlideFailure, manifest_row

FILES = {"tiles.parquet": ".parquet", "overlay.png": ".png"}
_RECORD = "slide.json"

# what decodes, resamples, measures and encodes
_VERSIONED = (
    *("imagecodecs", "numpy", "openslide-bin", "openslide-python", "pillow", "pyarrow"),
    *("scipy", "shapely"),
)

# settings that change how long a slide may take and not its tiles
_NOT_CONTENT = ("timeout",)


@dataclass(frozen=True)
class SlideJob:
    """What a worker gets: one slide, the settings, and where finished slides are kept."""

    row: SlideRow
    tiling: Mapping[str, Any]
    cache: str


@cache
def code_fingerprint() -> str:
    """Digest of the library modules that tiling is made of, and of the versions of what it calls."""
    from importlib.metadata import version

    library = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(code.sources(library / "tiling.py", library)):
        digest.update(Path(source).name.encode() + b"\0" + Path(source).read_bytes() + b"\0")
    for package in _VERSIONED:
        try:
            digest.update(f"{package} {version(package)}\0".encode())
        except ModuleNotFoundError:  # OpenSlide of the system rather than of openslide-bin
            digest.update(f"{package} none\0".encode())
    return digest.hexdigest()


def cache_key(row: SlideRow, tiling: Mapping[str, Any], sha256: str) -> str:
    """Fingerprint of everything that the tiles of a slide depend on; its place in the file system is none."""
    roi = None
    if row.roi:
        roi = io.sha256_file(row.roi) if Path(row.roi).is_file() else "missing"
    return io.fingerprint(
        {
            "slide": row.slide,
            "sha256": sha256,
            "roi": roi,
            "mpp": row.mpp,
            "tiling": {key: value for key, value in tiling.items() if key not in _NOT_CONTENT},
            "schema": SCHEMA_VERSION,
            "code": code_fingerprint(),
        }
    )


def lookup(entry: Path) -> dict[str, Any] | None:
    """The manifest row of a whole entry, else None."""
    try:
        record = io.read_json(entry / _RECORD)
        digests = {name: io.sha256_file(entry / name) for name in FILES}
    except (io.InputError, OSError):
        return None
    whole = isinstance(record, dict) and record.get("files") == digests
    return record["row"] if whole and record.get("row", {}).keys() == MANIFEST_COLUMNS.keys() else None


def prepare() -> None:
    """Import what cutting needs, before the time of the first slide runs."""
    import imagecodecs  # noqa: F401
    import openslide  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    from . import tiling  # noqa: F401


def unnamed(text: str, row: SlideRow) -> str:
    """A message without the path and the file name of a slide."""
    return text.replace(row.path, "it").replace(Path(row.path).name, "it")


def cut_slide(job: SlideJob) -> tuple[dict[str, Any], str | None]:
    """Cut one slide, or find it cut already; never raises for what is wrong with a slide.

    Returns:
        its row of the manifest, and the cache entry with its files, or None when there are none.
    """
    row = job.row
    try:
        return _cut(job)
    except SlideFailure as failure:
        known = {"sha256": None, **failure.known}
        return manifest_row(row.slide, row.path, failure.status, failure.message, **known), None
    except Exception as error:  # one slide never stops the batch
        told = unnamed(traceback.format_exc(), row)
        cli.log.error("%s: unexpected\n%s", opaque(row.slide), without_paths(told))
        message = unnamed(f"unexpected {type(error).__name__}: {error}", row)
        return manifest_row(row.slide, row.path, "unreadable-file", message), None


def _cut(job: SlideJob) -> tuple[dict[str, Any], str]:
    from .slides import slide_digest

    sha256 = slide_digest(job.row.path)
    entry = Path(job.cache) / cache_key(job.row, job.tiling, sha256)
    found = lookup(entry)
    if found is None:
        from .tiling import tile_slide

        with io.whole_directory(entry) as folder:
            found = tile_slide(job.row, job.tiling, folder, sha256)
            digests = {name: io.sha256_file(folder / name) for name in FILES}
            io.write_json({"row": found, "files": digests}, folder / _RECORD)
    return {**found, "path": job.row.path}, str(entry)


def place(entry: str | Path, output: Path, stem: str) -> None:
    """Put the files of an entry into ``output`` under the slide's name, as hard links where possible."""
    for name, suffix in FILES.items():
        source, target = Path(entry) / name, output / f"{stem}{suffix}"
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
