"""Training that is stopped from outside goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import slurm
from long_training import (
    SAVE,
    STEPS,
    TRAINED,
    assert_same,
    ended,
    prepare,
    saved,
    submit,
    summary,
    train_here,
)

pytest_plugins = ["cluster_fixtures"]


@pytest.fixture
def states(cluster: slurm.Cluster) -> Callable[[], list[str]]:
    """States of the trainings since the test began, those too that a requeue has overwritten."""
    before = {job.job_id for job in cluster.jobs()}

    def found() -> list[str]:
        records = slurm.run(
            *("sacct", "-a", "-X", "--duplicates", "--starttime=now-1days", "--noheader", "-P"),
            *("-o", "jobid,partition,state"),
        )
        rows = [line.split("|") for line in records.splitlines()]
        return [state for job, partition, state in rows if job not in before and partition == "main"]

    return found


def test_preempted_it_saves_and_the_requeued_job_goes_on(
    cluster: slurm.Cluster, uninterrupted: Path, tmp_path: Path, states: Callable[[], list[str]]
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
    assert 0 < step < STEPS and step % SAVE, step


def test_out_of_time_it_saves_and_the_next_attempt_goes_on(
    cluster: slurm.Cluster,
    uninterrupted: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    states: Callable[[], list[str]],
) -> None:
    folder = prepare(tmp_path, uninterrupted)
    # too long for a minute
    steps = int(STEPS * max(1.0, 90 / summary(uninterrupted)["training_seconds"]))
    ended(submit(folder, "--set-resources", "train_student:runtime=attempt", steps=steps))
    slurm.wait_for(lambda: "COMPLETED" in states(), "the job records", cluster)
    assert sorted(set(states())) == ["COMPLETED", "TIMEOUT"]
    found = summary(folder)
    assert found["steps"] == steps and 0 < found["resumed_from_step"] < steps
    assert found["resumed_from_step"] % SAVE, "only a checkpoint that was due anyway"
    whole = prepare(tmp_path_factory.mktemp("unhurried"), uninterrupted)
    train_here(whole, steps)
    assert summary(whole)["resumed_from_step"] == 0
    assert_same(folder, whole)


def test_over_its_memory_it_is_retried_with_more(
    cluster: slurm.Cluster, uninterrupted: Path, tmp_path: Path
) -> None:
    folder = prepare(tmp_path, uninterrupted)
    before = {job.job_id for job in cluster.jobs()}
    ended(submit(folder, "--set-resources", "train_student:mem_mb=150 * 8 ** (attempt - 1)"))
    assert_same(folder, uninterrupted)

    def attempts() -> list[slurm.Job]:
        return sorted(
            (job for job in cluster.jobs() if job.job_id not in before), key=lambda job: int(job.job_id)
        )

    slurm.wait_for(lambda: "COMPLETED" in [job.state for job in attempts()], "the job records", cluster)
    *killed, last = attempts()
    assert killed and last.state == "COMPLETED"
    assert [job.memory_mb for job in (*killed, last)] == [150 * 8**n for n in range(len(killed) + 1)]
    for job in killed:  # FAILED where the step was killed and the batch script ended by itself
        assert job.state in ("FAILED", "OUT_OF_MEMORY")
        (log,) = (folder / "logs/slurm").rglob(f"{job.job_id}.log")
        assert "Exceeded job memory limit" in log.read_text()


def test_a_node_that_disappears(
    cluster: slurm.Cluster, uninterrupted: Path, tmp_path: Path, states: Callable[[], list[str]]
) -> None:
    folder = prepare(tmp_path, uninterrupted)
    head = submit(folder)
    slurm.wait_for(lambda: saved(folder), "the first checkpoint", cluster, 300)
    cluster.lose_node()
    slurm.wait_for(lambda: cluster.node_state() in ("down", "drained"), "the loss of the node", cluster, 120)
    assert not (folder / TRAINED / "adapter").exists()
    time.sleep(3)
    cluster.start_node()
    ended(head)
    assert {"NODE_FAIL", "REQUEUED"} & set(states()), states()
    assert_same(folder, uninterrupted)
    assert summary(folder)["resumed_from_step"] > 0
