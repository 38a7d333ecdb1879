"""In which number format a training computes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import checkpoints
from .errors import InputError


def pick_precision(name: str, device: str) -> str:
    """``fp32`` or ``bf16`` for the configuration's ``auto``, ``fp32`` or ``bf16``.

    ``auto`` is bf16 where the device computes in it. A processor that only imitates it (without AVX-512 bf16
    or AMX) is several times slower in bf16 than in fp32.

    Raises:
        InputError: bf16 was asked for and the GPU cannot.
    """
    import torch

    if device == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
        if name == "bf16" and not able:
            raise InputError("this GPU cannot compute in bf16; use fp32", field="rare.student.precision")
    else:
        found = torch.cpu.get_capabilities()
        able = any(found.get(key, False) for key in ("avx512_bf16", "amx_bf16", "bf16"))
    if name == "auto":
        return "bf16" if able else "fp32"
    return name


def settle_precision(
    settings: Mapping[str, Any], checkpoint_folder: str | Path, origin: Mapping[str, Any], device: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings with ``auto`` resolved, and what was chosen for ``checkpoints.prepare``.

    A training that goes on on another kind of processor stays as it began.

    Args:
        settings: a student's, ``precision`` as the configuration has it.
        checkpoint_folder: where the training may have begun.
        origin: what the training is made of, of the settings as they are given here.
        device: ``cpu`` or ``cuda``.
    """
    if settings["precision"] != "auto":
        return {**settings, "precision": pick_precision(settings["precision"], device)}, {}
    begun = checkpoints.chosen_before(checkpoint_folder, origin).get("precision")
    chosen = {"precision": begun or pick_precision("auto", device)}
    return {**settings, **chosen}, chosen
