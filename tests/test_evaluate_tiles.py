"""What evaluate_tiles refuses, and what becomes of tiles without a label."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import evaluate_tiles
import tissue_material
from mintflow import io
from mintflow.errors import InputError


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tissue")
    tissue_material.write(folder, root)
    return folder


def evaluate(
    made: Path,
    out: Path,
    *,
    scores: tuple[str, ...] = ("teacher", "prior"),
    answers: tuple[str, ...] = ("orpo",),
    lists: tuple[int, int] = (3, 2),
    **files: Path,
) -> None:
    options = {"car_lambda": 1.0, "comparisons": [], "bootstrap_unit": "patient"}
    options |= {"bootstrap_samples": 100, "seed": 1}
    settings = {"evaluation": options, "preferences": {"k": lists[0], "q": lists[1]}}
    arguments = ["--settings", json.dumps(settings)]
    arguments += ["--cases", str(files.get("cases", made / "cases.parquet"))]
    arguments += ["--labels", str(made / "labels.parquet")]
    arguments += ["--answers", *(f"{arm}={files.get(arm, made / f'{arm}.parquet')}" for arm in answers)]
    arguments += ["--scores", *(f"{arm}={files.get(arm, made / f'{arm}.parquet')}" for arm in scores)]
    for name in ("metrics", "comparisons", "confusion", "seeds", "per-case", "grounded"):
        arguments += [f"--output-{name}", str(out / name)]
    evaluate_tiles.main(evaluate_tiles.arguments().parse_args(arguments))


def test_tiles_without_a_label_are_listed_and_never_measured(made: Path, tmp_path: Path) -> None:
    evaluate(made, tmp_path)
    cases = io.read_parquet(made / "cases.parquet").set_index("case_id")["split"]
    grounded, per_case = io.read_parquet(tmp_path / "grounded"), io.read_parquet(tmp_path / "per-case")
    assert set(cases[grounded["case_id"]]) == {"test", "unlabelled"}
    assert set(cases[per_case["case_id"]]) == {"test"}
    metrics = pd.read_csv(tmp_path / "metrics")
    assert metrics.loc[metrics["metric"] == "top1", "n"].eq((cases == "test").sum()).all()


def test_names_are_grounded_exactly(made: Path, tmp_path: Path) -> None:
    table = io.read_parquet(made / "orpo.parquet")
    table["text"] = "1. ADIPOSE!\n2. adipose tissue\n3. muscles\n4. Adipose\n5. Nerve."
    io.write_parquet(table, tmp_path / "answers.parquet")
    evaluate(made, tmp_path, orpo=tmp_path / "answers.parquet")
    grounded = io.read_parquet(tmp_path / "grounded").groupby("case_id").head(5)
    found = grounded[grounded["case_id"] == grounded["case_id"].iloc[0]]["label_id"]
    assert [label if isinstance(label, str) else None for label in found] == [
        *("adipose", None, None, "adipose", "nerve")
    ]
    metrics = pd.read_csv(tmp_path / "metrics").query("arm == 'orpo'").set_index("metric")["value"]
    assert metrics["ungrounded"] == pytest.approx(2 / 5) and metrics["duplicates"] == pytest.approx(1 / 5)
    # the repeated name takes no place: the nerve stands fourth
    assert metrics["top1@adipose"] == 1 and metrics["top3"] == pytest.approx(1 / 6, 1e-4)
    assert metrics["top5"] == pytest.approx(2 / 6, 1e-4)


def test_bad_rankings_name_arm_file_and_tile(made: Path, tmp_path: Path) -> None:
    table = io.read_parquet(made / "teacher.parquet")
    case = io.read_parquet(made / "cases.parquet").query("split == 'test'")["case_id"].min()
    mine = table["case_id"] == case
    path = tmp_path / "broken.parquet"
    for broken, words in (
        (table[~mine], "arm teacher lacks 1 of 108 test tiles"),
        (table[~(mine & (table["label_id"] == "nerve"))], "nerve"),
        (table.assign(rank=table["rank"].mask(mine)), "lacks a rank"),
        (pd.concat([table, table[mine].head(1)]), "ranks a label twice"),
    ):
        io.write_parquet(broken, path)
        with pytest.raises(InputError, match=rf"broken\.parquet, record {case}: .*{words}"):
            evaluate(made, tmp_path, teacher=path)


def test_what_cannot_be_measured_is_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="need the arm teacher"):
        evaluate(made, tmp_path, scores=("prior",))
    with pytest.raises(InputError, match="both writes and scores"):
        evaluate(made, tmp_path, answers=("teacher",))
    with pytest.raises(InputError, match=r"tissue\.preferences\.k.*k \+ q = 7 exceeds the 6 labels"):
        evaluate(made, tmp_path, lists=(4, 3))
    cases = io.read_parquet(made / "cases.parquet")
    io.write_parquet(cases.assign(split="train"), tmp_path / "cases.parquet")
    with pytest.raises(InputError, match="no test tile"):
        evaluate(made, tmp_path, cases=tmp_path / "cases.parquet")
    io.write_parquet(cases.assign(label_id="heart"), tmp_path / "cases.parquet")
    with pytest.raises(InputError, match="outside the closed set"):
        evaluate(made, tmp_path, cases=tmp_path / "cases.parquet")
