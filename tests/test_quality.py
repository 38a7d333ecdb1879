"""Quality measures of tiles: drawn ones with known faults, and real ones without."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from mintflow import quality
from mintflow.synthetic_tissue import TISSUES, Stain, draw_stain, draw_tissue

LIMITS = {"min_sharpness": 0.35, "max_pen": 0.05, "max_fold": 0.25, "max_blood": 0.5, "max_black": 0.05}
CLEAN = {"sharpness": 1.0, "pen": 0.0, "fold": 0.0, "blood": 0.0, "black": 0.0}


@pytest.fixture(scope="module")
def tiles() -> list[np.ndarray]:
    """Five tiles of each type at 1 µm per pixel, each in another stain."""
    result = []
    for number in range(5 * len(TISSUES)):
        rng = np.random.default_rng([3, number])
        rgb = draw_tissue(TISSUES[number % len(TISSUES)], 192, 192, 0.5, rng, draw_stain(rng))
        result.append(np.asarray(Image.fromarray(rgb).reduce(2)))
    return result


def _reasons(tiles: list[np.ndarray], mpp: float = 1.0) -> Counter[str]:
    return Counter(quality.reason(quality.assess(tile, mpp), LIMITS) for tile in tiles)


def _blurred(tile: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(Image.fromarray(tile).filter(ImageFilter.GaussianBlur(sigma)))


def test_clean_tiles_pass(tiles: list[np.ndarray]) -> None:
    assert _reasons(tiles) == {"": len(tiles)}


def test_sharpness_falls_with_blur_in_every_tile(tiles: list[np.ndarray]) -> None:
    for tile in tiles:
        values = [quality.assess(tile, 1.0)["sharpness"]]
        values += [quality.assess(_blurred(tile, sigma), 1.0)["sharpness"] for sigma in (1, 2, 3)]
        assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("sigma", [3, 4, 6])
@pytest.mark.parametrize("noise", [0.0, 2.5])
def test_out_of_focus_is_found_through_noise(tiles: list[np.ndarray], sigma: float, noise: float) -> None:
    rng = np.random.default_rng(0)
    faulty = [_blurred(tile, sigma) + rng.normal(0, noise, (*tile.shape[:2], 1)) for tile in tiles]
    faulty = [np.rint(np.clip(tile, 0, 255)).astype(np.uint8) for tile in faulty]
    assert _reasons(faulty) == {"blur": len(tiles)}


def test_sharpness_does_not_depend_on_stain_strength() -> None:
    values = []
    for strength in (0.6, 1.0, 1.5):
        stain = Stain(haematoxylin_strength=strength, eosin_strength=strength)
        tile = draw_tissue("epithelium", 96, 96, 1.0, np.random.default_rng(1), stain)
        values.append(quality.assess(tile, 1.0)["sharpness"])
    assert max(values) < 1.15 * min(values)


def test_sharpness_is_about_the_same_at_every_resolution() -> None:
    fine = draw_tissue("tumor", 400, 400, 0.25, np.random.default_rng(1), Stain())
    coarse = np.asarray(Image.fromarray(fine).reduce(4))
    assert quality.assess(fine, 0.25)["sharpness"] == pytest.approx(
        quality.assess(coarse, 1.0)["sharpness"], rel=0.1
    )


@pytest.mark.parametrize(
    ("ink", "reasons", "share"),
    [
        ((0.16, 0.26, 0.66), {"pen"}, 0.95),
        ((0.10, 0.52, 0.34), {"pen"}, 1.0),
        ((0.25, 0.25, 0.27), {"pen", "black"}, 0.8),  # thin ink over strong eosin escapes
        ((0.06, 0.06, 0.07), {"pen", "black"}, 1.0),
    ],
)
def test_ink_and_black_are_found(
    tiles: list[np.ndarray], ink: tuple[float, ...], reasons: set[str], share: float
) -> None:
    marked = []
    for tile in tiles:
        copy = tile.copy()
        copy[30:60] = np.rint(copy[30:60] * np.array(ink))
        marked.append(copy)
    found = _reasons(marked)
    assert sum(found[name] for name in reasons) >= share * len(tiles)


def test_shares_are_areas() -> None:
    tile = np.full((96, 96, 3), (220, 160, 190), np.uint8)
    tile[:24] = (40, 70, 170)
    assert quality.assess(tile, 1.0)["pen"] == pytest.approx(0.25)
    tile[:24] = 5
    assert quality.assess(tile, 1.0)["black"] == pytest.approx(0.25)
    tile[:48] = (190, 50, 45)
    assert quality.assess(tile, 1.0)["blood"] == pytest.approx(0.5)


def test_a_fold_is_denser_than_the_slide() -> None:
    rgb = draw_tissue("muscle", 96, 96, 1.0, np.random.default_rng(2), Stain())
    limit = quality.fold_density(rgb, np.ones((96, 96), bool))
    assert 0.8 <= limit < quality.FOLD_DENSITY
    pleat = np.rint(255 * (rgb / 255.0) ** 3).astype(np.uint8)  # three layers
    assert quality.assess(rgb, 1.0, limit)["fold"] == 0
    assert quality.assess(pleat, 1.0, limit)["fold"] == 1
    half = np.where(np.arange(96)[:, None, None] < 48, pleat, rgb)
    assert quality.assess(half, 1.0, limit)["fold"] == pytest.approx(0.5)
    assert quality.fold_density(rgb, np.zeros((96, 96), bool)) == quality.FOLD_DENSITY


@pytest.mark.parametrize(
    ("measures", "expected"),
    [
        ({}, ""),
        ({"pen": 0.05, "black": 0.05, "fold": 0.25, "blood": 0.5, "sharpness": 0.35}, ""),  # limits belong
        ({"pen": 0.06, "fold": 1, "black": 1, "blood": 1, "sharpness": 0}, "pen"),
        ({"fold": 0.26, "black": 1, "blood": 1, "sharpness": 0}, "fold"),
        ({"black": 0.06, "blood": 1, "sharpness": 0}, "black"),
        ({"blood": 0.51, "sharpness": 0}, "blood"),
        ({"sharpness": 0.349}, "blur"),
    ],
)
def test_the_first_broken_limit_is_the_reason(measures: dict[str, float], expected: str) -> None:
    assert quality.reason({**CLEAN, **measures}, LIMITS) == expected


@pytest.mark.parametrize("shape", [(1, 1), (7, 30), (16, 16), (23, 24), (500, 24)])
@pytest.mark.parametrize("mpp", [0.1, 1.0, 30.0])
def test_any_size_and_resolution_is_measured(shape: tuple[int, int], mpp: float) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    measures = quality.assess(rgb, mpp)
    assert set(measures) == set(CLEAN)
    assert all(np.isfinite(value) and value >= 0 for value in measures.values())


def test_a_tile_without_detail_is_not_sharp() -> None:
    assert quality.assess(np.full((96, 96, 3), 200, np.uint8), 1.0)["sharpness"] == 0


def test_real_tiles_are_seldom_dropped(shared_data: Path) -> None:
    found: Counter[str] = Counter()
    for folder, mpp in (("crc_val_he_7k", 0.5), ("crc_kather2016", 0.33)):
        paths = sorted((shared_data / "tiles" / folder).glob("*/*"))
        found += _reasons([np.asarray(Image.open(path).convert("RGB")) for path in paths], mpp)
    assert found.total() == 201
    assert found["blur"] == found["pen"] == found["black"] == 0
    assert found.total() - found[""] <= 0.03 * 201


def test_real_tiles_out_of_focus_are_found(shared_data: Path) -> None:
    paths = sorted((shared_data / "tiles" / "crc_val_he_7k").glob("*/*"))[::3]
    tiles = [_blurred(np.asarray(Image.open(path).convert("RGB")), 6) for path in paths]  # 3 µm
    assert all(quality.assess(tile, 0.5)["sharpness"] < LIMITS["min_sharpness"] for tile in tiles)
