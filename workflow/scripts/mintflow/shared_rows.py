"""Asked before a model is trained on rows that share a prompt: does each branch compute what it would alone?

A model whose layers mix neighbours in another way than attention (convolutions, recurrent states), or that
takes no mask or positions from outside, would let the chosen list leak into the rejected one, in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from .collate import ExtraInputs, SharedPromptCollator, model_inputs
from .errors import InputError
from .tokenization import Pair

# nats a token, mean over an answer, for positions: the same sums in another order differ by less
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1}
# of any logit of the rejected answer when the chosen one is another: masked columns weigh exactly nothing
LEAK = 1e-4


_REFUSED = "this model cannot share a prompt between two answers"
_INSTEAD = (
    "its layers do not keep to the attention mask and the positions they are given; train sft, sft-truth or "
    "dpo, which read every answer by itself"
)
_FIELD = "rare.student.base"


def require_shared_rows(
    model: nn.Module,
    pairs: Sequence[Pair],
    *,
    attention: str,
    bf16: bool,
    extra_inputs: ExtraInputs | None = None,
) -> None:
    """Score the longest pair in one row, with another chosen list in its place, and by itself.

    Args:
        model: a causal language model on its device, with its adapter.
        pairs: that it is to learn from.
        attention: its implementation of attention.
        bf16: whether it computes in bfloat16 (autocast).
        extra_inputs: the images, for a student that sees.

    Raises:
        InputError: a rejected list is scored otherwise beside another chosen one, an answer otherwise by
            itself, or layers with a sliding window see less than the longest answer needs.
    """
    pair = max(pairs, key=_tokens)
    require_within_window(
        model,
        _tokens(pair),
        what="a pair has",
        remedy="lower max_length to what they see; longer pairs are left out and counted",
        field="rare.student.training.max_length",
    )
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits, targets = _shared(model, pair, attention, device, extra_inputs)
            other = replace(pair, chosen=[*pair.chosen[-2::-1], pair.chosen[-1]])
            moved = (logits - _shared(model, other, attention, device, extra_inputs)[0])[targets[:, 1] >= 0]
            shared = [_mean(logits, targets[:, side]) for side in (0, 1)]
            answers = (pair.chosen, pair.rejected)
            alone = [float(score_alone(model, pair, ids, extra_inputs).mean()) for ids in answers]
    finally:
        model.train(training)
    if not logits.isfinite().all():
        return  # training refuses them, and names the pair
    if not float(moved.abs().max()) <= LEAK:
        raise InputError(
            f"{_REFUSED} (a logit of rejected moves by {moved.abs().max():.3g} with chosen); {_INSTEAD}",
            field=_FIELD,
        )
    plain = not bf16 and all(parameter.dtype == torch.float32 for parameter in model.parameters())
    most = TOLERANCE[torch.float32 if plain else torch.bfloat16]
    for name, found, expected in zip(("chosen", "rejected"), shared, alone, strict=True):
        if not abs(found - expected) <= most:
            raise InputError(
                f"{_REFUSED} (mean log-probability of {name} {found:.4f} beside the other, {expected:.4f} "
                f"alone); {_INSTEAD}",
                field=_FIELD,
            )


def require_within_window(model: nn.Module, tokens: int, *, what: str, remedy: str, field: str) -> None:
    """Layers with a sliding window forget what is further back, and the block mask does not know it.

    Raises:
        InputError: the model has such layers, and ``tokens`` are more than they see.
    """
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    slides = getattr(config, "layer_types", None) or (["sliding"] if window else [])
    if window and any("sliding" in kind for kind in slides) and tokens > window:
        raise InputError(
            f"{what} {tokens} tokens, and some layers of this model see {window}: {remedy}", field=field
        )


def score_alone(
    model: nn.Module, pair: Pair, answer: Sequence[int], extra_inputs: ExtraInputs | None = None
) -> Tensor:
    """Log-probability (nats, float64) of each token of ``answer`` behind the pair's prompt alone.

    Args: as of ``require_shared_rows``; ``answer``, token ids.
    """
    device = next(model.parameters()).device
    ids = torch.tensor([[*pair.prompt, *answer]])
    seen = torch.ones_like(ids)
    inputs: dict[str, object] = {"input_ids": ids, "attention_mask": seen}
    if extra_inputs is not None:
        inputs |= extra_inputs([replace(pair, prompt=ids[0].tolist())], seen)
    logits = model(**on_device(inputs, device), use_cache=False, logits_to_keep=len(answer) + 1).logits[0]
    logp = logits[:-1].float().log_softmax(dim=-1)
    return logp.gather(1, torch.tensor(answer, device=device)[:, None])[:, 0].double()


def on_device(batch: Mapping[str, object], device: torch.device) -> dict[str, object]:
    """The batch with its tensors on ``device``."""
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}


def _tokens(pair: Pair) -> int:
    return len(pair.prompt) + max(len(pair.chosen), len(pair.rejected))


def _shared(
    model: nn.Module, pair: Pair, attention: str, device: torch.device, extra_inputs: ExtraInputs | None
) -> tuple[Tensor, Tensor]:
    """Logits and targets of both answers, in one row."""
    batch = SharedPromptCollator(0, extra_inputs=extra_inputs)([pair])
    targets = batch["targets"][0].to(device)
    return model(**model_inputs(on_device(batch, device), attention)).logits[0].float(), targets


def _mean(logits: Tensor, targets: Tensor) -> float:
    scored = targets >= 0
    logp = logits[scored].float().log_softmax(dim=-1)
    return float(logp.gather(1, targets[scored][:, None]).mean())
