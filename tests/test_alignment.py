"""Caption training: a composed student learns to use its eyes, resumes, and says whether it sees."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import align_student
import tiny_vision
from mintflow import alignment, images, models, vision_models
from mintflow.alignment import Caption
from mintflow.errors import InputError
from mintflow.vision_encoding import Gallery

SCRIPT = Path(align_student.__file__)
SETTINGS = {
    "vision": tiny_vision.VISION,
    "alignment": {
        "warmup_steps": 4,
        "warmup_batch_size": 8,
        "warmup_learning_rate": 0.003,
        "steps": 6,
        "batch_size": 4,
        "learning_rate": 0.003,
        "lora_rank": 2,
        "lora_learning_rate": 0.003,
        "save_steps": 2,
        "seed": 1,
    },
    "device": "cpu",
    "precision": "fp32",
    "attention": "sdpa",
    "dtype": "float32",
    "chat_template_kwargs": {},
}


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red and blue tiles with captions that say so, a language model, and what the program needs."""
    folder = tmp_path_factory.mktemp("alignment")
    tiny_vision.language(folder / "language")
    rng = np.random.default_rng(0)
    rows, tiles = [], []
    for number in range(40):
        colour = ("red", "blue")[number % 2]
        pixels = rng.integers(0, 60, (32, 32, 3), dtype=np.uint8)
        pixels[..., 0 if colour == "red" else 2] += 190
        path = folder / "tile.png"
        Image.fromarray(pixels).save(path)
        tiles.append({"bytes": path.read_bytes(), "path": None})
        split = "validation" if number >= 32 else "train"
        rows.append((f"c{number:02d}", str(folder / "tiles.parquet"), number, split, f"a {colour} image"))
    pq.write_table(pa.table({"image": pa.array(tiles)}), folder / "tiles.parquet")
    table = pd.DataFrame(rows, columns=[*images.REFERENCE, "split", "caption"])
    table.drop(columns="caption").to_parquet(folder / "cases.parquet")
    table[["case_id", "caption"]].to_parquet(folder / "descriptions.parquet")
    return folder


def command(material: Path, out: Path, **changes: object) -> list[str]:
    settings = {**SETTINGS, "alignment": {**SETTINGS["alignment"], **changes}}
    paths = {
        "language": material / "language",
        "cases": material / "cases.parquet",
        "descriptions": material / "descriptions.parquet",
        "checkpoints": out / "checkpoints",
        "output": out / "base",
        "output-log": out / "log.jsonl",
        "output-summary": out / "summary.json",
    }
    flags = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    return ["--settings", json.dumps(settings), "--threads", "1", *flags]


def align(material: Path, out: Path, **changes: object) -> dict:
    align_student.main(align_student.arguments().parse_args(command(material, out, **changes)))
    return json.loads((out / "summary.json").read_text())


@pytest.fixture(scope="module")
def aligned(material: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("aligned")
    return out, align(material, out)


def test_it_learns_to_see(material: Path, tmp_path: Path) -> None:
    wide = {"lora_rank": 16, "lora_learning_rate": 0.01, "learning_rate": 0.003}
    losses = align(material, tmp_path, steps=80, save_steps=80, batch_size=8, **wide)["held_out_caption_loss"]
    # words of a random model are so alike that no loss gets far; the order of the three tells
    assert losses["right"] < losses["shuffled"] - 0.1, losses
    assert losses["right"] < losses["blank"] - 0.05, losses


def test_what_it_writes_is_a_plain_llava(aligned: tuple[Path, dict]) -> None:
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    out, summary = aligned
    card = models.read_card(out / "base")
    assert card["id"] == summary["base"] and card["kind"] == "embedded"
    model = LlavaForConditionalGeneration.from_pretrained(out / "base")
    assert not [name for name, _ in model.named_parameters() if "lora" in name]
    processor = AutoProcessor.from_pretrained(out / "base")
    given = processor(text=["<image>\nhello"], images=[tiny_vision.picture(1)], return_tensors="pt")
    assert torch.isfinite(model(**given).logits).all()
    assert set(summary["held_out_caption_loss"]) == {"right", "shuffled", "blank"}
    assert summary["captions"] == {"train": 32, "validation": 8}
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log if "loss" in entry] == [2, 4, 6]


def test_same_seed_same_bytes(aligned: tuple[Path, dict], material: Path, tmp_path: Path) -> None:
    align(material, tmp_path)
    one, other = (folder / "base" / "model.safetensors" for folder in (aligned[0], tmp_path))
    assert one.read_bytes() == other.read_bytes()


def test_killed_it_goes_on_and_ends_the_same(
    aligned: tuple[Path, dict], material: Path, tmp_path: Path
) -> None:
    started = subprocess.Popen([sys.executable, str(SCRIPT), *command(material, tmp_path)])
    sealed = tmp_path / "checkpoints" / "checkpoint-2" / "sealed.json"
    deadline = time.monotonic() + 60
    while not sealed.exists() and started.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    started.send_signal(signal.SIGKILL)
    started.wait()
    assert sealed.exists()
    assert not (tmp_path / "base").exists() or started.returncode == 0
    align(material, tmp_path)
    one, other = (folder / "base" / "model.safetensors" for folder in (aligned[0], tmp_path))
    assert one.read_bytes() == other.read_bytes()


def test_tiles_without_caption_are_named(material: Path, tmp_path: Path) -> None:
    few = pd.read_parquet(material / "descriptions.parquet").iloc[1:]
    few.to_parquet(tmp_path / "few.parquet")
    given = command(material, tmp_path)
    given[given.index("--descriptions") + 1] = str(tmp_path / "few.parquet")
    with pytest.raises(InputError, match="record c00: has no caption"):
        align_student.main(align_student.arguments().parse_args(given))


def test_warm_up_teaches_the_tower_alone(material: Path) -> None:
    model, processor = vision_models.compose(material / "language", tiny_vision.VISION)
    cases = pd.read_parquet(material / "cases.parquet")
    gallery = Gallery(processor, dict(images.load_images(cases[images.REFERENCE])))
    said = pd.read_parquet(material / "descriptions.parquet").set_index("case_id")["caption"].to_dict()
    before = {name: weights.clone() for name, weights in model.named_parameters()}
    options = {"batch_size": 16, "learning_rate": 0.003, "seed": 1}
    losses = alignment.warm_up(model, gallery, said, steps=60, **options)
    assert losses["last"] < 0.2 * losses["first"]
    changed = {name for name, weights in model.named_parameters() if not torch.equal(before[name], weights)}
    assert changed and all("vision_tower" in name for name in changed)
    assert alignment.warm_up(model, gallery, said, steps=0, **options) == {}
    assert alignment.warm_up(model, gallery, dict.fromkeys(said, "all alike"), steps=5, **options) == {}


def test_order_is_a_function_of_the_seed_and_shows_every_tile_in_each_pass() -> None:
    captions = [Caption(str(number), [1], [2]) for number in range(5)]
    order = alignment.schedule(captions, 12, seed=3)
    assert order == alignment.schedule(captions, 12, seed=3) != alignment.schedule(captions, 12, seed=4)
    assert sorted(one.image for one in order[:5]) == sorted(one.image for one in order[5:10]) == list("01234")
    assert len(order) == 12 and len({one.turn for one in order}) > 2


def test_eight_different_turns() -> None:
    pixels = torch.arange(9.0).reshape(1, 3, 3)
    turns = {tuple(alignment.turned(pixels, turn).flatten().tolist()) for turn in range(alignment.TURNS)}
    assert len(turns) == 8


def test_projector_starts_at_the_scale_of_the_words(tmp_path: Path) -> None:
    model, _ = vision_models.compose(tiny_vision.language(tmp_path / "words"), tiny_vision.VISION)
    words = model.get_input_embeddings().weight.std()
    seen = model.model.multi_modal_projector(torch.nn.functional.layer_norm(torch.randn(64, 16), (16,)))
    assert 0.5 < float(seen.std() / words) < 2.0
