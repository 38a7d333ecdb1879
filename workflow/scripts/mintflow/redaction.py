"""What may leave the machine: no absolute path, no source id, no patient's file name."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pandas as pd

from .quarantine import COLUMNS

_FILE_URL = re.compile(r"file://+", re.IGNORECASE)
_PATH = re.compile(r"(?<![\w.:/…~])(?:~[\w.-]*)?/(?:[^\s/'\"<>:,;]+/)+([^\s/'\"<>:,;]*)")
_WINDOWS_PATH = re.compile(r"(?<!\w)(?:[A-Za-z]:|\\)\\(?:[^\\\s'\"<>:,;]+\\)*([^\\\s'\"<>:,;]*)")
_OPAQUE = re.compile(r"case-[0-9a-f]{12}|line \d+")
_ONTOLOGY_ID = re.compile(r"(?:HP|OMIM|MONDO|ORPHA|DECIPHER|GENO|HGNC):\w+")
# a file name, or what phenopackets of published patients are called
_NAMED = re.compile(r"[^\s'\"]+\.(?:json|zip|vcf|vcf\.gz|tsv|parquet)\b|\bPMID[_:]?\d[^\s,;'\"]*")
_HIDDEN = "(name)"


def without_paths(text: str) -> str:
    """``text`` with every absolute path cut to its last part: ``/home/ann/x.zip`` is ``…/x.zip``."""
    text = _FILE_URL.sub("/", text)
    return _WINDOWS_PATH.sub(r"…/\1", _PATH.sub(r"…/\1", text))


def opaque(name: str) -> str:
    """A stable stand-in for a file or record whose name may identify a patient."""
    if not name or _OPAQUE.fullmatch(name):
        return name
    return "name-" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]


def quarantine_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Quarantine rows fit to be shown: stage, file, record, field, value, reason.

    Names of files and records become opaque, and are hidden where the reason repeats them; a value
    is shown only if it is an ontology id. The tables beside the report keep everything.
    """
    rows = [_shown(row) for row in table[COLUMNS].itertuples(index=False)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _shown(row: Any) -> tuple[str, ...]:
    value = row.value if not row.value or _ONTOLOGY_ID.fullmatch(row.value) else "(not shown)"
    reason = row.reason
    for name in sorted({row.file, row.record, row.value}, key=lambda name: (-len(name), name)):
        if len(name) > 3 and name != value:
            reason = reason.replace(name, _HIDDEN)
    reason = without_paths(_NAMED.sub(_HIDDEN, reason))
    return row.stage, opaque(row.file), opaque(row.record), row.field, value, reason
