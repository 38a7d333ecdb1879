"""What may leave the machine: no absolute path, no source id, no patient's file name."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pandas as pd

_FILE_URL = re.compile(r"file://+", re.IGNORECASE)
_PATH = re.compile(r"(?<![\w.:/…~])(?:~[\w.-]*)?/(?:[^\s/'\"<>:,;]+/)+([^\s/'\"<>:,;]*)")
_WINDOWS_PATH = re.compile(r"(?<!\w)(?:[A-Za-z]:|\\)\\(?:[^\\\s'\"<>:,;]+\\)*([^\\\s'\"<>:,;]*)")
_OPAQUE = re.compile(r"case-[0-9a-f]{12}")
_ONTOLOGY_ID = re.compile(r"(?:HP|OMIM|MONDO|ORPHA|DECIPHER|GENO|HGNC):\w+")


def without_paths(text: str) -> str:
    """``text`` with every absolute path cut to its last part: ``/home/ann/x.zip`` is ``…/x.zip``."""
    text = _FILE_URL.sub("/", text)
    return _WINDOWS_PATH.sub(r"…/\1", _PATH.sub(r"…/\1", text))


def opaque(name: str) -> str:
    """A stable stand-in for a file or record whose name may identify a patient."""
    if not name or _OPAQUE.fullmatch(name):
        return name
    return "file-" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]


def quarantine_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Quarantine rows fit to be shown: stage, file, record, field, value, reason.

    File members and source ids become opaque, also where the reason repeats them; a value is
    shown only if it is an ontology id. The tables beside the report keep the full names.
    """
    return pd.DataFrame([_shown(row) for row in table.itertuples(index=False)], columns=list(table.columns))


def _shown(row: Any) -> tuple[str, ...]:
    reason = row.reason
    for name in sorted({row.file, row.record, row.value} - {""}, key=len, reverse=True):
        if len(name) > 3 and not _ONTOLOGY_ID.fullmatch(name):
            reason = reason.replace(name, opaque(name))
    value = row.value if _ONTOLOGY_ID.fullmatch(row.value) else ("" if not row.value else "(not shown)")
    return row.stage, opaque(row.file), opaque(row.record), row.field, value, without_paths(reason)
