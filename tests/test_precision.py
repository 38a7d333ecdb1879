from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mintflow import checkpoints, precision
from mintflow.errors import InputError


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ({"avx512_f": True, "avx512_bf16": False}, "fp32"),
        ({"avx512_f": True, "avx512_bf16": True}, "bf16"),
        ({"amx_bf16": True}, "bf16"),
        ({"neon": True, "bf16": True}, "bf16"),
    ],
)
def test_auto_takes_the_precision_that_the_processor_has(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, bool], wanted: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert precision.pick_precision("auto", "cpu") == wanted
    assert precision.pick_precision("fp32", "cpu") == "fp32"
    assert precision.pick_precision("bf16", "cpu") == "bf16"  # asked for, it is imitated


def test_only_the_same_training_stays_as_it_began(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = {"precision": "auto", "seed": 1}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {})
    resolved, chosen = precision.settle_precision(settings, tmp_path, {"settings": settings}, "cpu")
    assert resolved["precision"] == "fp32"
    checkpoints.prepare(tmp_path, {"settings": settings}, chosen)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})  # another node
    again, _ = precision.settle_precision(settings, tmp_path, {"settings": settings}, "cpu")
    assert again["precision"] == "fp32"
    other = settings | {"seed": 2}
    afresh, _ = precision.settle_precision(other, tmp_path, {"settings": other}, "cpu")
    assert afresh["precision"] == "bf16", "what lay there is of another training"
    for fixed in ("fp32", "bf16"):
        asked = settings | {"precision": fixed}
        assert precision.settle_precision(asked, tmp_path, {"settings": asked}, "cpu") == (asked, {})


def test_a_gpu_without_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert precision.pick_precision("auto", "cuda") == "fp32"
    with pytest.raises(InputError, match="precision"):
        precision.pick_precision("bf16", "cuda")
