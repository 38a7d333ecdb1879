"""Kept features: the frozen tower sees each image once, in memory, on disk and after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tiny_vision
from mintflow import models
from mintflow.vision_features import FeatureStore, keep_features, prepare_eyes
from mintflow.vision_models import TOWERS, part


def features(value: float) -> dict[str, torch.Tensor]:
    return {"pixel_values": torch.full((1, 4, 8), float(value))}


def test_store_spills_to_disk_and_finds_it_again(tmp_path: Path) -> None:
    size = features(0)["pixel_values"].nbytes
    store = FeatureStore(tmp_path / "features", most=2 * size)
    for number in range(4):
        store.put(f"t{number}", features(number), f"origin {number}")
    assert len(store) == 4 and sorted(store) == ["t0", "t1", "t2", "t3"]
    assert [float(store[f"t{number}"]["pixel_values"].mean()) for number in range(4)] == [0, 1, 2, 3]
    files = list((tmp_path / "features").iterdir())
    assert len(files) == 2 and all(file.suffix == ".safetensors" for file in files)
    again = FeatureStore(tmp_path / "features", most=2 * size)
    assert not again.find("t0", "origin 0") and not again.find("t3", "another tower")
    assert again.find("t3", "origin 3") and float(again["t3"]["pixel_values"].mean()) == 3


def test_store_without_a_folder_stays_in_memory() -> None:
    store = FeatureStore(None, most=1)
    store.put("t0", features(5), "origin")
    assert float(store["t0"]["pixel_values"][0, 0, 0]) == 5 and not store.find("t0", "origin")


@pytest.mark.parametrize("family", tiny_vision.FAMILIES)
def test_tower_sees_each_image_once_even_over_a_restart(family: str, tmp_path: Path) -> None:
    base = tiny_vision.make(family, tmp_path / "base")
    frozen = family == "mllama"
    settings = {"cache_features": True, "train_projector": not frozen}
    seen = []
    for _ in range(2):
        model, encoder = models.load_model(base, dtype="float32"), tiny_vision.encoder(base)
        calls: list[int] = []
        tower = part(model, TOWERS)[1]
        tower.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        store = FeatureStore(tmp_path / "features", most=0)
        assert keep_features(
            model, encoder.gallery, projector_trains=not frozen, autocast=False, store=store, weights="w"
        )
        pairs = [encoder.pair(tiny_vision.row(image), 400) for image in ("t0", "t0", "t1")]
        for _ in range(2):
            ids = torch.tensor([pairs[0].prompt])
            shown = encoder.gallery.batch(["t0"], [pairs[0].prompt], torch.ones_like(ids))
            model(input_ids=ids, **shown)
        seen.append(len(calls))
    assert seen == [4, 0]  # three tiles and the blank one, then none
    whole = prepare_eyes(models.load_model(base), encoder.gallery, settings, autocast=False)
    assert whole == ([] if frozen else [{"llava": "multi_modal_projector", "idefics3": "connector"}[family]])


def test_pixels_stay_when_nothing_is_to_be_kept(tmp_path: Path) -> None:
    base = tiny_vision.make("llava", tmp_path / "base")
    encoder = tiny_vision.encoder(base)
    settings = {"cache_features": False, "train_projector": True}
    assert prepare_eyes(models.load_model(base), encoder.gallery, settings, autocast=False)
    assert encoder.gallery.kept is None
