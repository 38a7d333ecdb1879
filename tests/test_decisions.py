"""Which tokens decide: found by hand on small sets, and what the odds then leave alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import tiny_student
from mintflow.collate import SharedPromptCollator, model_inputs
from mintflow.decisions import add_decisions, deciding_tokens, lines_of
from mintflow.errors import InputError
from mintflow.objectives import Orpo
from mintflow.tokenization import Pair

NAMES = ["Loeys-Dietz syndrome 1", "Loeys-Dietz syndrome 2", "Marfan syndrome", "Marfan syndrome, neonatal"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_student.make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def pair(base: Path) -> Pair:
    encoder = tiny_student.encoder(base)
    prompt = tiny_student.messages("seizure")
    row = {
        "case_id": "c0",
        "prompt": prompt,
        "chosen": [{"role": "assistant", "content": f"1. {NAMES[2]}\n2. {NAMES[0]}\n3. {NAMES[3]}"}],
        "rejected": [{"role": "assistant", "content": f"1. {NAMES[1]}\n2. {NAMES[3]}"}],
    }
    return add_decisions([encoder.pair(row, 300)], NAMES, encoder, prompt)[0]


def test_a_token_decides_where_names_go_apart() -> None:
    masks = deciding_tokens([(1, 2, 3, 9), (1, 2, 4, 9), (5, 6, 9), (5, 6, 7, 9)])
    assert masks == {
        (1, 2, 3, 9): (True, False, True, False),
        (1, 2, 4, 9): (True, False, True, False),
        (5, 6, 9): (True, False, True),  # its end tells it from the longer name
        (5, 6, 7, 9): (True, False, True, False),
    }


def test_one_name_alone_decides_nothing() -> None:
    assert deciding_tokens([(1, 2)]) == {(1, 2): (False, False)}


def test_deciding_tokens_of_lists(base: Path, pair: Pair) -> None:
    tokenizer = tiny_student.encoder(base).tokenizer
    assert pair.decides is not None
    for ids, mask in zip((pair.chosen, pair.rejected), pair.decides, strict=True):
        assert len(mask) == len(ids)
    # what follows the same beginning is what the other names of the set would have there
    told = {
        name: [tokenizer.decode([token]) for token, known in zip(ids, mask, strict=True) if known]
        for name, ids, mask in zip(
            ("chosen", "rejected"), (pair.chosen, pair.rejected), pair.decides, strict=True
        )
    }
    assert [text.strip()[:1] for text in told["chosen"]] == ["M", "", "L", "1", "M", ","]
    assert [text.strip()[:1] for text in told["rejected"]] == ["L", "2", "M", ","]


def test_line_breaks_may_be_one_token_with_the_end_of_a_name() -> None:
    pieces = ["1", ".", " A", " (x", ")\n", "2", ".", " B", "<end>"]
    encoder: Any = SimpleNamespace(tokenizer=SimpleNamespace(decode=lambda ids: pieces[ids[0]]))
    assert lines_of(range(len(pieces)), encoder) == [slice(2, 5), slice(7, 9)]


def test_a_foreign_name_is_refused(base: Path, pair: Pair) -> None:
    encoder = tiny_student.encoder(base)
    others = [name for name in NAMES if name != NAMES[1]]
    with pytest.raises(InputError, match=r"'.*Dietz syndrome 2.*' is no name of the closed set") as error:
        add_decisions([pair], others, encoder, tiny_student.messages("x"))
    assert error.value.record == "c0"


def run(base: Path, pairs: list[Pair], scope: str = "completion") -> tuple[Any, torch.Tensor, dict[str, Any]]:
    batch = SharedPromptCollator(0, scope, multiple=4)(pairs)
    logits = tiny_student.model(base)(**model_inputs(batch, "sdpa")).logits.detach().requires_grad_()
    return Orpo(0.5).score(logits, batch), logits, batch


@pytest.mark.parametrize("scope", ["completion", "prompt+chosen"])
def test_odds_are_of_the_deciding_tokens_and_likelihood_of_all(base: Path, pair: Pair, scope: str) -> None:
    scores, logits, batch = run(base, [pair], scope)
    every, _, _ = run(base, [replace(pair, decides=None)], scope)
    assert torch.equal(scores.nll_sum, every.nll_sum)
    assert torch.equal(scores.nll_tokens, every.nll_tokens)
    log_probs = torch.log_softmax(logits, -1)[0]
    for side, mean in enumerate((scores.chosen, scores.rejected)):
        targets = batch["targets"][0, :, side]
        start = batch["first_completion"] if side == 0 else 0
        places = [int(place) for place in torch.nonzero(targets[start:] != -100)[:, 0] + start]
        assert pair.decides is not None
        told = [
            float(log_probs[place, targets[place]].detach())
            for place, known in zip(places, pair.decides[side], strict=True)
            if known
        ]
        assert float(mean.detach()) == pytest.approx(sum(told) / len(told), rel=1e-5)
    assert not torch.isclose(scores.rejected, every.rejected)


def test_spelling_of_a_rejected_name_is_left_alone(base: Path, pair: Pair) -> None:
    for one, untouched in ((pair, True), (replace(pair, decides=None), False)):
        scores, logits, batch = run(base, [one])
        (-scores.log_sigmoid.sum()).backward()
        assert pair.decides is not None
        on_rejected = torch.nonzero(batch["targets"][0, :, 1] != -100)[:, 0]
        spelling = [
            int(place)
            for place, known in zip(on_rejected, pair.decides[1], strict=True)
            if not known and batch["targets"][0, place, 0] == -100  # the first column serves both lists
        ]
        moved = logits.grad[0, spelling].abs().sum(-1)
        assert spelling
        assert bool((moved == 0).all()) is untouched


def test_all_deciding_is_the_papers_objective(base: Path, pair: Pair) -> None:
    whole = replace(pair, decides=((True,) * len(pair.chosen), (True,) * len(pair.rejected)))
    scores, _, _ = run(base, [whole, pair])
    every, _, _ = run(base, [replace(pair, decides=None)] * 2)
    assert torch.allclose(scores.chosen[0], every.chosen[0])
    assert torch.allclose(scores.rejected[0], every.rejected[0])
