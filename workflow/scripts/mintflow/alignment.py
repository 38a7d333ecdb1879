"""First training of a composed vision student: captions that say what is seen and name no tissue.

Vision tower and projector are trained, and an adapter on the language model that is merged at the end.
What counts is that the image is used: the held-out caption loss with the right image must lie below the
loss with another image and with none (`held_out_losses`), whatever the training loss says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, SequentialSampler
from transformers import PrinterCallback, TrainingArguments

from .cli import progress
from .conversations import answer
from .orpo import IGNORE
from .trainer import NotFiniteError, ResumableTrainer
from .training_flow import TrainingFlow
from .vision_encoding import BLANK, Gallery, VisionEncoder
from .vision_models import PROJECTORS, TOWERS, part

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

# the same words for every tile: nothing in them tells which
REQUEST = [{"role": "user", "content": "Describe the nuclei, the stain and the structure of this H&E image."}]
TURNS = 8  # four rotations, mirrored or not: a tile has no up and no handedness


@dataclass(frozen=True)
class Caption:
    """Token ids of one tile and what is said of it."""

    image: str
    prompt: list[int]
    text: list[int]
    turn: int = 0


def encode_captions(encoder: VisionEncoder, captions: Mapping[str, str]) -> list[Caption]:
    """Captions by image name as token ids, in order of the names."""
    encoded = []
    for name, text in sorted(captions.items()):
        prompt, _ = encoder.shown({"prompt": REQUEST, "image": name})
        encoded.append(Caption(name, prompt, encoder.completion_ids(REQUEST, answer(text))))
    return encoded


def schedule(captions: Sequence[Caption], rows: int, seed: int) -> list[Caption]:
    """The order of training: pass after pass in new order, each tile turned at random, by seed.

    Laid out before training, so that a resumed run sees the rest of the same rows.
    """
    rng = np.random.default_rng(seed)
    order: list[Caption] = []
    while len(order) < rows:
        for index in rng.permutation(len(captions)):
            one = captions[index]
            order.append(Caption(one.image, one.prompt, one.text, int(rng.integers(TURNS))))
    return order[:rows]


def turned(pixels: Tensor, turn: int) -> Tensor:
    """One of the eight ways to lay down square tiles (..., H, W)."""
    pixels = torch.rot90(pixels, turn % 4, (-2, -1))
    return pixels.flip(-1) if turn >= 4 else pixels


def warm_up(
    model: PreTrainedModel,
    gallery: Gallery,
    captions: Mapping[str, str],
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> dict[str, float]:
    """Teach the vision tower alone to tell which words a tile's caption has.

    A tower that starts from nothing learns through a hundred times its own size of language model; through a
    linear head on the mean of its patches it learns the same words at a fraction of the cost.

    Args:
        model: composed, on its device; its tower is changed in place.
        gallery: the images.
        captions: image name to caption, of training tiles.
        steps: optimiser steps; 0 leaves the tower as it is.
        batch_size: tiles per step.
        learning_rate: peak.
        seed: of the order and the head.

    Returns:
        Binary cross-entropy of the first and of the last tenth of the steps; empty without steps.
    """
    names = sorted(captions)
    said = [set(captions[name].lower().replace(",", " ").replace(".", " ").split()) for name in names]
    # words that all tiles have, or next to none, tell nothing
    counts = {word: sum(word in words for words in said) for word in sorted(set().union(*said))}
    telling = [word for word, count in counts.items() if 0.02 < count / len(said) < 0.98]
    if not steps or not telling:
        return {}
    wanted = torch.tensor([[float(word in words) for word in telling] for words in said])
    pixels = torch.cat([gallery.pixels(name)["pixel_values"] for name in names])
    tower = part(model, TOWERS)[1]
    device = next(tower.parameters()).device
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = nn.Linear(model.config.vision_config.hidden_size, len(telling)).to(device)
    weights = [*tower.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=0.05)
    schedule_ = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=steps, pct_start=0.1
    )
    tower.train()
    losses, order = [], np.empty(0, np.intp)
    for _ in progress(range(steps), steps, "warm-up steps"):
        if len(order) < batch_size:
            order = np.concatenate([order, rng.permutation(len(names))])
        rows, order = order[:batch_size], order[batch_size:]
        turns = rng.integers(TURNS, size=len(rows))
        batch = torch.stack([turned(pixels[row], int(turn)) for row, turn in zip(rows, turns, strict=True)])
        seen = tower(pixel_values=batch.to(device)).last_hidden_state[:, 1:].mean(1)
        loss = nn.functional.binary_cross_entropy_with_logits(head(seen), wanted[rows].to(device))
        if not torch.isfinite(loss):
            raise NotFiniteError(
                "the loss of the warm-up is not finite", field="tissue.student.alignment.warmup_learning_rate"
            )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule_.step()
        losses.append(float(loss.detach()))
    tower.eval()
    tenth = max(1, steps // 10)
    return {
        "first": round(float(np.mean(losses[:tenth])), 6),
        "last": round(float(np.mean(losses[-tenth:])), 6),
    }


class CaptionCollator:
    """Rows of prompt and caption, padded on the right, the caption scored.

    Args:
        gallery: the images.
        pad_id: id in the padding.
        shown: name to the name of the image that is shown in its place, for controls; None shows its own.
    """

    def __init__(self, gallery: Gallery, pad_id: int, shown: Mapping[str, str] | None = None) -> None:
        self.gallery, self.pad_id, self.shown = gallery, pad_id, shown

    def __call__(self, captions: Sequence[Caption]) -> dict[str, Tensor]:
        """input_ids, attention_mask, labels (B, L), and what the model sees."""
        width = max(len(one.prompt) + len(one.text) for one in captions)
        ids = torch.full((len(captions), width), self.pad_id)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORE)
        for row, one in enumerate(captions):
            start, end = len(one.prompt), len(one.prompt) + len(one.text)
            ids[row, :end] = torch.tensor([*one.prompt, *one.text])
            mask[row, :end] = 1
            labels[row, start:end] = torch.tensor(one.text)
        names = [one.image if self.shown is None else self.shown[one.image] for one in captions]
        seen = self.gallery.batch(names, [one.prompt for one in captions], mask)
        seen["pixel_values"] = torch.stack(
            [turned(pixels, one.turn) for pixels, one in zip(seen["pixel_values"], captions, strict=True)]
        )
        return {"input_ids": ids, "attention_mask": mask, "labels": labels, **seen}


class CaptionTrainer(ResumableTrainer):
    """Cross-entropy on captions, with a learning rate for the eyes and another for the adapter.

    Args:
        model: with the adapter.
        args: from `training_arguments`.
        order: from `schedule`.
        collator: makes batches.
        adapter_rate: peak learning rate of the adapter on the language model.
    """

    def __init__(
        self,
        model: PeftModel,
        args: TrainingArguments,
        order: Sequence[Caption],
        collator: CaptionCollator,
        adapter_rate: float,
    ) -> None:
        self.adapter_rate = adapter_rate
        self.flow = TrainingFlow(patience=0)
        dataset: Dataset[Caption] = list(order)  # type: ignore[assignment]
        super().__init__(model, args, data_collator=collator, train_dataset=dataset, callbacks=[self.flow])
        self.remove_callback(PrinterCallback)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW over two groups."""
        eyes, words = [], []
        for name, weights in self.model.named_parameters():
            if weights.requires_grad:
                (words if "lora_" in name else eyes).append(weights)
        groups = [{"params": eyes, "lr": self.args.learning_rate, "weight_decay": self.args.weight_decay}]
        if words:
            groups.append({"params": words, "lr": self.adapter_rate, "weight_decay": 0.0})
        self.optimizer = torch.optim.AdamW(groups)
        return self.optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Mapping[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Any:
        """Mean cross-entropy over the batch's caption tokens; the vocabulary is met at their places alone."""
        batch = dict(inputs)
        loss = caption_loss(model, batch, batch.pop("labels"), "mean")
        return (loss, None) if return_outputs else loss

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)  # already in its order

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        grad_norm = super()._get_grad_norm(model, grad_norm)
        if not math.isfinite(float(grad_norm)):
            raise NotFiniteError(
                "the gradient is not finite, no weight was changed; lower the learning rate or use fp32",
                record=f"step {self.state.global_step + 1}",
                field="tissue.student.alignment.learning_rate",
            )
        return grad_norm


def training_arguments(
    alignment: Mapping[str, Any], folder: str | Path, *, device: str, autocast: bool
) -> TrainingArguments:
    """The base trainer's arguments for tissue.student.alignment."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=alignment["steps"],
        learning_rate=alignment["learning_rate"],
        lr_scheduler_type="cosine",
        warmup_steps=max(1, alignment["steps"] // 20),
        weight_decay=0.01,
        max_grad_norm=1.0,
        per_device_train_batch_size=alignment["batch_size"],
        seed=alignment["seed"],
        bf16=autocast,
        use_cpu=device == "cpu",
        logging_steps=max(1, min(10, alignment["steps"])),
        logging_nan_inf_filter=False,
        eval_strategy="no",
        save_strategy="steps",
        save_steps=alignment["save_steps"],
        save_total_limit=2,
        remove_unused_columns=False,
        dataloader_pin_memory=device == "cuda",
        report_to="none",
        disable_tqdm=True,
    )
    if arguments.n_gpu > 1:  # one process on one device, as in trainer.py
        arguments._n_gpu = 1
    return arguments


def eyes_of(model: PreTrainedModel) -> list[str]:
    """Names of the modules that are trained whole: vision tower and projector."""
    return [part(model, TOWERS)[0].rpartition(".")[2], part(model, PROJECTORS)[0].rpartition(".")[2]]


def caption_loss(model: nn.Module, batch: Mapping[str, Any], labels: Tensor, reduction: str) -> Tensor:
    """Cross-entropy of the tokens that ``labels`` (B, L) scores, from one forward pass.

    Args:
        model: takes ``batch``.
        batch: inputs of the model.
        labels: token ids, ``IGNORE`` where nothing is scored.
        reduction: mean or sum over the scored tokens.
    """
    first = int((labels != IGNORE).any(0).nonzero()[0]) - 1  # predicts the first scored token
    places = torch.arange(first, labels.shape[1] - 1, device=labels.device)
    logits = model(**batch, logits_to_keep=places, use_cache=False).logits.float()
    scored = labels[:, first + 1 :]
    return nn.functional.cross_entropy(
        logits.flatten(0, 1), scored.flatten(), ignore_index=IGNORE, reduction=reduction
    )


@torch.no_grad()
def held_out_losses(
    model: nn.Module,
    captions: Sequence[Caption],
    gallery: Gallery,
    pad_id: int,
    batch_size: int,
    seed: int,
    *,
    autocast: bool = False,
) -> dict[str, float]:
    """Mean caption loss (nats a token) with the right image, with another tile's, and with the blank one.

    The other tile is that of a caption that differs; where all captions are the same the tile next to it.

    Returns:
        right, shuffled, blank; empty without captions.
    """
    if not captions:
        return {}
    rng = np.random.default_rng(seed)
    other = {}
    for one in captions:
        strangers = [two.image for two in captions if two.text != one.text] or [captions[0].image]
        other[one.image] = strangers[int(rng.integers(len(strangers)))]
    views = {"right": None, "shuffled": other, "blank": dict.fromkeys(other, BLANK)}
    model.eval()
    device = next(model.parameters()).device
    losses = {}
    for view, shown in views.items():
        collator = CaptionCollator(gallery, pad_id, shown)
        total, count = 0.0, 0
        for start in range(0, len(captions), batch_size):
            batch = {
                key: value.to(device) for key, value in collator(captions[start : start + batch_size]).items()
            }
            labels = batch.pop("labels")
            with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
                total += float(caption_loss(model, batch, labels, "sum"))
            count += int((labels != IGNORE).sum())
        losses[view] = round(total / count, 6)
    return losses
