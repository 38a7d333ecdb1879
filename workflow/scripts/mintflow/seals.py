"""Finished folders: a checksum of each of their files tells later whether they are still whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from .io import sha256_file, write_json

SEAL = "sealed.json"


def seal(folder: str | Path) -> dict[str, str]:
    """Write, as the last file of ``folder``, the checksums of all others, and give them back by path."""
    root = Path(folder)
    names = {path.relative_to(root): path for path in root.rglob("*") if path.is_file() and path.name != SEAL}
    # hidden ones are no part of it: caches of a download
    shown = {name.as_posix(): path for name, path in names.items() if not name.parts[0].startswith(".")}
    sums = {name: sha256_file(shown[name]) for name in sorted(shown)}
    write_json(sums, root / SEAL)
    return sums


def first_damaged(folder: str | Path, of: Callable[[str], bool] = lambda name: True) -> str | None:
    """What is wrong with the first file that is not as it was sealed; None if all are.

    Args:
        folder: one that was sealed; without a readable seal nothing in it is trusted.
        of: which files, by path in the folder, are looked at.
    """
    root = Path(folder)
    try:
        sums = json.loads((root / SEAL).read_text(encoding="utf-8"))
        wanted = {name: value for name, value in sums.items() if of(name)}
    except (OSError, ValueError, AttributeError):
        return f"{SEAL} is damaged"
    for name, value in wanted.items():
        if not (root / name).is_file():
            return f"{name} is missing"
        if sha256_file(root / name) != value:
            return f"{name} is damaged"
    return None if sums else f"{SEAL} is damaged"
