from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mintflow import io
from mintflow.errors import InputError
from mintflow.run_comparison import compare_runs


def run(values: dict[str, list[float]], metric: str = "top1") -> pd.DataFrame:
    """One row a case of each arm; two cases a publication."""
    rows = [
        (arm, f"case-{i:02d}", f"OMIM:{i % 3}", f"PMID:{i // 2}", "test", metric, value)
        for arm, of_arm in values.items()
        for i, value in enumerate(of_arm)
    ]
    columns = ["arm", "case_id", "disease_id", "publication", "split", "metric", "value"]
    return pd.DataFrame(rows, columns=columns)


def compared(first: pd.DataFrame, second: pd.DataFrame, **changes: object) -> pd.DataFrame:
    return compare_runs(first, second, **({"samples": 400, "seed": 1} | changes))[0]


def test_each_arm_with_itself() -> None:
    a = [1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]
    b = [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    first, second = run({"orpo": a, "rag": b}), run({"orpo": b, "rag": b, "dpo": a})
    found = compared(first, second).set_index(["arm", "metric"])
    row = found.loc["orpo", "top1"]
    assert row["difference"] == pytest.approx(np.mean(a) - np.mean(b)) and row["n"] == 8
    assert row["ci_low"] <= row["difference"] <= row["ci_high"]
    assert found.loc["rag", "top1"]["difference"] == 0 and found.loc["rag", "top1"]["p_value"] == 1
    assert set(found.index.get_level_values("arm")) == {"orpo", "rag"}
    back = compared(second, first).set_index(["arm", "metric"])
    assert back.loc["orpo", "top1"]["difference"] == pytest.approx(-row["difference"])


def test_seeds_are_put_together() -> None:
    first = run({"orpo": [1.0, 0.0, 1.0, 0.0], "orpo.seed7": [0.0, 0.0, 1.0, 1.0]})
    found = compared(first, run({"orpo": [0.0, 0.0, 0.0, 0.0]}))
    assert found.set_index("metric").loc["top1", "difference"] == pytest.approx(0.5)


def test_cases_of_one_run_are_left_out_and_counted() -> None:
    first, second = run({"orpo": [1.0, 0.0, 1.0, 1.0]}), run({"orpo": [1.0, 0.0]})
    found, alone = compare_runs(first, second, samples=100, seed=1)
    assert alone == 2 and set(found["n"]) == {2}


@pytest.mark.parametrize("field", ["publication", "disease_id", "split"])
def test_a_case_that_is_not_the_same(field: str) -> None:
    first, second = run({"orpo": [1.0, 0.0]}), run({"orpo": [1.0, 0.0]})
    second.loc[0, field] = "test_unseen" if field == "split" else "another"
    with pytest.raises(InputError, match=field):
        compared(first, second)


def test_what_cannot_be_compared() -> None:
    first = run({"orpo": [1.0, 0.0]})
    with pytest.raises(InputError, match="dpo"):
        compared(first, first, arms=["dpo"])
    with pytest.raises(InputError, match="no test case"):
        compared(first, first.assign(case_id=first["case_id"] + "x"))
    with pytest.raises(InputError, match="the second table is no per_case"):
        compared(first, first.drop(columns="arm"))
    with pytest.raises(InputError, match="two tracks"):
        compared(first, first.rename(columns={"publication": "patient_id"}))


def test_program(root: Path, tmp_path: Path) -> None:
    io.write_parquet(run({"orpo": [1.0, 0.0, 1.0]}), tmp_path / "a.parquet")
    io.write_parquet(run({"orpo": [0.0, 0.0, 1.0]}), tmp_path / "b.parquet")
    command = [sys.executable, str(root / "workflow/scripts/compare_runs.py"), "a.parquet", "b.parquet"]
    done = subprocess.run([*command, "--output", "c.csv"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "0.333" in done.stdout
    assert set(pd.read_csv(tmp_path / "c.csv")["metric"]) == {"top1", "top1_macro"}
