"""Stamps of nuclei: size, angle, and pressing them at borders."""

from __future__ import annotations

import numpy as np
import pytest

from mintflow.synthetic_nuclei import Nucleus, press, scatter, stamps


def _moments(stamp: np.ndarray) -> tuple[float, float, float]:
    """Standard deviations along and across the main axis (pixels), and its angle."""
    y, x = np.indices(stamp.shape)
    weight = stamp / stamp.sum()
    dx, dy = x - (weight * x).sum(), y - (weight * y).sum()
    cov = np.array([[(weight * dx * dx).sum(), (weight * dx * dy).sum()], [0, (weight * dy * dy).sum()]])
    values, vectors = np.linalg.eigh(cov + np.triu(cov, 1).T)
    return values[1] ** 0.5, values[0] ** 0.5, np.arctan2(vectors[1, 1], vectors[0, 1]) % np.pi


@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.0])
def test_axes_have_the_asked_length_and_angle(mpp: float) -> None:
    library = stamps(np.random.default_rng(0), Nucleus(12, 4, spread=0.0, irregular=0.0, clumps=0.0), mpp)
    for number in range(0, 24, 5):
        long, short, angle = _moments(library[number, 0])
        # the standard deviation of a filled ellipse is a quarter of its axis
        assert 4 * long * mpp == pytest.approx(12, rel=0.12)
        assert 4 * short * mpp == pytest.approx(4, rel=0.3)
        away = abs(angle - number * np.pi / 24)
        assert min(away, np.pi - away) < 0.25


def test_irregular_nuclei_differ_more_than_round_ones() -> None:
    def spread(kind: Nucleus) -> float:
        areas = (stamps(np.random.default_rng(1), kind, 0.5) > 0.5).sum(axis=(2, 3))
        return float(areas.std() / areas.mean())

    assert spread(Nucleus(12, 9, 0.25, 0.15)) > 2 * spread(Nucleus(6, 6, 0.05, 0.03))


def test_stamps_over_the_border_are_cut_off() -> None:
    rng = np.random.default_rng(2)
    library = stamps(rng, Nucleus(8, 8), 0.5)
    side = library.shape[2]
    field = np.zeros((60, 70), np.float32)
    press(field, library, np.array([0.0, 69.0, 35.0]), np.array([0.0, 59.0, 30.0]), 0.0, rng)
    assert field[0, 0] > 0 and field[59, 69] > 0 and field[30, 35] > 0
    assert field[0, 69] == 0
    far = np.zeros((60, 70), np.float32)
    press(far, library, np.array([-side * 2.0, 300.0]), np.array([5.0, 5.0]), 0.0, rng)
    assert not far.any()


def test_points_keep_their_distance() -> None:
    x, y = scatter(np.random.default_rng(3), 400, 500, 20, jitter=0.0)
    inside = (x >= 0) & (x < 500) & (y >= 0) & (y < 400)
    assert inside.sum() == pytest.approx(400 * 500 / (20 * 20 * 0.866), rel=0.1)
    away = np.hypot(x[:, None] - x, y[:, None] - y) + np.eye(len(x)) * 1e9
    assert away.min() == pytest.approx(20, rel=0.02)
    kept, _ = scatter(np.random.default_rng(3), 400, 500, 20, keep=0.5)
    assert 0.4 < len(kept) / len(x) < 0.6
