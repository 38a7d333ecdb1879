"""Quarantine tables as a report may show them: no absolute path, no source id, no patient's file name."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from .private import opaque, without_paths
from .quarantine import COLUMNS

_ONTOLOGY_ID = re.compile(r"(?:HP|OMIM|MONDO|ORPHA|DECIPHER|GENO|HGNC):\w+")
# a file name (not the kind *.json), or what phenopackets of published patients are called
_NAMED = re.compile(
    r"(?!\*\.json\b)[^\s'\"]+\.(?:json|zip|vcf|vcf\.gz|tsv|parquet)\b|\bPMID[_:]?\d[^\s,;'\"]*"
)
_HIDDEN = "(name)"


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
