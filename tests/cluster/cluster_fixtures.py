"""A Slurm for the tests of this folder, skipped without ``make test-slurm``; conftest.py is one folder up."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import long_training
import pytest
import slurm


@pytest.fixture(scope="session")
def cluster() -> Iterator[slurm.Cluster]:
    if not os.environ.get("MINTFLOW_SLURM"):
        pytest.skip("starts a Slurm of its own and needs root: make test-slurm")
    # short, as sockets have short names
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, slurm.started(Path(folder)) as found:
        yield found


@pytest.fixture(scope="session")
def uninterrupted(cluster: slurm.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a long training has ended, without Slurm and undisturbed."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    long_training.train_here(folder)
    return folder
