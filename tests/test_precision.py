from __future__ import annotations

import pytest
import torch

from mintflow import precision
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


def test_a_gpu_without_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert precision.pick_precision("auto", "cuda") == "fp32"
    with pytest.raises(InputError, match="precision"):
        precision.pick_precision("bf16", "cuda")
