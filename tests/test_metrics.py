from __future__ import annotations

import math

import pandas as pd
import pytest

from mintflow import metrics as mt

NAMES = [f"OMIM:{i}" for i in range(1, 9)]
LABELS = mt.Labels(
    frozenset(NAMES),
    family={"OMIM:1": "stem a", "OMIM:2": "stem a", "OMIM:3": "stem b"},
    collapse=lambda label: {"MONDO:1": "OMIM:1", "ORPHA:1": "OMIM:1"}.get(label, label),
)
TEACHER = mt.TeacherLists(frozenset(NAMES[:3]), frozenset(NAMES[-3:]))


def score(items: list[str | None], truth: str = "OMIM:1", **changes: object) -> dict[str, float]:
    options = {"k": 3, "q": 3, "car_lambda": 1.0} | changes
    return mt.score_list(items, truth, LABELS, TEACHER, **options)


def test_positions_strict_and_lenient() -> None:
    found = score(["OMIM:2", None, "OMIM:1"])
    assert [found[f"top{c}"] for c in (1, 3, 10)] == [0, 1, 1]
    assert [found[f"top{c}_lenient"] for c in (1, 3, 10)] == [1, 1, 1]
    assert found["mrr"] == pytest.approx(1 / 3)
    assert score(["OMIM:4", "OMIM:3"], truth="OMIM:4")["top1"] == 1
    # no family: nothing else is lenient
    assert score(["OMIM:5"], truth="OMIM:4")["top10_lenient"] == 0


def test_absent_truth_has_reciprocal_rank_zero() -> None:
    assert score(["OMIM:4"])["mrr"] == 0.0
    assert score([])["mrr"] == 0.0


def test_ids_of_one_disease_are_one_label() -> None:
    found = score(["MONDO:1", "ORPHA:1", "OMIM:1", "OMIM:4"])
    assert found["top1"] == 1 and found["duplicates"] == 0.5
    assert score(["OMIM:1"], truth="ORPHA:1")["top1"] == 1


def test_repeats_take_no_second_place() -> None:
    assert score(["OMIM:4", "OMIM:4", "OMIM:4", "OMIM:1"])["mrr"] == 0.5


def test_list_shape() -> None:
    found = score([None, "OMIM:1", "OMIM:1", "OMIM:999"], finished=False)
    assert found["ungrounded"] == 0.25 and found["duplicates"] == 0.25 and found["out_of_set"] == 0.25
    assert found["list_length"] == 4 and found["parse_failure"] == 0 and found["unfinished"] == 1
    empty = score([])
    assert empty["parse_failure"] == 1 and empty["list_length"] == 0 and empty["ungrounded"] == 1


@pytest.mark.parametrize(
    ("named", "coverage", "avoidance", "car"),
    [
        (NAMES[:3], 1.0, 1.0, 1.0),
        (NAMES[-3:], 0.0, 0.0, 0.0),
        ([NAMES[0], NAMES[-1]], 1 / 3, 2 / 3, 2 * (2 / 9) / 1.0),
        ([NAMES[3], NAMES[4]], 0.0, 1.0, 0.0),
        ([], 0.0, 1.0, 0.0),
        ([*NAMES[3:5], NAMES[-1], NAMES[0]], 0.0, 2 / 3, 0.0),  # a fourth item does not count
    ],
)
def test_agreement(named: list[str], coverage: float, avoidance: float, car: float) -> None:
    found = score(named)
    assert found["coverage"] == pytest.approx(coverage)
    assert found["avoidance"] == pytest.approx(avoidance)
    assert found["car"] == pytest.approx(car)


def test_car_lambda_weighs_coverage() -> None:
    teacher = mt.TeacherLists(frozenset("ab"), frozenset("yz"))
    # C = 1/2, A = 1: (1 + 3) * 0.5 / (1.5 + 1)
    assert mt.agreement(["a"], teacher, 3.0, 2, 2)["car"] == pytest.approx(0.8)


def test_avoidance_reaches_zero_when_the_lists_differ_in_length() -> None:
    teacher = mt.TeacherLists(frozenset("abc"), frozenset("z"))
    assert mt.agreement(["z", "q", "r"], teacher, 1.0, 3, 1)["avoidance"] == 0
    teacher = mt.TeacherLists(frozenset("a"), frozenset("xyz"))
    assert mt.agreement(["z"], teacher, 1.0, 1, 3)["avoidance"] == 0


def test_teacher_lists_break_ties_by_id() -> None:
    lists = mt.teacher_lists({"c": 3, "b": 3, "a": 3, "d": 5, "e": 5}, 2, 2)
    assert lists == mt.TeacherLists(frozenset("ab"), frozenset("de"))
    with pytest.raises(ValueError, match="exceeds the 2 ranked"):
        mt.teacher_lists({"a": 1, "b": 2}, 2, 1)


def test_ranks_collapse_ids_and_tie_at_the_worst() -> None:
    table = pd.DataFrame(
        {
            "case_id": ["x"] * 4 + ["y"] * 3,
            "disease_id": ["OMIM:1", "MONDO:1", "OMIM:2", "OMIM:3", "OMIM:3", "OMIM:2", "OMIM:1"],
            "rank": [1, 2, 4, 4, 2, 2, 3],
        }
    )
    found = mt.collapse_ranks(table, LABELS)
    assert found.values.tolist() == [
        ["x", "OMIM:1", 1],
        ["x", "OMIM:2", 3],
        ["x", "OMIM:3", 3],
        ["y", "OMIM:2", 2],
        ["y", "OMIM:3", 2],
        ["y", "OMIM:1", 3],
    ]


def ranks(order: list[str]) -> dict[str, int]:
    return {label: rank for rank, label in enumerate(order, start=1)}


def test_rankings_name_the_labels_up_to_rank_k() -> None:
    options = {"k": 3, "q": 3, "car_lambda": 1.0}
    found = mt.score_ranks(ranks(NAMES), "OMIM:2", LABELS, TEACHER, **options)
    assert found["top1"] == 0 and found["top1_lenient"] == 1 and found["top3"] == 1 and found["mrr"] == 0.5
    assert found["coverage"] == found["avoidance"] == found["car"] == 1
    assert set(found) == {*mt.HIT_METRICS, *mt.AGREEMENT_METRICS}
    worst = mt.score_ranks(ranks(NAMES[::-1]), "OMIM:2", LABELS, TEACHER, **options)
    assert worst["coverage"] == worst["avoidance"] == worst["car"] == 0
    tied = mt.score_ranks(dict.fromkeys(NAMES, 8), "OMIM:2", LABELS, TEACHER, **options)
    assert tied["top3"] == 0 and tied["mrr"] == 1 / 8 and tied["car"] == 0


def test_closed_set_metrics() -> None:
    found = mt.score_closed_set(ranks(NAMES), "OMIM:3", LABELS)
    assert found == {"rank_top1": 0.0, "rank_top3": 1.0, "rank_top10": 1.0, "rank_mrr": pytest.approx(1 / 3)}


def test_every_metric_has_bounds_and_keeps_them() -> None:
    values = score(["OMIM:1", None]) | mt.score_closed_set(ranks(NAMES), "OMIM:3", LABELS)
    assert set(values) == set(mt.BOUNDS)
    for name, value in values.items():
        low, high = mt.BOUNDS[name] or (0, math.inf)
        assert low <= value <= high
