"""The embedded CLIP: words, patches by convolution, stains that do not matter, positives of one label."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mintflow import clip
from test_tile_teacher import LABELS, SETTINGS


def tiles(number: int = 12, side: int = 24) -> clip.Tiles:
    pixels = np.random.default_rng(0).integers(0, 256, (number, 3, side, side), dtype=np.uint8)
    return clip.Tiles(pixels, np.arange(number) % 3, [f"grain {n % 2}" for n in range(number)])


def stripes(number: int, rng: np.random.Generator) -> clip.Tiles:
    """Three patterns on tissue, every tile in a stain of its own."""
    lines = np.zeros((number, 24, 24))
    for index in range(number):
        step = (2, 4, 12)[index % 3]
        lines[index] = np.add.outer(np.arange(24) // step % 2, np.zeros(24))
    stain = rng.uniform(0.2, 1.2, (number, 3, 1, 1))
    density = stain * (0.3 + 0.7 * lines[:, None]) + rng.normal(0, 0.02, (number, 3, 24, 24))
    pixels = (np.exp(-density.clip(0)) * 255).astype(np.uint8)
    return clip.Tiles(pixels, np.arange(number) % 3, ["lines"] * number)


def test_words_that_training_did_not_know_are_left_out() -> None:
    words = clip.Words(["An H&E image of soft-tissue.", "Wide spaces"])
    ids, mask = words.encode(["an image of unknown spaces", ""])
    assert ids.shape == mask.shape and mask.sum(1).tolist() == [5, 1]
    assert "h&e" in words.ids and "soft-tissue" in words.ids
    assert words.encode(["an " * 99])[0].shape == (1, clip.LONGEST_TEXT)


def test_augmentation_is_by_seed_and_keeps_the_kind() -> None:
    pixels = torch.from_numpy(tiles().pixels)
    one, other = (clip.augment(pixels, np.random.default_rng(seed)) for seed in (1, 1))
    assert torch.equal(one, other) and not torch.equal(one, pixels)
    assert not torch.equal(one, clip.augment(pixels, np.random.default_rng(2)))
    assert one.dtype == torch.uint8 and one.shape == pixels.shape


def test_the_strength_of_a_stain_is_taken_out() -> None:
    density = torch.from_numpy(np.random.default_rng(0).uniform(0.05, 0.6, (1, 1, 16, 16)))
    weak, strong = (
        ((torch.exp(-factor * density) * 256 - 1).round().to(torch.uint8)).expand(1, 3, 16, 16)
        for factor in (1.0, 1.6)
    )
    before = (weak.float() - strong.float()).abs().mean() / weak.float().std()
    after = (clip.standardise(weak) - clip.standardise(strong)).abs().mean()
    assert before > 0.5 and after < 0.2
    red = torch.tensor([200, 90, 90], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 8, 8)
    assert clip.standardise(red)[0, 0].max() < clip.standardise(red)[0, 1].min()  # hues stay
    assert clip.standardise(torch.full((1, 3, 4, 4), 127, dtype=torch.uint8)).abs().max() < 1e-4  # blank


@pytest.mark.parametrize("side", [16, 24, 97, 100, 127])
def test_every_side_gives_the_patches_that_the_tower_expects(side: int) -> None:
    model = clip.SmallClip(SETTINGS | {"image_size": side, "batch_size": 6, "epochs": 1}, LABELS)
    told = model.fit(tiles(6, side), tiles(0, side))
    assert told == {"epochs": 1, "kept_epoch": 1, "held_out_loss": None}
    scores = model.score(torch.from_numpy(tiles(5, side).pixels))
    assert scores.shape == (5, 3) and np.allclose(np.exp(scores).sum(1), 1)


def test_a_border_that_fills_no_patch_is_cut_off() -> None:
    stem = clip.Stem(3, 8).eval()
    pixels = torch.randn(1, 3, 21, 21)
    assert stem(pixels).shape == (1, 8, 2, 2)
    assert torch.equal(stem(pixels), stem(pixels[..., :16, :16]))


def test_texts_of_the_same_label_are_no_negatives() -> None:
    model = clip.SmallClip(SETTINGS, LABELS)
    model.fit(tiles(6), tiles(0))
    texts, pixels = ["red", "blue", "red", "blue"], torch.from_numpy(tiles(4).pixels)
    loss = model._loss(pixels, texts, np.array([0, 1, 0, 1]), "cpu")
    # pictures of one label may change places, those of two may not
    same = model._loss(pixels[[2, 1, 0, 3]], texts, np.array([0, 1, 0, 1]), "cpu")
    other = model._loss(pixels[[1, 0, 2, 3]], texts, np.array([0, 1, 0, 1]), "cpu")
    assert same.item() == pytest.approx(loss.item(), abs=1e-5)
    assert abs(other.item() - loss.item()) > 1e-3


def test_patterns_are_learned_whatever_the_stain() -> None:
    rng = np.random.default_rng(3)
    learn, new = stripes(96, rng), stripes(30, rng)
    model = clip.SmallClip(SETTINGS | {"epochs": 12}, LABELS)
    told = model.fit(learn, stripes(12, rng))
    assert (model.score(torch.from_numpy(new.pixels)).argmax(1) == new.labels).mean() > 0.9
    assert told["held_out_loss"] < np.log(3)


def test_pixels_of_an_image() -> None:
    found = clip.to_pixels(Image.new("RGB", (30, 30), (200, 100, 50)), 16)
    assert found.shape == (3, 16, 16) and found.dtype == np.uint8
    assert found.reshape(3, -1).mean(1).tolist() == [200, 100, 50]
