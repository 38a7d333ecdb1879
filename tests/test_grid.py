"""Arithmetic of levels and positions."""

from __future__ import annotations

import pytest

from mintflow.grid import Grid, LevelChoice, choose_level, make_grid, whole_downsample
from mintflow.tile_table import SlideFailure

PYRAMID = [1.0, 4.0002, 16.009]


def test_a_level_that_rounding_made_4_0002_counts_as_4() -> None:
    # 13320 / 3330 = 4 and 17802 / 4450 = 4.00045, mean 4.0002; level 2: 832 and 1112
    size = (13320, 17802)
    assert whole_downsample(size, (3330, 4450), 4.000224719) == 4.0
    assert whole_downsample(size, (832, 1112), 16.0093) == 16.0
    # boxes.tiff
    assert whole_downsample((300, 250), (37, 31), 8.0863) == 8.0
    # no rounding explains these
    assert whole_downsample((1000, 1000), (400, 400), 2.5) == 2.5
    assert whole_downsample((10000, 10000), (2450, 2450), 4.0816) == 4.0816


def test_a_level_within_tolerance_is_taken_as_it_is() -> None:
    choice = choose_level(PYRAMID, 0.5, 2.0, 0.02, 1.1)
    assert (choice.level, choice.ratio) == (1, 1.0)
    assert choice.mpp == pytest.approx(0.5 * 4.0002)  # its own, not the wanted one
    assert choice.pixel == 4.0002
    # without tolerance 4.0002 is too coarse for 4, and level 0 is shrunk
    strict = choose_level(PYRAMID, 0.5, 2.0, 0.0, 1.1)
    assert (strict.level, strict.ratio, strict.mpp) == (0, 4.0, 2.0)


def test_the_nearest_level_within_tolerance() -> None:
    assert choose_level([1.0, 1.01], 1.0, 1.008, 0.02, 1.1).level == 1
    assert choose_level([1.0, 1.01], 1.0, 1.002, 0.02, 1.1).level == 0


def test_otherwise_the_next_finer_level_is_shrunk() -> None:
    choice = choose_level(PYRAMID, 0.25, 2.0, 0.02, 1.1)  # wanted: 8 level-0 pixels
    assert choice.level == 1
    assert choice.ratio == pytest.approx(8 / 4.0002)
    assert choice.pixel == pytest.approx(8.0)
    assert choice.mpp == 2.0


def test_a_coarse_slide_is_enlarged_a_little_or_refused() -> None:
    choice = choose_level([1.0], 0.54, 0.5, 0.02, 1.1)
    assert choice.level == 0
    assert choice.ratio == pytest.approx(0.5 / 0.54)
    with pytest.raises(SlideFailure, match=r"implausible-mpp.*too coarse"):
        choose_level([1.0, 4.0], 1.0, 0.5, 0.02, 1.1)


def choice(pixel: float = 1.0, ratio: float = 1.0) -> LevelChoice:
    return LevelChoice(0, pixel / ratio, ratio, 0.5)


def test_positions_and_footprint() -> None:
    # 0.5 µm slide, tiles of 1.25 µm: 2.5 level-0 pixels each; 96 pixels wide = 240
    grid = make_grid((100, 50, 1000, 600), choice(2.5, 2.5), 96, 32)
    assert grid.footprint == 240
    assert [grid.x(k) for k in range(3)] == [100, 260, 420]  # steps of 64 x 2.5
    assert grid.y(2) == 370
    # the last column starts before 1000 - 32 x 2.5 = 920: 0, 160 ... 800
    assert (grid.columns, grid.rows) == (6, 4)
    assert grid.inside(4, 2)  # 740 + 240 <= 1100, 370 + 240 <= 650
    assert not grid.inside(5, 2)
    assert not grid.inside(4, 3)


def test_a_tile_of_nothing_new_is_no_position() -> None:
    # 256 + 128: the second tile (overlap 128) ends exactly at the edge, a third would add nothing
    grid = make_grid((0, 0, 384, 256), choice(), 256, 128)
    assert (grid.columns, grid.rows) == (2, 1)
    assert grid.inside(1, 0)


def test_many_fractional_steps_end_at_the_edge() -> None:
    pixel = 1 / 0.3  # 100 tiles of 10 pixels: 3333.33...
    grid = make_grid((0, 0, 1000 * pixel, 10 * pixel), choice(pixel, pixel), 10, 0)
    assert grid.columns == 100
    assert grid.inside(99, 0)
    assert grid.x(99) == 990 * pixel  # no sum of steps


def test_unresampled_tiles_begin_on_a_whole_level_pixel() -> None:
    grid = make_grid((1001, 1002, 5000, 5000), choice(4.0), 256, 0)
    assert (grid.left, grid.top) == (1004, 1004)
    resampled = make_grid((1001, 1002, 5000, 5000), choice(6.0, 1.5), 256, 0)
    assert (resampled.left, resampled.top) == (1001, 1002)


def test_a_slide_smaller_than_a_tile_has_one_position() -> None:
    grid = make_grid((0, 0, 16, 16), choice(), 256, 0)
    assert (grid.columns, grid.rows, grid.inside(0, 0)) == (1, 1, False)


def test_overlap_must_be_smaller_than_the_tile() -> None:
    with pytest.raises(ValueError, match="overlap"):
        make_grid((0, 0, 100, 100), choice(), 32, 32)


def test_grid_is_plain_arithmetic() -> None:
    grid = Grid(left=10, top=20, right=30, bottom=40, pixel=1.0, tile_size=10, step=10)
    assert (grid.x(1), grid.y(1), grid.columns, grid.rows) == (20, 30, 2, 2)
