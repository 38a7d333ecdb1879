"""The drawing board: noise, fibres, cells."""

from __future__ import annotations

import numpy as np
import pytest

from mintflow.synthetic_field import Field, cells, ramp


@pytest.fixture
def board() -> Field:
    return Field(240, 300, 0.5, np.random.default_rng(4))


def test_noise_has_unit_variance_and_the_asked_grain(board: Field) -> None:
    fine, coarse = board.noise(2), board.noise(20)
    assert fine.shape == coarse.shape == (240, 300)
    assert 0.5 < fine.std() < 1.5
    assert np.abs(np.diff(fine)).mean() > 4 * np.abs(np.diff(coarse)).mean()


def test_stripes_run_along_the_fibres(board: Field) -> None:
    _, across = board.axes(np.pi / 2)  # fibres down the picture
    stripes = board.stripes(across, 2)
    assert np.abs(np.diff(stripes, axis=0)).max() < 1e-3
    assert np.abs(np.diff(stripes, axis=1)).mean() > 0.1
    slope = board.slope(across, np.array([100.0, 150.0]), np.array([80.0, 90.0]))
    assert np.abs(np.cos(slope)) == pytest.approx([0, 0], abs=1e-3)


def test_cells_tile_the_plane(board: Field) -> None:
    border, centre, angle, (x, y) = cells(board, 20, 0.1, 0.0)
    assert border.shape == centre.shape == angle.shape == (240, 300)
    assert border.min() >= 0 and border.max() < 20
    inside = (x > 5) & (x < 295) & (y > 5) & (y < 235)
    assert board.at(centre, x[inside], y[inside]).max() < 1.5  # µm; the grid has 1 µm
    assert board.at(border, x[inside], y[inside]).min() > 3


def test_ramp_rises_and_falls() -> None:
    values = np.array([-1.0, 0.0, 0.5, 2.0])
    assert ramp(values, 0, 1).tolist() == [0, 0, 0.5, 1]
    assert ramp(values, 1, 0).tolist() == [1, 1, 0.5, 0]
