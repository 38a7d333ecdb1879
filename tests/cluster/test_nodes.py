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

TRAINED = "results/nodes/rare/student/{}/training.json"
CONFIGURATION = """\
run: nodes
tracks: [rare]
rare:
  student:
    lora: {{dropout: 0}}
    training:
      {{batch_size: 4, gradient_accumulation: 1, max_steps: 4, log_steps: 1, eval_steps: 2, save_steps: 2}}
  variants:
    pair: {{arm: orpo, student: {{launcher: {nodes}, gpus: 0, training: {{batch_size: 2}}}}}}
    pair-gpus: {{arm: orpo, student: {{launcher: {nodes}, gpus: 2, training: {{batch_size: 2}}}}}}
    accelerated: {{arm: orpo, student: {{launcher: {accelerate}, training: {{batch_size: 2}}}}}}
"""
SETTINGS = ("--configfile", "config/smoke.yaml", "nodes.yaml")
ACCELERATE = "accelerate launch --multi_gpu --num_processes 4"


def documented() -> tuple[str, list[str]]:
    """The launcher for two nodes and the resources to ask for, one process a node in place of four."""
    text = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
    launcher = re.search(r"^\| two nodes of four GPUs \| `(.+)` \|$", text, flags=re.M)
    resources = re.search(r"--set-resources ((?:train_student:\w+=\w+ ?)+)", text)
    assert launcher and resources
    return launcher[1].replace("--nproc_per_node 4", "--nproc_per_node 1"), resources[1].split()


@pytest.fixture(scope="module")
def alone(cluster: slurm.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one process has trained, four pairs a step."""
    folder = place(tmp_path_factory.mktemp("nodes"))
    launchers = {"nodes": json.dumps(documented()[0]), "accelerate": json.dumps(ACCELERATE.replace("4", "2"))}
    (folder / "nodes.yaml").write_text(CONFIGURATION.format(**launchers), encoding="utf-8")
    snakemake(folder, TRAINED.format("orpo"), "--cores", "2", *SETTINGS)
    cluster.start_node(slurm.SECOND)
    return folder


@pytest.mark.parametrize(("arm", "gpus"), [("pair", 0), ("pair-gpus", 2)])
def test_two_nodes_learn_what_one_process_does(
    cluster: slurm.Cluster, alone: Path, arm: str, gpus: int
) -> None:
    before = {job.job_id for job in cluster.jobs()}
    resources = [*documented()[1], "train_student:slurm_partition=pair"]
    snakemake(alone, TRAINED.format(arm), *PROFILE, *SETTINGS, "--set-resources", *resources)
    (job,) = [job for job in cluster.jobs() if job.job_id not in before]
    assert job.rule == "train_student" and job.state == "COMPLETED"
    assert job.tres["node"] == "2" and job.gpus == gpus
    as_one_process(alone, arm)


def test_accelerate_starts_two_processes(alone: Path) -> None:
    """As docs/deployment.md has it for GPUs; the processes find none and meet on the CPU."""
    assert f"`{ACCELERATE}`" in (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
    snakemake(alone, TRAINED.format("accelerated"), "--cores", "2", *SETTINGS)
    as_one_process(alone, "accelerated")


def as_one_process(folder: Path, arm: str) -> None:
    summary = json.loads((folder / TRAINED.format(arm)).read_text())
    assert summary["processes"] == 2 and summary["pairs_per_step"] == 4
    pairs = list(zip(events(folder, "orpo"), events(folder, arm), strict=True))
    assert len(pairs) >= 4
    for mine, theirs in pairs:
        for name in ("loss", "eval_loss", "rewards/margins", "eval_logps/chosen", "tokens"):
            if name in mine:
                assert mine[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-6), name


def events(folder: Path, arm: str) -> list[dict]:
    lines = (folder / TRAINED.format(arm)).with_name("log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
