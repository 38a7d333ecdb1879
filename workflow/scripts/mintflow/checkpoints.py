"""Checkpoints that can be trusted: sealed when whole, tied to the settings and data they came from."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import seals
from .io import fingerprint, write_json

log = logging.getLogger("mintflow")

ORIGIN = "origin.json"
COST = "cost.json"


def seal(checkpoint: str | Path, training_seconds: float) -> None:
    """Write what it took, and the checksums of its files; without them the checkpoint does not count."""
    write_json({"training_seconds": round(training_seconds, 3)}, Path(checkpoint) / COST)
    seals.seal(checkpoint)


def seconds_until(checkpoint: str | Path) -> float:
    """Seconds of training that led to a whole checkpoint."""
    return float(json.loads((Path(checkpoint) / COST).read_text(encoding="utf-8"))["training_seconds"])


def is_whole(checkpoint: str | Path) -> bool:
    """Whether a checkpoint was sealed and its files are still those that were sealed."""
    return seals.first_damaged(checkpoint) is None


def chosen_before(folder: str | Path, origin: Mapping[str, Any]) -> dict[str, Any]:
    """What a run of the same origin, with checkpoints in ``folder``, chose for itself; empty without one."""
    try:
        before = json.loads((Path(folder) / ORIGIN).read_text(encoding="utf-8"))
        return dict(before.get("chosen", {})) if before["fingerprint"] == fingerprint(origin) else {}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}


def prepare(
    folder: str | Path, origin: Mapping[str, Any], chosen: Mapping[str, Any] | None = None
) -> Path | None:
    """Make ``folder`` ready for a run and find the checkpoint to resume from.

    Checkpoints of another origin and broken ones are deleted, and the log says so.

    Args:
        folder: holds ``checkpoint-<step>`` folders.
        origin: what the run is made of (settings as asked for, hashes of data and base model); JSON-able.
        chosen: what it chose for itself, for ``chosen_before``.

    Returns:
        The latest whole checkpoint of the same origin, None when training starts afresh.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    found = checkpoints(folder)
    stamp = {"fingerprint": fingerprint(origin), "chosen": dict(chosen or {})}
    try:
        before = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
        same = before["fingerprint"] == stamp["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        if found:
            log.info("checkpoints are of other settings, data or base model: training starts afresh")
        for checkpoint in found:
            shutil.rmtree(checkpoint)
        write_json(stamp, folder / ORIGIN)
        return None
    whole = []
    for checkpoint in found:
        if is_whole(checkpoint):
            whole.append(checkpoint)
        else:
            log.warning("%s is incomplete or damaged and is not used", checkpoint.name)
            shutil.rmtree(checkpoint)
    # a checkpoint whose best predecessor is lost could not give back the best adapter
    usable = [checkpoint for checkpoint in whole if _best_is_there(checkpoint)]
    if usable:
        log.info("resuming from %s", usable[-1].name)
    elif found:
        log.warning("no checkpoint is whole: training starts afresh")
    return usable[-1] if usable else None


def checkpoints(folder: str | Path) -> list[Path]:
    """The ``checkpoint-<step>`` folders in order of their steps."""
    steps = {
        int(match.group(1)): path
        for path in Path(folder).iterdir()
        if path.is_dir() and (match := re.fullmatch(r"checkpoint-(\d+)", path.name))
    }
    return [steps[step] for step in sorted(steps)]


def _best_is_there(checkpoint: Path) -> bool:
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    best = state.get("best_model_checkpoint")
    return best is None or (checkpoint.parent / Path(best).name).is_dir()
