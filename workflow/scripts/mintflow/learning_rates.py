"""The learning rate of an arm: of those on trial, the one whose answers to the validation cases are best."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from .arms import RATE
from .errors import InputError
from .lists import parse_list
from .names import normalize_name

LONGEST = 100  # items of a written list


def reciprocal_ranks(answers: pd.DataFrame, truth: Mapping[str, str]) -> pd.Series:
    """1 / place of the true name in each answer, 0 where it is not there.

    Names are compared as written, up to case, accents and punctuation: synonyms do not count, which is alike
    for every rate.

    Args:
        answers: case_id, text.
        truth: name of the true label of every case.
    """

    def found(case: str, text: str) -> float:
        wanted = normalize_name(truth[case])
        names = [normalize_name(name) for name in parse_list(text, LONGEST)]
        return 1 / (names.index(wanted) + 1) if wanted in names else 0.0

    values = [found(row.case_id, row.text) for row in answers.itertuples(index=False)]
    return pd.Series(values, index=answers["case_id"].tolist(), dtype=float)


def trial_of(rate: float, names: Collection[str]) -> str:
    """Which of ``names`` ({arm}.lr{rate}) tried ``rate``.

    Raises:
        InputError: none did.
    """
    found = [name for name in names if float(name.rpartition(RATE)[2]) == rate]
    if not found:
        raise InputError(f"no trial had the learning rate {rate:g}", field="learning_rate")
    return found[0]


def choose(
    trials: Mapping[str, pd.DataFrame],
    truth: Mapping[str, str],
    diverged: Collection[str] = (),
    losses: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Choose by top-1, then by mean reciprocal rank; never one that diverged.

    Rates whose answers are equally good, such as those of an arm that writes no name at all, are told by
    the held-out loss, which is the same function of the same pairs for every rate; then the smaller is taken.

    Args:
        trials: ``{arm}.lr{rate}`` to answers (case_id, text).
        truth: name of the true label of every case.
        diverged: trials whose loss or gradient ceased to be finite.
        losses: held-out loss of the weights that each trial kept, of those that have one.

    Returns:
        learning_rate; edge: whether it is the smallest or largest of several, beyond which a better one may
        lie, else null; tied: other rates with equally good answers; and trials: rate, top1, mrr, n,
        held_out_loss, diverged of each.

    Raises:
        InputError: no case was answered, rates were asked different cases, or all diverged.
    """
    rows = []
    cases = None
    for name, answers in trials.items():
        asked = sorted(answers["case_id"])
        if not asked:
            raise InputError("no validation case was answered; raise the validation fraction", file=name)
        if cases not in (None, asked):
            raise InputError("rates on trial answered different cases", file=name)
        cases = asked
        ranks = reciprocal_ranks(answers, truth)
        rows.append(
            {
                "rate": float(name.rpartition(RATE)[2]),
                "top1": float((ranks == 1).mean()),
                "mrr": float(ranks.mean()),
                "n": len(ranks),
                "held_out_loss": (losses or {}).get(name),
                "diverged": name in diverged,
            }
        )
    rows.sort(key=lambda row: row["rate"])
    stable = [row for row in rows if not row["diverged"]]
    if not stable:
        raise InputError(
            "every learning rate diverged; add smaller ones", field="student.training.learning_rates"
        )
    best = max(stable, key=_quality)
    tied = [row["rate"] for row in stable if row is not best and _quality(row)[:2] == _quality(best)[:2]]
    edges = {rows[0]["rate"]: "smallest", rows[-1]["rate"]: "largest"} if len(rows) > 1 else {}
    return {
        "learning_rate": best["rate"],
        "edge": edges.get(best["rate"]),
        "tied": tied,
        "trials": rows,
    }


def _quality(row: Mapping[str, Any]) -> tuple[float, ...]:
    loss = row["held_out_loss"]
    known = loss is not None and math.isfinite(loss)
    return row["top1"], row["mrr"], -loss if known else -math.inf, -row["rate"]
