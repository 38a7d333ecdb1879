"""A pretrained CLIP or SigLIP as teacher, on tiny random checkpoints made here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    PreTrainedTokenizerFast,
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    Siglip2Processor,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipProcessor,
)

import train_tile_teacher
from mintflow.errors import InputError
from mintflow.pretrained_clip import PretrainedClip, linear_head
from test_tile_teacher import LABELS, SETTINGS, material  # noqa: F401 (a fixture)
from tiny_vision import language, picture

TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


def make(kind: str, folder: Path) -> Path:
    words = PreTrainedTokenizerFast.from_pretrained(language(folder.with_name(f"{kind}-words")))
    words.model_max_length = 24
    text = {
        **TOWER,
        "vocab_size": len(words),
        "max_position_embeddings": 24,
        "eos_token_id": words.eos_token_id,
        "bos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    vision = {**TOWER, "image_size": 24, "patch_size": 8}
    torch.manual_seed(1)
    if kind == "clip":
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
        size = {"size": {"shortest_edge": 24}, "crop_size": {"height": 24, "width": 24}}
        processor = CLIPProcessor(CLIPImageProcessorPil(**size), words)
    elif kind == "siglip2":  # whose tower also reads which patches are padding
        vision = {**TOWER, "num_patches": 16, "patch_size": 8}
        model = Siglip2Model(Siglip2Config(text_config={**text, "projection_size": 16}, vision_config=vision))
        processor = Siglip2Processor(Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16), words)
    else:
        model = SiglipModel(SiglipConfig(text_config={**text, "projection_size": 16}, vision_config=vision))
        processor = SiglipProcessor(SiglipImageProcessorPil(size={"height": 24, "width": 24}), words)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["clip", "siglip"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(request.param, tmp_path_factory.mktemp(request.param) / "model")


def test_embeddings_are_normalised_and_batches_do_not_matter(folder: Path) -> None:
    model = PretrainedClip(folder)
    images = [picture(seed) for seed in range(5)]
    seen = model.embed_images(iter(images), 5)
    assert torch.allclose(seen.norm(dim=-1), torch.ones(5), atol=1e-5)
    assert torch.allclose(seen[3], model.embed_images(images[3:4], 1)[0], atol=1e-5)
    labels = model.embed_labels(LABELS, ["an image of {label}", "{label}"])
    assert labels.shape == (3, seen.shape[1]) and torch.allclose(
        labels.norm(dim=-1), torch.ones(3), atol=1e-5
    )
    scores = model.zero_shot(seen, labels)
    assert np.allclose(np.exp(scores).sum(1), 1) and len({tuple(row) for row in scores.round(9)}) == 5


def test_a_prompt_ensemble_is_the_mean_of_its_prompts(folder: Path) -> None:
    model = PretrainedClip(folder)
    one, other, both = (
        model.embed_labels(["red"], p) for p in (["{label}"], ["of {label}"], ["{label}", "of {label}"])
    )
    assert torch.allclose(both[0], torch.nn.functional.normalize(one[0] + other[0], dim=-1), atol=1e-5)


@pytest.mark.parametrize("head", ["zero-shot", "linear"])
def test_the_program_ranks_with_it(
    folder: Path, head: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    given = request.getfixturevalue("material")
    flags = {
        "settings": json.dumps(SETTINGS | {"kind": "pretrained", "id": "x/y", "revision": "r", "head": head}),
        "model": folder,
        "output-scores": tmp_path / "scores.parquet",
        "output-summary": tmp_path / "summary.json",
        **{name: given / f"{name}.parquet" for name in ("cases", "labels", "descriptions")},
    }
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    train_tile_teacher.main(train_tile_teacher.arguments().parse_args(words))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["id"] == "x/y" and summary["head"] == head
    assert len(pd.read_parquet(tmp_path / "scores.parquet")) == 73 * 3
    if head == "linear":  # colours are easy even for a random tower
        assert summary["accuracy"]["test"]["top1"] > 0.8


def test_linear_head_and_labels_that_a_fold_lacks() -> None:
    vectors = np.eye(4)[[0, 1, 0, 1, 0, 1]]
    scores = linear_head(vectors, np.array([0, 2, 0, 2, 0, 2]), np.eye(4)[[0, 1]], 3, seed=1)
    assert scores.argmax(1).tolist() == [0, 2] and (scores[:, 1] == -50).all()
    assert linear_head(vectors, np.zeros(6, int), vectors, 3, seed=1).argmax(1).tolist() == [0] * 6


def test_pickled_weights_and_other_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match=r"tissue\.teacher\.id: holds no \*\.safetensors"):
        PretrainedClip(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be opened"):
        PretrainedClip(tmp_path)
    with pytest.raises(InputError, match="has no image and text tower"):
        PretrainedClip(language(tmp_path / "words"))


def test_a_tower_that_reads_more_than_pixels(tmp_path: Path) -> None:
    model = PretrainedClip(make("siglip2", tmp_path / "model"))
    images = [picture(1, 40), picture(2, 24), picture(3, 40)]
    seen = model.embed_images(images, 3)
    assert torch.allclose(seen.norm(dim=-1), torch.ones(3), atol=1e-5)
    assert torch.allclose(seen[1], model.embed_images(images[1:2], 1)[0], atol=1e-5)


def test_a_truncated_checkpoint_is_named_without_its_place(folder: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(folder, tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"file broken, .*cannot be opened") as caught:
        PretrainedClip(broken)
    assert str(tmp_path) not in str(caught.value)
