"""Training by two processes on two nodes, started by the launcher that docs/deployment.md names."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import slurm
from long_training import PROFILE

from workflow_tools import ROOT, place, snakemake

pytest_plugins = ["cluster_fixtures"]

RARE = "results/{}/rare"
CONFIGURATION = """\
run: {run}
tracks: [rare]
rare:
  student:
    gpus: {gpus}
    launcher: {launcher}
    lora: {{dropout: 0}}
    training:
      {{batch_size: {batch}, gradient_accumulation: 1, max_steps: 4, log_steps: 1, eval_steps: 2,
       save_steps: 2}}
"""


def documented() -> tuple[str, list[str]]:
    """The launcher for two nodes and the resources to ask for, one process a node in place of four."""
    text = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
    launcher = re.search(r"^\| two nodes of four GPUs \| `(.+)` \|$", text, flags=re.M)
    resources = re.search(r"--set-resources ((?:train_student:\w+=\w+ ?)+)", text)
    assert launcher and resources
    return launcher[1].replace("--nproc_per_node 4", "--nproc_per_node 1"), resources[1].split()


def configure(folder: Path, run: str, batch: int, launcher: str, gpus: int) -> tuple[str, ...]:
    path = folder / f"{run}.yaml"
    path.write_text(
        CONFIGURATION.format(run=run, batch=batch, launcher=json.dumps(launcher), gpus=gpus),
        encoding="utf-8",
    )
    return ("--configfile", "config/smoke.yaml", str(path))


@pytest.fixture(scope="module")
def alone(cluster: slurm.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one process has trained, four pairs a step."""
    folder = place(tmp_path_factory.mktemp("nodes"))
    arguments = configure(folder, "alone", 4, "python", 0)
    snakemake(folder, RARE.format("alone") + "/student/orpo/training.json", "--cores", "2", *arguments)
    cluster.start_node(slurm.SECOND)
    return folder


@pytest.mark.parametrize("gpus", [0, 2])
def test_two_nodes_learn_what_one_process_does(cluster: slurm.Cluster, alone: Path, gpus: int) -> None:
    run = f"pair{gpus}"
    launcher, resources = documented()
    arguments = configure(alone, run, 2, launcher, gpus)
    target = RARE.format(run) + "/student/orpo/training.json"
    snakemake(alone, target, "--cores", "2", *arguments, "--until", "build_preferences")
    before = {job.job_id for job in cluster.jobs()}
    resources = [*resources, "train_student:slurm_partition=pair"]
    snakemake(alone, target, *PROFILE, *arguments, "--set-resources", *resources)
    (job,) = [job for job in cluster.jobs() if job.job_id not in before]
    assert job.rule == "train_student" and job.state == "COMPLETED"
    assert job.tres["node"] == "2" and job.gpus == gpus
    as_one_process(alone, run)


def test_accelerate_starts_two_processes(alone: Path) -> None:
    """As docs/deployment.md has it for GPUs; the processes find none and meet on the CPU."""
    launcher = "accelerate launch --multi_gpu --num_processes 4"
    assert f"`{launcher}`" in (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
    arguments = configure(alone, "accelerated", 2, launcher.replace("4", "2"), 0)
    snakemake(alone, RARE.format("accelerated") + "/student/orpo/training.json", "--cores", "2", *arguments)
    as_one_process(alone, "accelerated")


def as_one_process(folder: Path, run: str) -> None:
    summary = json.loads((folder / RARE.format(run) / "student/orpo/training.json").read_text())
    assert summary["processes"] == 2 and summary["pairs_per_step"] == 4
    pairs = list(zip(events(folder, "alone"), events(folder, run), strict=True))
    assert len(pairs) >= 4
    for mine, theirs in pairs:
        for name in ("loss", "eval_loss", "rewards/margins", "eval_logps/chosen", "tokens"):
            if name in mine:
                assert mine[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-6), name


def events(folder: Path, run: str) -> list[dict]:
    lines = (folder / RARE.format(run) / "student/orpo/log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
