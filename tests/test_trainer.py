"""Training as a whole, on a tiny random model: equal, resumable, and loud when numbers go wrong."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerState

import train_student
from mintflow import base_models, checkpoints, io, models, precision, trainer, training_flow
from mintflow.adapters import add_adapter
from mintflow.collate import SharedPromptCollator
from mintflow.errors import InputError
from mintflow.objectives import Orpo
from mintflow.tokenization import ChatEncoder, Pair, encode_pairs

DISEASES = [
    "Marfan syndrome",
    "Noonan syndrome 1",
    "Rett syndrome",
    "Kabuki syndrome 1",
    "Loeys-Dietz syndrome 3",
]
SETTINGS: dict[str, Any] = {
    "base": {"dtype": "float32"},
    "device": "cpu",
    "launcher": "python",
    "threads": 1,
    "precision": "fp32",
    "quantization": "none",
    "attention": "sdpa",
    "lora": {"r": 4, "alpha": 8, "dropout": 0.1, "target_modules": "all-linear", "variant": "lora"},
    "orpo": {"beta": 0.3, "nll_scope": "completion", "odds_scope": "completion", "nll_reduction": "sequence"},
    "training": {
        "epochs": 2,
        "max_steps": -1,
        "learning_rate": 0.01,
        "schedule": "cosine",
        "warmup_ratio": 0.1,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "batch_size": 4,
        "gradient_accumulation": 1,
        "gradient_checkpointing": False,
        "max_length": 512,
        "pad_to_multiple": 16,
        "max_dropped_fraction": 0.05,
        "budget": "tokens",
        "eval_steps": 2,
        "save_steps": 2,
        "log_steps": 3,
        "patience": 0,
        "keep_best": False,
        "seed": 6,
    },
    "merge": False,
    "chat_template_kwargs": {},
}


def settings(**training: Any) -> dict[str, Any]:
    result = copy.deepcopy(SETTINGS)
    result["training"] |= training
    return result


def preference_rows(number: int) -> list[dict[str, Any]]:
    rows = []
    for i in range(number):
        first, last = DISEASES[i % 5], DISEASES[(i + 1 + i // 5) % 5]
        if first == last:
            last = DISEASES[(i + 2) % 5]
        prompt = f"Phenotypes: {'; '.join(['Seizure', 'Short stature', 'Hypotonia'][: 1 + i % 3])} {i}"
        rows.append(
            {
                "case_id": f"case-{i:02d}",
                "prompt": [{"role": "user", "content": prompt}],
                "chosen": [{"role": "assistant", "content": f"1. {first}"}],
                "rejected": [{"role": "assistant", "content": f"1. {last}"}],
            }
        )
    return rows


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    base_models.write_random([*DISEASES, "Seizure", "Short stature", "Hypotonia"], folder / "base")
    rows = preference_rows(22)
    io.write_parquet(pd.DataFrame(rows[:18]), folder / "train.parquet")
    io.write_parquet(pd.DataFrame(rows[18:]), folder / "validation.parquet")
    io.write_parquet(pd.DataFrame(rows).iloc[:0], folder / "none.parquet")
    return folder


def command(inputs: Path, out: Path, config: dict[str, Any], **paths: Path) -> list[str]:
    flags = {
        "settings": json.dumps(config),
        "base": inputs / "base",
        "train": inputs / "train.parquet",
        "validation": inputs / "validation.parquet",
        "checkpoints": out / "checkpoints",
        "output-adapter": out / "adapter",
        "output-log": out / "log.jsonl",
        "output-summary": out / "training.json",
        **paths,
    }
    return [part for name, value in flags.items() for part in (f"--{name}", str(value))]


def train(inputs: Path, out: Path, config: dict[str, Any], **paths: Path) -> dict[str, Any]:
    train_student.main(train_student.arguments().parse_args(command(inputs, out, config, **paths)))
    return io.read_json(out / "training.json")


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole_run(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of 10 steps (two epochs of 18 pairs in fours)."""
    out = tmp_path_factory.mktemp("whole")
    train(inputs, out, settings())
    return out


def assert_same_run(one: Path, other: Path) -> None:
    assert (one / "log.jsonl").read_bytes() == (other / "log.jsonl").read_bytes()
    for name in ("adapter_model.safetensors", "adapter_config.json", "README.md"):
        assert (one / "adapter" / name).read_bytes() == (other / "adapter" / name).read_bytes(), name


def test_what_is_written(inputs: Path, whole_run: Path) -> None:
    summary, entries = io.read_json(whole_run / "training.json"), log_of(whole_run)
    assert summary["steps"] == summary["kept_step"] == 10 and summary["pairs"] == {
        "train": 18,
        "validation": 4,
    }
    assert summary["losses"]["last"] < summary["losses"]["first"]
    names = {"rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "logps/chosen"}
    names |= {"logps/rejected", "nll_loss", "log_odds_ratio", "log_odds_chosen", "loss"}
    first, held_out = (next(e for e in entries if key in e) for key in ("loss", "eval_loss"))
    assert names <= set(first) and {f"eval_{name}" for name in names} <= set(held_out)
    assert first["loss"] == pytest.approx(first["nll_loss"] - 0.3 * first["log_odds_ratio"], rel=1e-4)
    config = io.read_json(whole_run / "adapter" / "adapter_config.json")
    assert config["base_model_name_or_path"] == "random Llama, seed 0"
    card = (whole_run / "adapter" / "README.md").read_text()
    assert "Not for clinical use" in card and summary["data"]["train"] in card
    for path in (whole_run / "adapter").iterdir():
        assert str(inputs).encode() not in path.read_bytes(), path.name
    assert {"tokenizer.json", "chat_template.jinja"} <= {p.name for p in (whole_run / "adapter").iterdir()}
    models.load_model(inputs / "base", adapter=whole_run / "adapter")


def test_same_seed_same_bytes(inputs: Path, whole_run: Path, tmp_path: Path) -> None:
    train(inputs, tmp_path, settings())
    assert_same_run(whole_run, tmp_path)
    train(inputs, tmp_path, settings(seed=7))  # other settings: the checkpoints there are of no use
    assert io.read_json(tmp_path / "training.json")["resumed_from_step"] == 0
    with pytest.raises(AssertionError):
        assert_same_run(whole_run, tmp_path)


def interrupt(monkeypatch: pytest.MonkeyPatch, at_step: int, action: Any) -> None:
    real = training_flow.TrainingFlow.on_step_end

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == at_step:
            action()
        real(self, args, state, control, **kwargs)

    monkeypatch.setattr(training_flow.TrainingFlow, "on_step_end", on_step_end)


def die() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("at_step", [4, 8])
def test_resumed_run_equals_an_uninterrupted_one(
    inputs: Path, whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_step: int
) -> None:
    """Dropout is on, the second epoch is entered in its middle, and steps between checkpoints are lost."""
    with monkeypatch.context() as patch:
        interrupt(patch, at_step + 1, die)
        with pytest.raises(KeyboardInterrupt):
            train(inputs, tmp_path, settings())
    assert not (tmp_path / "adapter").exists()
    folder = tmp_path / f"checkpoints/checkpoint-{at_step}"
    checkpoints.seal(folder, 1000.0)
    found = train(inputs, tmp_path, settings())
    assert found["resumed_from_step"] == at_step
    assert 1000 < found["training_seconds"] <= found["seconds"] < 1200, "the part before the interruption"
    assert found["seconds_per_pair"] == pytest.approx(found["training_seconds"] / 40, abs=0.05 / 40 + 1e-4)
    assert_same_run(whole_run, tmp_path)


def test_damaged_last_checkpoint_falls_back(
    inputs: Path,
    whole_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, 7, die)
        with pytest.raises(KeyboardInterrupt):
            train(inputs, tmp_path, settings())
    weights = tmp_path / "checkpoints" / "checkpoint-6" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-40] + bytes(40))
    caplog.clear()
    assert train(inputs, tmp_path, settings())["resumed_from_step"] == 4
    assert "checkpoint-6 is incomplete or damaged" in caplog.text
    assert_same_run(whole_run, tmp_path)


def test_auto_is_told_as_what_it_was(inputs: Path, tmp_path: Path) -> None:
    config = settings(max_steps=1) | {"precision": "auto"}
    told = train(inputs, tmp_path, config)["dtype"]["autocast"]
    assert told == precision.pick_precision("auto", "cpu")
    # what was asked for tells two trainings apart, so one that names it starts afresh
    assert train(inputs, tmp_path, config | {"precision": told})["resumed_from_step"] == 0


def test_requeued_on_another_processor_it_goes_on_as_it_began(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings() | {"precision": "auto"}
    with monkeypatch.context() as patch:
        patch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
        interrupt(patch, 5, die)
        with pytest.raises(KeyboardInterrupt):
            train(inputs, tmp_path, config)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    found = train(inputs, tmp_path, config)
    assert found["resumed_from_step"] == 4 and found["dtype"]["autocast"] == "bf16"
    assert train(inputs, tmp_path / "new", config)["dtype"]["autocast"] == "fp32"


def test_fewer_pairs_read_as_many_tokens(inputs: Path, tmp_path: Path) -> None:
    """A variant with pairs of its own has the token budget of the run's pairs."""
    few = tmp_path / "few.parquet"
    io.write_parquet(io.read_parquet(inputs / "train.parquet").head(6), few)
    paths = {"train": few, "standard": inputs / "train.parquet"}
    found = train(inputs, tmp_path / "variant", settings(batch_size=1), **paths)
    whole = train(inputs, tmp_path / "whole", settings(batch_size=1))
    assert found["passes"] > 2.5 and found["pairs"]["train"] == 6
    assert found["tokens"] == pytest.approx(whole["tokens"], rel=0.03)
    alone = train(inputs, tmp_path / "alone", settings(budget="pairs"), **paths)
    assert alone["passes"] == 1.0
    # a limit of steps is one of tokens as well, however few the pairs are
    limited = {
        name: train(inputs, tmp_path / name, settings(batch_size=1, max_steps=8), **files)
        for name, files in (("few", paths), ("many", {}))
    }
    assert limited["many"]["steps"] == 8 and 7 <= limited["few"]["steps"] <= 9


def test_finished_training_is_not_trained_further(inputs: Path, whole_run: Path, tmp_path: Path) -> None:
    config = settings(max_steps=3)
    train(inputs, tmp_path, config)
    before = (tmp_path / "adapter" / "adapter_model.safetensors").read_bytes()
    again = train(inputs, tmp_path, config)
    assert again["resumed_from_step"] == again["steps"] == 3 and again["metrics"]["step"] == 3
    assert (tmp_path / "adapter" / "adapter_model.safetensors").read_bytes() == before


def test_checkpoints_of_other_code_are_not_gone_on_from(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed objective reruns the rule; the finished checkpoint must not answer for it."""
    config = settings(max_steps=3)
    train(inputs, tmp_path, config)
    real = io.sha256_file
    monkeypatch.setattr(io, "sha256_file", lambda path: real(path) + "*" * (Path(path).name == "orpo.py"))
    assert train(inputs, tmp_path, config)["resumed_from_step"] == 0


def test_one_process_trains_on_one_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    found = trainer.training_arguments(settings(), tmp_path, device="cuda", evaluate=True)
    assert found.n_gpu == 1
    assert found.train_batch_size == settings()["training"]["batch_size"]


def test_sigterm_saves_and_stops(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(SystemExit) as stop:
            train(inputs, tmp_path, settings())
    assert stop.value.code == 143 and not (tmp_path / "adapter").exists()
    assert train(inputs, tmp_path, settings())["resumed_from_step"] == 3


def test_unsealed_checkpoints_do_not_count(tmp_path: Path) -> None:
    assert checkpoints.prepare(tmp_path, {"a": 1}) is None
    folder = tmp_path / "checkpoint-5"
    folder.mkdir()
    (folder / "trainer_state.json").write_text("{}")
    assert not checkpoints.is_whole(folder)
    checkpoints.seal(folder, 1.0)
    assert checkpoints.prepare(tmp_path, {"a": 1}) == folder
    assert checkpoints.prepare(tmp_path, {"a": 2}) is None and not folder.exists()


def encoded(inputs: Path, number: int) -> tuple[list[Pair], int]:
    tokenizer = models.load_tokenizer(inputs / "base")
    coder = ChatEncoder(tokenizer, models.end_token_ids(inputs / "base", tokenizer), {})
    pairs, _ = encode_pairs(preference_rows(number), coder, max_length=512, max_dropped_fraction=0)
    return pairs, tokenizer.pad_token_id


def make_trainer(
    inputs: Path, out: Path, number: int = 16, reduction: str = "sequence", **changes: Any
) -> trainer.PreferenceTrainer:
    config = settings(**changes)
    config["lora"]["dropout"] = 0.0
    pairs, pad = encoded(inputs, number)
    torch.manual_seed(0)
    model = add_adapter(models.load_model(inputs / "base"), config["lora"], autocast=False)
    arguments = trainer.training_arguments(config, out, device="cpu", evaluate=False)
    return trainer.PreferenceTrainer(
        model,
        arguments,
        objective=Orpo(0.3, reduction),
        collator=SharedPromptCollator(pad),
        train_pairs=pairs,
    )


def weights_of(student: trainer.PreferenceTrainer) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in student.model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("reduction", ["sequence", "tokens"])
def test_accumulation_and_checkpointing_change_nothing(inputs: Path, tmp_path: Path, reduction: str) -> None:
    """17 pairs in fours: the last step of the epoch is short, and its parts are uneven."""
    results = []
    for name, changes in (
        ("one", {"batch_size": 4}),
        ("four", {"batch_size": 1, "gradient_accumulation": 4}),
        ("uneven", {"batch_size": 2, "gradient_accumulation": 2, "gradient_checkpointing": True}),
    ):
        student = make_trainer(
            inputs, tmp_path / name, 17, reduction, epochs=1, log_steps=1, learning_rate=0.001, **changes
        )
        student.train()
        losses = [entry["loss"] for entry in student.state.log_history if "loss" in entry]
        results.append((losses, weights_of(student)))
    reference, expected = results[0]
    assert len(reference) == 5
    for losses, weights in results[1:]:
        assert losses == pytest.approx(reference, rel=1e-5)
        for name, value in weights.items():
            assert torch.allclose(value, expected[name], atol=2e-5), name


def test_nan_is_caught_before_the_weights_change(inputs: Path, tmp_path: Path) -> None:
    student = make_trainer(inputs, tmp_path, 8, batch_size=4)
    seen = {token for pair in student.train_dataset for token in pair.prompt + pair.chosen + pair.rejected}
    rare = next(token for token in range(3, student.model.config.vocab_size) if token not in seen)
    student.rows[5] = student.train_dataset[5] = planted = Pair("case-planted", [rare, 9], [20, 2], [21, 2])
    before = weights_of(student)

    def poison(module: Any, args: Any, kwargs: Any, output: Any) -> None:
        rows = (kwargs["input_ids"] == planted.prompt[0]).any(1)
        output.logits = output.logits.masked_fill(rows[:, None, None], float("nan"))

    handle = student.model.register_forward_hook(poison, with_kwargs=True)
    steps = [s for s in range(2) if 5 in list(student._get_train_sampler())[4 * s : 4 * s + 4]]
    with pytest.raises(trainer.NotFiniteError, match=rf"step {steps[0] + 1}, pairs case-planted, .*loss"):
        student.train()
    handle.remove()
    assert all(torch.isfinite(p).all() for p in student.model.parameters())
    if steps[0] == 0:
        assert all(torch.equal(value, before[name]) for name, value in weights_of(student).items())


def test_after_a_nan_training_goes_on_from_the_checkpoint_before(
    inputs: Path, whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What made it once, a fault of the hardware say, is gone: the run ends as one without it."""
    real = trainer.PreferenceTrainer.compute_loss

    def poisoned(self: Any, *args: Any, **kwargs: Any) -> Any:
        loss = real(self, *args, **kwargs)
        return loss * float("nan") if self.state.global_step == 6 and self.model.training else loss

    with monkeypatch.context() as patch:
        patch.setattr(trainer.PreferenceTrainer, "compute_loss", poisoned)
        with pytest.raises(trainer.NotFiniteError, match=r"step 7, pairs case-\d\d"):
            train(inputs, tmp_path, settings())
    assert not (tmp_path / "adapter").exists()
    assert train(inputs, tmp_path, settings())["resumed_from_step"] == 6
    assert_same_run(whole_run, tmp_path)


def test_infinite_gradient_is_caught(inputs: Path, tmp_path: Path) -> None:
    student = make_trainer(inputs, tmp_path, 8)
    parameter = next(p for p in student.model.parameters() if p.requires_grad)
    parameter.register_hook(lambda gradient: gradient / 0.0)
    before = weights_of(student)
    with pytest.raises(trainer.NotFiniteError, match=r"step 1, pairs case-\d\d, .*gradient"):
        student.train()
    assert all(torch.equal(value, before[name]) for name, value in weights_of(student).items())


def test_best_weights_are_kept(inputs: Path, tmp_path: Path) -> None:
    # held-out pairs that prefer what training rejects: learning makes them worse
    swapped = pd.DataFrame(preference_rows(22)[18:]).rename(
        columns={"chosen": "rejected", "rejected": "chosen"}
    )
    io.write_parquet(swapped, tmp_path / "swapped.parquet")
    config = settings(
        keep_best=True, patience=2, learning_rate=0.02, schedule="constant", save_steps=4, epochs=6
    )
    summary = train(inputs, tmp_path, config, validation=tmp_path / "swapped.parquet")
    held_out = dict((step, loss) for step, loss in summary["losses"]["held_out"])
    best = min(held_out, key=held_out.__getitem__)
    assert summary["kept_step"] == best and summary["metrics"]["eval_loss"] == held_out[best]
    assert summary["steps"] < 30, f"the held-out loss was meant to rise: {held_out}"
    saved = load_file(tmp_path / "checkpoints" / f"checkpoint-{best}" / "adapter_model.safetensors")
    written = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in written.items())
    # its last checkpoint is past the early stop
    again = train(inputs, tmp_path, config, validation=tmp_path / "swapped.parquet")
    assert again["resumed_from_step"] == again["steps"] == summary["steps"] and again["kept_step"] == best
    assert load_file(tmp_path / "adapter" / "adapter_model.safetensors").keys() == written.keys()


def test_patience_counts_evaluations_since_the_best() -> None:
    flow = training_flow.TrainingFlow(patience=2)
    state = TrainerState()
    expected = ((1.0, False), (0.9, False), (0.95, False), (0.9, True))
    for loss, stops in expected:
        state.log_history.append({"eval_loss": loss})
        assert flow.out_of_patience(state) is stops
    assert not training_flow.TrainingFlow(patience=0).out_of_patience(state)


@pytest.mark.parametrize("variant", ["dora", "rslora"])
def test_variants_merge_and_bf16(inputs: Path, tmp_path: Path, variant: str) -> None:
    config = settings(max_steps=2)
    config["lora"] |= {"variant": variant}
    config |= {"precision": "bf16", "merge": True, "attention": "auto"}
    train(inputs, tmp_path, config, **{"output-merged": tmp_path / "merged"})
    adapted = models.load_model(inputs / "base", adapter=tmp_path / "adapter")
    merged = models.load_model(tmp_path / "merged")
    ids = torch.arange(20)[None]
    assert torch.allclose(adapted(input_ids=ids).logits, merged(input_ids=ids).logits, atol=1e-4)
    assert not torch.allclose(
        merged(input_ids=ids).logits, models.load_model(inputs / "base")(input_ids=ids).logits, atol=1e-4
    )


def test_without_held_out_pairs(inputs: Path, tmp_path: Path) -> None:
    summary = train(inputs, tmp_path, settings(max_steps=1), validation=inputs / "none.parquet")
    assert summary["metrics"] == {} and summary["losses"]["held_out"] == []
    with pytest.raises(InputError, match=r"rare\.student\.training\.patience"):
        train(inputs, tmp_path, settings(patience=1), validation=inputs / "none.parquet")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"quantization": "nf4"}, "quantization"),
        ({"attention": "flex_attention"}, "attention"),
        ({"device": "cuda"}, "device"),
        ({"merge": True}, "merge"),
        ({"lora": SETTINGS["lora"] | {"target_modules": ["nothing"]}}, "lora.target_modules"),
        ({"training": SETTINGS["training"] | {"save_steps": 3}}, "training.save_steps"),
        ({"training": SETTINGS["training"] | {"max_length": 16}}, "training.max_dropped_fraction"),
    ],
)
def test_bad_settings_name_their_key(
    inputs: Path, tmp_path: Path, change: dict[str, Any], field: str
) -> None:
    if torch.cuda.is_available() and field in ("quantization", "attention", "device"):
        pytest.skip("a CUDA device is here")
    with pytest.raises(InputError, match=rf"rare\.student\.{field}"):
        train(inputs, tmp_path, settings() | change)
    assert not (tmp_path / "adapter").exists()


TWO_PROCESSES = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


def test_two_processes_equal_one(root: Path, inputs: Path, tmp_path: Path) -> None:
    """torchrun, gloo, CPU: two processes with twos learn what one does with fours."""
    two, one = (settings(max_steps=4, log_steps=1, batch_size=size) for size in (2, 4))
    for config in (one, two):
        config["lora"]["dropout"] = 0.0
    launcher = [*TWO_PROCESSES, str(root / "workflow/scripts/train_student.py")]
    subprocess.run([*launcher, *command(inputs, tmp_path / "two", two)], check=True, timeout=120)
    train(inputs, tmp_path / "one", one)
    summary = io.read_json(tmp_path / "two" / "training.json")
    assert summary["processes"] == 2 and summary["pairs_per_step"] == 4
    pairs = list(zip(log_of(tmp_path / "one"), log_of(tmp_path / "two"), strict=True))
    for mine, theirs in pairs:
        for name in ("loss", "eval_loss", "rewards/margins", "eval_logps/chosen", "tokens"):
            if name in mine:
                assert mine[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-6), name


def test_two_processes_stop_at_the_same_step(root: Path, inputs: Path, tmp_path: Path) -> None:
    """SIGTERM, as Slurm sends it: they save one checkpoint, and end with the bytes of those left in peace."""
    config = settings(max_steps=80, eval_steps=20, save_steps=20, batch_size=2)
    launcher = [*TWO_PROCESSES, str(root / "workflow/scripts/train_student.py")]
    peaceful, disturbed = tmp_path / "peaceful", tmp_path / "disturbed"
    subprocess.run([*launcher, *command(inputs, peaceful, config)], check=True, timeout=300)
    running = subprocess.Popen([*launcher, *command(inputs, disturbed, config)])
    until = time.monotonic() + 200
    while not checkpoints.is_whole(disturbed / "checkpoints/checkpoint-20") and time.monotonic() < until:
        time.sleep(0.01)
    running.terminate()
    assert running.wait(timeout=100) != 0 and not (disturbed / "adapter").exists()
    (last,) = checkpoints.checkpoints(disturbed / "checkpoints")[-1:]
    assert checkpoints.is_whole(last)
    subprocess.run([*launcher, *command(inputs, disturbed, config)], check=True, timeout=300)
    found = io.read_json(disturbed / "training.json")
    assert found["resumed_from_step"] == int(last.name.rpartition("-")[2]) and found["steps"] == 80
    assert found["resumed_from_step"] % 20, "where the signal found them, not at the next regular checkpoint"
    weights = "adapter/adapter_model.safetensors"
    assert (peaceful / weights).read_bytes() == (disturbed / weights).read_bytes()
    one, other = ([e for e in log_of(out) if "eval_loss" in e] for out in (peaceful, disturbed))
    assert one == other and len(one) == 4
