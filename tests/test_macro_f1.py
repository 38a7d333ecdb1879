"""Macro F1 against scikit-learn; intervals and tests that know what patients are."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from mintflow import macro_f1 as mf
from mintflow.statistics import unseen_mass


def some(
    seed: int, n: int = 120, labels: int = 4, patients: int = 9
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, labels, n)
    predicted = np.where(rng.random(n) < 0.6, truth, rng.integers(0, labels + 1, n))
    return truth, predicted, rng.integers(0, patients, n)


@pytest.mark.parametrize("seed", range(5))
def test_equals_scikit_learn(seed: int) -> None:
    truth, predicted, patients = some(seed)
    matrices = mf.confusions(truth, predicted, patients, 4)
    wanted = f1_score(truth, predicted, labels=sorted(set(truth)), average="macro", zero_division=0)
    assert float(mf.macro_f1(matrices.sum(0))) == pytest.approx(wanted, abs=1e-12)
    assert matrices.sum() == len(truth) and matrices.shape == (9, 4, 5)


def test_labels_that_do_not_occur_do_not_count() -> None:
    matrices = mf.confusions(np.array([0, 0, 1]), np.array([0, 2, 3]), ["a", "a", "b"], 3)
    assert float(mf.macro_f1(matrices.sum(0))) == pytest.approx((2 / 3 + 0) / 2)


def one_run(truth: np.ndarray, predicted: np.ndarray, clusters: object, labels: int) -> np.ndarray:
    return mf.confusions(truth, predicted, clusters, labels)[None]


def test_interval_holds_the_value_and_is_wider_for_fewer_patients() -> None:
    truth, predicted, _ = some(1, n=200)
    many = mf.estimate(one_run(truth, predicted, np.arange(200), 4), 2000, np.random.default_rng(0))
    few = mf.estimate(one_run(truth, predicted, np.arange(200) % 5, 4), 2000, np.random.default_rng(0))
    assert many.low < many.value < many.high
    assert few.value == many.value
    one = mf.estimate(one_run(truth, predicted, np.zeros(200), 4), 100, np.random.default_rng(0))
    assert one.high - one.low == pytest.approx(unseen_mass(1))  # one patient claims no certainty
    right = mf.estimate(one_run(truth, truth, np.arange(200) % 5, 4), 100, np.random.default_rng(0))
    assert (right.value, right.high) == (1.0, 1.0) and right.low == pytest.approx(1 - unseen_mass(5))


def test_seeds_that_disagree_gain_nothing() -> None:
    """Each always names one label: alone as good as any, together no better, whichever label it is."""
    truth, patients = np.arange(40) % 4, np.arange(40) // 4
    alike = np.concatenate([one_run(truth, np.zeros(40, int), patients, 4)] * 3)
    unlike = np.concatenate([one_run(truth, np.full(40, label), patients, 4) for label in range(3)])
    values = [mf.estimate(runs, 200, np.random.default_rng(0)).value for runs in (alike[:1], alike, unlike)]
    assert values == pytest.approx([0.1] * 3)
    found, p_value = mf.difference(unlike, alike[:1], 200, np.random.default_rng(0))
    assert found.value == pytest.approx(0, abs=1e-12) and p_value == 1.0


def test_runs_of_two_arms_are_exchanged_in_order() -> None:
    """As many of both: by hand, over all patterns; of one and three, the one is exchanged with each."""
    rng = np.random.default_rng(3)
    truth, patients = np.arange(60) % 3, np.arange(60) // 10
    runs = [
        one_run(truth, np.where(rng.random(60) < share, truth, rng.integers(0, 4, 60)), patients, 3)
        for share in (0.2, 0.4, 0.5, 0.5, 0.6, 0.4)
    ]
    for first, second in ((runs[:3], runs[3:]), (runs[:3], runs[3:4])):
        one, other = np.concatenate(first), np.concatenate(second)
        value = mf.mean_over_runs(one) - mf.mean_over_runs(other)
        extreme = []
        for pattern in range(2**6):
            moved = np.array([bool(pattern >> bit & 1) for bit in range(6)])[None, :, None, None]
            after = np.where(moved, other, one), np.where(moved, one, other)
            between = mf.mean_over_runs(after[0]) - mf.mean_over_runs(after[1])
            extreme.append(abs(between) >= abs(value) - 1e-12)
        found, p_value = mf.difference(one, other, 100, np.random.default_rng(0))
        assert found.value == pytest.approx(value)
        assert p_value == pytest.approx(np.mean(extreme))


def test_difference_of_an_arm_with_itself_is_nothing() -> None:
    matrices = one_run(*some(2), 4)
    found, p_value = mf.difference(matrices, matrices, 500, np.random.default_rng(0))
    assert (found.value, p_value) == (0.0, 1.0)
    assert (found.low, found.high) == pytest.approx((-unseen_mass(9), unseen_mass(9)))


def test_exact_p_value_by_hand() -> None:
    """Three patients, one arm always right and the other never: two patterns of eight are as extreme."""
    truth, patients = np.array([0, 1] * 3), [0, 0, 1, 1, 2, 2]
    right = one_run(truth, truth, patients, 2)
    wrong = one_run(truth, 1 - truth, patients, 2)
    found, p_value = mf.difference(right, wrong, 500, np.random.default_rng(0))
    assert found.value == 1.0
    assert p_value == pytest.approx(2 / 8)


def test_sampled_p_values_are_uniform_when_nothing_differs() -> None:
    """Two arms of the same quality: few small p-values; one far better: a small one."""
    small = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        truth, patients = rng.integers(0, 3, 90), np.arange(90) // 3
        one, other = (np.where(rng.random(90) < 0.5, truth, rng.integers(0, 3, 90)) for _ in range(2))
        pair = [one_run(truth, named, patients, 3) for named in (one, other)]
        small += mf.difference(*pair, 199, rng)[1] < 0.05
    assert small <= 9  # 3 expected; P(more than 9) < 0.001
    better = one_run(truth, truth, patients, 3)
    assert mf.difference(better, pair[1], 199, rng)[1] < 0.02


def test_same_seed_same_numbers() -> None:
    matrices, others = one_run(*some(3, patients=30), 4), one_run(*some(4, patients=30), 4)
    again = [mf.difference(matrices, others, 300, np.random.default_rng(5)) for _ in range(2)]
    assert again[0] == again[1]
