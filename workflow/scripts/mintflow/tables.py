"""Read the small text tables that figures and report are made from, with errors that name file and field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .errors import InputError

METRICS = ("arm", "metric", "value", "ci_low", "ci_high", "n")
COMPARISONS = (
    "arm_a",
    "arm_b",
    "metric",
    "difference",
    "ci_low",
    "ci_high",
    "p_value",
    "p_adjusted",
    "n",
)


def read_csv(path: str | Path, columns: Sequence[str], separator: str = ",") -> pd.DataFrame:
    """Read a text table that has at least ``columns``; only an empty cell is a missing value.

    Raises:
        InputError: the file is missing, is no table, or lacks one of ``columns``.
    """
    try:
        table = pd.read_csv(path, sep=separator, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as a table: {error}", file=path) from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise InputError(f"lacks column(s) {', '.join(missing)}", file=path)
    return table


def read_json_lines(path: str | Path) -> list[dict[str, Any]]:
    """Read one JSON object a line; blank lines are skipped.

    Raises:
        InputError: the file is missing, or a line is no JSON object.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from error
    events = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                event = json.loads(line)
            except ValueError as error:
                raise InputError(f"no JSON: {error}", file=path, record=f"line {number}") from error
            if not isinstance(event, dict):
                raise InputError("expected a JSON object", file=path, record=f"line {number}")
            events.append(event)
    return events


def named_paths(items: Iterable[str], flag: str) -> dict[str, str]:
    """``arm=path`` arguments as a mapping.

    Raises:
        InputError: an item has another form, or an arm is given twice.
    """
    named: dict[str, str] = {}
    for item in items:
        arm, separator, path = item.partition("=")
        if not separator or not arm or not path or arm in named:
            raise InputError("expected distinct ARM=FILE", field=flag, record=item)
        named[arm] = path
    return named
