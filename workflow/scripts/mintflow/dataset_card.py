"""The figures and the card that go with a preference data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import yaml

from .conversations import text_of

# which labels below the chosen ones are rejected, by preferences.rejected
REJECTED = {
    "bottom": "the teacher's {q} last {things}, in its order",
    "hard": "the {q} {things} that the teacher ranks just below the chosen ones, in its order",
    "random": "{q} {things} drawn by seed among those below the chosen ones, in the teacher's order",
}
TEXT_COLUMNS = ("prompt", "chosen", "rejected")


def measure_lengths(pairs: pd.DataFrame) -> dict[str, dict[str, dict[str, int]]]:
    """Characters and words (split at white space) of every text column: median, 95th percentile, largest.

    Percentiles are values that occur (no interpolation). Chat-template tokens are not counted.
    """
    return {column: _lengths([text_of(messages) for messages in pairs[column]]) for column in TEXT_COLUMNS}


def _lengths(texts: Sequence[str]) -> dict[str, dict[str, int]]:
    if not texts:
        return {}
    counts = {"characters": [len(text) for text in texts], "words": [len(text.split()) for text in texts]}
    return {
        unit: {
            "p50": int(np.percentile(values, 50, method="inverted_cdf")),
            "p95": int(np.percentile(values, 95, method="inverted_cdf")),
            "max": max(values),
        }
        for unit, values in counts.items()
    }


def measure_teacher(pairs: pd.DataFrame, truth: pd.Series) -> dict[str, float | None]:
    """How often the lists are right: shares of the pairs, None where there is no pair.

    Args:
        pairs: item_id, chosen_ids, rejected_ids.
        truth: the true label id, indexed by item_id.
    """
    if pairs.empty:
        return dict.fromkeys(("teacher_top1", "teacher_topk", "truth_in_rejected"))
    rows = list(zip(pairs["item_id"].map(truth), pairs["chosen_ids"], pairs["rejected_ids"], strict=True))
    return {
        "teacher_top1": round(float(np.mean([label == chosen[0] for label, chosen, _ in rows])), 6),
        "teacher_topk": round(float(np.mean([label in chosen for label, chosen, _ in rows])), 6),
        "truth_in_rejected": round(float(np.mean([label in rejected for label, _, rejected in rows])), 6),
    }


def size_category(pairs: int) -> str:
    """The hub's name for a number of rows."""
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")):
        if pairs < limit:
            return name
    return "100K<n<1M" if pairs < 1_000_000 else "n>1M"


def render_card(
    title: str,
    tags: Sequence[str],
    counts: Mapping[str, Mapping[str, Any]],
    sections: Mapping[str, str],
    further: int = 0,
) -> str:
    """A Markdown card whose YAML header lets ``datasets.load_dataset`` read the folder.

    Args:
        title: heading and pretty name.
        tags: for the hub's search.
        counts: for every split, in order, its figures; ``pairs`` and ``lengths`` among them.
        sections: heading to Markdown text, in order; they stand before the figures.
        further: training pairs that the figures leave out.
    """
    header = {
        "pretty_name": title,
        "license": "other",
        "language": ["en"],
        "task_categories": ["text-generation"],
        "tags": ["preference", *tags],
        "size_categories": [size_category(sum(figures["pairs"] for figures in counts.values()) + further)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}.parquet"} for split in counts],
            }
        ],
    }
    parts = [f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n\n# {title}"]
    parts += [f"## {heading}\n\n{text.strip()}" for heading, text in sections.items()]
    parts += [f"## Counts\n\n{_count_table(counts)}", f"## Lengths\n\n{_length_table(counts)}"]
    return "\n\n".join(parts) + "\n"


def _count_table(counts: Mapping[str, Mapping[str, Any]]) -> str:
    keys = [key for key in next(iter(counts.values())) if key != "lengths"]
    rows = [[key.replace("_", " "), *(_cell(figures[key]) for figures in counts.values())] for key in keys]
    return _table(["", *counts], rows)


def _length_table(counts: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [split, column, unit, *(str(values[name]) for name in ("p50", "p95", "max"))]
        for split, figures in counts.items()
        for column, units in figures["lengths"].items()
        for unit, values in units.items()
    ]
    return _table(["split", "text", "unit", "median", "95th percentile", "longest"], rows)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
