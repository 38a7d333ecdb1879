"""What every training was and cost, and its course, as tidy tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from .arms import RATE, SEED
from .errors import InputError

RESULT, SEARCH = "result", "learning rate search"
COLUMNS = [
    *("training", "arm", "seed", "purpose", "objective", "device", "seconds", "training_seconds"),
    *("peak_memory_mb", "memory", "tokens", "pairs", "passes", "steps", "kept_step", "learning_rate"),
    *("seconds_per_pair", "trainable_parameters", "diverged_after_step"),
]
CURVES = ["training", "arm", "seed", "step", "pairs", "quantity", "value"]
TRAINING, HELD_OUT = "training", "held-out"
# what the log calls each quantity
KEYS = {
    "loss": "loss",
    "nll": "nll_loss",
    "log_odds": "log_odds_chosen",
    "margin": "rewards/margins",
    "divergence": "divergence",
    "accuracy": "rewards/accuracies",
}


def training_table(summaries: Mapping[str, Mapping[str, Any]], seeds: Mapping[str, int]) -> pd.DataFrame:
    """One row a training.

    Args:
        summaries: training.json by name of the training (arm, with its seed or learning rate on trial).
        seeds: of each training.

    Returns:
        Columns ``COLUMNS``, in the order given. Memory is the GPU's where one was used (vram), else the
        process's (rss). A learning rate on trial that diverged has the last step before it did. A trial that
        became the result is one training and one row, the result's.
    """
    rows = []
    taken = {summary.get("trial") for summary in summaries.values()}
    for name, summary in summaries.items():
        if name in taken:
            continue
        vram = _get(summary, "peak_vram_mb", name)
        rows.append(
            {
                "training": name,
                "arm": arm_of(name),
                "seed": seeds[name],
                "purpose": SEARCH if RATE in name else RESULT,
                "objective": _get(summary, "arm", name),
                "device": _get(summary, "device", name),
                "peak_memory_mb": vram if vram is not None else _get(summary, "peak_rss_mb", name),
                "memory": "rss" if vram is None else "vram",
                "diverged_after_step": summary.get("diverged_after_step"),
                "pairs": _get(_get(summary, "pairs", name), "train", name),
                **{
                    key: _get(summary, key, name)
                    for key in (
                        *("seconds", "training_seconds", "tokens", "passes", "steps", "kept_step"),
                        *("learning_rate", "seconds_per_pair", "trainable_parameters"),
                    )
                },
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def curve_table(logs: Mapping[str, Sequence[Mapping[str, Any]]], seeds: Mapping[str, int]) -> pd.DataFrame:
    """The logs of all trainings, one row a step and quantity, those of ``KEYS``.

    A value that is not finite is left out; of a step that is there twice (a training that was resumed repeats
    steps) the later one holds.

    Args:
        logs: log.jsonl by name of the training.
        seeds: of each training.

    Returns:
        Columns ``CURVES``.

    Raises:
        InputError: a log has no step with a loss.
    """
    rows = []
    for name, events in logs.items():
        found: dict[tuple[str, str, int], float] = {}
        for event in events:
            for quantity, key in KEYS.items():
                for pairs, prefix in ((TRAINING, ""), (HELD_OUT, "eval_")):
                    value = event.get(prefix + key)
                    if value is not None and "step" in event and math.isfinite(value):
                        found[quantity, pairs, int(event["step"])] = float(value)
        if not any(quantity == "loss" and pairs == TRAINING for quantity, pairs, _ in found):
            raise InputError("no event with step and loss", file="training log", record=name)
        rows += [
            (name, arm_of(name), seeds[name], step, pairs, quantity, value)
            for (quantity, pairs, step), value in sorted(found.items())
        ]
    return pd.DataFrame(rows, columns=CURVES)


def arm_of(training: str) -> str:
    """The arm that a training (with a seed or a learning rate in its name) belongs to."""
    return training.partition(SEED)[0].partition(RATE)[0]


def _get(summary: Mapping[str, Any], key: str, training: str) -> Any:
    if key not in summary:
        raise InputError("is missing", file=f"{training}/training.json", field=key)
    return summary[key]
