"""A killed run's lock goes; a living run's, or another machine's, stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "workflow" / "scripts" / "clear_stale_lock.py"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / ".snakemake" / "locks" / "0.input.lock"
    path.parent.mkdir(parents=True)
    path.write_text("results/a")
    return path


def _clear(folder: Path) -> None:
    subprocess.run([sys.executable, str(SCRIPT)], cwd=folder, check=True, capture_output=True)


def test_a_lock_of_this_machine_goes_once_it_is_known(lock: Path, tmp_path: Path) -> None:
    _clear(tmp_path)  # not known yet whose it is
    assert lock.exists()
    _clear(tmp_path)
    assert not lock.exists()


def test_another_machines_lock_stays(lock: Path, tmp_path: Path) -> None:
    (tmp_path / ".snakemake" / "mintflow-host").write_text("elsewhere")
    _clear(tmp_path)
    assert lock.exists()


@pytest.mark.parametrize("name", ["snakemake", "workflow/scripts/train_student.py"])
def test_a_lock_stays_while_a_run_or_its_job_is_alive(lock: Path, tmp_path: Path, name: str) -> None:
    if not Path("/proc/self/cwd").exists():
        pytest.skip("processes cannot be listed here")
    _clear(tmp_path)
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, name],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as job:
        job.stdout.readline()
        _clear(tmp_path)
        assert lock.exists()
        job.stdin.close()
        job.wait()
    _clear(tmp_path)
    assert not lock.exists()
