"""Greedy answers of a language model: left-padded batches of similar length, the same every time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .cli import progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from .vision_encoding import Gallery


@dataclass(frozen=True)
class Answer:
    """One generated answer.

    Attributes:
        tokens: what was written, without the end token.
        finished: whether an end token came before the limit.
    """

    tokens: tuple[int, ...]
    finished: bool


Prompt = tuple[tuple[int, ...], str]  # ids, and the name of the image shown (empty for none)


def batches(prompts: Collection[Prompt], size: int) -> list[list[Prompt]]:
    """Distinct prompts, the longest first (memory runs out at once or never), ``size`` at a time."""
    ordered = sorted(set(prompts), key=lambda prompt: (-len(prompt[0]), prompt))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    end_ids: Collection[int],
    pad_id: int,
    max_new_tokens: int,
    batch_size: int,
    images: Sequence[str | None] | None = None,
    gallery: Gallery | None = None,
) -> list[Answer]:
    """Answer every prompt with the most likely token at each step.

    Prompts that are the same, and show the same image, are answered once.

    Args:
        model: a causal language model in eval mode, with or without an adapter. Its generation_config
            is replaced: what it asks for (sampling, penalties) would be mixed into ours.
        prompts: token ids, generation prompt included.
        end_ids: tokens that end an answer.
        pad_id: token for padding on the left; masked, so any will do.
        max_new_tokens: longest answer, end token included.
        batch_size: prompts per batch.
        images: name of the image that each prompt shows, for models that see.
        gallery: holds these images.

    Returns:
        Answers in the order of the prompts.

    Raises:
        ValueError: a prompt is empty.
    """
    from transformers import GenerationConfig

    names = images if images is not None else [None] * len(prompts)
    keys = [(tuple(prompt), name or "") for prompt, name in zip(prompts, names, strict=True)]
    if not all(ids for ids, _ in keys):
        raise ValueError("empty prompt")
    config = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=max_new_tokens,
        eos_token_id=sorted(end_ids),
        pad_token_id=pad_id,
    )
    for part in (model, model.get_base_model() if hasattr(model, "get_base_model") else model):
        part.generation_config = config  # PEFT reads one or the other, by the adapter's task type
    work = batches(keys, batch_size)
    answers: dict[Prompt, Answer] = {}
    for batch in progress(work, len(work), "generation batches"):
        answers |= zip(batch, _answer_batch(model, batch, gallery), strict=True)
    return [answers[key] for key in keys]


@torch.inference_mode()
def _answer_batch(model: PreTrainedModel, batch: Sequence[Prompt], gallery: Gallery | None) -> list[Answer]:
    prompts = [ids for ids, _ in batch]
    width = max(map(len, prompts))
    pad = model.generation_config.pad_token_id
    device = next(model.parameters()).device
    ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    mask = torch.tensor(
        [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device
    )
    shown = gallery.batch([name for _, name in batch], prompts, mask.cpu()) if gallery else {}
    shown = {key: value.to(device) for key, value in shown.items()}
    written = model.generate(input_ids=ids, attention_mask=mask, **shown)
    ends = set(model.generation_config.eos_token_id)
    return [_cut(row, ends) for row in written[:, width:].tolist()]


def _cut(tokens: list[int], ends: set[int]) -> Answer:
    """Tokens before the first end token (after which a batch only pads)."""
    for place, token in enumerate(tokens):
        if token in ends:
            return Answer(tuple(tokens[:place]), True)
    return Answer(tuple(tokens), False)
