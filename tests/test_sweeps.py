"""Which variants vary one thing, and their tables."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import report_material
from mintflow import io, tables, variant_tables
from mintflow.arms import Plan
from mintflow.config import complete
from mintflow.config_schema import read_schema
from mintflow.errors import InputError
from mintflow.sweeps import sizes, sweeps
from mintflow.training_table import COLUMNS


def section(root: Path, arms: list[str], variants: dict[str, Any]) -> dict[str, Any]:
    schema = read_schema(root / "workflow/schemas/config.schema.yaml")
    return complete({"rare": {"arms": arms, "variants": variants}}, schema)["rare"]


def found(root: Path, arms: list[str], variants: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    rare = section(root, arms, variants)
    plan = Plan(rare, "rare")
    return (
        [tuple(row[key] for key in ("key", "parent", "arm", "value")) for row in sweeps(plan, rare)],
        [tuple(row[key] for key in ("kind", "arm", "base")) for row in sizes(plan, rare)],
    )


def test_nothing_is_varied_where_there_are_no_variants(root: Path) -> None:
    assert found(root, ["orpo", "sft"], {}) == ([], [])


def test_a_rate_is_swept_only_where_it_is_what_was_trained_with(root: Path) -> None:
    """The rate of a kind that searches one stands nowhere in the configuration."""
    variants = {
        "orpo-fast": {
            "arm": "orpo",
            "student": {"training": {"learning_rate": 0.1, "learning_rates": []}},
        }
    }
    rare = section(root, ["orpo"], variants)
    default = rare["student"]["training"]["learning_rate"]
    rate = "student.training.learning_rate"
    assert [(row["key"], row["arm"], row["value"]) for row in sweeps(Plan(rare, "rare"), rare)] == [
        (rate, "orpo", default),
        (rate, "orpo-fast", 0.1),
    ]
    rare["student"]["training"]["learning_rates"] = [0.01, 0.001]
    assert sweeps(Plan(rare, "rare"), rare) == []


def test_one_thing_is_a_sweep_with_the_parent_in_it(root: Path) -> None:
    q = section(root, ["orpo"], {})["preferences"]["q"]
    varied, other = found(
        root,
        ["orpo"],
        {
            "orpo-q2": {"arm": "orpo", "preferences": {"q": q + 2}},
            "orpo-beta": {"arm": "orpo", "student": {"orpo": {"beta": 0.9}}},
            "orpo-pheno": {"arm": "orpo", "teacher": "teacher-phenotype"},
            "orpo-hard": {
                "arm": "orpo",
                "preferences": {"rejected": "hard"},
                "student": {"training": {"learning_rates": [], "further_seeds": [9]}, "threads": 7},
            },
            "orpo-both": {"arm": "orpo", "preferences": {"q": 2, "rejected": "random"}},
        },
    )
    assert varied == [
        ("preferences.q", "orpo", "orpo", q),
        ("preferences.q", "orpo", "orpo-q2", q + 2),
        ("preferences.rejected", "orpo", "orpo", "bottom"),
        ("preferences.rejected", "orpo", "orpo-hard", "hard"),
        ("student.orpo.beta", "orpo", "orpo", 0.5),
        ("student.orpo.beta", "orpo", "orpo-beta", 0.9),
        ("teacher", "orpo", "orpo", "teacher"),
        ("teacher", "orpo", "orpo-pheno", "teacher-phenotype"),
    ]
    assert other == []


def test_another_base_is_a_size_whatever_else_of_the_student_differs(root: Path) -> None:
    big = {"kind": "hub", "id": "a/b", "revision": "c", "name": "big"}
    varied, other = found(
        root,
        ["orpo", "sft"],
        {
            "orpo-big": {"arm": "orpo", "student": {"base": big, "training": {"learning_rate": 0.1}}},
            "base-big": {"arm": "base", "student": {"base": big}},
            "sft-big": {"arm": "sft", "student": {"base": big}},
            "orpo-big-q": {"arm": "orpo", "student": {"base": big}, "preferences": {"q": 2}},
        },
    )
    own = section(root, ["orpo"], {})["student"]["base"]["name"]
    assert varied == []
    assert other == [
        ("base", "base", own),
        ("base", "base-big", "big"),
        ("orpo", "orpo", own),
        ("orpo", "orpo-big", "big"),
        ("sft", "sft", own),
        ("sft", "sft-big", "big"),
    ]


def metrics() -> pd.DataFrame:
    table = report_material.metrics()
    return pd.concat([table, table[table["arm"] == "orpo"].assign(arm="orpo-few", value=0.25)])


ENTRIES = [
    {"key": "preferences.max_pairs", "parent": "orpo", "arm": "orpo", "value": None},
    {"key": "preferences.max_pairs", "parent": "orpo", "arm": "orpo-few", "value": 50},
    {"key": "student.orpo.beta", "parent": "orpo", "arm": "orpo-few", "value": 0.1},
]


def test_number_of_pairs_is_the_one_that_was_trained_on() -> None:
    table = variant_tables.sweep_table(metrics(), ENTRIES, {"orpo": 412, "orpo-few": 43})
    top1 = table[table["metric"] == "top1"]
    assert list(zip(top1["arm"], top1["value"], top1["estimate"], strict=True)) == [
        ("orpo", "412", 0.475),
        ("orpo-few", "43", 0.25),
        ("orpo-few", "0.1", 0.25),
    ]
    with pytest.raises(InputError, match="orpo-few"):
        variant_tables.sweep_table(metrics(), ENTRIES, {"orpo": 412})
    with pytest.raises(InputError, match="orpo-new"):
        variant_tables.sweep_table(metrics(), [{**ENTRIES[2], "arm": "orpo-new"}], {})


def test_program_writes_both_tables(tmp_path: Path) -> None:
    io.write_csv(metrics(), tmp_path / "metrics.csv")
    training = pd.DataFrame(
        [
            (arm, purpose, pairs)
            for arm, purpose, pairs in (("orpo", "result", 412), ("orpo-few", "result", 43))
        ],
        columns=["arm", "purpose", "pairs"],
    ).reindex(columns=COLUMNS, fill_value=0)
    io.write_csv(training, tmp_path / "training.csv")
    io.write_json({"parameters": 1000}, tmp_path / "own.json")
    io.write_json({"parameters": 2000000}, tmp_path / "big.json")
    entries = [
        {"kind": "orpo", "arm": "orpo-few", "base": "big"},
        {"kind": "orpo", "arm": "orpo", "base": "own"},
    ]
    io.write_json({"sweeps": ENTRIES, "sizes": entries}, tmp_path / "settings.json")
    program = importlib.import_module("tabulate_variants")
    program.main(
        program.arguments().parse_args(
            [
                *("--settings", str(tmp_path / "settings.json"), "--metrics", str(tmp_path / "metrics.csv")),
                *("--training", str(tmp_path / "training.csv")),
                *("--bases", f"own={tmp_path / 'own.json'}", f"big={tmp_path / 'big.json'}"),
                *(
                    "--output-sweeps",
                    str(tmp_path / "sweeps.csv"),
                    "--output-sizes",
                    str(tmp_path / "sizes.csv"),
                ),
            ]
        )
    )
    sweep = tables.read_csv(tmp_path / "sweeps.csv", variant_tables.SWEEPS)
    assert set(sweep["value"].astype(float)) == {412, 43, 0.1}
    size = tables.read_csv(tmp_path / "sizes.csv", variant_tables.SIZES)
    top1 = size[size["metric"] == "top1"]
    assert top1[["arm", "base", "parameters", "value"]].to_numpy().tolist() == [
        ["orpo", "own", 1000, 0.475],
        ["orpo-few", "big", 2000000, 0.25],
    ]
