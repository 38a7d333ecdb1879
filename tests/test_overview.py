"""The slide at low resolution: shares of tissue by area, whatever the level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mintflow import overview
from mintflow.grid import Grid
from mintflow.overview import Overview, read_overview, save_overlay
from mintflow.sampling import SlidePixels
from mintflow.slides import Slide
from mintflow.tile_table import SlideFailure
from slide_material import damage, shrink, tiling_settings, tissue, write_slide


def flat(mask: np.ndarray, pixel: float = 16.0, reduce: int = 1, left: float = 0.0) -> Overview:
    rgb = np.zeros((mask.shape[0] * reduce, mask.shape[1] * reduce, 3), dtype=np.uint8)
    height, width = (side * pixel * reduce for side in mask.shape)
    return Overview(rgb, mask, pixel, reduce, (left, 0.0, width, height), 1.9)


def test_shares_are_areas() -> None:
    mask = np.zeros((8, 8), dtype=bool)
    mask[:, :3] = True  # level-0 columns 0 to 48
    grid = Grid(left=0, top=0, right=128, bottom=128, pixel=1.0, tile_size=40, step=40)
    shares = flat(mask).shares(grid)
    # columns 0-40: all; 40-80: 8 of 40; the last row (120-160) has 8 of its 40 pixels on the slide
    assert shares.shape == (4, 4)
    assert shares[0].tolist() == pytest.approx([1.0, 0.2, 0.0, 0.0])
    assert shares[3].tolist() == pytest.approx([0.2, 0.04, 0.0, 0.0])


def test_shares_count_from_the_area_and_the_reduced_pixel() -> None:
    mask = np.zeros((4, 4), dtype=bool)
    mask[1, 2] = True  # 32 level-0 pixels wide: columns 100 + 64 to 100 + 96, rows 32 to 64
    grid = Grid(left=100, top=0, right=228, bottom=128, pixel=2.0, tile_size=16, step=8)
    shares = flat(mask, pixel=16.0, reduce=2, left=100.0).shares(grid)
    # tiles of 32 in steps of 16: column 4 begins at 64
    assert shares[2, 4] == pytest.approx(1.0)
    assert shares[2, 3] == pytest.approx(0.5)
    assert shares[1, 3] == pytest.approx(0.25)
    assert shares.sum() == pytest.approx(4.0)  # every pixel of tissue in 2 x 2 overlapping tiles


@pytest.mark.parametrize("levels", [1, 3])
def test_the_mask_finds_tissue_on_any_pyramid(tmp_path: Path, levels: int) -> None:
    image = tissue(2000, 2400, blank=500)
    pyramid = [image, shrink(image, 4), shrink(image, 16)][:levels]
    with Slide(write_slide(tmp_path / "a.tiff", pyramid, tile=256)) as slide:
        pixels = SlidePixels(slide)
        found = read_overview(pixels, 0.5, tiling_settings())
        read = {level for level in range(levels) if pixels.blocks(level).decoded}
    # with three levels the middle one: small, and it makes a better picture than the last
    assert read == ({0} if levels == 1 else {1})
    assert found.pixel * found.reduce == pytest.approx(16, rel=0.03)
    side = found.pixel * found.reduce
    rows, columns = np.nonzero(found.mask)
    box = [columns.min() * side, rows.min() * side, (columns.max() + 1) * side, (rows.max() + 1) * side]
    assert box == pytest.approx([500, 500, 1900, 1500], abs=32)
    assert found.mask.sum() * side**2 == pytest.approx(1400 * 1000, rel=0.1)


def test_what_was_not_scanned_is_no_tissue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_slide(tmp_path / "a.tiff", [tissue(1024, 1024)])
    with Slide(path) as slide:
        real = slide.read

        def left_half(*args: int):
            rgb, _ = real(*args)
            return rgb, np.broadcast_to(args[1] + np.arange(args[3]) < 512, rgb.shape[:2])

        monkeypatch.setattr(slide, "read", left_half)
        found = read_overview(SlidePixels(slide), 0.5, tiling_settings())
    half = found.mask.shape[1] // 2
    assert found.mask[:, : half - 1].all()
    assert not found.mask[:, half + 1 :].any()


def test_what_cannot_be_read_may_be_tissue(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tiff", [tissue(1024, 1024, blank=500)], tile=256)
    damage(path, 0, 0, 0)
    with Slide(path) as slide:
        found = read_overview(SlidePixels(slide), 0.5, tiling_settings())
    assert found.mask[:16, :16].all()
    assert not found.mask[48:, :16].any()


def test_a_slide_without_a_readable_pixel_is_an_unreadable_file(tmp_path: Path, shared_data: Path) -> None:
    with (
        Slide(shared_data / "slides" / "unreadable.svs") as slide,
        pytest.raises(SlideFailure, match=r"unreadable-file.*no pixel"),
    ):
        read_overview(SlidePixels(slide), 0.499, tiling_settings())


def test_a_huge_mask_is_made_coarser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "_MASK_PIXELS", 400)
    with Slide(write_slide(tmp_path / "a.tiff", [tissue(2000, 2000)])) as slide:
        found = read_overview(SlidePixels(slide), 0.5, tiling_settings())
    assert found.mask.size <= 21 * 21


def test_overlay_shows_every_reason(tmp_path: Path) -> None:
    found = flat(np.ones((50, 100), dtype=bool), pixel=8.0, reduce=2)
    tiles = [(0, 0, 256, ""), (256, 0, 256, "pen"), (512, 0, 256, "unreadable")]
    save_overlay(found, tiles, "s: ok", tiling_settings(overlay_px=100), tmp_path / "o.png")
    with Image.open(tmp_path / "o.png") as image:
        assert image.width == 100
        assert image.height >= 50
