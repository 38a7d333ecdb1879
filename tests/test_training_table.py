"""Trainings and their course as tables."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from mintflow import io, tables
from mintflow.errors import InputError
from mintflow.training_table import COLUMNS, CURVES, HELD_OUT, TRAINING, curve_table, training_table

SUMMARY: dict[str, Any] = {
    "arm": "orpo",
    "device": "cpu",
    "seconds": 90.5,
    "training_seconds": 80.1,
    "peak_rss_mb": 900,
    "peak_vram_mb": None,
    "tokens": 123456789,
    "pairs": {"train": 412, "validation": 20},
    "passes": 2.0,
    "steps": 206,
    "kept_step": 200,
    "learning_rate": 0.0006,
    "seconds_per_pair": 0.1,
    "trainable_parameters": 9768960,
}


def test_one_row_a_training_with_its_arm_seed_and_purpose() -> None:
    names = {"orpo": 6, "orpo.seed7": 7, "sft-truth.lr0.001": 6}
    table = training_table({name: SUMMARY for name in names}, names)
    assert table.columns.tolist() == COLUMNS
    assert table[["training", "arm", "seed", "purpose"]].to_numpy().tolist() == [
        ["orpo", "orpo", 6, "result"],
        ["orpo.seed7", "orpo", 7, "result"],
        ["sft-truth.lr0.001", "sft-truth", 6, "learning rate search"],
    ]
    assert table.loc[0, ["tokens", "pairs", "steps"]].tolist() == [123456789, 412, 206]


def test_memory_is_the_gpus_where_there_is_one() -> None:
    table = training_table({"a": SUMMARY, "b": {**SUMMARY, "peak_vram_mb": 7000}}, {"a": 1, "b": 1})
    assert table[["peak_memory_mb", "memory"]].to_numpy().tolist() == [[900, "rss"], [7000, "vram"]]


def test_a_learning_rate_that_diverged_says_so() -> None:
    table = training_table(
        {"a": SUMMARY, "a.lr9": {**SUMMARY, "diverged_after_step": 3}}, {"a": 1, "a.lr9": 1}
    )
    assert table["diverged_after_step"].isna().tolist() == [True, False]
    assert table["diverged_after_step"].iloc[1] == 3


def test_a_trial_that_became_the_result_is_one_row() -> None:
    summaries = {"a": {**SUMMARY, "trial": "a.lr0.1"}, "a.lr0.1": SUMMARY, "a.lr0.2": SUMMARY}
    table = training_table(summaries, dict.fromkeys(summaries, 1))
    assert table["training"].tolist() == ["a", "a.lr0.2"]


def test_what_is_missing_is_named() -> None:
    with pytest.raises(InputError, match=r"a/training\.json.*tokens"):
        training_table({"a": {key: value for key, value in SUMMARY.items() if key != "tokens"}}, {"a": 1})


def test_curves_keep_the_later_of_repeated_steps_and_drop_what_is_not_finite() -> None:
    events = [
        {"step": 10, "loss": 3.0},
        {"step": 20, "loss": float("nan")},
        {"step": 10, "loss": 2.0, "rewards/accuracies": 0.5},
        {"step": 10, "eval_loss": 9.0},
        {"loss": 1.0},
    ]
    table = curve_table({"orpo.seed7": events}, {"orpo.seed7": 7})
    assert table.columns.tolist() == CURVES
    assert table[["arm", "seed", "step", "pairs", "quantity", "value"]].to_numpy().tolist() == [
        ["orpo", 7, 10, TRAINING, "accuracy", 0.5],
        ["orpo", 7, 10, HELD_OUT, "loss", 9.0],
        ["orpo", 7, 10, TRAINING, "loss", 2.0],
    ]
    with pytest.raises(InputError, match="sft"):
        curve_table({"sft": [{"step": 1, "eval_loss": 1.0}]}, {"sft": 6})


def test_program_reads_the_folders_of_the_trainings(tmp_path: Path) -> None:
    names = {"orpo": 6, "orpo.lr0.001": 6}
    for name in names:
        io.write_json(SUMMARY, tmp_path / name / "training.json")
    (tmp_path / "orpo/log.jsonl").write_text(json.dumps({"step": 1, "loss": 2.5}) + "\n")  # no log of a trial
    program = importlib.import_module("tabulate_trainings")
    written = []
    for turn in "ab":
        outputs = [str(tmp_path / f"{turn}.csv"), str(tmp_path / f"{turn}-curves.csv")]
        flags = ["--settings", json.dumps(names), "--folder", str(tmp_path)]
        program.main(
            program.arguments().parse_args(
                [*flags, "--output-training", outputs[0], "--output-curves", outputs[1]]
            )
        )
        written.append([Path(path).read_bytes() for path in outputs])
    assert written[0] == written[1]
    assert tables.read_csv(tmp_path / "a.csv", COLUMNS)["tokens"].tolist() == [123456789] * 2
    assert tables.read_csv(tmp_path / "a-curves.csv", CURVES)["value"].tolist() == [2.5]
