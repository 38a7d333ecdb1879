"""Faults of machines and people, each shown to happen first.

After each, nothing finished is lost, nothing half-done is trusted, and the results are the same bytes. Faults
of a cluster (memory, a lost node, preemption) are in tests/cluster; kill -9 in every rule in
test_end_to_end.py; a NaN, an infinite gradient and a damaged checkpoint in test_trainer.py.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import workflow_tools
from workflow_tools import ENVIRONMENT, ROOT, phenopacket, place, snakemake, zip_of

pytestmark = pytest.mark.skipif(
    not os.environ.get("MINTFLOW_FAULTS"), reason="breaks things for minutes: make test-faults"
)

# the rare track alone: what breaks is shared by both
SMOKE = ("--cores", "2", "--configfile", "config/smoke.yaml", "--config", "tracks=[rare]")
RARE = "results/smoke/rare"
RESULTS = (
    *("metrics.csv", "comparisons.csv", "preferences/train.parquet"),
    "student/orpo/adapter/adapter_model.safetensors",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which nothing went wrong."""
    folder = place(tmp_path_factory.mktemp("whole"))
    snakemake(folder, *SMOKE)
    return folder


def same_results(folder: Path, whole: Path) -> None:
    for name in RESULTS:
        assert (folder / RARE / name).read_bytes() == (whole / RARE / name).read_bytes(), name
    assert not list((folder / "results").rglob("*.part"))


def copied(whole: Path, folder: Path) -> Path:
    """Everything of the finished run, times included, in a folder as deep: code is named relatively."""
    place(folder)
    names = ("resources", "results", "benchmarks", "logs", ".snakemake")
    subprocess.run(["cp", "-a", *(str(whole / name) for name in names), str(folder)], check=True)
    return folder


def ran(output: str) -> set[str]:
    """Rules that were, or would be, run."""
    return set(re.findall(r"^(?:local)?rule (\w+):", output, flags=re.M))


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A memory file system of ``size`` on ``folder``."""
    folder.mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False)
    if done.returncode:
        pytest.skip("may not mount a small file system: needs root with CAP_SYS_ADMIN")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def kilobytes(folder: Path) -> int:
    """What a finished run takes on a disk."""
    names = ("resources", "results", "logs", "benchmarks", ".snakemake")
    sizes = subprocess.run(
        ["du", "-skc", *(folder / name for name in names)], capture_output=True, text=True, check=True
    )
    return int(sizes.stdout.split()[-2])


def test_a_full_disk(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    # less than what the finished run takes, so that it breaks while results are written
    with small_disk(folder, f"{kilobytes(whole) * 7 // 10}k"):
        place(folder)
        failed = snakemake(folder, *SMOKE, "--keep-going", check=False)
        assert failed.returncode != 0
        assert "No space left on device" in failed.stdout or "No space left on device" in _logs(folder)
        before = {
            path: path.stat().st_mtime_ns
            for path in (folder / "results").rglob("*")
            if path.suffix in (".parquet", ".safetensors") and "checkpoints" not in path.parts
        }
        assert len(before) > 5, "the disk was full before anything was made"
        for path in before:  # whole or not at all
            assert path.read_bytes() == (whole / path.relative_to(folder)).read_bytes(), path
        subprocess.run(["mount", "-o", "remount,size=2g", str(folder)], check=True)
        # whether it still had room to let go of its lock is chance
        snakemake(folder, "--unlock", *SMOKE)
        snakemake(folder, *SMOKE)
        same_results(folder, whole)
        kept = [path for path, changed in before.items() if path.stat().st_mtime_ns == changed]
        # of what ended as the disk was full, the record may not have been written
        assert len(kept) > len(before) / 2, "finished work was done again"


def _logs(folder: Path) -> str:
    return "\n".join(path.read_text(errors="replace") for path in (folder / "logs").rglob("*.log"))


def test_two_runs_at_once_in_one_folder(whole: Path, tmp_path: Path) -> None:
    folder = place(tmp_path / "shared")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *SMOKE]
    with open(tmp_path / "first.log", "w") as output:
        first = subprocess.Popen(
            command, cwd=folder, env=ENVIRONMENT, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        locks = folder / ".snakemake/locks"
        for _ in range(300):
            if locks.exists() and any(locks.iterdir()):
                break
            time.sleep(0.1)
        second = snakemake(folder, *SMOKE, check=False)
        assert first.poll() is None, "the first ended before the second began"
        assert second.returncode != 0 and "cannot be locked" in second.stdout
        assert not ran(second.stdout)
    finally:
        code = first.wait(600)
    assert code == 0, (tmp_path / "first.log").read_text()
    same_results(folder, whole)


def test_clocks_that_differ(whole: Path, tmp_path: Path) -> None:
    """Files of a machine whose clock is an hour ahead, or behind."""
    folder = copied(whole, tmp_path)
    now = time.time()
    ahead = [folder / RARE / name for name in ("cohort/cases.parquet", "teacher/teacher.parquet")]
    behind = [folder / RARE / name for name in ("preferences/train.parquet", "metrics.csv")]
    for path, when in [(path, now + 3600) for path in ahead] + [(path, now - 36000) for path in behind]:
        os.utime(path, (when, when))
    assert ahead[1].stat().st_mtime > behind[0].stat().st_mtime  # an input newer than what was made from it
    done = snakemake(folder, *SMOKE)
    same_results(folder, whole)
    assert "train_student" not in ran(done.stdout), "content decides about small files, not time"
    large = folder / "resources/hpo/hpoa.parquet"
    assert large.stat().st_size > 1 << 20
    os.utime(large, (now + 3600, now + 3600))
    refused = snakemake(folder, *SMOKE, check=False)
    assert refused.returncode != 0 and "clock skew" in refused.stdout and "hpoa.parquet" in refused.stdout
    os.utime(large)
    done = snakemake(folder, *SMOKE)
    assert {"read_cohort", "build_knowledge", "train_student"} <= ran(done.stdout), (
        "of large files time decides"
    )
    same_results(folder, whole)


def test_everything_killed_while_an_adapter_is_written(whole: Path, tmp_path: Path) -> None:
    """Snakemake and its jobs, at once: it can neither tidy up nor unlock."""
    folder = copied(whole, tmp_path)
    unlock = [sys.executable, str(ROOT / "workflow/scripts/clear_stale_lock.py")]
    subprocess.run(unlock, cwd=folder, env=ENVIRONMENT, check=True)
    adapter = folder / RARE / "student/orpo/adapter"
    shutil.rmtree(adapter)
    snakefile = ["--snakefile", str(ROOT / "Snakefile")]
    command = [sys.executable, "-m", "snakemake", *snakefile, f"{RARE}/student/orpo/adapter", *SMOKE]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, start_new_session=True, **silent)
    try:
        while running.poll() is None and not (begun := list(adapter.parent.glob(".adapter.*.part"))):
            time.sleep(0.0005)
        os.killpg(running.pid, signal.SIGSTOP)
        time.sleep(0.1)
        assert begun and begun[0].is_dir() and not adapter.exists(), "the fault: half an adapter"
        # a run that sleeps keeps its lock
        subprocess.run(unlock, cwd=folder, env=ENVIRONMENT, check=True)
        assert list((folder / ".snakemake/locks").iterdir())
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    assert begun[0].is_dir() and not adapter.exists()
    refused = snakemake(folder, *command[-len(SMOKE) - 1 :], check=False)
    assert refused.returncode != 0 and "lock" in refused.stdout
    subprocess.run(unlock, cwd=folder, env=ENVIRONMENT, check=True)
    done = snakemake(folder, *command[-len(SMOKE) - 1 :])
    assert "train_student" in ran(done.stdout) and "train_teacher" not in ran(done.stdout)
    same_results(folder, whole)


SLOW = """\
#!/bin/sh
# Runs python; what split_cohort.py writes is seen {delay} seconds after it has ended, as on a file system
# whose attributes are cached elsewhere.
case "$1" in *split_cohort.py) ;; *) exec {python} "$@" ;; esac
{python} "$@" || exit $?
for word in "$@"; do
  case "$word" in results/*)
    case "$before" in --output-*)
      mv "$word" "$word.unseen"
      ( setsid sh -c "sleep {delay}; mv '$word.unseen' '$word'" > /dev/null 2>&1 & ) ;;
    esac ;;
  esac
  before="$word"
done
"""


def test_files_that_are_seen_late(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place(tmp_path / "late")
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text(SLOW.format(python=sys.executable, delay=6))
    python.chmod(0o755)
    path = f"{python.parent}{os.pathsep}{ENVIRONMENT['PATH']}"
    monkeypatch.setitem(workflow_tools.ENVIRONMENT, "PATH", path)
    target = f"{RARE}/cohort/cases.parquet"
    failed = snakemake(folder, target, *SMOKE, "--latency-wait", "1", check=False)
    assert failed.returncode != 0 and "MissingOutputException" in failed.stdout
    time.sleep(7)
    # the wait of the Slurm profile is enough
    wait = re.search(r"^latency-wait: (\d+)", (ROOT / "slurm/profile.yaml").read_text(), flags=re.M)
    assert wait
    snakemake(folder, target, *SMOKE, "--latency-wait", wait[1])
    assert (folder / target).read_bytes() == (whole / target).read_bytes()


def test_a_half_written_model_folder(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path)
    weights = folder / "resources/models/tiny-random/model.safetensors"
    whole_bytes = weights.read_bytes()
    weights.write_bytes(whole_bytes[: len(whole_bytes) // 2])
    failed = snakemake(folder, *SMOKE, "--forcerun", "generate_answers", check=False)
    assert failed.returncode != 0
    told = failed.stdout + _logs(folder)
    assert re.search(r"\bmodel\.safetensors is damaged", told) and "Traceback" not in _logs(folder)
    # asked for once more, it is made anew and all is as before
    snakemake(folder, *SMOKE, "--forcerun", "prepare_base_model")
    assert weights.read_bytes() == whole_bytes
    same_results(folder, whole)


class _Truncating(http.server.BaseHTTPRequestHandler):
    """Serves a file; the first time it hangs up after half of it."""

    content = b""
    served = 0

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        half = type(self).served == 0
        type(self).served += 1
        self.wfile.write(self.content[: len(self.content) // 2] if half else self.content)

    def log_message(self, *_: object) -> None:
        pass


def test_a_truncated_download(tmp_path: Path) -> None:
    packets = [phenopacket(i, 100000 + i % 3, 20000000 + i // 2) for i in range(24)]
    _Truncating.content = zip_of(tmp_path / "store.zip", packets).read_bytes()
    _Truncating.served = 0
    server = http.server.HTTPServer(("127.0.0.1", 0), _Truncating)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        folder = place(tmp_path / "download")
        (folder / "net.yaml").write_text(
            "rare: {cohort: {source: phenopackets, "
            f"url: 'http://127.0.0.1:{server.server_port}/store.zip', "
            f"sha256: {hashlib.sha256(_Truncating.content).hexdigest()}}}}}\n"
        )
        target = f"{RARE}/cohort/raw/cases.parquet"
        arguments = (target, "--cores", "2", "--configfile", "config/smoke.yaml", str(folder / "net.yaml"))
        failed = snakemake(folder, *arguments, check=False)
        assert failed.returncode != 0 and _Truncating.served == 1
        assert re.search(r"rare\.cohort\.sha256.*has checksum", _logs(folder))
        assert not list(folder.rglob("*.zip")) and not (folder / target).exists()
        snakemake(folder, *arguments)
        assert _Truncating.served == 2
        local = place(tmp_path / "local")
        (local / "disk.yaml").write_text("rare: {cohort: {source: phenopackets, path: ../store.zip}}\n")
        arguments = (target, "--cores", "2", "--configfile", "config/smoke.yaml", "disk.yaml")
        snakemake(local, *arguments)
        assert (folder / target).read_bytes() == (local / target).read_bytes()
    finally:
        server.shutdown()


def test_a_configuration_changed_halfway(whole: Path, tmp_path: Path) -> None:
    """Begun with other lists of the teacher; from where it was, the run ends as if they had never been."""
    folder = place(tmp_path / "half")
    (folder / "other.yaml").write_text("rare: {preferences: {q: 1}}\n")
    pairs = f"{RARE}/preferences/train.parquet"
    at = SMOKE.index("config/smoke.yaml") + 1
    without = f"{RARE}/teacher/teacher-phenotype.parquet"
    snakemake(folder, pairs, without, *SMOKE[:at], "other.yaml", *SMOKE[at:])
    assert (folder / pairs).read_bytes() != (whole / pairs).read_bytes()
    rules = ran(snakemake(folder, *SMOKE).stdout)
    assert "build_preferences" in rules
    assert not rules & {"compile_knowledge", "read_cohort", "split_cohort", "train_teacher", "build_prompts"}
    same_results(folder, whole)


def test_results_moved_to_another_folder(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path)
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    folder.rename(moved)
    assert not folder.exists()
    assert "Nothing to be done" in snakemake(moved, *SMOKE).stdout
    (moved / RARE / "metrics.csv").unlink()
    done = snakemake(moved, f"{RARE}/metrics.csv", *SMOKE)
    assert not ran(done.stdout) & {"train_student", "train_teacher", "generate_answers"}
    same_results(moved, whole)
