"""Shared fixtures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the repository; tests that need it skip where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside the repository: real data not available")
    return folder


@pytest.fixture(scope="session")
def knowledge_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled HPO release (terms, hpoa, gene_disease, versions), made once a session."""
    folder = tmp_path_factory.mktemp("knowledge")
    subprocess.run(
        [
            sys.executable,
            str(SCRIPTS / "compile_knowledge.py"),
            *("--output-terms", str(folder / "terms.parquet")),
            *("--output-hpoa", str(folder / "hpoa.parquet")),
            *("--output-genes", str(folder / "gene_disease.parquet")),
            *("--output-versions", str(folder / "versions.json")),
        ],
        check=True,
    )
    return folder
