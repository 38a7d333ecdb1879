"""The objective of odds-ratio preference optimisation (Hong et al., arXiv 2403.07691).

With p(y|x) the geometric mean of a completion's token probabilities and odds(p) = p / (1 - p),
the loss of a pair is ``NLL(chosen) - beta * log sigmoid(log odds(chosen) - log odds(rejected))``
(equations 4 to 7). With ``odds_scope: decisions`` it is the geometric mean over the deciding tokens
(``decisions.py``). Everything is computed in float32, whatever the logits' type.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

IGNORE = -100
# the float32 neighbourhood of probability 1: closer than this, log(1 - p) is not resolved
LARGEST_LOG_PROB = -1e-7
LN2 = 0.6931471805599453
METRICS = (
    "rewards/chosen",
    "rewards/rejected",
    "rewards/accuracies",
    "rewards/margins",
    "logps/chosen",
    "logps/rejected",
    "log_odds_ratio",
    "log_odds_chosen",
    "nll_mean",
    "nll_sum",
    "nll_tokens",
)


def token_log_probs(logits: Tensor, targets: Tensor) -> Tensor:
    """Log-probabilities of one or more targets per position.

    Args:
        logits: (B, K, V), any floating type.
        targets: (B, K, n) token ids; ``IGNORE`` gives 0 and no gradient.

    Returns:
        (B, K, n) float32.
    """
    scored = targets != IGNORE
    # fused: fewer passes over V than gather minus logsumexp, and half the time on a CPU
    log_probs = torch.log_softmax(logits, dim=-1, dtype=torch.float32)
    return log_probs.gather(-1, targets.where(scored, 0)).masked_fill(~scored, 0.0)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the last axis where ``mask``; rows without any position give 0.

    Args:
        values: (B, K).
        mask: (B, K) bool.
    """
    return (values * mask).sum(-1) / mask.sum(-1).clamp(min=1)


def log1m_exp(log_prob: Tensor) -> Tensor:
    """``log(1 - exp(x))`` for x <= 0, finite with a finite gradient up to and at x = 0.

    x is clamped to ``LARGEST_LOG_PROB``. Each branch of the final ``where`` sees only arguments for
    which its gradient is finite, because an infinite gradient times zero would be NaN. The switch
    at -ln 2 keeps both branches accurate (Maechler, "Accurately computing log(1 - exp(-|a|))", 2012).
    """
    log_prob = log_prob.clamp(max=LARGEST_LOG_PROB)
    small = log_prob > -LN2
    near = torch.log(-torch.expm1(log_prob.where(small, -1.0)))
    far = torch.log1p(-torch.exp(log_prob.where(~small, -1.0)))
    return near.where(small, far)


def log_odds_ratio(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Log of the odds of chosen over the odds of rejected.

    Args:
        chosen: (B,) mean token log-probabilities.
        rejected: (B,) the same of the rejected completions.
    """
    chosen, rejected = chosen.float(), rejected.float()
    return (chosen - log1m_exp(chosen)) - (rejected - log1m_exp(rejected))


@dataclass(frozen=True)
class PairScores:
    """What the loss and its metrics need of each pair; every tensor is (B,) float32.

    ``chosen`` and ``rejected`` are mean log-probabilities of the completions' tokens, or of those that
    decide; ``nll_sum`` and ``nll_tokens`` the negative log-likelihood over the NLL's scope and its number
    of tokens.
    """

    chosen: Tensor
    rejected: Tensor
    nll_sum: Tensor
    nll_tokens: Tensor

    @property
    def log_odds(self) -> Tensor:
        """Log odds ratio of each pair."""
        return log_odds_ratio(self.chosen, self.rejected)

    @property
    def log_sigmoid(self) -> Tensor:
        """The term that beta weighs."""
        return functional.logsigmoid(self.log_odds)

    def nll(self, reduction: str) -> Tensor:
        """Each pair's share (B,) of the batch's NLL, not yet divided by the number of pairs or tokens.

        Args:
            reduction: ``sequence``, the mean over its tokens; ``tokens``, their sum.
        """
        return self.nll_sum / self.nll_tokens.clamp(min=1) if reduction == "sequence" else self.nll_sum


def metric_table(scores: PairScores, beta: float) -> Tensor:
    """What is logged of each pair, (B, len(METRICS)), detached. Names and meanings are TRL's."""
    chosen, rejected = scores.chosen.detach(), scores.rejected.detach()
    columns = {
        "rewards/chosen": beta * chosen,
        "rewards/rejected": beta * rejected,
        "rewards/accuracies": (chosen > rejected).float(),
        "rewards/margins": beta * (chosen - rejected),
        "logps/chosen": chosen,
        "logps/rejected": rejected,
        "log_odds_ratio": scores.log_sigmoid.detach(),
        "log_odds_chosen": scores.log_odds.detach(),
        "nll_mean": scores.nll("sequence").detach(),
        "nll_sum": scores.nll_sum.detach(),
        "nll_tokens": scores.nll_tokens,
    }
    return torch.stack([columns[name] for name in METRICS], dim=-1)


def summarize_metrics(table: Tensor, beta: float, reduction: str) -> dict[str, float]:
    """Means over pairs, with ``nll_loss`` and ``loss`` under the given reduction.

    Args:
        table: rows of ``metric_table`` (n, len(METRICS)), or sums over groups of rows with the
            number of rows as one more, last column.
        beta: weight of the odds-ratio term.
        reduction: as in ``orpo_loss``.
    """
    count = table[:, -1].sum() if table.shape[1] > len(METRICS) else table.new_tensor(len(table))
    sums = dict(zip(METRICS, table.double().sum(0).tolist(), strict=False))
    tokens, nll_sum, nll_mean = (sums.pop(name) for name in ("nll_tokens", "nll_sum", "nll_mean"))
    means = {name: total / float(count) for name, total in sums.items()}
    means["nll_loss"] = nll_mean / float(count) if reduction == "sequence" else nll_sum / tokens
    means["loss"] = means["nll_loss"] - beta * means["log_odds_ratio"]
    return means


def score_pairs(
    logits: Tensor, targets: Tensor, first_completion: int, decides: Tensor | None = None
) -> PairScores:
    """Score a batch of shared rows (see collate.py).

    Args:
        logits: (B, K, V), the last K columns of the row.
        targets: (B, K, 2): next token on the branch prompt and chosen, and on the rejected branch.
        first_completion: the column, of the K, of the last prompt token.
        decides: (B, K, 2) bool, tokens of the completions that the odds are made of; all by default. The
            likelihood term reads every token, decisive or not.
    """
    log_probs = token_log_probs(logits, targets)
    mask = targets != IGNORE
    on_chosen, on_rejected = log_probs.unbind(-1)
    chosen_odds, rejected_odds = (mask if decides is None else mask & decides).unbind(-1)
    return PairScores(
        chosen=masked_mean(on_chosen[:, first_completion:], chosen_odds[:, first_completion:]),
        rejected=masked_mean(on_rejected, rejected_odds),
        nll_sum=-on_chosen.sum(-1),
        nll_tokens=mask[..., 0].sum(-1).float(),
    )


def orpo_loss(
    scores: PairScores, beta: float, reduction: str = "sequence", totals: Tensor | None = None
) -> Tensor:
    """The batch's loss.

    Args:
        scores: of the batch's pairs.
        beta: weight of the odds-ratio term (lambda in the paper).
        reduction: ``sequence`` averages the NLL over each sequence, then over pairs; ``tokens``
            averages over all tokens, as TRL does.
        totals: (2,) pairs and NLL tokens to divide by, when the batch is a part of a larger one;
            the batch's own by default.

    Returns:
        A scalar; over the parts of one optimiser step these add up to the loss of the whole.
    """
    if totals is None:
        totals = torch.stack([scores.nll_tokens.new_tensor(len(scores.chosen)), scores.nll_tokens.sum()])
    pairs, tokens = totals
    nll = scores.nll(reduction).sum() / (pairs if reduction == "sequence" else tokens)
    return nll - beta * scores.log_sigmoid.sum() / pairs
