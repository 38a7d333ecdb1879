"""Windows of a slide at any resolution: exact places, one decoding, marked holes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mintflow import sampling
from mintflow.grid import LevelChoice
from mintflow.sampling import Canvas, LevelBlocks, SlidePixels
from mintflow.slides import Slide
from slide_material import coded, damage, decode, ramp, shrink, tissue, write_slide


@pytest.fixture
def slide(tmp_path: Path):
    image = coded(700, 900)
    with Slide(write_slide(tmp_path / "a.tiff", [image])) as opened:
        yield opened


def test_a_plain_window_is_the_level_itself(slide: Slide) -> None:
    canvas = Canvas(LevelBlocks(slide, 0), 40, 8, 1.0)
    for x, y, width, height in ((0, 0, 100, 100), (213, 100, 96, 300), (600, 500, 260, 192)):
        pixels = canvas.read(x, y, width, height)
        columns, rows = decode(pixels.rgb)
        assert (columns == 40 + x + np.arange(width)).all()
        assert (rows == (8 + y + np.arange(height))[:, None]).all()
        assert (pixels.scanned, pixels.unreadable) == (None, None)


def test_beyond_the_slide_is_background(slide: Slide) -> None:
    pixels = Canvas(LevelBlocks(slide, 0), 0, 0, 1.0).read(850, 650, 100, 100)
    assert (pixels.rgb[50:] == 255).all()
    assert (pixels.rgb[:, 50:] == 255).all()
    assert (decode(pixels.rgb[:50, :50])[0] == 850 + np.arange(50)).all()
    assert pixels.scanned[:50, :50].all()
    assert not pixels.scanned[50:].any()


@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.004, 3.7, 0.9])
def test_a_resampled_window_lies_where_it_should(tmp_path: Path, ratio: float) -> None:
    """Level pixel (x, y) is x red and y green, so an output pixel tells where its centre lies."""
    y, x = np.mgrid[:256, :256]
    image = np.stack([x, y, 0 * x], -1).astype(np.uint8)
    width, height = int(200 / ratio), int(180 / ratio)
    with Slide(write_slide(tmp_path / "a.tiff", [image])) as slide:
        pixels = Canvas(LevelBlocks(slide, 0), 10.25, 6.5, ratio).read(5, 3, width, height)
    columns = 10.25 + (5 + np.arange(width) + 0.5) * ratio - 0.5
    rows = 6.5 + (3 + np.arange(height) + 0.5) * ratio - 0.5
    red, green = pixels.rgb[..., 0].astype(float), pixels.rgb[..., 1].astype(float)
    assert np.abs(red - columns).max() <= 0.51  # rounded once
    assert np.abs(green - rows[:, None]).max() <= 0.51
    if ratio == 3.7:  # the fractions differ, so that rounding averages out
        assert red.mean() == pytest.approx(columns.mean(), abs=0.1)
        assert green.mean() == pytest.approx(rows.mean(), abs=0.1)


def test_windows_do_not_depend_on_how_they_are_cut(tmp_path: Path) -> None:
    with Slide(write_slide(tmp_path / "a.tiff", [tissue(800, 800)])) as slide:
        canvas = Canvas(LevelBlocks(slide, 0), 3.3, 4.4, 2.3)
        whole = canvas.read(0, 0, 300, 96).rgb.astype(int)
        part = canvas.read(120, 30, 96, 50).rgb.astype(int)
    assert np.abs(whole[30:80, 120:216] - part).max() <= 1  # last bit of the filter's weights


def test_a_large_window_of_a_fine_level_is_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    regions: list[int] = []
    real = LevelBlocks.region

    def recorded(self: LevelBlocks, left: int, top: int, right: int, bottom: int):
        regions.append((right - left) * (bottom - top))
        return real(self, left, top, right, bottom)

    monkeypatch.setattr(LevelBlocks, "region", recorded)
    with Slide(write_slide(tmp_path / "a.tiff", [tissue(1000, 1000)])) as slide:
        canvas = Canvas(LevelBlocks(slide, 0), 0, 0, 8.0)
        whole = canvas.read(0, 0, 140, 130)  # beyond the slide as well
        monkeypatch.setattr(sampling, "_LARGEST_READ", 256)
        parts = canvas.read(0, 0, 140, 130)
    assert np.abs(whole.rgb.astype(int) - parts.rgb.astype(int)).max() <= 1
    assert (whole.scanned == parts.scanned).all()
    assert len(regions) == 1 + 5 * 5
    assert max(regions[1:]) < regions[0] / 7


def test_shrinking_is_antialiased(tmp_path: Path) -> None:
    """Stripes of 1 pixel become grey, not stripes."""
    stripes = np.zeros((512, 512, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    with Slide(write_slide(tmp_path / "a.tiff", [stripes])) as slide:
        pixels = Canvas(LevelBlocks(slide, 0), 0, 0, 4.0).read(10, 10, 64, 64)
    assert np.abs(pixels.rgb.astype(int) - 127).max() <= 3


def test_each_native_tile_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Overlapping, resampled windows over two rows; whatever they share comes out of memory."""
    with Slide(write_slide(tmp_path / "a.tiff", [tissue(1100, 1500)], tile=256)) as slide:
        reads: Counter[tuple[int, int]] = Counter()
        real = slide.read

        def counted(level: int, x: int, y: int, width: int, height: int):
            for column in range(x // 256, (x + width - 1) // 256 + 1):
                for row in range(y // 256, (y + height - 1) // 256 + 1):
                    reads[column, row] += 1
            return real(level, x, y, width, height)

        monkeypatch.setattr(slide, "read", counted)
        blocks = LevelBlocks(slide, 0)
        canvas = Canvas(blocks, 0, 0, 2.1)
        for y in range(0, 400, 64):
            for x in range(0, 600, 64):
                canvas.read(x, y, 96, 96)
            canvas.forget_above(y + 64)
    assert len(reads) == 6 * 4  # 480 output rows and the filter's reach: 1018 level rows
    assert set(reads.values()) == {1}
    assert blocks.decoded == 24


def test_memory_is_bounded_by_the_budget(tmp_path: Path) -> None:
    with Slide(write_slide(tmp_path / "a.tiff", [tissue(1024, 1024)], tile=256)) as slide:
        blocks = LevelBlocks(slide, 0, budget=3 * 256 * 256 * 3)
        Canvas(blocks, 0, 0, 1.0).read(0, 0, 1024, 1024)
        assert blocks._held <= 3 * 256 * 256 * 3
        before = blocks.decoded
        blocks.forget_above(1024)
        assert blocks._held == 0
        blocks.region(0, 0, 10, 10)
        assert blocks.decoded == before + 1


def test_small_native_tiles_are_read_together_and_huge_ones_in_parts(tmp_path: Path) -> None:
    with Slide(write_slide(tmp_path / "a.tiff", [tissue(600, 600)], tile=64)) as slide:
        assert LevelBlocks(slide, 0).block == (256, 256)
    with Slide(write_slide(tmp_path / "b.tiff", [tissue(600, 600)], tile=4096)) as slide:
        assert LevelBlocks(slide, 0).block == (1024, 1024)


def test_a_damaged_tile_is_marked_and_nothing_is_painted(tmp_path: Path) -> None:
    image = tissue(768, 768)
    path = write_slide(tmp_path / "a.tiff", [image], tile=256)
    damage(path, 0, 1, 1)
    with Slide(path) as slide:
        pixels = Canvas(LevelBlocks(slide, 0), 0, 0, 1.0).read(0, 0, 768, 768)
        shrunk = Canvas(LevelBlocks(slide, 0), 0, 0, 2.0).read(0, 0, 384, 384)
    expected = np.zeros((768, 768), dtype=bool)
    expected[256:512, 256:512] = True
    assert (pixels.unreadable == expected).all()
    assert (pixels.rgb[~expected] == image[~expected]).all()
    # resampled: every pixel that the hole went into, 3 around it for Lanczos, and no others
    assert shrunk.unreadable[128:256, 128:256].all()
    assert shrunk.unreadable[127, 200]
    assert not shrunk.unreadable[:124].any()
    assert not shrunk.unreadable[:, 260:].any()


def test_damage_among_small_tiles_is_isolated(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tiff", [tissue(512, 512)], tile=64)
    damage(path, 0, 2, 1)
    with Slide(path) as slide:
        blocks = LevelBlocks(slide, 0)
        pixels = blocks.region(0, 0, 512, 512)
    assert np.argwhere(pixels.unreadable).min(0).tolist() == [64, 128]
    assert pixels.unreadable.sum() == 64 * 64


def test_a_damaged_coarse_tile_comes_from_the_finer_level(tmp_path: Path) -> None:
    image = ramp(1020, 1020)
    small = shrink(image, 4)
    path = write_slide(tmp_path / "a.tiff", [image, small], tile=128)
    damage(path, 1, 0, 1)
    with Slide(path) as slide:
        blocks = LevelBlocks(slide, 1)
        pixels = blocks.region(0, 0, 255, 255)
    assert pixels.unreadable is None
    assert blocks.mended == 1
    assert np.abs(pixels.rgb.astype(int) - small.astype(int)).max() <= 1


def test_damage_on_both_levels_stays_a_hole(tmp_path: Path) -> None:
    image = tissue(1024, 1024)
    path = write_slide(tmp_path / "a.tiff", [image, shrink(image, 4)], tile=256)
    damage(path, 1, 0, 0)
    damage(path, 0, 2, 2)
    with Slide(path) as slide:
        pixels = LevelBlocks(slide, 1).region(0, 0, 256, 256)
    assert pixels.unreadable.all()


def test_nothing_scanned_survives_resampling(slide: Slide, monkeypatch: pytest.MonkeyPatch) -> None:
    real = slide.read

    def half(level: int, x: int, y: int, width: int, height: int):
        rgb, _ = real(level, x, y, width, height)
        scanned = np.broadcast_to(np.arange(x, x + width) < 300, (height, width)).copy()
        return rgb, None if scanned.all() else scanned

    monkeypatch.setattr(slide, "read", half)
    pixels = Canvas(LevelBlocks(slide, 0), 0, 0, 2.0, Image.Resampling.BOX).read(0, 0, 400, 10)
    assert pixels.scanned[0].sum() == 150
    assert pixels.crop(100, 2, 100, 3).scanned.sum() == 3 * 50


def test_levels_are_shared(slide: Slide) -> None:
    pixels = SlidePixels(slide)
    canvas = pixels.canvas(100, 60, LevelChoice(0, 1.0, 2.0, 1.0), Image.Resampling.BOX)
    assert (canvas.left, canvas.top, canvas.ratio) == (100, 60, 2.0)
    assert canvas.blocks is pixels.blocks(0)
    assert pixels.mended == 0
