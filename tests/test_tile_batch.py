"""Jobs in processes: one that hangs, crashes or fails harms no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mintflow.tile_batch import run_jobs


def task(job: tuple[str, int]) -> int:
    what, number = job
    if what == "hang":
        time.sleep(600)
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "exit":
        os._exit(3)
    if what == "fail":
        raise KeyError(number)
    return number * number


def test_one_bad_job_harms_no_other() -> None:
    jobs = [("good", 1), ("hang", 2), ("crash", 3), ("good", 4), ("fail", 5), ("exit", 6), ("good", 7)]
    started = time.monotonic()
    outcomes = {outcome.job[1]: outcome for outcome in run_jobs(task, jobs, workers=2, timeout=1.0)}
    assert time.monotonic() - started < 60
    assert sorted(outcomes) == [1, 2, 3, 4, 5, 6, 7]
    assert {n: o.value for n, o in outcomes.items() if not o.failure} == {1: 1, 4: 16, 7: 49}
    assert (outcomes[2].failure, outcomes[2].detail) == ("timeout", "given up after 1 s")
    assert (outcomes[3].failure, outcomes[3].detail) == ("died", "killed by signal 11")
    assert (outcomes[6].failure, outcomes[6].detail) == ("died", "exit code 3")
    assert outcomes[5].failure == "error"
    assert outcomes[5].detail.strip().endswith("KeyError: 5")


_prepared: list[str] = []


def slow_preparation() -> None:
    time.sleep(1.5)
    _prepared.append("yes")


def what_was_prepared(number: int) -> list[str]:
    return _prepared


def test_preparation_is_done_once_and_takes_no_time_from_the_job() -> None:
    outcomes = run_jobs(what_was_prepared, [1, 2], workers=1, timeout=1.0, prepare=slow_preparation)
    assert [outcome.value for outcome in outcomes] == [["yes"], ["yes"]]


def test_no_jobs_start_no_process() -> None:
    assert list(run_jobs(task, [], workers=2, timeout=1.0)) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_workers_end_with_the_program(tmp_path: Path) -> None:
    """After kill -9 of the program nothing goes on working."""
    script = tmp_path / "program.py"
    script.write_text(
        "import sys\n"
        f"sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}\n"
        "from test_tile_batch import pid_then_hang\n"
        "from mintflow.tile_batch import run_jobs\n"
        "if __name__ == '__main__':\n"
        f"    list(run_jobs(pid_then_hang, [{str(tmp_path / 'pid')!r}], workers=1, timeout=600))\n"
    )
    program = subprocess.Popen([sys.executable, str(script)])
    try:
        worker = _wait_for(tmp_path / "pid")
    finally:
        program.kill()
        program.wait()
    for _ in range(100):
        if not Path(f"/proc/{worker}").exists():
            return
        time.sleep(0.1)
    pytest.fail("the worker is still there")


def pid_then_hang(path: str) -> None:
    Path(path + ".new").write_text(str(os.getpid()))
    os.replace(path + ".new", path)
    time.sleep(600)


def _wait_for(path: Path) -> int:
    for _ in range(600):
        if path.exists():
            return int(path.read_text())
        time.sleep(0.1)
    raise AssertionError("no worker began")
