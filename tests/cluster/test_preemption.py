"""Training that is stopped from outside goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import slurm
from long_training import STEPS, assert_same, ended, prepare, saved, submit, summary

pytest_plugins = ["cluster_fixtures"]


def test_preempted_it_saves_and_the_requeued_job_goes_on(
    cluster: slurm.Cluster, uninterrupted: Path, tmp_path: Path
) -> None:
    folder = prepare(tmp_path, uninterrupted)
    head = submit(folder)
    slurm.wait_for(lambda: saved(folder), "the first checkpoint", cluster, 300)
    # a job of a partition that goes first wants the whole node
    slurm.run("sbatch", "--partition=urgent", "--exclusive", "--wait", "--output=/dev/null", "--wrap=sleep 1")
    # Slurm lets a requeued job wait two minutes
    slurm.wait_for(lambda: "PREEMPTED" in states(), "the preemption", cluster)
    for job in slurm.run("squeue", "--noheader", "--state=PENDING", "--format=%i").split():
        slurm.run("scontrol", "update", f"JobId={job}", "StartTime=now")
    ended(head)
    assert_same(folder, uninterrupted)
    step = summary(folder)["resumed_from_step"]
    # it saved when it was told to stop, not only where it would have anyway
    assert 0 < step < STEPS and step % 20, step


def test_out_of_time_it_saves_and_the_next_attempt_goes_on(
    cluster: slurm.Cluster, uninterrupted: Path, tmp_path: Path
) -> None:
    folder = prepare(tmp_path, uninterrupted)
    # too long for a minute
    steps = int(STEPS * max(1.0, 90 / summary(uninterrupted)["training_seconds"]))
    ended(submit(folder, "--set-resources", "train_student:runtime=attempt", steps=steps))
    assert "TIMEOUT" in states()
    found = summary(folder)
    assert found["steps"] == steps and 0 < found["resumed_from_step"] < steps
    assert found["resumed_from_step"] % 20, "only a checkpoint that was due anyway"


def test_over_its_memory_it_is_retried_with_more(
    cluster: slurm.Cluster, uninterrupted: Path, tmp_path: Path
) -> None:
    folder = prepare(tmp_path, uninterrupted)
    before = {job.job_id for job in cluster.jobs()}
    ended(submit(folder, "--set-resources", "train_student:mem_mb=150 * 8 ** (attempt - 1)"))
    assert_same(folder, uninterrupted)
    slurm.wait_for(lambda: len(states_of(cluster, before)) >= 2, "the job records", cluster)
    found = states_of(cluster, before)
    assert found[0][1] != "COMPLETED" and found[-1][1] == "COMPLETED", found
    assert found[0][0] < found[-1][0], found


def test_a_node_that_disappears(cluster: slurm.Cluster, uninterrupted: Path, tmp_path: Path) -> None:
    folder = prepare(tmp_path, uninterrupted)
    head = submit(folder)
    slurm.wait_for(lambda: saved(folder), "the first checkpoint", cluster, 300)
    cluster.lose_node()
    slurm.wait_for(lambda: cluster.node_state() in ("down", "drained"), "the loss of the node", cluster, 120)
    assert head.poll() is None or head.returncode == 0
    time.sleep(3)
    cluster.start_node()
    ended(head)
    assert "NODE_FAIL" in states() or "REQUEUED" in states()
    assert_same(folder, uninterrupted)
    assert summary(folder)["resumed_from_step"] > 0


def states() -> str:
    """States of all jobs of the last day, those too that a requeue has overwritten."""
    return subprocess.run(
        ["sacct", "-a", "-X", "--duplicates", "--starttime=now-1days", "--noheader", "-P", "-o", "state"],
        text=True,
        capture_output=True,
        check=True,
    ).stdout


def states_of(cluster: slurm.Cluster, before: set[str]) -> list[tuple[int, str]]:
    """Memory and state of the jobs that are not in ``before``, in order."""
    jobs = [job for job in cluster.jobs() if job.job_id not in before]
    return [(job.memory_mb, job.state) for job in sorted(jobs, key=lambda job: int(job.job_id))]
