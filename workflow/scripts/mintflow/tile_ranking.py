"""Likelihood of every label as the answer to a tile, all labels of a tile in one row.

Labels are few and short, so a row holds the prompt once and behind it every label, each of which sees the
prompt and itself alone: the rows of the listwise arm. Nothing is kept between passes, so this holds for every
model that trains here, those that see through cross-attention too. In float32, as ``likelihood``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from . import cli
from .collate import model_inputs
from .likelihood import first_lines, require_equal
from .listwise import ListwiseCollator, score_lists
from .shared_rows import on_device, score_alone
from .tokenization import Pair

if TYPE_CHECKING:
    from .inference import Student
    from .vision_encoding import Gallery


@torch.inference_mode()
def score_labels(
    student: Student,
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    gallery: Gallery,
    *,
    k: int,
    batch_size: int,
) -> NDArray[np.float64]:
    """Score every name as the first of the answer to every tile.

    Args:
        student: opened with ``exact``.
        rows: case_id, prompt (messages) and image (name in the gallery, null for the blank one) of each tile.
        names: of the labels.
        gallery: the images.
        k: length of the lists that the student was trained to write.
        batch_size: tiles in one forward pass.

    Returns:
        Log-probabilities, nats, summed over a name's tokens, (tiles, labels).

    Raises:
        ValueError: the model is not in float32.
        InputError: the model does not heed the mask that keeps labels apart.
    """
    if student.model.dtype != torch.float32:
        raise ValueError(f"ranking needs a model in float32, not {student.model.dtype}")
    lines = [tuple(line) for line in first_lines(student.encoder, rows[0]["prompt"], names, k)]
    pairs = []
    for row in rows:
        prompt, image = student.encoder.shown(row)
        # the collator wants a list beside its candidates; the first of them will do
        asked = {"candidates": tuple(lines), "wanted": (0.0,) * len(lines)}
        pairs.append(Pair(str(row["case_id"]), prompt, list(lines[0]), [], image, **asked))
    _check_masking(student, pairs[0], gallery)
    found = np.empty((len(pairs), len(names)))
    starts = range(0, len(pairs), batch_size)
    for start in cli.progress(starts, len(starts), "batches of ranked tiles"):
        found[start : start + batch_size] = _score(student, pairs[start : start + batch_size], gallery)
    return found


def _score(student: Student, pairs: Sequence[Pair], gallery: Gallery) -> NDArray[np.float64]:
    """Log-probabilities of the candidates of each pair, (pairs, candidates)."""
    device = next(student.model.parameters()).device
    batch = on_device(ListwiseCollator(student.encoder.tokenizer.pad_token_id, gallery)(pairs), device)
    logits = student.model(**model_inputs(batch, student.model.config._attn_implementation)).logits
    return score_lists(logits, batch["targets"], batch["wanted"]).student.double().cpu().numpy()


def _check_masking(student: Student, pair: Pair, gallery: Gallery) -> None:
    """Score one label both ways: does this model heed the block mask?"""
    place = max(range(len(pair.candidates)), key=lambda index: len(pair.candidates[index]))
    line = pair.candidates[place]
    alone = float(score_alone(student.model, pair, line, gallery).sum())
    require_equal(float(_score(student, [pair], gallery)[0, place]), alone)
