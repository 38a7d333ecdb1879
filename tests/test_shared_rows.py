"""Models that cannot share a prompt between two answers are refused before they are trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import Lfm2Config, Lfm2ForCausalLM, MistralConfig, MistralForCausalLM

import tiny_student as tiny
from mintflow.errors import InputError
from mintflow.shared_rows import require_shared_rows, require_within_window
from mintflow.tokenization import Pair

PAIRS = [
    Pair("a", list(range(5, 30)), [3, 4, 40, 41, 6], [9, 40, 2, 6]),
    Pair("b", list(range(7, 17)), [3, 6], [9, 40, 6]),
]
SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "initializer_range": 0.5,
    "pad_token_id": 0,
}


def check(model: torch.nn.Module, *, bf16: bool = False) -> None:
    require_shared_rows(model, PAIRS, attention=model.config._attn_implementation, bf16=bf16)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("bf16", [False, True])
def test_a_model_of_attention_alone_is_let_pass(tmp_path: Path, attention: str, bf16: bool) -> None:
    student = tiny.model(tiny.make_base(tmp_path / "tiny"), attention).train()
    check(student, bf16=bf16)
    assert student.training


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("tokens", [4, 150])
@pytest.mark.parametrize("spread", [0.5, 0.1])
def test_convolutions_that_see_the_other_answer_are_refused(bf16: bool, tokens: int, spread: float) -> None:
    """Only the first tokens of a long answer see it: the mean over all would hide that."""
    torch.manual_seed(0)
    sizes = SIZES | {"initializer_range": spread}
    mixed = Lfm2ForCausalLM(Lfm2Config(**sizes, layer_types=["conv", "full_attention"]))
    ids = torch.randint(1, 64, (2, tokens)).tolist()
    pair = Pair("a", list(range(5, 30)), ids[0], ids[1])
    with pytest.raises(InputError, match=r"rare\.student\.base: .*a logit of rejected moves by"):
        require_shared_rows(mixed, [pair], attention="sdpa", bf16=bf16)


def test_positions_that_do_not_restart_are_refused(tmp_path: Path) -> None:
    student = tiny.model(tiny.make_base(tmp_path / "tiny"))
    forward = student.forward
    student.forward = lambda **inputs: forward(**{k: v for k, v in inputs.items() if k != "position_ids"})
    with pytest.raises(InputError, match=r"rare\.student\.base: .*mean log-probability of"):
        check(student)


def test_a_window_shorter_than_an_answer_is_refused() -> None:
    torch.manual_seed(0)
    longest = len(PAIRS[0].prompt) + len(PAIRS[0].chosen)
    check(MistralForCausalLM(MistralConfig(**SIZES, sliding_window=longest)))
    short = MistralForCausalLM(MistralConfig(**SIZES, sliding_window=longest - 1))
    with pytest.raises(InputError, match=r"training\.max_length: a pair has 30 tokens, .* see 29"):
        check(short)


def test_a_window_counts_where_layers_slide(tmp_path: Path) -> None:
    student = tiny.model(tiny.make_base(tmp_path / "tiny"))

    def check_window(tokens: int) -> None:
        require_within_window(student, tokens, what="a row has", remedy="shorten it", field="key")

    check_window(10_000)
    student.config.sliding_window = 100
    student.config.layer_types = ["full_attention", "full_attention"]
    check_window(10_000)
    student.config.layer_types = ["full_attention", "sliding_attention"]
    check_window(100)
    with pytest.raises(InputError, match=r"key: a row has 101 tokens, .* see 100: shorten it"):
        check_window(101)
