"""One job at a time in each of several processes; a job that hangs or kills its process harms no other.

A native library that reads a damaged file may loop for ever or crash. A thread cannot be stopped, a process
can.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

Job = TypeVar("Job")

_START_SECONDS = 300  # a worker that has not begun by then never will


@dataclass(frozen=True)
class Outcome(Generic[Job]):
    """How a job ended: with a ``value``, or with a ``failure`` (timeout, died, error) and its ``detail``."""

    job: Job
    value: Any = None
    failure: str | None = None
    detail: str = ""


def _work(connection: Connection, task: Callable[[Any], Any], prepare: Callable[[], None] | None) -> None:
    """Do one job after the other until the connection ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()  # nobody is left to take the result
    if prepare:
        prepare()
    connection.send((True, None))
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        try:
            result = (True, task(job))
        except Exception:
            result = (False, traceback.format_exc())
        connection.send(result)


class _Worker:
    """A process, the job it does, and until when."""

    def __init__(self, task: Callable[[Any], Any], prepare: Callable[[], None] | None) -> None:
        context = multiprocessing.get_context("spawn")  # no handle, lock or thread of ours gets into it
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, task, prepare), daemon=True)
        self.process.start()
        theirs.close()
        self.index: int | None = None
        self.ready = False
        self.deadline = time.monotonic() + _START_SECONDS

    def give(self, index: int, job: Any, timeout: float) -> None:
        """Begin a job; its time runs from now."""
        self.index, self.deadline = index, time.monotonic() + timeout
        with contextlib.suppress(BrokenPipeError):  # it died idle: noticed when its answer is awaited
            self.connection.send(job)

    def stop(self) -> int | None:
        """Kill it; its exit code."""
        self.process.kill()
        self.process.join()
        self.connection.close()
        return self.process.exitcode


def run_jobs(
    task: Callable[[Job], Any],
    jobs: Sequence[Job],
    *,
    workers: int,
    timeout: float,
    prepare: Callable[[], None] | None = None,
) -> Iterator[Outcome[Job]]:
    """Do every job; yields outcomes as they come.

    Args:
        task: a function of a module, called in another process.
        jobs: what it is called with, in this order.
        workers: processes at most.
        timeout: seconds after which the process of a job is killed.
        prepare: called once in each process before its first job, outside of the job's time; imports.

    Raises:
        RuntimeError: processes cannot be started at all.
    """
    waiting = list(enumerate(jobs))[::-1]
    active: list[_Worker] = []
    try:
        while waiting or any(worker.index is not None for worker in active):
            busy = sum(worker.index is not None for worker in active)
            while len(active) < min(workers, busy + len(waiting)):
                active.append(_Worker(task, prepare))
            now = time.monotonic()
            watched = [worker for worker in active if worker.index is not None or not worker.ready]
            patience = max(0.0, min(worker.deadline for worker in watched) - now)
            heard = wait([worker.connection for worker in watched], patience)
            for worker in watched:
                outcome = None
                if worker.connection in heard:
                    outcome = _listen(worker, jobs)
                elif time.monotonic() >= worker.deadline:
                    outcome = _expired(worker, jobs, timeout)
                if outcome:
                    if outcome.failure in ("timeout", "died"):
                        active.remove(worker)
                    yield outcome
            for worker in active:
                if worker.ready and worker.index is None and waiting:
                    worker.give(*waiting.pop(), timeout)
    finally:
        for worker in active:
            worker.stop()


def _listen(worker: _Worker, jobs: Sequence[Job]) -> Outcome[Job] | None:
    try:
        good, value = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join(10)  # its own exit code, before ours would be there
        code = worker.stop()
        if worker.index is None:
            raise RuntimeError(f"a worker process ended before it began ({_ending(code)})") from None
        return Outcome(jobs[worker.index], None, "died", _ending(code))
    if not worker.ready:
        worker.ready = True
        return None
    index, worker.index = worker.index, None
    return Outcome(jobs[index], value) if good else Outcome(jobs[index], None, "error", value)


def _expired(worker: _Worker, jobs: Sequence[Job], timeout: float) -> Outcome[Job]:
    worker.stop()
    if worker.index is None:
        raise RuntimeError(f"a worker process did not begin within {_START_SECONDS} s")
    return Outcome(jobs[worker.index], None, "timeout", f"given up after {timeout:g} s")


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        hint = ", perhaps out of memory" if code == -9 else ""
        return f"killed by signal {-code}{hint}"
    return f"exit code {code}"
