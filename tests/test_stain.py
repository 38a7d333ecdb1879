"""Stain normalisation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mintflow import stain
from mintflow.errors import InputError
from mintflow.synthetic_tissue import TISSUES, Stain, draw_stain, draw_tissue


def _picture(dyes: Stain, seed: int = 0) -> np.ndarray:
    """Epithelium, tumour, muscle and gland side by side."""
    parts = [
        draw_tissue(name, 120, 120, 1.0, np.random.default_rng([seed, number]), dyes)
        for number, name in enumerate(TISSUES)
        if name in ("epithelium", "tumor", "muscle", "gland")
    ]
    return np.hstack(parts)


def _tissue(picture: np.ndarray) -> np.ndarray:
    pixels = picture.reshape(-1, 3)
    return pixels[pixels.min(axis=1) < 215]


def test_none_changes_nothing_and_copies() -> None:
    picture = _picture(Stain())
    same = stain.normaliser("none", _tissue(picture))(picture)
    assert np.array_equal(same, picture) and same is not picture


@pytest.mark.parametrize("method", ["reinhard", "macenko"])
def test_patients_look_alike_afterwards(method: str) -> None:
    before, after = [], []
    for patient in range(8):
        picture = _picture(draw_stain(np.random.default_rng([8, patient])))
        normaliser = stain.normaliser(method, _tissue(picture))
        assert normaliser.method == method and normaliser.note == ""
        result = normaliser(picture)
        assert result.shape == picture.shape and result.dtype == np.uint8
        before.append(_tissue(picture).mean(axis=0))
        after.append(result.reshape(-1, 3)[picture.reshape(-1, 3).min(axis=1) < 215].mean(axis=0))
    assert np.std(after, axis=0).mean() < 0.5 * np.std(before, axis=0).mean()


@pytest.mark.parametrize("method", ["reinhard", "macenko"])
def test_structure_is_kept(method: str) -> None:
    picture = _picture(draw_stain(np.random.default_rng(5)))
    result = stain.normaliser(method, _tissue(picture))(picture)
    grey, new = picture.mean(axis=2).ravel(), result.mean(axis=2).ravel()
    assert np.corrcoef(grey, new)[0, 1] > 0.95


def test_reinhard_reaches_the_reference_moments() -> None:
    picture = _picture(Stain(eosin_strength=0.8))
    pixels = _tissue(picture)
    values = stain._to_axes(stain.normaliser("reinhard", pixels)(pixels))
    assert values.mean(axis=0) == pytest.approx(stain._REINHARD_MEAN, abs=0.01)
    assert values.std(axis=0)[0] == pytest.approx(stain._REINHARD_SPREAD[0], rel=0.05)


def test_macenko_keeps_white_and_its_own_reference() -> None:
    picture = _picture(draw_stain(np.random.default_rng(2)))
    normaliser = stain.normaliser("macenko", _tissue(picture))
    white = normaliser(np.full((2, 2, 3), 239, np.uint8))
    assert np.abs(white.astype(int) - 239).max() <= 1
    rng = np.random.default_rng(0)
    amounts = rng.uniform(0.1, 1, (20000, 2)) * stain._MACENKO_STRENGTH
    amounts[:5000, 1], amounts[5000:10000, 0] = 0.02, 0.02  # pixels of nearly one dye
    rgb = np.rint(np.clip(240 * np.exp(-(amounts @ stain._MACENKO_DYES)) - 1, 0, 255)).astype(np.uint8)
    again = stain.normaliser("macenko", rgb)(rgb)
    assert np.abs(again.astype(int) - rgb).mean() < 6


@pytest.mark.parametrize("method", ["reinhard", "macenko"])
@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((0, 3), np.uint8),
        np.full((5000, 3), 240, np.uint8),
        np.full((5000, 3), (200, 120, 160), np.uint8),
        np.zeros((5000, 3), np.uint8),
        np.repeat(np.arange(0, 250, dtype=np.uint8), 20)[:, None].repeat(3, 1),
    ],
    ids=["none", "white", "one colour", "black", "grey"],
)
def test_degenerate_tissue_is_left_as_it_is(method: str, pixels: np.ndarray) -> None:
    normaliser = stain.normaliser(method, pixels)
    assert normaliser.method == "none" and normaliser.note.startswith(f"{method} left out: ")
    picture = _picture(Stain())
    assert np.array_equal(normaliser(picture), picture)


def test_unknown_method_is_refused() -> None:
    with pytest.raises(InputError, match="unknown method vahadane"):
        stain.normaliser("vahadane", np.zeros((500, 3), np.uint8))


@pytest.mark.parametrize("method", ["reinhard", "macenko"])
def test_real_tiles_come_closer(method: str, shared_data: Path) -> None:
    before, after = [], []
    for path in sorted((shared_data / "tiles" / "crc_kather2016").glob("0[13]*/*"))[:20]:
        picture = np.asarray(Image.open(path).convert("RGB"))
        normaliser = stain.normaliser(method, _tissue(picture))
        before.append(_tissue(picture).mean(axis=0))
        after.append(normaliser(_tissue(picture)).mean(axis=0))
    assert np.std(after, axis=0).mean() < 0.7 * np.std(before, axis=0).mean()
