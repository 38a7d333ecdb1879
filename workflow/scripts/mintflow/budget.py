"""Arms given alike: what a pair's row costs each of them, in tokens read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .tokenization import Pair


def tokens(pair: Pair, objective: str) -> int:
    """Tokens of a pair that an objective learns from, each counted once.

    That DPO's trainer computes the prompt twice, and again for the reference, is what it costs, not what it
    is given.
    """
    read = len(pair.prompt) + len(pair.chosen)
    if objective in ("orpo", "dpo"):
        return read + len(pair.rejected)
    if objective == "listwise":
        return read + sum(map(len, pair.candidates))
    return read


def passes(
    pairs: Sequence[Pair], objective: str, budget: str, standard: Sequence[Pair] | None = None
) -> float:
    """By how much an arm's epochs are multiplied.

    Args:
        pairs: as the arm sees them.
        objective: of the arm.
        budget: ``pairs`` gives every arm as many passes; ``tokens`` as many tokens as ORPO would read.
        standard: the pairs as ORPO sees them, where the arm's differ.
    """
    if budget == "pairs":
        return 1.0
    wanted = sum(tokens(pair, "orpo") for pair in (pairs if standard is None else standard))
    return wanted / sum(tokens(pair, objective) for pair in pairs)


def steps(passes: float, pairs: Sequence[Pair], budget: str, standard: Sequence[Pair]) -> float:
    """By how much a limit of steps is multiplied, for a step reads as many pairs of any arm.

    Args:
        passes: of the arm, from `passes`.
        pairs: as the arm sees them.
        budget: as for `passes`; under ``pairs`` every arm makes as many steps.
        standard: the pairs that set the budget.
    """
    return 1.0 if budget == "pairs" else passes * len(pairs) / len(standard)
