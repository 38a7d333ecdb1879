"""Preference training with images: the shared row is exact, the image matters, the projector learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tiny_vision
from mintflow import models
from mintflow.adapters import add_adapter
from mintflow.collate import SharedPromptCollator, model_inputs
from mintflow.orpo import orpo_loss, score_pairs
from mintflow.tokenization import Pair
from mintflow.vision_encoding import VisionEncoder
from mintflow.vision_features import keep_features
from mintflow.vision_models import PROJECTORS, part

LORA = {"r": 2, "alpha": 4, "dropout": 0.0, "target_modules": "all-linear", "variant": "lora"}


@pytest.fixture(scope="module", params=tiny_vision.FAMILIES)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vision.make(request.param, tmp_path_factory.mktemp(request.param) / "base")


def load(base: Path, attention: str = "eager") -> torch.nn.Module:
    return models.load_model(base, dtype="float32", attention=attention)


def scores(model: torch.nn.Module, encoder: VisionEncoder, pairs: list[Pair], attention: str = "eager"):
    batch = SharedPromptCollator(0, extra_inputs=encoder.gallery, multiple=4)(pairs)
    logits = model(**model_inputs(batch, attention)).logits
    return score_pairs(logits, batch["targets"], batch["first_completion"])


def alone(model: torch.nn.Module, encoder: VisionEncoder, pair: Pair, completion: list[int]) -> float:
    """Mean log-probability of one completion by the model's own forward pass."""
    ids = torch.tensor([[*pair.prompt, *completion]])
    text = encoder.gallery.batch([pair.image], [pair.prompt], torch.ones_like(ids))
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), **text).logits[0]
    logp = logits.log_softmax(-1)[len(pair.prompt) - 1 : -1]
    return float(logp[torch.arange(len(completion)), torch.tensor(completion)].mean())


def pairs_of(encoder: VisionEncoder) -> list[Pair]:
    rows = [
        tiny_vision.row("t0"),
        tiny_vision.row("t1", "1. muscle\n2. nerve\n3. gland", "1. tumor"),
        tiny_vision.row(None, "1. tumor", "1. muscle\n2. nerve"),
    ]
    return [encoder.pair(row, 400) for row in rows]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_shared_row_equals_two_separate_forwards(base: Path, attention: str) -> None:
    model, encoder = load(base, attention), tiny_vision.encoder(base)
    pairs = pairs_of(encoder)
    with torch.no_grad():
        found = scores(model, encoder, pairs, attention)
    for row, pair in enumerate(pairs):
        assert float(found.chosen[row]) == pytest.approx(alone(model, encoder, pair, pair.chosen), abs=1e-4)
        assert float(found.rejected[row]) == pytest.approx(
            alone(model, encoder, pair, pair.rejected), abs=1e-4
        )


def test_another_image_gives_another_loss_and_the_projector_a_gradient(base: Path) -> None:
    model, encoder = load(base), tiny_vision.encoder(base)
    losses = {}
    for image in ("t0", "t1", None):
        losses[image] = orpo_loss(scores(model, encoder, [encoder.pair(tiny_vision.row(image), 400)]), 0.5)
    assert len({round(float(loss), 5) for loss in losses.values()}) == 3, losses
    losses["t0"].backward()
    name, projector = part(model, PROJECTORS)
    for key, weights in projector.named_parameters():
        assert weights.grad is not None and float(weights.grad.abs().sum()) > 0, f"{name}.{key}"


def test_kept_features_give_the_same_loss_and_gradients(base: Path) -> None:
    reference, model = load(base), load(base)
    encoder, kept = tiny_vision.encoder(base), tiny_vision.encoder(base)
    frozen = "mllama" in str(type(model)).lower()
    assert keep_features(model, kept.gallery, projector_trains=not frozen, autocast=False)
    assert len(kept.gallery.kept) == 4  # three tiles and the blank one
    pairs = pairs_of(encoder)
    loss, wanted = (
        orpo_loss(scores(model, kept, pairs_of(kept)), 0.5),
        orpo_loss(scores(reference, encoder, pairs), 0.5),
    )
    assert float(loss) == pytest.approx(float(wanted), abs=1e-5)
    if not frozen:
        loss.backward()
        wanted.backward()
        for one, other in zip(
            part(model, PROJECTORS)[1].parameters(), part(reference, PROJECTORS)[1].parameters(), strict=True
        ):
            torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-4)


def test_a_projector_that_trains_cannot_be_kept_behind_cross_attention(tmp_path: Path) -> None:
    base = tiny_vision.make("mllama", tmp_path / "base")
    encoder = tiny_vision.encoder(base)
    assert not keep_features(load(base), encoder.gallery, projector_trains=True, autocast=False)
    assert encoder.gallery.kept is None


def test_adapter_touches_the_language_model_and_the_projector_alone(base: Path) -> None:
    model, encoder = load(base), tiny_vision.encoder(base)
    keep_features(model, encoder.gallery, projector_trains=True, autocast=False)
    projector = part(model, PROJECTORS)[0].rpartition(".")[2]
    adapted = add_adapter(model, LORA, autocast=False, trained_whole=[projector])
    trainable = [name for name, weights in adapted.named_parameters() if weights.requires_grad]
    assert all(("lora_" in name and "vision" not in name) or projector in name for name in trainable)
    assert any("lora_" in name for name in trainable)
    orpo_loss(scores(adapted, encoder, pairs_of(encoder)), 0.5).backward()
    without = [
        name
        for name, weights in adapted.named_parameters()
        if weights.requires_grad
        and "lora_A" not in name
        and (weights.grad is None or not weights.grad.abs().sum())
    ]
    assert without == []


def test_cross_attention_mask_is_the_processors_own_and_covers_answers(tmp_path: Path) -> None:
    base = tiny_vision.make("mllama", tmp_path / "base")
    encoder = tiny_vision.encoder(base)
    pair = encoder.pair(tiny_vision.row("t0"), 400)
    text = encoder._text(tiny_vision.PROMPT, add_generation_prompt=True)
    own = encoder.gallery.processor(
        text=[text], images=[[tiny_vision.picture(0)]], add_special_tokens=False, return_tensors="pt"
    )
    assert own["input_ids"][0].tolist() == pair.prompt
    start = encoder.tokenizer.convert_tokens_to_ids("<|begin_of_text|>")
    assert pair.prompt.count(start) == 1 and start not in pair.chosen + pair.rejected
    batch = SharedPromptCollator(0, extra_inputs=encoder.gallery, multiple=16)([pair])
    mask, left = batch["cross_attention_mask"][0], -len(pair.prompt) % 16
    assert mask.shape[0] == batch["input_ids"].shape[1]
    assert not mask[:left].any()
    assert torch.equal(mask[left : left + len(pair.prompt)], own["cross_attention_mask"][0])
    answers = slice(left + len(pair.prompt), left + len(pair.prompt) + len(pair.chosen) - 1)
    assert torch.equal(
        mask[answers], own["cross_attention_mask"][0][-1:].expand(len(pair.chosen) - 1, -1, -1)
    )
