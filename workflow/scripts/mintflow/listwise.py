"""The teacher's whole distribution as target: likelihood of its list, and its scores over single candidates.

A pair of lists throws the teacher's scores away. Here the student's likelihoods of m candidates, each as the
first line of an answer, are drawn towards the teacher's soft scores of the same candidates:

    loss = NLL(chosen list) + weight * KL(softmax(teacher / temperature) || student)

The student is what it would write, so all that it would write beside the candidates counts as missed: the
divergence of distillation on sequences (Kim and Rush, arXiv 1606.07947, section 3.2), with the teacher's own
closed set in place of its samples. With ``normalize`` it is softmax(student) instead, which compares
candidates alone (as in preference-aligned distillation, Gu et al., arXiv 2502.14272), and can fall by making
names less likely.

The prompt is computed once: a row holds it, the chosen list and the candidates, each of which sees the prompt
and itself alone. The likelihood term teaches the format of the list; the divergence alone would not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .budget import tokens
from .collate import ExtraInputs, block_mask
from .orpo import IGNORE, token_log_probs
from .statistics import stream

if TYPE_CHECKING:
    from .tokenization import ChatEncoder, Pair

METRICS = (
    "nll_loss",
    "divergence",
    "teacher_entropy",
    "rewards/accuracies",
    "logps/chosen",
)


@dataclass(frozen=True)
class ListScores:
    """What the loss and its metrics need of each row; float32.

    Attributes:
        nll: (B,) mean negative log-likelihood of the chosen list's tokens.
        student: (B, m) log-likelihoods of the candidates, normalised over them if the divergence is.
        wanted: (B, m) the teacher's probabilities of the same candidates.
    """

    nll: Tensor
    student: Tensor
    wanted: Tensor

    @property
    def divergence(self) -> Tensor:
        """KL from the teacher to the student, (B,) nats."""
        return functional.kl_div(self.student, self.wanted, reduction="none").sum(-1)


def score_lists(
    logits: Tensor, targets: Tensor, wanted: Tensor, score: str = "sum", normalize: bool = False
) -> ListScores:
    """Score a batch of ``ListwiseCollator``.

    Args:
        logits: (B, K, V), the last K columns of the row.
        targets: (B, K, 1 + m) next token on the branch of the chosen list, and of each candidate.
        wanted: (B, m) probabilities.
        score: ``sum`` or ``mean`` over a candidate's tokens.
        normalize: the likelihoods over the candidates of a row.
    """
    log_probs = token_log_probs(logits, targets)
    sums = log_probs.sum(1)
    counts = (targets != IGNORE).sum(1).clamp(min=1)
    student = sums[:, 1:] / counts[:, 1:] if score == "mean" else sums[:, 1:]
    if normalize:
        student = torch.log_softmax(student, dim=-1)
    return ListScores(-sums[:, 0] / counts[:, 0], student, wanted.float())


def listwise_loss(scores: ListScores, weight: float, totals: Tensor | None = None) -> Tensor:
    """The batch's loss.

    Args:
        scores: of the batch's rows.
        weight: of the divergence.
        totals: number of rows first, when the batch is part of a larger one.
    """
    rows = len(scores.nll) if totals is None else totals[0]
    return (scores.nll + weight * scores.divergence).sum() / rows


def metric_table(scores: ListScores) -> Tensor:
    """What is logged of each row, (B, len(METRICS)), detached.

    ``rewards/accuracies`` is the share of pairs of candidates that student and teacher order alike, over the
    pairs that the teacher orders.
    """
    student, wanted = scores.student.detach(), scores.wanted
    order = torch.sign(wanted[:, :, None] - wanted[:, None, :])
    alike = (torch.sign(student[:, :, None] - student[:, None, :]) == order) & (order != 0)
    columns = {
        "nll_loss": scores.nll.detach(),
        "divergence": scores.divergence.detach(),
        "teacher_entropy": torch.special.entr(wanted).sum(-1),
        "rewards/accuracies": alike.sum((1, 2)) / (order != 0).sum((1, 2)).clamp(min=1),
        "logps/chosen": -scores.nll.detach(),
    }
    return torch.stack([columns[name] for name in METRICS], dim=-1)


def summarize_metrics(table: Tensor, weight: float) -> dict[str, float]:
    """Means over rows, with ``loss``; ``table`` as for ``orpo.summarize_metrics``."""
    count = table[:, -1].sum() if table.shape[1] > len(METRICS) else table.new_tensor(len(table))
    sums = dict(zip(METRICS, table.double().sum(0).tolist(), strict=False))
    means = {name: total / float(count) for name, total in sums.items()}
    return means | {"loss": means["nll_loss"] + weight * means["divergence"]}


def add_candidates(
    pairs: Sequence[Pair],
    ranked: Mapping[str, tuple[Sequence[str], Sequence[float]]],
    encoder: ChatEncoder,
    prompt: Sequence[Mapping[str, str]],
    settings: Mapping[str, Any],
    *,
    k: int,
    seed: int,
) -> list[Pair]:
    """Give every pair its candidates: the teacher's first ``top`` and ``others`` drawn among the rest.

    Args:
        pairs: encoded.
        ranked: case_id to names, best first, and their scores.
        encoder: as for the pairs.
        prompt: any prompt; it only gives answers their place in the chat template.
        settings: top, others, temperature of {track}.student.listwise.
        k: length of the lists that are asked for.
        seed: of the draw.

    Returns:
        Pairs with ``candidates`` and ``wanted``.
    """
    from .likelihood import first_lines

    names = sorted({name for listed, _ in ranked.values() for name in listed})
    lines = dict(zip(names, first_lines(encoder, prompt, names, k), strict=True))
    found = []
    for pair in pairs:
        listed, scores = ranked[pair.case_id]
        top = min(settings["top"], len(listed))
        rest = np.arange(top, len(listed))
        others = min(settings["others"], len(rest))
        drawn = stream(seed, "listwise", pair.case_id).choice(rest, others, replace=False)
        chosen = [*range(top), *sorted(drawn.tolist())]
        logits = np.asarray(scores, dtype=float)[chosen] / settings["temperature"]
        wanted = np.exp(logits - logits.max())
        found.append(
            replace(
                pair,
                candidates=tuple(tuple(lines[listed[place]]) for place in chosen),
                wanted=tuple((wanted / wanted.sum()).tolist()),
            )
        )
    return found


@dataclass(frozen=True)
class ListwiseCollator:
    """Turns pairs with candidates into one batch.

    A row is ``[padding | prompt | chosen | candidates | padding]``.

    Args: as of ``collate.SharedPromptCollator``.
    """

    pad_id: int
    extra_inputs: ExtraInputs | None = None
    multiple: int = 1

    def __call__(self, pairs: Sequence[Pair]) -> dict[str, Any]:
        """Collate B pairs with m candidates each.

        Returns:
            As ``SharedPromptCollator``, with targets (B, K, 1 + m) and wanted (B, m).
        """
        branches = [(pair.chosen, *pair.candidates) for pair in pairs]
        count = max(map(len, branches))
        prompt_width = self._rounded(max(len(pair.prompt) for pair in pairs))
        # the last token of a branch is only predicted
        behind = self._rounded(max(sum(len(branch) - 1 for branch in row) for row in branches))
        shape = (len(pairs), prompt_width + behind)
        input_ids = torch.full(shape, self.pad_id)
        position_ids = torch.zeros(shape, dtype=torch.long)
        number = torch.zeros(shape, dtype=torch.long)  # 0 padding, 1 prompt, from 2 on branches
        targets = torch.full((*shape, count), IGNORE)
        wanted = torch.zeros(len(pairs), count - 1)
        last_prompt = prompt_width - 1
        for row, pair in enumerate(pairs):
            length = len(pair.prompt)
            left = prompt_width - length
            input_ids[row, left:prompt_width] = torch.tensor(pair.prompt)
            position_ids[row, left:prompt_width] = torch.arange(length)
            number[row, left:prompt_width] = 1
            start = prompt_width
            for place, branch in enumerate(branches[row]):
                ids = torch.tensor(branch)
                end = start + len(branch) - 1
                input_ids[row, start:end] = ids[:-1]
                position_ids[row, start:end] = torch.arange(length, length + len(branch) - 1)
                number[row, start:end] = 2 + place
                targets[row, last_prompt, place] = ids[0]
                targets[row, start:end, place] = ids[1:]
                start = end
            wanted[row, : len(pair.wanted)] = torch.tensor(pair.wanted)
        batch = {
            "input_ids": input_ids,
            "attention_mask": block_mask(number),
            "position_ids": position_ids,
            "logits_to_keep": torch.arange(last_prompt, shape[1]),
            "targets": targets[:, last_prompt:],
            "first_completion": 0,
            "wanted": wanted,
            "n_tokens": sum(tokens(pair, "listwise") for pair in pairs),
            "case_ids": [pair.case_id for pair in pairs],
        }
        if self.extra_inputs is not None:
            batch |= self.extra_inputs(pairs, number)
        return batch

    def _rounded(self, width: int) -> int:
        return math.ceil(width / self.multiple) * self.multiple
