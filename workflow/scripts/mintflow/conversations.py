"""Chat messages in tables: one fixed column type, so that empty tables and any order load alike."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

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
