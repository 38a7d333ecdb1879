"""Batches in which chosen and rejected share one computation of their prompt.

A row is ``[padding | prompt | chosen | padding | rejected | padding]``. Rejected tokens attend to
the prompt and to themselves, never to chosen, and their positions restart behind the prompt, so
that each branch computes what it would compute alone. The last token of each completion is only
predicted, never read, and takes no column. All scored positions are the last columns, which any
causal language model of transformers projects alone through ``logits_to_keep``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from .orpo import IGNORE
from .tokenization import Pair

# what the loss reads; all other entries of a batch are inputs of the model
LOSS_INPUTS = ("targets", "first_completion", "case_ids", "n_tokens", "wanted", "decides")
# of a batch's pairs and the branch of every column (0 padding, 1 prompt, 2 chosen, 3 rejected)
ExtraInputs = Callable[[Sequence[Pair], Tensor], Mapping[str, Tensor]]


@dataclass(frozen=True)
class SharedPromptCollator:
    """Turns pairs into one batch.

    Args:
        pad_id: id in the padding columns; they are neither read nor scored.
        nll_scope: ``completion`` scores the completions; ``prompt+chosen`` also every prompt token
            but the first.
        extra_inputs: further inputs of the model, such as pixel values or cached image features,
            made once per row because the prompt that holds the image is there once.
        multiple: each part's width is rounded up to a multiple of this. Fewer different shapes keep the
            CPU's cache of compiled kernels, one per shape, from growing without end.
    """

    pad_id: int
    nll_scope: str = "completion"
    extra_inputs: ExtraInputs | None = None
    multiple: int = 1

    def __call__(self, pairs: Sequence[Pair]) -> dict[str, Any]:
        """Collate B pairs into rows of L = P + C + R columns, of which the last K are scored.

        Returns:
            input_ids (B, L); attention_mask (B, 1, L, L) bool, true where row attends column;
            position_ids (B, L); logits_to_keep (K,) columns; targets (B, K, 2) and first_completion for
            ``orpo.score_pairs``; n_tokens, the pairs' tokens, prompts counted once; case_ids. Where the pairs
            say which tokens decide, decides (B, K, 2) bool.
        """
        prompt_width = self._rounded(max(len(pair.prompt) for pair in pairs))
        chosen_width = self._rounded(max(len(pair.chosen) for pair in pairs) - 1)
        rejected_width = self._rounded(max(len(pair.rejected) for pair in pairs) - 1)
        width = prompt_width + chosen_width + rejected_width
        last_prompt = prompt_width - 1  # predicts the first token of both completions
        starts = (prompt_width, prompt_width + chosen_width)

        input_ids = torch.full((len(pairs), width), self.pad_id)
        position_ids = torch.zeros((len(pairs), width), dtype=torch.long)
        branch = torch.zeros((len(pairs), width), dtype=torch.long)  # 0 padding, 1 prompt, 2, 3 completions
        targets = torch.full((len(pairs), width, 2), IGNORE)
        marked = pairs[0].decides is not None  # all pairs are, or none
        decides = torch.zeros((len(pairs), width, 2), dtype=torch.bool)
        for row, pair in enumerate(pairs):
            length = len(pair.prompt)
            prompt = torch.tensor(pair.prompt)
            left = prompt_width - length
            input_ids[row, left:prompt_width] = prompt
            position_ids[row, left:prompt_width] = torch.arange(length)
            branch[row, left:prompt_width] = 1
            targets[row, left:last_prompt, 0] = prompt[1:]
            for side, (start, completion) in enumerate(
                zip(starts, (pair.chosen, pair.rejected), strict=True)
            ):
                ids = torch.tensor(completion)
                end = start + len(completion) - 1
                input_ids[row, start:end] = ids[:-1]
                position_ids[row, start:end] = torch.arange(length, length + len(completion) - 1)
                branch[row, start:end] = 2 + side
                targets[row, last_prompt, side] = ids[0]
                targets[row, start:end, side] = ids[1:]
                if marked:
                    decides[row, [last_prompt, *range(start, end)], side] = torch.tensor(pair.decides[side])

        first_scored = last_prompt if self.nll_scope == "completion" else 0
        batch = {
            "input_ids": input_ids,
            "attention_mask": block_mask(branch),
            "position_ids": position_ids,
            # indices rather than a count: the gathered hidden states are contiguous, where a slice of
            # them would make the CPU copy the output embeddings once for every row
            "logits_to_keep": torch.arange(first_scored, width),
            "targets": targets[:, first_scored:],
            "first_completion": last_prompt - first_scored,
            "n_tokens": sum(map(len, pairs)),
            "case_ids": [pair.case_id for pair in pairs],
        }
        if marked:
            batch["decides"] = decides[:, first_scored:]
        if self.extra_inputs is not None:
            batch |= self.extra_inputs(pairs, branch)
        return batch

    def _rounded(self, width: int) -> int:
        return -(-width // self.multiple) * self.multiple


def block_mask(branch: Tensor) -> Tensor:
    """Who attends to whom in shared rows.

    Args:
        branch: (B, L), 0 padding, 1 prompt, 2 chosen, 3 rejected, in this order of columns but for
            the padding.

    Returns:
        (B, 1, L, L) bool. Causal; the prompt is seen by all, a completion by itself alone. Padding
        sees itself, so that no softmax is over nothing.
    """
    width = branch.shape[1]
    query, key = branch[:, :, None], branch[:, None, :]
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    seen = causal & (query > 0) & ((key == 1) | ((key == query) & (key > 0)))
    return (seen | torch.eye(width, dtype=torch.bool))[:, None]


def model_inputs(batch: Mapping[str, Any], attention: str) -> dict[str, Any]:
    """What the model reads of a batch of shared rows, its mask as in ``model_mask``."""
    inputs = {name: value for name, value in batch.items() if name not in LOSS_INPUTS}
    return {**inputs, "attention_mask": model_mask(inputs["attention_mask"], attention), "use_cache": False}


def model_mask(mask: Tensor, attention: str) -> Any:
    """The mask in the form that an attention implementation of transformers reads untouched.

    Args:
        mask: (B, 1, L, L) bool, true where attended.
        attention: ``sdpa`` (bool), ``eager`` (float32, added to the scores), ``flex_attention`` (BlockMask,
            which skips empty blocks).
    """
    if attention == "eager":
        return torch.zeros_like(mask, dtype=torch.float32).masked_fill_(~mask, torch.finfo(torch.float32).min)
    if attention == "flex_attention":
        from torch.nn.attention.flex_attention import create_block_mask

        return create_block_mask(
            lambda row, head, query, key: mask[row, 0, query, key],
            mask.shape[0],
            None,
            mask.shape[2],
            mask.shape[3],
            device=str(mask.device),
        )
    return mask


class LengthBucketSampler(Sampler[int]):
    """Shuffled order in which neighbours have like lengths; a function of seed and epoch alone.

    Rows are shuffled, sorted by length within buckets of ``batch_size * buckets`` rows, cut into
    batches, and the batches shuffled, so that neither padding nor length drives the order of
    learning. What is left over for a last, short batch is drawn before anything is sorted: cut off
    behind the sorting it would always be the longest rows. Not taking from the global generator makes
    a resumed epoch the same as an uninterrupted one.

    Args:
        lengths: tokens of each row.
        batch_size: rows of one optimiser step, over all micro-batches and devices.
        seed: seed of the order.
        buckets: batches per bucket; larger pads less and mixes less.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int, buckets: int = 32) -> None:
        self.lengths = torch.tensor(lengths)
        self.batch_size, self.seed, self.buckets = batch_size, seed, buckets
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of another epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        """Row indices; only the last batch may be short."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator)
        whole = len(order) - len(order) % self.batch_size
        batches: list[Tensor] = []
        for bucket in order[:whole].split(self.batch_size * self.buckets):
            ranked = bucket[self.lengths[bucket].argsort(stable=True)]
            batches.extend(ranked.split(self.batch_size))
        for index in torch.randperm(len(batches), generator=generator).tolist():
            yield from batches[index].tolist()
        yield from order[whole:].tolist()
