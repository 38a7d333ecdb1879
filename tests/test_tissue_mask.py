"""Tissue against glass on thumbnails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mintflow import synthetic_slides
from mintflow.synthetic_tissue import TISSUES
from mintflow.tissue_mask import glass, tissue_mask

TILING = {"min_saturation": 0.06, "max_brightness": 0.96, "min_area_um2": 2000}
PINK = (225, 170, 200)


def _slide(size: int = 100, colour: tuple[int, int, int] = (244, 243, 245)) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.clip(np.array(colour) + rng.normal(0, 1, (size, size, 1)), 0, 255).astype(np.uint8)


def test_tissue_is_found_and_glass_is_not() -> None:
    slide = _slide()
    slide[20:60, 30:80] = PINK
    mask = tissue_mask(slide, 8, TILING)
    truth = np.zeros((100, 100), bool)
    truth[20:60, 30:80] = True
    assert (
        mask.dtype == bool and (mask & truth).sum() / (mask | truth).sum() > 0.9
    )  # one pixel of soft border
    assert not tissue_mask(_slide(), 8, TILING).any()


@pytest.mark.parametrize("colour", [(244, 243, 245), (250, 240, 225), (225, 235, 240)])
def test_tinted_glass_is_glass(colour: tuple[int, int, int]) -> None:
    slide = _slide(colour=colour)
    slide[20:60, 30:80] = PINK
    assert np.abs(glass(slide) - np.array(colour)).max() < 2
    assert 1900 < tissue_mask(slide, 8, TILING).sum() < 2200


def test_faint_tissue_counts_where_it_hangs_together_with_stained_tissue() -> None:
    slide = _slide()
    slide[20:60, 30:50] = PINK
    slide[20:60, 50:80] = (241, 231, 238)
    assert tissue_mask(slide, 8, TILING)[25:55, 55:75].all()
    slide[20:60, 30:50] = _slide()[20:60, 30:50]
    assert not tissue_mask(slide, 8, TILING).any()


@pytest.mark.parametrize("ink", [(39, 63, 162), (24, 126, 83), (22, 22, 27), (0, 0, 0), (70, 68, 75)])
def test_ink_and_black_are_no_tissue(ink: tuple[int, int, int]) -> None:
    slide = _slide()
    slide[5:15, 5:95] = ink
    slide[30:70, 30:70] = PINK
    mask = tissue_mask(slide, 8, TILING)
    assert not mask[:20].any() and mask[32:68, 32:68].all()


def test_black_surround_is_no_tissue() -> None:
    slide = np.zeros((100, 100, 3), np.uint8)
    slide[10:90, 10:90] = _slide(80)
    slide[30:60, 30:70] = PINK
    mask = tissue_mask(slide, 8, TILING)
    assert mask[32:58, 32:68].all() and not mask[:25].any() and not mask[65:].any()


def test_specks_and_holes_below_the_limit_are_ignored() -> None:
    slide = _slide()
    slide[10:14, 10:14] = PINK  # 1024 µm² at 8 µm per pixel
    slide[30:80, 30:80] = PINK
    slide[50:54, 50:54] = _slide()[50:54, 50:54]
    mask = tissue_mask(slide, 8, TILING)
    assert not mask[:20, :20].any() and mask[32:78, 32:78].all()
    assert tissue_mask(slide, 8, {**TILING, "min_area_um2": 0})[11:13, 11:13].all()


def test_large_holes_stay_open() -> None:
    slide = _slide()
    slide[10:90, 10:90] = PINK
    slide[35:65, 35:65] = _slide()[35:65, 35:65]  # 240 µm
    assert not tissue_mask(slide, 8, TILING)[42:58, 42:58].any()


def test_a_slide_without_glass_is_all_tissue() -> None:
    slide = np.full((60, 60, 3), PINK, np.uint8)
    assert glass(slide).tolist() == [255, 255, 255]
    assert tissue_mask(slide, 8, TILING).all()
    assert tissue_mask(np.zeros((0, 5, 3), np.uint8), 8, TILING).shape == (0, 5)


@pytest.mark.parametrize("mpp", [4.0, 8.0, 16.0])
def test_drawn_slides_are_covered_vacuoles_included(mpp: float) -> None:
    settings = {
        "patients": 4,
        "tissues": list(TISSUES),
        "regions": 4,
        "region_um": 500,
        "mpp": 2.0,
        "artefacts": 0,
        "seed": 5,
    }
    for plan in synthetic_slides.plan_slides(settings):
        pixels = np.concatenate(list(synthetic_slides.strips(plan)))
        step = int(mpp / 2)
        mask = tissue_mask(np.asarray(Image.fromarray(pixels).reduce(step)), mpp, TILING)
        covered = np.zeros_like(mask)
        for region in plan.regions:
            truth = np.zeros((plan.height, plan.width), bool)
            truth[:] = _inside(region.outline, plan.width, plan.height)
            truth = truth[: mask.shape[0] * step : step, : mask.shape[1] * step : step]
            assert mask[truth].mean() > (0.75 if region.tissue == "adipose" else 0.9), region.tissue
            covered |= truth
        assert mask[~covered].mean() < 0.06


def _inside(outline: np.ndarray, width: int, height: int) -> np.ndarray:
    from PIL import ImageDraw

    canvas = Image.new("1", (width, height))
    ImageDraw.Draw(canvas).polygon([tuple(point) for point in outline.tolist()], fill=1)
    return np.asarray(canvas)


def test_a_real_slide(shared_data: Path) -> None:
    import openslide

    with openslide.OpenSlide(shared_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        pixels = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB").reduce(16))
    mask = tissue_mask(pixels, 16 * 0.499, TILING)
    assert 0.3 < mask.mean() < 0.45  # seen by eye
    assert not mask[80:, :25].any()  # glass below a strand of tissue that reaches far left
    assert not mask[100:, 125:].any()  # glass on the right
    assert mask[120:170, 55:105].mean() > 0.97  # dermis, as seen by eye
