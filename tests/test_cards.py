"""The model card says what the adapter is and nothing of this machine."""

from __future__ import annotations

import pytest

from mintflow.cards import model_card

BASE = {
    "id": "SmolLM2-135M-Instruct (dequantised)",
    "hub_id": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "revision": None,
    "parameters": 134515008,
    "licence": "Apache-2.0",
    "sha256": "ab" * 32,
}
SETTINGS = {
    "lora": {"variant": "rslora", "r": 8, "alpha": 16, "dropout": 0.1, "target_modules": "all-linear"},
    "orpo": {
        "nll_scope": "completion",
        "odds_scope": "completion",
        "nll_reduction": "sequence",
        "beta": 0.25,
    },
    "training": {
        "learning_rate": 0.0006,
        "schedule": "cosine",
        "warmup_ratio": 0.05,
        "weight_decay": 0.0,
        "seed": 6,
    },
    "quantization": "none",
    "precision": "bf16",
}
SUMMARY = {
    "arm": "orpo",
    "pairs": {"train": 100, "validation": 0},
    "dropped": {"train": {"too_long": 1}},
    "pairs_per_step": 4,
    "steps": 50,
    "kept_step": 50,
    "tokens": 1234,
    "metrics": {"eval_loss": 0.5, "loss": 1.0},
    "versions": {"torch": "2.13.0"},
}
DATA = {"train": "cd" * 32, "validation": "ef" * 32}


def test_card_states_base_data_objective_and_limits() -> None:
    card = model_card(BASE, SETTINGS, SUMMARY, DATA)
    assert card.startswith("---\nlibrary_name: peft\n")
    assert "base_model: HuggingFaceTB/SmolLM2-135M-Instruct\n" in card
    assert "134,515,008 parameters, licence Apache-2.0" in card
    assert "| orpo: beta | 0.25 |" in card
    assert "rsLoRA adapter" in card
    assert "cd" * 32 in card
    assert "| eval_loss | 0.5000 |" in card
    assert "| loss |" not in card
    assert "Not for clinical use" in card
    assert "dequantised copy" in card


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hub_id": None}, "published nowhere"),
        (
            {"id": "a/b", "hub_id": "a/b", "revision": "0cb88a4"},
            'from_pretrained("a/b", revision="0cb88a4")',
        ),
    ],
)
def test_where_the_base_is_to_be_had(changes: dict, words: str) -> None:
    assert words in model_card(BASE | changes, SETTINGS, SUMMARY, DATA)


def test_no_held_out_pairs_is_said() -> None:
    card = model_card(BASE, SETTINGS, SUMMARY | {"metrics": {}}, DATA)
    assert "| none | no held-out pairs |" in card


def test_card_says_whose_truth_nobody_knows() -> None:
    truth = SUMMARY | {"arm": "sft-truth"}
    card = model_card(BASE, SETTINGS, truth, DATA)
    assert "The teacher's lists were not used." in card
    mixed = model_card(BASE, SETTINGS, truth | {"without_truth": 370}, DATA)
    assert "Of 370 nobody knows it" in mixed and "were not used" not in mixed
