from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

from mintflow.io import read_parquet, write_json, write_parquet
from ranking_material import DISEASES, SETTINGS, cohort, evidence, hpoa, terms


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("ranking")
    patients = cohort()
    known = evidence(patients)
    candidates = pd.DataFrame({"disease_id": DISEASES, "genes": [[f"GENE{d}"] for d in range(4)] + [[]]})
    tables = {
        "cases": patients.cases,
        "phenotypes": patients.phenotypes,
        "genotypes": patients.genotypes,
        "terms": terms(),
        "hpoa": hpoa(),
        "candidates": candidates,
        "profiles": known.profiles,
        "ic": known.information_content,
    }
    for name, table in tables.items():
        write_parquet(table, folder / f"{name}.parquet")
    write_json({"controlled": True}, folder / "leakage.json")
    paths = {name: str(folder / f"{name}.parquet") for name in tables}
    return {**paths, "leakage": str(folder / "leakage.json")}


def call(root, script: str, inputs: dict[str, str], output, *more: str) -> subprocess.CompletedProcess[str]:
    flags = [part for name, path in inputs.items() for part in (f"--{name}", path)]
    outputs = [
        "--output-scores",
        str(output / "scores.parquet"),
        "--output-summary",
        str(output / "log.json"),
    ]
    command = [sys.executable, str(root / "workflow" / "scripts" / script), *flags, *outputs, *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def checked(root, script, inputs, output, *more) -> tuple[pd.DataFrame, dict]:
    done = call(root, script, inputs, output, *more)
    assert done.returncode == 0, done.stderr
    table = read_parquet(output / "scores.parquet")
    assert list(table) == ["case_id", "disease_id", "score", "rank"]
    assert len(table) == 90 * 5
    return table, json.loads((output / "log.json").read_text(encoding="utf-8"))


def test_train_teacher_is_reproducible(root, inputs, tmp_path):
    written = []
    for name in ("one", "two"):
        flags = ("--settings", json.dumps(SETTINGS), "--modalities", "phenotype")
        _, log = checked(root, "train_teacher.py", inputs, tmp_path / name, *flags)
        written.append([(tmp_path / name / file).read_bytes() for file in ("scores.parquet", "log.json")])
    assert log["modalities"] == ["phenotype"]
    assert written[0] == written[1]


def test_other_kinds_of_teacher(root, inputs, tmp_path):
    flags = ("--settings", json.dumps({**SETTINGS, "kind": "likelihood-ratio"}))
    table, _ = checked(root, "train_teacher.py", inputs, tmp_path, *flags)
    made = tmp_path / "elsewhere.tsv"
    table.drop(columns="rank").to_csv(made, sep="\t", index=False)
    flags = ("--settings", json.dumps({**SETTINGS, "kind": "scores", "scores": str(made)}))
    again, log = checked(root, "train_teacher.py", inputs, tmp_path / "again", *flags)
    assert again["rank"].tolist() == table["rank"].tolist()
    assert log["kind"] == "scores"


def test_yardstick(root, inputs, tmp_path):
    flags = ("--arm", "gene-lookup", "--seed", "1")
    table, log = checked(root, "score_yardstick.py", inputs, tmp_path, *flags)
    assert log["arm"] == "gene-lookup"
    assert table.groupby("case_id")["rank"].max().eq(5).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "scores"}, "rare.teacher.scores"),
        ({"dims": 3}, "unknown dims"),
        ({"modalities": ["image"]}, "rare.cohort.image_embeddings"),
        ({"kind": "oracle"}, "rare.teacher.kind"),
    ],
)
def test_wrong_settings_are_named(root, inputs, tmp_path, changes, message):
    done = call(root, "train_teacher.py", inputs, tmp_path, "--settings", json.dumps({**SETTINGS, **changes}))
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "scores.parquet").exists()


def test_benchmark_prints_time_and_memory(root, inputs):
    script = root / "workflow" / "scripts" / "benchmark_ranking.py"
    flags = [part for name in ("phenotypes", "terms", "hpoa") for part in (f"--{name}", inputs[name])]
    done = subprocess.run([sys.executable, str(script), *flags], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert (found["patients"], found["diseases"]) == (90, 5)
    assert found["peak_mb"] > 0
