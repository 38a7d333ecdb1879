"""Training and answering with images from the command line, on tiny random models."""

from __future__ import annotations

import copy
import io as bytes_io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

import generate_answers
import test_trainer
import tiny_vision
import train_student
from mintflow import io, models, trainer
from mintflow.conversations import typed
from mintflow.errors import InputError

NAMES = ("gland", "tumor", "muscle", "nerve")


def settings(**changes: Any) -> dict[str, Any]:
    result = copy.deepcopy(test_trainer.SETTINGS) | {"train_projector": True, "cache_features": True}
    result["lora"]["dropout"] = 0.0
    result["training"] |= {"epochs": 1, "batch_size": 4, "eval_steps": 2, "save_steps": 2, "log_steps": 1}
    training = changes.pop("training", {})
    result["training"] |= training
    return result | changes


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vision_scripts")
    for family in tiny_vision.FAMILIES:
        tiny_vision.make(family, folder / family)
    tiles, cases = [], []
    for number in range(16):
        buffer = bytes_io.BytesIO()
        tiny_vision.picture(number).save(buffer, "PNG")
        tiles.append({"bytes": buffer.getvalue(), "path": None})
        cases.append((f"t{number:02d}", str(folder / "tiles.parquet"), number))
    pq.write_table(pa.table({"image": pa.array(tiles)}), folder / "tiles.parquet", row_group_size=3)
    io.write_parquet(pd.DataFrame(cases, columns=["case_id", "file", "row"]), folder / "cases.parquet")
    rows = []
    for number in range(16):
        first, last = NAMES[number % 4], NAMES[(number + 1 + number // 4 % 3) % 4]
        rows.append(tiny_vision.row(f"t{number:02d}", f"1. {first}", f"1. {last}"))
    table = typed(pd.DataFrame(rows), ["prompt", "chosen", "rejected"])
    io.write_parquet(table[:12], folder / "train.parquet")
    io.write_parquet(table[12:], folder / "validation.parquet")
    prompts = [
        (f"t{number:02d}", "test", control, tiny_vision.PROMPT, image)
        for number in range(6)
        for control, image in (
            ("none", f"t{number:02d}"),
            ("blank", None),
            ("shuffled", f"t{(number + 1) % 6:02d}"),
        )
    ]
    prompts.append(("t09", "unlabelled", "none", tiny_vision.PROMPT, "t09"))
    prompts.append(("t10", "train", "none", tiny_vision.PROMPT, "t10"))
    columns = ["case_id", "split", "control", "prompt", "image"]
    io.write_parquet(typed(pd.DataFrame(prompts, columns=columns), ["prompt"]), folder / "prompts.parquet")
    return folder


def command(inputs: Path, out: Path, config: dict[str, Any], family: str = "llava") -> list[str]:
    extra = {"base": inputs / family, "images": inputs / "cases.parquet", "track": "tissue"}
    if config["merge"]:
        extra["output-merged"] = out / "merged"
    return ["--threads", "1", *test_trainer.command(inputs, out, config, **extra)]


def train(inputs: Path, out: Path, config: dict[str, Any], family: str = "llava") -> dict[str, Any]:
    train_student.main(train_student.arguments().parse_args(command(inputs, out, config, family)))
    return io.read_json(out / "training.json")


@pytest.fixture(scope="module")
def whole_run(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    train(inputs, out, settings(merge=True))
    return out


def answer(inputs: Path, output: Path, control: str = "none", base: Path | None = None, **more: Path):
    student = {"device": "cpu", "attention": "sdpa", "chat_template_kwargs": {}, "base": {"dtype": "float32"}}
    config = {
        "student": student,
        "evaluation": {"max_new_tokens": 8, "generation_batch_size": 4},
        "k": 2,
    }
    flags = ["--settings", json.dumps(config), "--base", str(base or inputs / "llava")]
    flags += ["--prompts", str(inputs / "prompts.parquet"), "--images", str(inputs / "cases.parquet")]
    flags += ["--control", control, "--output", str(output), "--track", "tissue"]
    flags += [part for name, path in more.items() for part in (f"--{name}", str(path))]
    generate_answers.main(generate_answers.arguments().parse_args(flags))
    return io.read_parquet(output)


@pytest.mark.parametrize("family", tiny_vision.FAMILIES)
@pytest.mark.parametrize("frozen", [False, True])
def test_every_family_trains_and_kept_features_change_nothing(
    inputs: Path, tmp_path: Path, family: str, frozen: bool
) -> None:
    losses = []
    for cached in (True, False):
        out = tmp_path / str(cached)
        config = settings(cache_features=cached, train_projector=not frozen)
        summary = train(inputs, out, config | {"attention": "eager"}, family)
        assert summary["steps"] == 3 and summary["dropped"] == {"train": {}, "validation": {}}
        losses.append([entry["loss"] for entry in test_trainer.log_of(out) if "loss" in entry])
        weights = load_file(out / "adapter" / "adapter_model.safetensors")
        seeing = [key for key in weights if any(name in key for name in models.EYES)]
        assert bool(seeing) != frozen and not [key for key in seeing if "lora" in key]
        assert not [key for key in weights if "vision_tower" in key or "vision_model" in key]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_what_is_written(inputs: Path, whole_run: Path) -> None:
    card = (whole_run / "adapter" / "README.md").read_text()
    assert "tissue types" in card and "disease" not in card.replace("rare-disease", "disease")
    assert "AutoModelForImageTextToText" in card and "trained, whole in the adapter" in card
    files = {path.name for path in (whole_run / "adapter").iterdir()}
    assert {"processor_config.json", "tokenizer.json", "chat_template.jinja"} <= files
    for path in (whole_run / "adapter").iterdir():
        assert str(inputs).encode() not in path.read_bytes(), path.name
    base, merged = (
        answer(inputs, whole_run / "a.parquet", adapter=whole_run / "adapter"),
        answer(inputs, whole_run / "m.parquet", base=whole_run / "merged"),
    )
    assert base["text"].tolist() == merged["text"].tolist()


def test_resumed_run_equals_an_uninterrupted_one(
    inputs: Path, whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        test_trainer.interrupt(patch, 3, test_trainer.die)
        with pytest.raises(KeyboardInterrupt):
            train(inputs, tmp_path, settings(merge=True))
    assert train(inputs, tmp_path, settings(merge=True))["resumed_from_step"] == 2
    test_trainer.assert_same_run(whole_run, tmp_path)


def test_other_pixels_are_another_run(inputs: Path, whole_run: Path, tmp_path: Path) -> None:
    tiles = pq.read_table(inputs / "tiles.parquet").to_pylist()
    pq.write_table(pa.Table.from_pylist(tiles[::-1]), tmp_path / "tiles.parquet")
    cases = io.read_parquet(inputs / "cases.parquet").assign(file=str(tmp_path / "tiles.parquet"))
    io.write_parquet(cases, tmp_path / "cases.parquet")
    given = command(inputs, tmp_path, settings())
    given[given.index("--images") + 1] = str(tmp_path / "cases.parquet")
    train_student.main(train_student.arguments().parse_args(given))
    losses = [
        [entry["loss"] for entry in test_trainer.log_of(out) if "loss" in entry]
        for out in (whole_run, tmp_path)
    ]
    assert losses[0] != losses[1]
    summaries = [io.read_json(out / "training.json") for out in (whole_run, tmp_path)]
    assert summaries[0]["data"]["images"] != summaries[1]["data"]["images"]


def test_missing_images_are_named(inputs: Path, tmp_path: Path) -> None:
    io.write_parquet(io.read_parquet(inputs / "cases.parquet")[1:], tmp_path / "few.parquet")
    given = command(inputs, tmp_path, settings())
    given[given.index("--images") + 1] = str(tmp_path / "few.parquet")
    with pytest.raises(InputError, match=r"record t00.*has no image"):
        train_student.main(train_student.arguments().parse_args(given))


@pytest.mark.parametrize("family", tiny_vision.FAMILIES)
def test_same_prompt_with_another_image_is_another_question(
    inputs: Path, tmp_path: Path, family: str
) -> None:
    """Answers of a batch equal those given one by one, each with its own image."""
    base = inputs / family
    table = answer(inputs, tmp_path / "a.parquet", base=base)
    assert table["case_id"].tolist() == [*(f"t{number:02d}" for number in range(6)), "t09"]
    assert table["text"].nunique() > 1  # one answer for all would mean that they were merged
    shuffled = answer(inputs, tmp_path / "s.parquet", "shuffled", base).set_index("case_id")["text"]
    texts = table.set_index("case_id")["text"]
    assert [shuffled[f"t{n:02d}"] for n in range(6)] == [texts[f"t{(n + 1) % 6:02d}"] for n in range(6)]
    assert answer(inputs, tmp_path / "b.parquet", "blank", base)["text"].nunique() == 1
    model = models.load_model(base, dtype="float32")
    coder = tiny_vision.encoder(base, range(6))
    pair = coder.pair(tiny_vision.row("t3"), 400)
    ids = torch.tensor([pair.prompt])
    shown = coder.gallery.batch(["t3"], [pair.prompt], torch.ones_like(ids))
    written = ids
    for _ in range(8):  # step by step, the whole row anew
        given = {**shown, "input_ids": written, "attention_mask": torch.ones_like(written)}
        if "cross_attention_mask" in shown:
            mask = shown["cross_attention_mask"]
            longer = mask[:, -1:].expand(-1, written.shape[1] - mask.shape[1], -1, -1)
            given["cross_attention_mask"] = torch.cat([mask, longer], 1)
        with torch.no_grad():
            following = model(**given).logits[:, -1].argmax(-1, keepdim=True)
        if int(following) in coder.end_ids:
            break
        written = torch.cat([written, following], 1)
    wanted = coder.tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True)
    assert texts["t03"] == wanted


def test_errors_name_the_keys_of_the_track(root: Path, inputs: Path, tmp_path: Path) -> None:
    script = root / "workflow" / "scripts" / "train_student.py"
    given = command(inputs, tmp_path, settings(training={"max_length": 12}))
    done = subprocess.run([sys.executable, str(script), *given], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "tissue.student.training.max_dropped_fraction" in done.stderr
    assert "rare." not in done.stderr


def test_two_processes_learn_what_one_does(root: Path, inputs: Path, tmp_path: Path) -> None:
    two, one = (settings(training={"max_steps": 2, "batch_size": size}) for size in (2, 4))
    script = root / "workflow" / "scripts" / "train_student.py"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [*launcher, str(script), *command(inputs, tmp_path / "two", two)],
        check=True,
        timeout=120,
        env=environment,
    )
    train(inputs, tmp_path / "one", one)
    pairs = zip(test_trainer.log_of(tmp_path / "one"), test_trainer.log_of(tmp_path / "two"), strict=True)
    compared = [
        (mine[name], theirs[name]) for mine, theirs in pairs for name in ("loss", "eval_loss") if name in mine
    ]
    assert len(compared) >= 3
    for mine, theirs in compared:
        assert mine == pytest.approx(theirs, rel=1e-4)


def test_nan_in_an_image_stops_training(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mintflow.vision_encoding import Gallery

    real = Gallery.pixels
    monkeypatch.setattr(
        Gallery,
        "pixels",
        lambda self, name: {key: value * float("nan") for key, value in real(self, name).items()},
    )
    with pytest.raises(trainer.NotFiniteError):
        train(inputs, tmp_path, settings())
