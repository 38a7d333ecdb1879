"""The objective: values by hand, float32 edge cases, and TRL's own numbers on the same token ids."""

from __future__ import annotations

import math
import os

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from mintflow.collate import SharedPromptCollator, model_mask
from mintflow.orpo import (
    IGNORE,
    METRICS,
    PairScores,
    log1m_exp,
    log_odds_ratio,
    masked_mean,
    metric_table,
    orpo_loss,
    score_pairs,
    summarize_metrics,
    token_log_probs,
)
from mintflow.tokenization import Pair

BETA = 0.3


def tiny_model(attention: str = "sdpa") -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.5,
        attn_implementation=attention,
    )
    return LlamaForCausalLM(config).eval()


def some_pairs(number: int = 3, seed: int = 1) -> list[Pair]:
    generator = torch.Generator().manual_seed(seed)

    def ids(length: int) -> list[int]:
        return torch.randint(3, 50, (length,), generator=generator).tolist()

    lengths = [(5, 3, 4), (2, 1, 6), (8, 5, 2), (1, 2, 2), (6, 4, 4)][:number]
    return [Pair(f"case-{i}", ids(p), [*ids(c), 2], [*ids(r), 2]) for i, (p, c, r) in enumerate(lengths)]


def scores_of(
    model: LlamaForCausalLM, pairs: list[Pair], scope: str = "completion", multiple: int = 1
) -> PairScores:
    batch = SharedPromptCollator(0, scope, multiple=multiple)(pairs)
    logits = model(
        input_ids=batch["input_ids"],
        attention_mask=model_mask(batch["attention_mask"], model.config._attn_implementation),
        position_ids=batch["position_ids"],
        logits_to_keep=batch["logits_to_keep"],
        use_cache=False,
    ).logits
    return score_pairs(logits, batch["targets"], batch["first_completion"])


def test_token_log_probs_by_hand() -> None:
    logits = torch.tensor([[[0.0, math.log(3.0)], [5.0, 5.0]]], dtype=torch.bfloat16)
    found = token_log_probs(logits, torch.tensor([[[1, 0], [0, IGNORE]]]))
    assert found.dtype == torch.float32
    expected = torch.tensor([[[math.log(0.75), math.log(0.25)], [math.log(0.5), 0.0]]])
    assert torch.allclose(found, expected, atol=5e-3)  # bfloat16 holds log 3 to three digits


def test_masked_mean() -> None:
    values = torch.tensor([[1.0, 3.0, 100.0], [7.0, 7.0, 7.0]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    assert masked_mean(values, mask).tolist() == [2.0, 0.0]


def test_log_odds_ratio_by_hand() -> None:
    # odds(0.8) / odds(0.2) = 4 / 0.25
    found = log_odds_ratio(torch.tensor([math.log(0.8)]), torch.tensor([math.log(0.2)]))
    assert found.item() == pytest.approx(math.log(16), rel=1e-5)


def test_log1m_exp_is_accurate() -> None:
    x = torch.tensor([-1e-6, -1e-3, -0.5, -0.6931, -0.6932, -1.0, -10.0, -80.0])
    expected = torch.log(-torch.expm1(x.double()))
    assert torch.allclose(log1m_exp(x).double(), expected, rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, -1e-8, -6e-8, -1e-7, -0.6931472, -50.0, -1000.0])
def test_loss_and_gradient_are_finite_at_the_edges(value: float) -> None:
    chosen = torch.tensor([value, -1.0], requires_grad=True)
    rejected = torch.tensor([-1.0, value], requires_grad=True)
    scores = PairScores(chosen, rejected, -chosen * 2, torch.tensor([2.0, 2.0]))
    loss = orpo_loss(scores, BETA)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(chosen.grad).all() and torch.isfinite(rejected.grad).all()


def test_saturated_logits_train() -> None:
    """A model that is sure of every token: log-probabilities of exactly 0."""
    logits = torch.zeros(1, 4, 8)
    targets = torch.tensor([[[3, 4], [2, IGNORE], [IGNORE, 2], [IGNORE, IGNORE]]])
    for column, token in enumerate([3, 2, 2]):
        logits[0, column, token] = 60.0
    logits.requires_grad_()
    scores = score_pairs(logits, targets, 0)
    assert scores.chosen.item() == 0.0
    orpo_loss(scores, BETA).backward()
    assert torch.isfinite(logits.grad).all()


def test_reductions_by_hand() -> None:
    scores = PairScores(
        chosen=torch.tensor([math.log(0.8), math.log(0.5)]),
        rejected=torch.tensor([math.log(0.2), math.log(0.5)]),
        nll_sum=torch.tensor([2.0, 9.0]),
        nll_tokens=torch.tensor([2.0, 3.0]),
    )
    odds = (math.log(16 / 17) + math.log(0.5)) / 2
    assert orpo_loss(scores, BETA, "sequence").item() == pytest.approx((1 + 3) / 2 - BETA * odds, rel=1e-5)
    assert orpo_loss(scores, BETA, "tokens").item() == pytest.approx(11 / 5 - BETA * odds, rel=1e-5)


@pytest.mark.parametrize("reduction", ["sequence", "tokens"])
def test_parts_add_up_to_the_whole(reduction: str) -> None:
    model, pairs = tiny_model(), some_pairs(5)
    whole = orpo_loss(scores_of(model, pairs), BETA, reduction)
    totals = torch.tensor([5.0, sum(len(pair.chosen) for pair in pairs)])
    parts = [orpo_loss(scores_of(model, part), BETA, reduction, totals) for part in (pairs[:2], pairs[2:])]
    assert torch.allclose(whole, sum(parts), rtol=1e-5)


@pytest.mark.parametrize("reduction", ["sequence", "tokens"])
def test_metrics_of_rows_and_of_sums_agree(reduction: str) -> None:
    scores = scores_of(tiny_model(), some_pairs(5))
    table = metric_table(scores, BETA)
    metrics = summarize_metrics(table, BETA, reduction)
    assert metrics["loss"] == pytest.approx(orpo_loss(scores, BETA, reduction).item(), rel=1e-5)
    assert metrics["rewards/margins"] == pytest.approx(
        BETA * (scores.chosen - scores.rejected).mean().item(), rel=1e-4
    )
    sums = torch.stack(
        [torch.cat([part.sum(0), torch.tensor([float(len(part))])]) for part in (table[:1], table[1:])]
    )
    assert summarize_metrics(sums, BETA, reduction) == pytest.approx(metrics, rel=1e-5)
    assert table.shape == (5, len(METRICS))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_shared_prompt_equals_separate_forwards(attention: str) -> None:
    model, pairs = tiny_model(attention), some_pairs(5)
    scores = scores_of(model, pairs)
    for index, pair in enumerate(pairs):
        for side, found in ((pair.chosen, scores.chosen), (pair.rejected, scores.rejected)):
            logits = model(input_ids=torch.tensor([pair.prompt + side])).logits[0].log_softmax(-1)
            start = len(pair.prompt) - 1
            alone = logits[start : start + len(side)].gather(-1, torch.tensor(side)[:, None]).mean()
            assert torch.allclose(found[index], alone, atol=1e-5)


def trl_loss(model: LlamaForCausalLM, pairs: list[Pair], scope: str) -> torch.Tensor:
    """TRL's own ORPO functions on the same ids, unshared rows, right-padded.

    TRL's NLL is over prompt and chosen. Its completion-only form is made of its own parts: the
    cross-entropy of TRL is token-mean, as is the sum of its ``get_batch_logps`` over all labels.
    """
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    trainer_module = pytest.importorskip("trl.experimental.orpo.orpo_trainer")
    trainer = trainer_module.ORPOTrainer.__new__(trainer_module.ORPOTrainer)
    trainer.beta, trainer.is_encoder_decoder, trainer.padding_value = BETA, False, 0
    trainer.aux_loss_enabled = False
    trainer.accelerator = type("Accelerator", (), {"device": torch.device("cpu")})()
    batch: dict[str, torch.Tensor] = {}
    for side in ("chosen", "rejected"):
        rows = [pair.prompt + getattr(pair, side) for pair in pairs]
        width = max(len(row) for row in rows)

        def padded(rows: list[list[int]], value: int, width: int = width) -> torch.Tensor:
            return torch.tensor([row + [value] * (width - len(row)) for row in rows])

        batch[f"{side}_input_ids"] = padded(rows, 0)
        batch[f"{side}_attention_mask"] = padded([[1] * len(row) for row in rows], 0)
        labels = [[-100] * len(p.prompt) + getattr(p, side) for p in pairs]
        batch[f"{side}_labels"] = padded(labels, -100)
    chosen, rejected, chosen_logits, _, nll = trainer.concatenated_forward(model, batch)
    if scope == "completion":
        labels = torch.nn.functional.pad(
            batch["chosen_labels"],
            (0, chosen_logits.shape[1] + 1 - batch["chosen_labels"].shape[1]),
            value=-100,
        )
        # TRL drops the last column of the logits it returns, and shifts inside get_batch_logps
        logits = torch.cat([chosen_logits, chosen_logits[:, -1:]], dim=1)
        total = trainer.get_batch_logps(logits, labels, average_log_prob=False).sum()
        nll = -total / (labels != -100).sum()
    losses, *_ = trainer.odds_ratio_loss(chosen, rejected)
    return nll - losses.mean()


@pytest.mark.parametrize("scope", ["prompt+chosen", "completion"])
def test_loss_and_gradients_agree_with_trl(scope: str) -> None:
    pairs = some_pairs(5)
    ours, theirs = tiny_model(), tiny_model()
    our_loss = orpo_loss(scores_of(ours, pairs, scope), BETA, "tokens")
    their_loss = trl_loss(theirs, pairs, scope)
    our_loss.backward()
    their_loss.backward()
    assert our_loss.item() == pytest.approx(their_loss.item(), abs=1e-5)
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine.grad, other.grad, atol=1e-5), name
        assert other.grad.abs().max() > 1e-4, f"{name} is not exercised"


def test_scopes_differ_in_nll_alone() -> None:
    model, pairs = tiny_model(), some_pairs(5)
    narrow, wide = scores_of(model, pairs), scores_of(model, pairs, "prompt+chosen")
    assert torch.allclose(narrow.chosen, wide.chosen, atol=1e-6)
    assert torch.allclose(narrow.rejected, wide.rejected, atol=1e-6)
    tokens = [len(pair.prompt) - 1 + len(pair.chosen) for pair in pairs]
    assert wide.nll_tokens.tolist() == tokens
    assert narrow.nll_tokens.tolist() == [len(pair.chosen) for pair in pairs]
