"""Remove the lock that a killed Snakemake left behind, unless another one is at work here.

A lock is stale when neither Snakemake nor one of its jobs is at work in this folder. Where processes
cannot be listed (no /proc), or where the folder is shared between machines (a cluster's file
system), nothing is removed: use ``snakemake --unlock`` there.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
from pathlib import Path

from mintflow import cli

log = logging.getLogger("mintflow")
HOST = Path(".snakemake") / "mintflow-host"


def at_work(folder: Path) -> bool:
    """Whether Snakemake, or a job that outlived it, has ``folder`` as its working directory."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            here = Path(os.readlink(process / "cwd")) == folder
        except OSError:  # ended meanwhile, or another user's
            continue
        ours = b"snakemake" in command or b"workflow/scripts/" in command
        if here and ours and Path(__file__).name.encode() not in command:
            return True
    return False


def main(args: argparse.Namespace) -> None:
    """Remove stale locks, then note which machine the next run belongs to."""
    locks = sorted(Path(".snakemake/locks").glob("*.lock"))
    same_machine = HOST.exists() and HOST.read_text(encoding="utf-8") == socket.gethostname()
    if locks and Path("/proc").is_dir() and same_machine and not at_work(Path.cwd().resolve()):
        for lock in locks:
            lock.unlink()
        log.info("Removed the lock of a run that was killed.")
    HOST.parent.mkdir(exist_ok=True)
    HOST.write_text(socket.gethostname(), encoding="utf-8")


if __name__ == "__main__":
    cli.run(main, cli.parser(__doc__, with_settings=False))
