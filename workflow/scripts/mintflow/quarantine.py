"""Bad records: set aside in a table with file, record, field and reason; never silently."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from .io import write_tsv

COLUMNS = ["stage", "file", "record", "field", "value", "reason"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Quarantine:
    """Collects what one stage sets aside.

    ``record`` is an opaque case id or a file member, never a patient name.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.rows: list[tuple[str, ...]] = []

    def add(self, *, file: object, record: object, field: object, value: object, reason: str) -> None:
        """Set one record aside; ``value`` is cut to 200 characters."""
        row = (self.stage, file, record, field, str(value)[:200], reason)
        self.rows.append(tuple(_one_line(str(item)) for item in row))

    def table(self) -> pd.DataFrame:
        """Rows in order of appearance, columns ``COLUMNS``."""
        return pd.DataFrame(self.rows, columns=COLUMNS)

    def write(self, path: str | Path) -> None:
        """Write the table as TSV, header alone when nothing was set aside."""
        write_tsv(self.table(), path)


def _one_line(text: str) -> str:
    """``text`` as a TSV cell: control characters become spaces, what UTF-8 cannot hold an escape."""
    return _CONTROL.sub(" ", text).encode("utf-8", "backslashreplace").decode("utf-8")


def read_quarantine(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Concatenate quarantine tables, columns ``COLUMNS``, all text."""
    tables = [pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False) for path in paths]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
