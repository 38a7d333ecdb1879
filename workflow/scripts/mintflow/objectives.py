"""What a trainer minimises: how a batch is scored, the loss of its scores, and what is logged of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from . import listwise, orpo


class Objective(Protocol):
    """What ``trainer.PreferenceTrainer`` asks of an objective."""

    def score(self, logits: Tensor, batch: Mapping[str, Any]) -> Any:
        """Scores of the batch's rows from the logits of their scored columns."""

    def loss(self, scores: Any, totals: Tensor | None) -> Tensor:
        """The batch's share of the loss of ``totals`` (pairs, NLL tokens); its own by default."""

    def table(self, scores: Any) -> Tensor:
        """What is logged of each row, (B, metrics), detached."""

    def summary(self, table: Tensor) -> dict[str, float]:
        """Means of rows of ``table``, or of sums with their number as one more, last column; has ``loss``."""


@dataclass(frozen=True)
class Orpo:
    """See ``orpo``.

    Args:
        beta: weight of the odds-ratio term.
        nll_reduction: ``sequence`` or ``tokens``.
    """

    beta: float
    nll_reduction: str = "sequence"

    def score(self, logits: Tensor, batch: Mapping[str, Any]) -> orpo.PairScores:
        """See ``Objective``."""
        return orpo.score_pairs(logits, batch["targets"], batch["first_completion"], batch.get("decides"))

    def loss(self, scores: orpo.PairScores, totals: Tensor | None) -> Tensor:
        """See ``Objective``."""
        return orpo.orpo_loss(scores, self.beta, self.nll_reduction, totals)

    def table(self, scores: orpo.PairScores) -> Tensor:
        """See ``Objective``."""
        return orpo.metric_table(scores, self.beta)

    def summary(self, table: Tensor) -> dict[str, float]:
        """See ``Objective``."""
        return orpo.summarize_metrics(table, self.beta, self.nll_reduction)


@dataclass(frozen=True)
class Listwise:
    """See ``listwise``.

    Args:
        weight: of the divergence from the teacher's distribution.
        score_of: ``sum`` or ``mean`` over a candidate's tokens.
        normalize: the student's likelihoods over the candidates.
    """

    weight: float
    score_of: str = "sum"
    normalize: bool = False

    def score(self, logits: Tensor, batch: Mapping[str, Any]) -> listwise.ListScores:
        """See ``Objective``."""
        return listwise.score_lists(logits, batch["targets"], batch["wanted"], self.score_of, self.normalize)

    def loss(self, scores: listwise.ListScores, totals: Tensor | None) -> Tensor:
        """See ``Objective``."""
        return listwise.listwise_loss(scores, self.weight, totals)

    def table(self, scores: listwise.ListScores) -> Tensor:
        """See ``Objective``."""
        return listwise.metric_table(scores)

    def summary(self, table: Tensor) -> dict[str, float]:
        """See ``Objective``."""
        return listwise.summarize_metrics(table, self.weight)
