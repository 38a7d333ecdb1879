"""The listwise objective: rows computed together equal rows computed alone; the divergence is KL, of all that
the student can write or of the candidates alone."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tiny_student
from mintflow.collate import model_inputs
from mintflow.listwise import (
    METRICS,
    ListScores,
    ListwiseCollator,
    add_candidates,
    listwise_loss,
    metric_table,
    score_lists,
    summarize_metrics,
)
from mintflow.tokenization import Pair

SETTINGS = {"top": 2, "others": 1, "temperature": 1.0}
NAMES = tiny_student.NAMES


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_student.make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def pairs(base: Path) -> list[Pair]:
    encoder = tiny_student.encoder(base)
    found = []
    for number, text in enumerate(("seizure", "tall stature, seizure")):
        prompt = tiny_student.messages(text)
        chosen = [{"role": "assistant", "content": f"1. {NAMES[number]}\n2. {NAMES[3]}"}]
        rejected = [{"role": "assistant", "content": f"1. {NAMES[2]}"}]
        found.append(
            encoder.pair(
                {"case_id": f"c{number}", "prompt": prompt, "chosen": chosen, "rejected": rejected}, 200
            )
        )
    ranked = {pair.case_id: (NAMES, [2.0, 1.0, 0.0, -1.0]) for pair in found}
    return add_candidates(found, ranked, encoder, tiny_student.messages("seizure"), SETTINGS, k=2, seed=3)


def scores(
    base: Path, pairs: list[Pair], score: str = "sum", multiple: int = 4, normalize: bool = False
) -> ListScores:
    batch = ListwiseCollator(0, multiple=multiple)(pairs)
    logits = tiny_student.model(base)(**model_inputs(batch, "sdpa")).logits
    return score_lists(logits, batch["targets"], batch["wanted"], score, normalize)


def test_normalized_likelihoods_are_those_of_the_candidates_alone(base: Path, pairs: list[Pair]) -> None:
    alone = scores(base, pairs, normalize=True).student
    assert torch.allclose(alone, torch.log_softmax(scores(base, pairs).student, -1), atol=1e-5)
    assert torch.allclose(alone.exp().sum(-1), torch.ones(len(pairs)), atol=1e-5)


@pytest.mark.parametrize("score", ["sum", "mean"])
def test_shared_row_equals_each_answer_alone(base: Path, pairs: list[Pair], score: str) -> None:
    found = scores(base, pairs, score)
    model = tiny_student.model(base)
    for row, pair in enumerate(pairs):
        alone = -tiny_student.naive_logp(model, pair.prompt, pair.chosen) / len(pair.chosen)
        assert float(found.nll[row].detach()) == pytest.approx(alone, abs=1e-4)
        for place, candidate in enumerate(pair.candidates):
            wanted = tiny_student.naive_logp(model, pair.prompt, candidate)
            wanted /= len(candidate) if score == "mean" else 1
            assert float(found.student[row, place].detach()) == pytest.approx(wanted, abs=1e-3)


def test_candidates_are_the_teachers_first_and_some_others(pairs: list[Pair]) -> None:
    for pair in pairs:
        assert len(pair.candidates) == 3 and sum(pair.wanted) == pytest.approx(1)
        assert pair.wanted[0] / pair.wanted[1] == pytest.approx(torch.e, rel=1e-5)
        # which of the two others is drawn tells its score
        ratio = pair.wanted[1] / pair.wanted[2]
        assert min(abs(ratio - torch.e), abs(ratio - torch.e**2)) < 1e-4


def test_divergence_is_zero_when_student_is_the_teacher() -> None:
    wanted = torch.tensor([[0.7, 0.2, 0.1]])
    same = ListScores(torch.tensor([1.0]), wanted.log(), wanted)
    assert float(same.divergence) == pytest.approx(0, abs=1e-6)
    # a student that writes something else four times in five is that far from the teacher
    beside = ListScores(torch.tensor([1.0]), (wanted / 5).log(), wanted)
    assert float(beside.divergence) == pytest.approx(math.log(5), rel=1e-5)
    other = ListScores(torch.tensor([1.0]), torch.log_softmax(torch.zeros(1, 3), -1), wanted)
    expected = float((wanted * (wanted.log() - torch.log(torch.tensor(1 / 3)))).sum())
    assert float(other.divergence) == pytest.approx(expected, rel=1e-5)
    assert float(listwise_loss(other, 0.5)) == pytest.approx(1 + 0.5 * expected, rel=1e-5)
    table = metric_table(same)
    assert dict(zip(METRICS, table[0].tolist(), strict=True))["rewards/accuracies"] == 1.0


def test_parts_add_up_to_the_whole(base: Path, pairs: list[Pair]) -> None:
    whole = scores(base, pairs)
    totals = torch.tensor([2.0, 0.0])
    parts = sum(
        float(listwise_loss(scores(base, [pair], multiple=1), 0.7, totals).detach()) for pair in pairs
    )
    loss = float(listwise_loss(whole, 0.7).detach())
    assert parts == pytest.approx(loss, rel=1e-5)
    summary = summarize_metrics(metric_table(whole), 0.7)
    assert summary["loss"] == pytest.approx(loss, rel=1e-5)
    sums = torch.cat([metric_table(whole).sum(0), torch.tensor([2.0])])[None]
    assert summarize_metrics(sums, 0.7) == pytest.approx(summary, rel=1e-5)


@pytest.mark.parametrize("normalize", [False, True])
def test_gradient_moves_the_student_to_the_teacher(normalize: bool) -> None:
    """Over four things it can write, the last of which is no candidate."""
    logits = torch.zeros(1, 1, 4, requires_grad=True)
    wanted = torch.tensor([[0.6, 0.3, 0.1]])
    targets = torch.tensor([[[3, 0, 1, 2]]])
    found = score_lists(logits, targets, wanted, "sum", normalize)
    found.divergence.sum().backward()
    written = torch.full((4,), 1 / 4) if not normalize else torch.tensor([1 / 3, 1 / 3, 1 / 3, 0])
    assert torch.allclose(logits.grad[0, 0], written - torch.tensor([0.6, 0.3, 0.1, 0]), atol=1e-6)


def test_unlearning_to_write_pays_only_among_candidates_alone() -> None:
    """Every name less likely, the wrong ones most: what made the first form of the arm write no names."""
    wanted = torch.tensor([[0.9, 0.1]])
    targets = torch.tensor([[[2, 0, 1]]])

    def divergence(logits: list[float], normalize: bool) -> float:
        found = score_lists(torch.tensor([[logits]]), targets, wanted, "sum", normalize)
        return float(found.divergence)

    before, after = [0.0, 0.0, 0.0], [-4.0, -6.0, 0.0]
    assert divergence(after, True) < divergence(before, True)
    assert divergence(after, False) > divergence(before, False)


def test_the_draw_depends_on_seed_and_case_alone(base: Path, pairs: list[Pair]) -> None:
    encoder = tiny_student.encoder(base)
    bare = [replace(pair, candidates=(), wanted=()) for pair in pairs]
    ranked = {pair.case_id: (NAMES, [2.0, 1.0, 0.0, -1.0]) for pair in bare}
    prompt = tiny_student.messages("x")
    again = add_candidates(bare[::-1], ranked, encoder, prompt, SETTINGS, k=2, seed=3)
    assert again[::-1] == pairs
