"""Arms that TRL trains: the same ids, its own losses, the base model as reference, and exact resumption."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import trl.trainer.utils
from safetensors.torch import load_file
from torch.nn import functional

import test_trainer
import tiny_vision
from mintflow import base_models, io, models, trainer, training, trl_arms
from mintflow.adapters import add_adapter
from mintflow.conversations import answer, text_of, typed
from mintflow.tokenization import Pair
from test_trainer import assert_same_run, command, encoded, interrupt, log_of
from test_trainer import inputs as _inputs  # noqa: F401
from test_trainer import settings as plain_settings

OWN = {"dpo": {"beta": 0.2, "loss": "sigmoid", "nll": 0.0}}
LISTWISE = {
    "weight": 0.1,
    "temperature": 1.0,
    "top": 3,
    "others": 0,
    "score": "sum",
    "normalize": False,
}
ARMS = ("sft", "sft-truth", "dpo", "listwise")


def settings(**changes: Any) -> dict[str, Any]:
    return plain_settings(**changes) | copy.deepcopy(OWN) | {"listwise": dict(LISTWISE)}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    names = test_trainer.DISEASES
    base_models.write_random([*names, "Seizure", "Short stature", "Hypotonia"], folder / "base")
    rows = pd.DataFrame(test_trainer.preference_rows(22))
    rows["truth"] = rows["chosen"]
    rows["ranked"] = [names] * len(rows)
    rows["ranked_scores"] = [[2.0, 1.0, 0.0, -1.0, -2.0]] * len(rows)
    io.write_parquet(rows.iloc[:18], folder / "train.parquet")
    io.write_parquet(rows.iloc[18:], folder / "validation.parquet")
    return folder


def train(inputs: Path, out: Path, arm: str, config: dict[str, Any]) -> dict[str, Any]:
    program = test_trainer.train_student
    program.main(program.arguments().parse_args(["--arm", arm, *command(inputs, out, config)]))
    return io.read_json(out / "training.json")


def build(
    inputs: Path, out: Path, arm: str, held_out: int = 0, **changes: Any
) -> tuple[trainer.RowTrainer, list[Pair]]:
    config = settings(**changes)
    config["lora"]["dropout"] = 0.0
    pairs, _ = encoded(inputs, 8)
    torch.manual_seed(0)
    model = add_adapter(models.load_model(inputs / "base"), config["lora"], autocast=False)
    arguments = training.arguments_for(arm, config, out, device="cpu", evaluate=held_out > 0, passes=1.0)
    tokenizer = models.load_tokenizer(inputs / "base")
    given = {"train": pairs, "validation": pairs[:held_out]}
    return training.build_trainer(arm, model, arguments, config, tokenizer, given, None), pairs


def log_probs(model: torch.nn.Module, pair: Pair, completion: list[int]) -> torch.Tensor:
    ids = torch.tensor([[*pair.prompt, *completion]])
    logp = model(input_ids=ids).logits[0].log_softmax(-1)[len(pair.prompt) - 1 : -1]
    return logp[torch.arange(len(completion)), torch.tensor(completion)]


def loss_of(student: trainer.RowTrainer, rows: list[int]) -> float:
    student.model.eval()
    batch = student.data_collator([{"row": row} for row in rows])
    with torch.no_grad():
        return float(student.compute_loss(student.model, batch))


def test_sft_is_the_token_mean_of_the_chosen_lists(inputs: Path, tmp_path: Path) -> None:
    student, pairs = build(inputs, tmp_path, "sft")
    found = loss_of(student, [0, 1, 2])
    with torch.no_grad():
        tokens = torch.cat([log_probs(student.model, pair, pair.chosen) for pair in pairs[:3]])
    assert found == pytest.approx(-float(tokens.mean()), rel=1e-5)


@pytest.mark.parametrize("arm", ["sft", "dpo"])
def test_the_head_reads_labelled_positions_alone(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: str
) -> None:
    """The rest costs time on a CPU; loss and gradients stay those of TRL's own way."""
    head, asked = trl.trainer.utils._ChunkedLogProbFunction, trl.trainer.utils._use_triton
    seen: list[int] = []

    class Counting:
        @staticmethod
        def apply(hidden: torch.Tensor, *rest: Any) -> Any:
            seen.append(len(hidden))
            return head.apply(hidden, *rest)

    monkeypatch.setattr(trl.trainer.utils, "_ChunkedLogProbFunction", Counting)

    def gradients(student: trainer.RowTrainer) -> tuple[float, torch.Tensor]:
        student.model.train()
        loss = student.compute_loss(student.model, student.data_collator([{"row": row} for row in range(3)]))
        loss.backward()
        found = [w.grad.flatten() for w in student.model.parameters() if w.grad is not None]
        return float(loss.detach()), torch.cat(found)

    student, pairs = build(inputs, tmp_path / "ours", arm)
    loss, slopes = gradients(student)
    labels = sum(len(pair.chosen) + (len(pair.rejected) if arm == "dpo" else 0) for pair in pairs[:3])
    assert seen and set(seen) == {labels}
    assert trl.trainer.utils._use_triton is asked
    monkeypatch.setattr(trl_arms, "labelled_positions_alone", contextlib.nullcontext)
    seen.clear()
    whole, expected = gradients(build(inputs, tmp_path / "theirs", arm)[0])
    assert seen and min(seen) > labels, "TRL does so itself now: leave it to TRL"
    assert loss == pytest.approx(whole, rel=1e-5)
    assert float(expected.abs().max()) > 0
    torch.testing.assert_close(slopes, expected, rtol=1e-4, atol=1e-7)


def test_the_teachers_first_name_stands_where_nobody_knows_the_truth(tmp_path: Path) -> None:
    chosen, named = answer("1. Marfan syndrome, type 1.\n2. Other"), answer("1. Noonan syndrome")
    table = pd.DataFrame({"case_id": ["a", "b"], "chosen": [chosen] * 2, "truth": [named, None]})
    io.write_parquet(typed(table, ["chosen", "truth"]), tmp_path / "pairs.parquet")
    rows = io.read_parquet(tmp_path / "pairs.parquet").to_dict("records")
    found = [text_of(list(row["taught"])) for row in training.rows_of(rows, "sft-truth")]
    assert found == ["1. Noonan syndrome", "1. Marfan syndrome, type 1."]
    assert {text_of(list(row["chosen"])) for row in training.rows_of(rows, "sft")} == {text_of(chosen)}


def test_sft_is_told_which_held_out_list_is_likelier(inputs: Path, tmp_path: Path) -> None:
    """By the mean over a list's tokens, as ORPO is."""
    student, pairs = build(inputs, tmp_path, "sft", held_out=5)
    with torch.no_grad():
        for name, weights in student.model.named_parameters():
            if "lora_B" in name:  # else the toy's lists are all as likely
                weights.normal_(0, 0.5, generator=torch.Generator().manual_seed(1))
    told = student.evaluate()
    with torch.no_grad():
        chosen, rejected = (
            torch.stack([log_probs(student.model, pair, getattr(pair, name)).mean() for pair in pairs[:5]])
            for name in ("chosen", "rejected")
        )
    assert 0 < float((chosen > rejected).float().mean()) < 1
    assert told["eval_rewards/accuracies"] == pytest.approx(float((chosen > rejected).float().mean()))
    assert told["eval_logps/chosen"] == pytest.approx(float(chosen.mean()), rel=1e-5)
    assert told["eval_logps/rejected"] == pytest.approx(float(rejected.mean()), rel=1e-5)


def test_dpo_is_the_papers_loss_against_the_base_model(inputs: Path, tmp_path: Path) -> None:
    student, pairs = build(inputs, tmp_path, "dpo")
    with torch.no_grad():
        for name, weights in student.model.named_parameters():
            if "lora_B" in name:
                weights.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
    base = models.load_model(inputs / "base")
    losses = []
    with torch.no_grad():
        for pair in pairs[:3]:
            change = [
                log_probs(student.model, pair, ids).sum() - log_probs(base, pair, ids).sum()
                for ids in (pair.chosen, pair.rejected)
            ]
            losses.append(-functional.logsigmoid(OWN["dpo"]["beta"] * (change[0] - change[1])))
    assert float(torch.stack(losses).std()) > 1e-3  # else the loss would hardly depend on the model
    assert loss_of(student, [0, 1, 2]) == pytest.approx(float(torch.stack(losses).mean()), rel=1e-4)
    assert set(student.model.peft_config) == {"default"}


@pytest.mark.parametrize("arm", ["sft", "dpo"])
def test_adapters_are_those_of_the_other_arms(inputs: Path, tmp_path: Path, arm: str) -> None:
    """TRL would make them bfloat16 beside a 4-bit base, and switch DPO's dropout off."""
    config = settings()
    pairs, _ = encoded(inputs, 8)
    model = add_adapter(models.load_model(inputs / "base"), config["lora"], autocast=False)
    model.base_model.model.is_loaded_in_4bit = model.is_loaded_in_4bit = True
    arguments = training.arguments_for(arm, config, tmp_path, device="cpu", evaluate=False, passes=1.0)
    given = {"train": pairs, "validation": []}
    tokenizer = models.load_tokenizer(inputs / "base")
    try:
        student = training.build_trainer(arm, model, arguments, config, tokenizer, given, None)
    finally:
        model.base_model.model.is_loaded_in_4bit = model.is_loaded_in_4bit = False
    assert all(p.dtype == torch.float32 for p in student.model.parameters() if p.requires_grad)
    rates = {m.p for m in student.model.modules() if isinstance(m, torch.nn.Dropout)}
    assert config["lora"]["dropout"] in rates


def test_a_rate_on_trial_may_diverge(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = trainer.RowTrainer.culprits

    def culprits(self: Any) -> tuple[str, str]:
        return ("loss", "pair a") if self.state.global_step == 3 else real(self)

    monkeypatch.setattr(trainer.RowTrainer, "culprits", culprits)
    program = test_trainer.train_student
    arguments = ["--arm", "sft", *command(inputs, tmp_path, settings())]
    with pytest.raises(trainer.NotFiniteError):
        program.main(program.arguments().parse_args(arguments))
    program.main(program.arguments().parse_args([*arguments, "--trial"]))
    assert io.read_json(tmp_path / "training.json")["diverged_after_step"] == 3
    assert (tmp_path / "adapter/adapter_model.safetensors").exists()


@pytest.mark.parametrize("arm", ARMS)
def test_it_learns_and_resumes_exactly(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm: str
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    summary = train(inputs, whole, arm, settings())
    assert summary["arm"] == arm
    # the toy pairs contradict each other in circles, which DPO can only lose at
    assert arm == "dpo" or summary["losses"]["last"] < summary["losses"]["first"]
    weights = load_file(whole / "adapter/adapter_model.safetensors")
    assert all(value.abs().max() > 0 for name, value in weights.items() if "lora_B" in name)
    with monkeypatch.context() as patch:
        interrupt(patch, 5, test_trainer.die)
        with pytest.raises(KeyboardInterrupt):
            train(inputs, broken, arm, settings())
    again = train(inputs, broken, arm, settings())
    assert again["resumed_from_step"] == 4 and again["tokens"] == summary["tokens"]
    assert_same_run(whole, broken)
    told = [entry for entry in log_of(whole) if "eval_loss" in entry]
    assert told and all(("eval_rewards/accuracies" in entry) == (arm != "sft-truth") for entry in told)
    card = (whole / "adapter/README.md").read_text()
    assert f"- {arm}\n" in card and str(inputs) not in card


def test_arms_get_as_many_tokens(inputs: Path, tmp_path: Path) -> None:
    """With batches of one pair steps are tokens: the budgets agree to within one step's tokens."""
    longest = max(len(pair) for pair in encoded(inputs, 18)[0])
    found = {
        arm: train(inputs, tmp_path / arm, arm, settings(batch_size=1, eval_steps=50, save_steps=50))
        for arm in ("orpo", *ARMS)
    }
    for arm, summary in found.items():
        assert abs(summary["tokens"] - found["orpo"]["tokens"]) <= 2 * longest, arm
    # the same rows as often: to the token, though TRL computes each prompt twice
    assert found["dpo"]["tokens"] == found["orpo"]["tokens"]
    assert found["sft"]["steps"] > found["orpo"]["steps"] == found["dpo"]["steps"]
    fewer = train(inputs, tmp_path / "fewer", "sft", settings(batch_size=1, budget="pairs"))
    assert fewer["steps"] == found["orpo"]["steps"] and fewer["passes"] == 1.0


def test_learning_rate_of_a_search(inputs: Path, tmp_path: Path) -> None:
    io.write_json({"learning_rate": 0.005, "trials": []}, tmp_path / "rate.json")
    program = test_trainer.train_student
    flags = ["--arm", "sft", "--learning-rate", str(tmp_path / "rate.json")]
    program.main(program.arguments().parse_args([*flags, *command(inputs, tmp_path / "a", settings())]))
    train(inputs, tmp_path / "b", "sft", settings(learning_rate=0.005))
    one, other = (load_file(tmp_path / name / "adapter/adapter_model.safetensors") for name in ("a", "b"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_infinite_gradient_is_caught(inputs: Path, tmp_path: Path) -> None:
    student, _ = build(inputs, tmp_path, "dpo")
    next(p for p in student.model.parameters() if p.requires_grad).register_hook(lambda grad: grad / 0.0)
    with pytest.raises(trainer.NotFiniteError, match=r"step 1, .*gradient"):
        student.train()


@pytest.mark.parametrize("family", tiny_vision.FAMILIES)
@pytest.mark.parametrize("arm", ["sft", "dpo"])
def test_students_that_see(tmp_path: Path, family: str, arm: str) -> None:
    """Both of a pair's rows are shown its image: the loss is that of separate forward passes."""
    base = tiny_vision.make(family, tmp_path / "base")
    encoder = tiny_vision.encoder(base)
    pairs = [encoder.pair(tiny_vision.row(image), 400) for image in ("t0", "t1")]
    config = settings() | {"attention": "eager"}
    config["lora"]["dropout"] = 0.0
    model = models.load_model(base, dtype="float32", attention="eager")
    torch.manual_seed(0)
    model = add_adapter(model, config["lora"], autocast=False)
    arguments = training.arguments_for(arm, config, tmp_path / "c", device="cpu", evaluate=False, passes=1)
    given = {"train": pairs, "validation": pairs}
    student = training.build_trainer(arm, model, arguments, config, encoder.tokenizer, given, encoder.gallery)
    with torch.no_grad():
        for name, weights in student.model.named_parameters():
            if "lora_B" in name:
                weights.normal_(0, 0.2, generator=torch.Generator().manual_seed(1))

    def alone(pair: Pair, completion: list[int]) -> torch.Tensor:
        ids = torch.tensor([[*pair.prompt, *completion]])
        seen = torch.ones_like(ids)
        shown = encoder.gallery.batch([pair.image], [pair.prompt], seen)
        logits = student.model(input_ids=ids, attention_mask=seen, **shown).logits[0]
        logp = logits.log_softmax(-1)[len(pair.prompt) - 1 : -1]
        return logp[torch.arange(len(completion)), torch.tensor(completion)]

    with torch.no_grad():
        if arm == "sft":
            wanted = -torch.cat([alone(pair, pair.chosen) for pair in pairs]).mean()
            told = student.evaluate()
            for side in ("chosen", "rejected"):
                mean = torch.stack([alone(pair, getattr(pair, side)).mean() for pair in pairs]).mean()
                assert told[f"eval_logps/{side}"] == pytest.approx(float(mean), rel=1e-3)
        else:
            chosen, rejected = (
                torch.stack([alone(pair, getattr(pair, side)).sum() for pair in pairs])
                for side in ("chosen", "rejected")
            )
            with student.model.disable_adapter():
                plain = [
                    torch.stack([alone(pair, getattr(pair, side)).sum() for pair in pairs])
                    for side in ("chosen", "rejected")
                ]
            margin = (chosen - plain[0]) - (rejected - plain[1])
            wanted = -functional.logsigmoid(0.2 * margin).mean()
    assert loss_of(student, [0, 1]) == pytest.approx(float(wanted), rel=1e-3)
