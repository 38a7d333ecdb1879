"""Confidence, its bins and the expected calibration error, against numbers worked out by hand."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mintflow import calibration, io, tables
from mintflow.calibration import bin_of, calibration_table, confidences
from mintflow.errors import InputError


def scores(rows: dict[str, list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [(case, f"L{place}", value) for case, values in rows.items() for place, value in enumerate(values)],
        columns=["case_id", "label_id", "score"],
    )


def test_confidence_is_the_first_share_of_the_softmax_however_large_the_scores() -> None:
    table = scores(
        {"a": [0.0, np.log(3), 0.0], "b": [1000.0, 1000.0 - np.log(4), -5000.0], "c": [1.0, 1.0, 0.0]}
    )
    found = confidences(table, {"a": "L1", "b": "L1", "c": "L0"}, "label_id", "score")
    assert found["case_id"].tolist() == ["a", "b", "c"]
    assert found["confidence"].tolist() == pytest.approx([3 / 5, 4 / 5, 1 / (2 + np.exp(-1))])
    assert found["correct"].tolist() == [1.0, 0.0, 0.0]  # of two first ones none is first


def test_cases_without_a_truth_are_left_out_and_scores_must_be_finite() -> None:
    table = scores({"a": [0.0, 1.0], "b": [np.nan, 0.0]})
    assert confidences(table, {"a": "L1"}, "label_id", "score")["case_id"].tolist() == ["a"]
    with pytest.raises(InputError, match="b"):
        confidences(table, {"a": "L1", "b": "L0"}, "label_id", "score")


def test_a_bin_has_its_upper_edge() -> None:
    assert bin_of([0.0, 0.05, 0.1, 0.1000001, 0.95, 1.0]).tolist() == [0, 0, 0, 1, 9, 9]


def arm(confidence: list[float], correct: list[float]) -> pd.DataFrame:
    cases = [f"c{place}" for place in range(len(correct))]
    return pd.DataFrame({"case_id": cases, "confidence": confidence, "correct": correct})


def test_error_weighs_bins_by_their_cases() -> None:
    found = arm([0.95, 0.95, 0.95, 0.95, 0.55], [1, 1, 1, 0, 0])
    clusters = {case: case for case in found["case_id"]}
    table = calibration_table({"teacher": found}, clusters, samples=400, seed=1)
    assert table["bin"].tolist() == ["6", "10", "ece"]
    bins = table.set_index("bin")
    assert bins.loc["10", ["confidence", "accuracy", "n"]].tolist() == pytest.approx([0.95, 0.75, 4])
    assert bins.loc["ece", "value"] == pytest.approx((4 * 0.2 + 1 * 0.55) / 5)
    assert bins.loc["ece", "ci_low"] < bins.loc["ece", "value"] < bins.loc["ece", "ci_high"]
    assert bins.loc["ece", ["confidence", "accuracy"]].tolist() == pytest.approx([0.87, 0.6])


def test_interval_resamples_whole_clusters() -> None:
    rng = np.random.default_rng(0)
    right = np.repeat(rng.integers(0, 2, 12), 20).astype(float)  # cases of one publication share their fate
    found = arm([0.85] * len(right), right.tolist())
    own = {case: case for case in found["case_id"]}
    shared = {case: f"p{place // 20}" for place, case in enumerate(found["case_id"])}
    widths = []
    for clusters in (own, shared):
        row = calibration_table({"a": found}, clusters, samples=500, seed=3).iloc[-1]
        widths.append(row["ci_high"] - row["ci_low"])
    assert widths[1] > 2 * widths[0]


def test_a_well_calibrated_model_has_a_small_error_and_a_sure_one_that_is_wrong_a_large_one() -> None:
    rng = np.random.default_rng(5)
    confidence = rng.uniform(0, 1, 20000)
    right = (rng.random(20000) < confidence).astype(float)
    clusters = {f"c{place}": f"c{place}" for place in range(20000)}
    good = calibration_table({"a": arm(confidence.tolist(), right.tolist())}, clusters, samples=20, seed=1)
    assert good.iloc[-1]["value"] < 0.02
    bad = calibration_table({"a": arm([0.99] * 30, [0.0] * 30)}, clusters, samples=20, seed=1)
    assert bad.iloc[-1]["value"] == pytest.approx(0.99)


def test_adding_an_arm_changes_no_other_and_one_without_cases_is_left_out() -> None:
    found = arm([0.3, 0.7, 0.8], [0, 1, 0])
    clusters = {case: case for case in found["case_id"]}
    alone = calibration_table({"b": found}, clusters, samples=100, seed=1)
    both = calibration_table({"a": found, "b": found, "none": found[:0]}, clusters, samples=100, seed=1)
    pd.testing.assert_frame_equal(both[both["arm"] == "b"].reset_index(drop=True), alone)
    assert set(both["arm"]) == {"a", "b"}


def test_program_measures_teacher_and_ranked_cases_with_ids_collapsed(tmp_path: Path) -> None:
    cases = pd.DataFrame(
        {
            "case_id": ["a", "b", "c"],
            "disease_id": ["ORPHA:1", "OMIM:2", "OMIM:2"],
            "split": ["test", "test", "train"],
            "publication": ["p", "q", "q"],
        }
    )
    candidates = pd.DataFrame({"disease_id": ["OMIM:1", "OMIM:2"], "series": [None, None]})
    io.write_parquet(candidates.astype("str"), tmp_path / "candidates.parquet")
    mondo = pd.DataFrame(
        {
            "mondo_id": ["MONDO:1"] * 2,
            "mondo_label": "one",
            "source_id": ["OMIM:1", "ORPHA:1"],
            "source_label": "one",
        }
    )
    io.write_parquet(mondo, tmp_path / "mondo.parquet")
    io.write_parquet(cases, tmp_path / "cases.parquet")
    rows = [(case, disease, value) for case in "abc" for disease, value in (("OMIM:1", 1.0), ("OMIM:2", 0.0))]
    ranked = pd.DataFrame(rows, columns=["case_id", "disease_id", "score"])
    io.write_parquet(ranked, tmp_path / "teacher.parquet")
    io.write_parquet(
        ranked[ranked["case_id"] == "b"].rename(columns={"score": "logp_sum"}), tmp_path / "orpo.parquet"
    )
    io.write_parquet(
        ranked[ranked["case_id"] == "a"].rename(columns={"score": "logp_sum"}), tmp_path / "seed.parquet"
    )
    program = importlib.import_module("measure_calibration")
    outputs = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for output in outputs:
        program.main(
            program.arguments().parse_args(
                [
                    *("--settings", '{"label":"disease_id","unit":"publication","samples":100,"seed":1}'),
                    *("--cases", str(tmp_path / "cases.parquet")),
                    *("--scores", f"teacher={tmp_path / 'teacher.parquet'}"),
                    *("--rankings", f"orpo={tmp_path / 'orpo.parquet'}"),
                    f"orpo.seed7={tmp_path / 'seed.parquet'}",
                    *("--candidates", str(tmp_path / "candidates.parquet")),
                    *("--mondo", str(tmp_path / "mondo.parquet"), "--output", str(output)),
                ]
            )
        )
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    found = tables.read_csv(outputs[0], calibration.COLUMNS)
    errors = found[found["bin"] == "ece"].set_index("arm")
    assert errors["n"].to_dict() == {"teacher": 2, "orpo": 2}  # seeds are pooled
    assert errors["accuracy"].to_dict() == {"teacher": 0.5, "orpo": 0.5}
