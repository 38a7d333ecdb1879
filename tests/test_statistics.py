from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from mintflow import statistics as st

BOUNDS = {"top1": (0.0, 1.0), "list_length": None}
SUFFIXES = {"test": "", "test_unseen": "_unseen"}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def per_case(arm: str, values: list[float], metric: str = "top1", split: str = "test", per_pub: int = 1):
    n = len(values)
    return pd.DataFrame(
        {
            "arm": arm,
            "case_id": [f"case-{i:03d}" for i in range(n)],
            "disease_id": [f"OMIM:{i % 3}" for i in range(n)],
            "publication": [f"PMID:{i // per_pub}" for i in range(n)],
            "split": split,
            "metric": metric,
            "value": values,
        }
    )


def summarise(table: pd.DataFrame, **changes: object) -> pd.DataFrame:
    options = {"unit": "publication", "samples": 500, "seed": 1} | changes
    return st.summarise(table, SUFFIXES, BOUNDS, **options)


def test_bootstrap_draws_whole_clusters_against_a_plain_loop() -> None:
    values = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.5])
    clusters = np.array([0, 0, 0, 1, 2, 2])
    strata = np.array([0, 1, 1, 0, 2, 2])
    for kinds in (None, strata):
        got = st.bootstrap_means(values, clusters, kinds, 200, rng(5))
        draws = rng(5).integers(0, 3, size=(200, 3))
        for mean, drawn in zip(got, draws, strict=True):
            rows = np.concatenate([np.flatnonzero(clusters == group) for group in drawn])
            if kinds is None:
                expected = values[rows].mean()
            else:
                expected = np.mean([values[rows][kinds[rows] == k].mean() for k in np.unique(kinds[rows])])
            assert mean == pytest.approx(expected)


def test_blocks_of_draws_do_not_lose_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    values, clusters = rng().random(30), np.arange(30) // 2
    monkeypatch.setattr(st, "_BLOCK", 31)
    means = st.bootstrap_means(values, clusters, None, 101, rng(3))
    assert means.shape == (101,) and means.std() > 0
    assert means.mean() == pytest.approx(values.mean(), abs=0.05)


def test_macro_weighs_diseases_equally() -> None:
    found = st.estimate([1, 1, 1, 0], list("abcd"), strata=["x", "x", "x", "y"], samples=200, rng=rng())
    assert found.value == 0.5
    assert st.estimate([1, 1, 1, 0], list("abcd"), samples=200, rng=rng()).value == 0.75


def test_interval_has_about_the_width_of_theory() -> None:
    values = (np.arange(400) % 4 == 0).astype(float)
    found = st.estimate(values, np.arange(400), samples=4000, rng=rng())
    half = 1.96 * math.sqrt(0.25 * 0.75 / 400)
    assert found.value == 0.25
    assert found.low == pytest.approx(0.25 - half, abs=0.008)
    assert found.high == pytest.approx(0.25 + half, abs=0.008)


def test_patients_of_one_publication_are_not_independent() -> None:
    values = np.repeat([0.0, 1.0], 50).tolist()
    alone = st.estimate(values, range(100), samples=2000, rng=rng())
    shared = st.estimate(values, np.repeat(np.arange(10), 10), samples=2000, rng=rng())
    assert shared.high - shared.low > 2 * (alone.high - alone.low)


@pytest.mark.parametrize(("value", "low", "high"), [(0.0, 0.0, 0.161125), (1.0, 0.838875, 1.0)])
def test_all_equal_proportions_get_wilsons_interval(value: float, low: float, high: float) -> None:
    found = st.estimate([value] * 20, range(20), samples=100, rng=rng())
    assert found.value == value
    assert (found.low, found.high) == pytest.approx((low, high), 1e-5)
    few = st.estimate([value] * 20, [0] * 20, samples=100, rng=rng())
    assert few.high - few.low == pytest.approx(st.unseen_mass(1))


def test_one_cluster_claims_no_certainty() -> None:
    mixed = st.estimate([0, 1], ["a", "a"], samples=100, rng=rng())
    assert mixed.value == 0.5 and mixed.high - mixed.low > 0.7
    assert math.isnan(st.estimate([3, 3], ["a", "a"], bounds=None, samples=100, rng=rng()).low)
    assert st.estimate([3, 3], ["a", "b"], bounds=None, samples=100, rng=rng()).low == 3
    with pytest.raises(ValueError, match="at least one"):
        st.estimate([], [], samples=100, rng=rng())


def test_sign_flip_exact_by_hand() -> None:
    # sums per cluster 1, 1, 1: |total| = 3 in 2 of 8 patterns
    assert st.sign_flip_test([1, 1, 1], list("abc"), samples=100, rng=rng()) == 0.25
    # one cluster can never be significant; zeros are no evidence
    assert st.sign_flip_test([1, 1, 1], list("aaa"), samples=100, rng=rng()) == 1.0
    assert st.sign_flip_test([0, 0, 1, -1], list("abcc"), samples=100, rng=rng()) == 1.0
    # 3 and 1: |total| = 4 in 2 of 4 patterns
    assert st.sign_flip_test([2, 1, 1, 0], list("aabc"), samples=100, rng=rng()) == 0.5


def test_sampled_sign_flips_agree_with_exact_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    data = rng(2).normal(0.5, 1, 12)
    exact = st.sign_flip_test(data, range(12), samples=100, rng=rng())
    monkeypatch.setattr(st, "EXACT_CLUSTERS", 3)
    assert st.sign_flip_test(data, range(12), samples=20000, rng=rng()) == pytest.approx(exact, abs=0.01)


def test_sign_flip_holds_its_level() -> None:
    source = rng(11)
    p = [
        st.sign_flip_test(source.normal(size=24), np.arange(24) // 2, samples=200, rng=source)
        for _ in range(300)
    ]
    assert 0.015 < np.mean(np.array(p) <= 0.05) < 0.09


def test_holm_by_hand() -> None:
    assert st.holm([0.04, 0.01, 0.03, 0.5]) == pytest.approx([0.09, 0.04, 0.09, 0.5])
    assert st.holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert len(st.holm([])) == 0


def test_spread_sample_covers_strata_and_is_seeded() -> None:
    ids = [f"c{i:02d}" for i in range(30)]
    strata = ["big"] * 24 + ["x", "x", "y", "y", "z", "z"]
    chosen = st.spread_sample(ids, strata, 8, seed=1)
    where = dict(zip(ids, strata, strict=True))
    assert len(set(chosen)) == 8 and chosen == sorted(chosen)
    assert sorted(where[one] for one in chosen) == ["big", "big", "x", "x", "y", "y", "z", "z"]
    assert chosen == st.spread_sample(ids[::-1], strata[::-1], 8, seed=1)
    assert chosen != st.spread_sample(ids, strata, 8, seed=2)
    assert st.spread_sample(ids, strata, None, seed=1) == ids
    assert st.spread_sample(ids, strata, 0, seed=1) == []


def test_summary_names_counts_and_order() -> None:
    seen = per_case("b", [1, 0, 1, 1])
    unseen = per_case("b", [0, 0], split="test_unseen")
    ignored = per_case("b", [1, 1], split="validation")
    table = summarise(pd.concat([seen, unseen, ignored, per_case("a", [0, 1, 0, 0])]))
    assert table["arm"].tolist() == ["a"] * 2 + ["b"] * 4
    rows = table.set_index(["arm", "metric"])
    assert rows.loc[("b", "top1"), ["value", "n"]].tolist() == [0.75, 4]
    assert rows.loc[("b", "top1_unseen"), ["value", "n"]].tolist() == [0.0, 2]
    # diseases 0, 1, 2 with cases (0, 3), (1), (2): means 1, 0, 1
    assert rows.loc[("b", "top1_macro"), "value"] == pytest.approx(2 / 3)
    assert (table["ci_low"] <= table["value"]).all() and (table["value"] <= table["ci_high"]).all()


def test_splits_together() -> None:
    seen, unseen = per_case("b", [1, 0, 1, 1]), per_case("b", [0, 0], split="test_unseen")
    unseen["case_id"] = unseen["case_id"] + "u"
    ignored = per_case("b", [1, 1], split="validation")
    single = per_case("b", [1, 0], metric="list_length")
    tables = pd.concat([seen, unseen, ignored, single])
    table = summarise(tables, together="_all")
    rows = table.set_index("metric")
    assert rows.loc["top1_all", ["value", "n"]].tolist() == [0.5, 6]
    assert "list_length_all" not in rows.index and "top1_all_macro" in rows.index
    # what was there before is not touched
    pd.testing.assert_frame_equal(
        table[~table["metric"].str.contains("_all")].reset_index(drop=True), summarise(tables)
    )


def test_adding_an_arm_changes_no_other_figure() -> None:
    one = per_case("orpo", rng().integers(0, 2, 40).astype(float).tolist())
    two = per_case("base", rng(1).integers(0, 2, 40).astype(float).tolist())
    alone, both = summarise(one), summarise(pd.concat([two, one]))
    pd.testing.assert_frame_equal(alone, both[both["arm"] == "orpo"].reset_index(drop=True))


def test_units_differ() -> None:
    table = per_case("a", np.repeat([0.0, 1.0], 30).tolist(), per_pub=10)
    by_pub, by_case = summarise(table), summarise(table, unit="case")
    assert by_pub["ci_high"][0] > by_case["ci_high"][0]


def compare(table: pd.DataFrame, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    return st.compare(table, pairs, SUFFIXES, BOUNDS, unit="publication", samples=500, seed=1)


def test_paired_comparison() -> None:
    a, b = per_case("a", [1.0] * 10), per_case("b", [0.0] * 9 + [1.0])
    same = per_case("c", [1.0] * 10)
    table = compare(pd.concat([a, b, same]), [("a", "b"), ("a", "c")])
    rows = table.set_index(["arm_a", "arm_b", "metric"])
    first, second = rows.loc[("a", "b", "top1")], rows.loc[("a", "c", "top1")]
    assert first["difference"] == 0.9 and first["n"] == 10
    assert 0.5 < first["ci_low"] < 0.9 <= first["ci_high"]
    assert first["p_value"] == 2 / 2**9
    assert first["p_adjusted"] == pytest.approx(2 * first["p_value"])
    assert second["difference"] == 0 and second["p_value"] == second["p_adjusted"] == 1
    assert second["ci_low"] == pytest.approx(-st.unseen_mass(10)) and second["ci_high"] > 0
    assert table.columns.tolist() == [
        *("arm_a", "arm_b", "metric", "difference", "ci_low", "ci_high", "p_value", "p_adjusted", "n")
    ]


def test_comparison_ignores_metrics_of_one_arm_and_refuses_other_cases() -> None:
    a, b = per_case("a", [1.0, 0.0]), per_case("b", [1.0, 1.0])
    lengths = per_case("a", [3.0, 3.0], metric="list_length")
    assert set(compare(pd.concat([a, b, lengths]), [("a", "b")])["metric"]) == {"top1", "top1_macro"}
    with pytest.raises(ValueError, match="a and b were not measured on the same cases"):
        compare(pd.concat([a, b.head(1)]), [("a", "b")])
    assert compare(a, []).empty
