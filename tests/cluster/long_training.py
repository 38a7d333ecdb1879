"""A training long enough to be disturbed, alone or through the Slurm profile."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from workflow_tools import ENVIRONMENT, ROOT, place, snakemake

PROFILE = (
    *("--profile", "slurm"),
    # a cluster of one node answers at once
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
)
TRAINED = "results/long/rare/student/orpo"
STEPS = 240
SAVE = 80
_CONFIGURATION = """\
run: long
tracks: [rare]
rare:
  student:
    training: {{epochs: 1000, max_steps: {steps}, eval_steps: 20, save_steps: {save}, log_steps: 20}}
"""


def configure(folder: Path, steps: int = STEPS) -> tuple[str, ...]:
    """Write the configuration; returns the arguments that name it."""
    path = place(folder) / "long.yaml"
    path.write_text(_CONFIGURATION.format(steps=steps, save=SAVE))
    return ("--configfile", "config/smoke.yaml", str(path))


def train_here(folder: Path, steps: int = STEPS) -> None:
    """Everything up to the training, on this machine without Slurm."""
    snakemake(folder, f"{TRAINED}/adapter", "--cores", "2", *configure(folder, steps))


def prepare(folder: Path, source: Path) -> Path:
    """Make all but the training in ``folder``, which lies as deep as ``source``: code is named relatively."""
    place(folder)
    names = ("resources", "results", ".snakemake")
    subprocess.run(["cp", "-a", *(str(source / name) for name in names), str(folder)], check=True)
    subprocess.run(["rm", "-rf", str(folder / TRAINED)], check=True)
    return folder


def submit(folder: Path, *more: str, steps: int = STEPS) -> subprocess.Popen[str]:
    """The training through the profile, in the background."""
    # it ends when the test does
    command = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(ROOT / "Snakefile"),
    ]
    return subprocess.Popen(
        [*command, f"{TRAINED}/adapter", *PROFILE, *configure(folder, steps), *more],
        cwd=folder,
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def ended(head: subprocess.Popen[str], timeout: float = 900) -> str:
    """Wait for snakemake to end well.

    Raises:
        AssertionError: it failed; with its output.
    """
    output, _ = head.communicate(timeout=timeout)
    assert head.returncode == 0, output
    return output


def saved(folder: Path) -> bool:
    """Whether there is a checkpoint."""
    return any((folder / TRAINED / "checkpoints").glob("checkpoint-*/sealed.json"))


def summary(folder: Path) -> dict:
    """training.json."""
    return json.loads((folder / TRAINED / "training.json").read_text())


def assert_same(one: Path, other: Path) -> None:
    """The same adapter, byte by byte, and the same held-out losses on the way."""
    weights = "adapter/adapter_model.safetensors"
    assert (one / TRAINED / weights).read_bytes() == (other / TRAINED / weights).read_bytes()
    assert _held_out(one) == _held_out(other)


def _held_out(folder: Path) -> dict[int, float]:
    # a stop adds an entry of its own to the log, with the losses of the steps up to it
    lines = map(json.loads, (folder / TRAINED / "log.jsonl").read_text().splitlines())
    return {line["step"]: line["eval_loss"] for line in lines if "eval_loss" in line}
