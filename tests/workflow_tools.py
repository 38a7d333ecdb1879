"""Running Snakemake on this repository from a folder of a test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def place(folder: Path) -> Path:
    """A working folder with the repository's config; code stays where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config", "profiles", "slurm"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    return folder


def snakemake(
    folder: Path, *arguments: str, check: bool = True, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run snakemake in ``folder`` on the root Snakefile; output and errors come back together."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"snakemake {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}")
    return done


def phenopacket(case: int, disease: int, publication: int, **changes: object) -> dict:
    """A small valid phenopacket v2."""
    return {
        "id": f"PMID_{publication}_{case}",
        "subject": {"id": f"Patient {case}", "sex": "FEMALE"},
        "phenotypicFeatures": [
            {"type": {"id": term, "label": term}}
            for term in ("HP:0001250", "HP:0001263", "HP:0000252", "HP:0001252")
        ],
        "interpretations": [
            {
                "id": f"i{case}",
                "progressStatus": "SOLVED",
                "diagnosis": {"disease": {"id": f"OMIM:{disease}", "label": f"Disease {disease}"}},
            }
        ],
        "metaData": {
            "phenopacketSchemaVersion": "2.0",
            "externalReferences": [{"id": f"PMID:{publication}"}],
        },
        **changes,
    }


def zip_of(path: Path, packets: list[dict]) -> Path:
    """A zip laid out like a release."""
    with zipfile.ZipFile(path, "w") as archive:
        for packet in packets:
            archive.writestr(f"release/cohort/{packet['id']}.json", json.dumps(packet))
    return path
