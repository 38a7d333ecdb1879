"""The workflow on a real Slurm through its own profile, checked by the job records."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from pathlib import Path

import pytest
import slurm
from long_training import PROFILE

import workflow_tools
from workflow_tools import place, snakemake

pytest_plugins = ["cluster_fixtures"]

HERE = Path(__file__).resolve().parent
SMOKE = ("--configfile", "config/smoke.yaml", str(HERE / "gpus.yaml"))
GPU_RULES = {
    *("train_student", "generate_answers", "rank_candidates"),
    *("train_tile_teacher", "align_student", "train_vision_student", "answer_tiles", "rank_tissues"),
}


def planned(output: str) -> Counter[str]:
    """Rules and their numbers of jobs from the table that a dry run prints."""
    table = output.partition("Job stats:")[2].partition("total")[0]
    return Counter({name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", table, re.M)})


@pytest.fixture(scope="module")
def finished(
    cluster: slurm.Cluster, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Counter[str], list[slurm.Job]]:
    """A working folder in which the smoke run has ended, its plan, and its job records."""
    folder = place(tmp_path_factory.mktemp("slurm"))
    plan = planned(snakemake(folder, *PROFILE, *SMOKE, "-n").stdout)
    before = {job.job_id for job in cluster.jobs()}
    snakemake(folder, *PROFILE, *SMOKE, timeout=2400)
    return folder, plan, [job for job in cluster.jobs() if job.job_id not in before]


def test_every_rule_ran_as_a_job_and_none_on_the_head(
    finished: tuple[Path, Counter[str], list[slurm.Job]],
) -> None:
    folder, plan, jobs = finished
    del plan["all"]  # no command of its own
    assert Counter(job.rule for job in jobs) == plan
    assert {job.state for job in jobs} == {"COMPLETED"}
    assert (folder / "results/smoke/report.html").stat().st_size > 10_000


def test_gpu_rules_asked_for_a_gpu_and_got_it(
    finished: tuple[Path, Counter[str], list[slurm.Job]],
) -> None:
    _, _, jobs = finished
    assert {job.rule for job in jobs if job.gpus} == GPU_RULES
    assert {job.gpus for job in jobs} == {0, 1}


def test_memory_threads_and_time_are_those_of_the_rule(
    finished: tuple[Path, Counter[str], list[slurm.Job]],
) -> None:
    of_rule = {job.rule: job for job in finished[2]}
    assert of_rule["train_student"].cpus == 2 and of_rule["split_cohort"].cpus == 1
    assert of_rule["train_student"].memory_mb == 8000
    assert of_rule["split_cohort"].memory_mb < 4000


def test_a_second_call_submits_nothing(
    cluster: slurm.Cluster, finished: tuple[Path, Counter[str], list[slurm.Job]]
) -> None:
    before = len(cluster.jobs())
    assert "Nothing to be done" in snakemake(finished[0], *PROFILE, *SMOKE).stdout
    assert len(cluster.jobs()) == before


def test_the_table_of_what_jobs_used(finished: tuple[Path, Counter[str], list[slurm.Job]]) -> None:
    (table,) = (finished[0] / "logs/slurm").glob("efficiency_report_*.csv")
    with open(table, encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {slurm.rule_of(row["RuleName"]) for row in rows} >= GPU_RULES
    assert any(float(row["MaxRSS_MB"]) > 100 and row["RequestedMem_MB"] for row in rows)


def test_without_accounting_the_queue_is_asked(
    cluster: slurm.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, target = place(tmp_path / "work"), "results/smoke/rare/cohort/raw/cases.parquet"
    broken = tmp_path / "bin/sacct"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho accounting is off >&2\nexit 1\n")
    broken.chmod(0o755)
    before = {job.job_id for job in cluster.jobs()}
    with monkeypatch.context() as patch:
        path = f"{broken.parent}{os.pathsep}{workflow_tools.ENVIRONMENT['PATH']}"
        patch.setitem(workflow_tools.ENVIRONMENT, "PATH", path)
        asked = ("--slurm-status-command", "squeue")
        snakemake(folder, target, *PROFILE, *SMOKE, *asked, "--config", "tracks=[rare]")
    assert (folder / target).exists()
    jobs = [job for job in cluster.jobs() if job.job_id not in before]
    assert "read_cohort" in {job.rule for job in jobs} and {job.state for job in jobs} == {"COMPLETED"}
