"""The whole DAG on config/smoke.yaml: its products, a second call, and a run that is killed everywhere."""

from __future__ import annotations

import csv
import os
import re
import stat
import sys
import time
from pathlib import Path

import pytest

import workflow_tools
from workflow_tools import place, snakemake

SMOKE = ("--configfile", "config/smoke.yaml")
ARMS = {
    "base",
    "orpo",
    "orpo-blank",
    "orpo-shuffled",
    "teacher",
    "teacher-phenotype",
    "similarity",
    "likelihood-ratio",
    "gene-lookup",
    "prior",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A working folder in which the smoke run has ended, and the seconds it took."""
    folder = place(tmp_path_factory.mktemp("smoke"))
    started = time.monotonic()
    snakemake(folder, "--cores", "2", *SMOKE, timeout=600)
    return folder, time.monotonic() - started


def _metrics(folder: Path, run: str) -> list[dict[str, str]]:
    with open(folder / f"results/{run}/rare/metrics.csv", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def test_under_four_minutes(finished: tuple[Path, float]) -> None:
    assert finished[1] < 240, f"the smoke run took {finished[1]:.0f} s"


def test_metrics_of_every_arm(finished: tuple[Path, float]) -> None:
    rows = _metrics(finished[0], "smoke")
    assert list(rows[0]) == ["arm", "metric", "value", "ci_low", "ci_high", "n"]
    assert {row["arm"] for row in rows} == ARMS
    for row in rows:
        if row["value"] and row["ci_low"]:
            low, value, high = (float(row[name]) for name in ("ci_low", "value", "ci_high"))
            assert low - 1e-9 <= value <= high + 1e-9, row
        assert int(row["n"]) > 0, row
    top1 = {row["arm"]: float(row["value"]) for row in rows if row["metric"] == "top1"}
    # the teacher learns even at this size; an untrained student of 2 layers names nothing
    assert top1["teacher"] > top1["prior"]
    assert top1["base"] == 0.0


def test_report_is_one_offline_page_without_secrets(finished: tuple[Path, float]) -> None:
    page = (finished[0] / "results/smoke/report.html").read_text(encoding="utf-8")
    assert "simulated" in page.lower()
    assert not re.search(r'(src|href)="https?://[^"]+\.(js|css|png|svg|woff2?)"', page)
    assert "<script src" not in page
    assert str(finished[0]) not in page
    assert str(Path.home()) not in page


def test_no_absolute_path_in_cards_and_summaries(finished: tuple[Path, float]) -> None:
    results = finished[0] / "results/smoke"
    texts = [p for p in results.rglob("*") if p.suffix in (".md", ".json", ".jsonl", ".csv", ".tsv")]
    texts = [p for p in texts if "checkpoints" not in p.parts]
    assert len(texts) > 10
    for path in texts:
        content = path.read_text(encoding="utf-8")
        assert str(finished[0]) not in content, path
        assert str(workflow_tools.ROOT) not in content, path


def test_second_call_has_nothing_to_do(finished: tuple[Path, float]) -> None:
    output = snakemake(finished[0], "--cores", "2", *SMOKE).stdout
    assert "Nothing to be done" in output


def test_snakemake_report_builds(finished: tuple[Path, float]) -> None:
    snakemake(finished[0], "--report", "report.zip", *SMOKE)
    assert (finished[0] / "report.zip").stat().st_size > 10_000


def test_changing_one_key_reruns_only_what_depends_on_it(finished: tuple[Path, float]) -> None:
    change = finished[0] / "change.yaml"
    change.write_text("rare: {evaluation: {bootstrap_samples: 300}}\n")
    output = snakemake(finished[0], "-n", *SMOKE, str(change)).stdout
    rules = set(re.findall(r"^rule (\w+):", output, flags=re.M))
    assert "evaluate_arms" in rules
    assert not rules & {
        "train_student",
        "generate_answers",
        "train_teacher",
        "read_cohort",
        "build_preferences",
    }


KILLER = """\
#!/bin/sh
# Runs python; the first call of each script with each output is killed -9 while it works.
case "$1" in
  *workflow/scripts/*.py) ;;
  *) exec {python} "$@" ;;
esac
mark="{marks}/$(echo "$@" | cksum | cut -d' ' -f1)"
if [ -e "$mark" ]; then exec {python} "$@"; fi
echo "$1" > "$mark"
{python} "$@" &
child=$!
sleep "$(awk -v s="$(basename "$mark")" 'BEGIN {{ print 0.4 + (s % 30) / 10 }}')"
kill -9 $child 2>/dev/null && echo "$1" >> {marks}/killed.txt
wait $child
"""


def test_killed_in_every_rule_it_still_ends_with_the_same_bytes(
    finished: tuple[Path, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 in rule after rule of a fresh folder; each next call goes on; the same bytes result."""
    first, again = finished[0], place(tmp_path / "again")
    bin_folder, marks = tmp_path / "bin", tmp_path / "marks"
    bin_folder.mkdir()
    marks.mkdir()
    python = bin_folder / "python"
    python.write_text(KILLER.format(python=sys.executable, marks=marks))
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    path = f"{bin_folder}{os.pathsep}{workflow_tools.ENVIRONMENT['PATH']}"
    monkeypatch.setitem(workflow_tools.ENVIRONMENT, "PATH", path)

    for _ in range(40):
        done = snakemake(again, "--cores", "2", "--keep-going", "--quiet", "all", *SMOKE, check=False)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stdout
    killed = {Path(line).name for line in (marks / "killed.txt").read_text().split()}
    assert {"compile_knowledge.py", "train_student.py", "train_teacher.py"} <= killed, killed

    same = ["preferences/train.parquet", "preferences/validation.parquet", "metrics.csv", "comparisons.csv"]
    for name in (*same, "student/orpo/adapter/adapter_model.safetensors"):
        one, other = (folder / "results/smoke/rare" / name for folder in (first, again))
        assert one.read_bytes() == other.read_bytes(), f"{name} differs after kills"
    assert not list((again / "results").rglob("*.part"))
