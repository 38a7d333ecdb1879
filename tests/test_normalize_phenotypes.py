from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd

from mini_ontology import FINGER, HAND, LIMB, terms
from mintflow import io


def run(root: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    inputs = {"--cases": "cases.parquet", "--phenotypes": "raw.parquet", "--terms": "terms.parquet"}
    outputs = {
        "--output-phenotypes": "phenotypes.parquet",
        "--output-changes": "changes.tsv",
        "--output-quarantine": "quarantine.tsv",
    }
    flags = [text for flag, name in (inputs | outputs).items() for text in (flag, str(folder / name))]
    script = root / "workflow" / "scripts" / "normalize_phenotypes.py"
    return subprocess.run([sys.executable, str(script), *flags], capture_output=True, text=True, check=False)


def prepare(folder: Path, case_id: str = "case-1") -> None:
    io.write_parquet(terms(), folder / "terms.parquet")
    cases = pd.DataFrame({"case_id": ["case-1"], "source_file": ["a/one.json"]})
    io.write_parquet(cases, folder / "cases.parquet")
    rows = [(case_id, LIMB, False), (case_id, FINGER, False), (case_id, "HP:7777777", True)]
    rows.append((case_id, "HP:0000911", True))
    raw = pd.DataFrame(rows, columns=["case_id", "hpo_id", "excluded"])
    io.write_parquet(raw, folder / "raw.parquet")


def test_files_and_same_bytes(root: Path, tmp_path: Path) -> None:
    prepare(tmp_path)
    names = ["phenotypes.parquet", "changes.tsv", "quarantine.tsv"]
    assert run(root, tmp_path).returncode == 0
    before = [(tmp_path / name).read_bytes() for name in names]
    assert run(root, tmp_path).returncode == 0
    assert [(tmp_path / name).read_bytes() for name in names] == before
    kept = io.read_parquet(tmp_path / "phenotypes.parquet")
    assert kept[["case_id", "hpo_id", "excluded"]].to_numpy().tolist() == [["case-1", FINGER, False]]
    changes = pd.read_csv(tmp_path / "changes.tsv", sep="\t", keep_default_na=False)
    assert changes[["action", "hpo_id", "new_hpo_id"]].to_numpy().tolist() == [
        ["mapped_alt", "HP:0000911", HAND],
        ["quarantined_unknown", "HP:7777777", ""],
        ["dropped_ancestor", LIMB, ""],
        ["dropped_contradiction", HAND, ""],
    ]
    quarantine = pd.read_csv(tmp_path / "quarantine.tsv", sep="\t")
    assert quarantine.loc[0, ["file", "record", "value"]].tolist() == ["a/one.json", "case-1", "HP:7777777"]


def test_phenotypes_of_an_unknown_case(root: Path, tmp_path: Path) -> None:
    prepare(tmp_path, "case-2")
    result = run(root, tmp_path)
    assert result.returncode == 2
    assert "raw.parquet" in result.stderr and "case-2" in result.stderr
    assert "Traceback" not in result.stderr
