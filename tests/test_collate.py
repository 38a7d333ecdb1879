"""The shared row: who sees whom, what is scored, and in which order rows come."""

from __future__ import annotations

import pytest
import torch

from mintflow.collate import LengthBucketSampler, SharedPromptCollator, block_mask, model_mask
from mintflow.orpo import IGNORE
from mintflow.tokenization import Pair
from test_orpo import scores_of, some_pairs, tiny_model


def test_layout_by_hand() -> None:
    pairs = [Pair("a", [11, 12], [21, 22, 2], [31, 2]), Pair("b", [13], [23, 2], [33, 34, 2])]
    batch = SharedPromptCollator(pad_id=0)(pairs)
    # the end tokens are predicted, not read
    assert batch["input_ids"].tolist() == [[11, 12, 21, 22, 31, 0], [0, 13, 23, 0, 33, 34]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 2, 0], [0, 0, 1, 0, 1, 2]]
    assert batch["logits_to_keep"].tolist() == [1, 2, 3, 4, 5]
    assert batch["first_completion"] == 0
    assert batch["n_tokens"] == 13  # end tokens too
    assert batch["case_ids"] == ["a", "b"]
    x = IGNORE
    assert batch["targets"].tolist() == [
        [[21, 31], [22, x], [2, x], [x, 2], [x, x]],
        [[23, 33], [2, x], [x, x], [x, 34], [x, 2]],
    ]


def test_prompt_scope_scores_every_prompt_token_but_the_first() -> None:
    batch = SharedPromptCollator(0, "prompt+chosen")([Pair("a", [11, 12, 13], [21, 2], [31, 2])])
    assert batch["first_completion"] == 2
    assert batch["targets"][0, :, 0].tolist() == [12, 13, 21, 2, IGNORE]
    assert batch["targets"][0, :, 1].tolist() == [IGNORE, IGNORE, 31, IGNORE, 2]


def test_block_mask_by_hand() -> None:
    found = block_mask(torch.tensor([[0, 1, 1, 2, 0, 3, 3]]))[0, 0].int().tolist()
    assert found == [
        [1, 0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 0],
        [0, 1, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 0],
        [0, 1, 1, 0, 0, 1, 0],
        [0, 1, 1, 0, 0, 1, 1],
    ]


def test_eager_mask_adds_nothing_where_attended() -> None:
    mask = torch.tensor([[[[True, False], [True, True]]]])
    added = model_mask(mask, "eager")
    assert added[mask].tolist() == [0.0, 0.0, 0.0] and added[~mask].item() < -1e30
    assert model_mask(mask, "sdpa") is mask


def test_rejected_does_not_reach_chosen() -> None:
    model, pairs = tiny_model(), some_pairs(3)
    other = [Pair(p.case_id, p.prompt, p.chosen, [9, 8, 7, 6, 5, 4, 3, 2]) for p in pairs]
    before, after = scores_of(model, pairs), scores_of(model, other)
    assert torch.allclose(before.chosen, after.chosen, atol=1e-6)
    assert not torch.allclose(before.rejected, after.rejected, atol=1e-3)


@pytest.mark.parametrize("scope", ["completion", "prompt+chosen"])
def test_rounded_widths_change_the_shape_and_nothing_else(scope: str) -> None:
    model, pairs = tiny_model(), some_pairs(5)
    batch = SharedPromptCollator(0, scope, multiple=8)(pairs)
    assert batch["input_ids"].shape[1] == 8 + 8 + 8  # prompts up to 8 tokens, lists up to 6 and their end
    exact, rounded = scores_of(model, pairs, scope), scores_of(model, pairs, scope, multiple=8)
    for name in ("chosen", "rejected", "nll_sum", "nll_tokens"):
        assert torch.allclose(getattr(exact, name), getattr(rounded, name), atol=1e-4), name


@pytest.mark.parametrize("scope", ["completion", "prompt+chosen"])
def test_padding_changes_nothing(scope: str) -> None:
    model, pairs = tiny_model(), some_pairs(5)
    together = scores_of(model, pairs, scope)
    for index, pair in enumerate(pairs):
        alone = scores_of(model, [pair], scope)
        for name in ("chosen", "rejected", "nll_sum", "nll_tokens"):
            assert torch.allclose(getattr(together, name)[index], getattr(alone, name)[0], atol=1e-4), name


def test_extra_inputs_reach_the_model() -> None:
    collator = SharedPromptCollator(
        0, extra_inputs=lambda pairs, branch: {"pixel_values": torch.zeros(len(pairs), 3, 2, 2)}
    )
    assert collator(some_pairs(2))["pixel_values"].shape == (2, 3, 2, 2)


def test_sampler_is_a_function_of_seed_and_epoch() -> None:
    lengths = [10 + (7 * i) % 50 for i in range(101)]
    sampler = LengthBucketSampler(lengths, batch_size=4, seed=1, buckets=8)
    first = list(sampler)
    torch.rand(3)  # the global generator plays no part
    assert list(sampler) == first and sorted(first) == list(range(101))
    sampler.set_epoch(1)
    assert list(sampler) != first and sorted(sampler) == list(range(101))
    assert list(LengthBucketSampler(lengths, 4, seed=2, buckets=8)) != first


def test_the_short_batch_at_the_end_is_of_rows_like_any_other() -> None:
    lengths = list(range(342))  # 342 = 85 * 4 + 2
    last = []
    for seed in range(200):
        order = list(LengthBucketSampler(lengths, batch_size=4, seed=seed))
        assert sorted(order) == lengths
        last += order[-2:]
    mean = sum(last) / len(last)
    assert abs(mean - 170.5) < 4 * 98.7 / 20  # four standard errors of the mean of 400 rows


def test_sampler_groups_by_length() -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(10, 400, (256,), generator=generator).tolist()
    order = list(LengthBucketSampler(lengths, batch_size=8, seed=0))

    def padding(indices: list[int]) -> int:
        rows = [[lengths[i] for i in indices[start : start + 8]] for start in range(0, 256, 8)]
        return sum(max(row) * len(row) - sum(row) for row in rows)

    assert padding(order) < padding(list(range(256))) / 5
    means = [sum(lengths[i] for i in order[s : s + 8]) for s in range(0, 256, 8)]
    assert means != sorted(means) and means != sorted(means, reverse=True)  # length is no curriculum
