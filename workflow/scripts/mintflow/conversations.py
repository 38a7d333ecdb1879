"""Chat messages in tables: one fixed column type, so that empty tables and any order load alike."""

from __future__ import annotations

import string
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from .errors import InputError

Message = dict[str, str]
Messages = list[Message]

MESSAGES = pd.ArrowDtype(pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])))
STRINGS = pd.ArrowDtype(pa.list_(pa.string()))
NUMBERS = pd.ArrowDtype(pa.list_(pa.float64()))


def answer(text: str) -> Messages:
    """One assistant message."""
    return [{"role": "assistant", "content": text}]


def text_of(messages: Messages) -> str:
    """The messages' contents, one a line, without any chat template."""
    return "\n".join(message["content"] for message in messages)


def typed(
    table: pd.DataFrame, messages: Sequence[str], lists: Sequence[str] = (), numbers: Sequence[str] = ()
) -> pd.DataFrame:
    """Give columns their Arrow type: messages, lists of strings, lists of numbers."""
    kinds = {
        **dict.fromkeys(messages, MESSAGES),
        **dict.fromkeys(lists, STRINGS),
        **dict.fromkeys(numbers, NUMBERS),
    }
    return table.assign(
        **{name: pd.Series(table[name].tolist(), table.index, kind) for name, kind in kinds.items()}
    )


def check_placeholders(text: str, allowed: Sequence[str], field: str) -> set[str]:
    """The placeholders that a template of the configuration uses.

    Args:
        text: to be filled in by ``str.format``.
        allowed: names that it may use, without format or conversion.
        field: its key, for errors.

    Raises:
        InputError: an unknown placeholder, or a stray brace.
    """
    known = ", ".join(f"{{{name}}}" for name in allowed)
    try:
        parts = [part[1:] for part in string.Formatter().parse(text) if part[1] is not None]
    except ValueError as error:
        raise InputError(f"{error}; allowed: {known}, a literal brace is doubled", field=field) from error
    for name, specification, conversion in parts:
        if name not in allowed or specification or conversion:
            raise InputError(f"unknown placeholder {{{name}}}; allowed: {known}", field=field)
    return {name for name, *_ in parts}
