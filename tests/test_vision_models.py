"""Students that see: what is composed, what is written, what is loaded and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import LlavaForConditionalGeneration
from transformers.quantizers.quantizers_utils import should_convert_module

import tiny_vision
from mintflow import base_models, io, models, vision_models
from mintflow.adapters import add_adapter, merge_adapter, write_adapter
from mintflow.errors import InputError

LORA = {"r": 2, "alpha": 4, "dropout": 0.0, "target_modules": "all-linear", "variant": "lora"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vision.make("llava", tmp_path_factory.mktemp("llava") / "base")


def test_words_mean_what_they_meant(tmp_path: Path) -> None:
    words = tiny_vision.language(tmp_path / "words")
    model, processor = vision_models.compose(words, tiny_vision.VISION)
    ids = torch.tensor([processor.tokenizer("muscle, nerve")["input_ids"]])
    reference = models.load_model(words, dtype="float32")
    with torch.no_grad():
        known = model(input_ids=ids).logits[..., : reference.config.vocab_size]
        torch.testing.assert_close(known, reference(input_ids=ids).logits)
    assert model.config.image_token_id == len(processor.tokenizer) - 1


def test_composed_base_is_reproducible_and_leaves_the_generator_alone(tmp_path: Path) -> None:
    words = tiny_vision.language(tmp_path / "words")
    before = torch.random.get_rng_state()
    for name in ("a", "b"):
        model, processor = vision_models.compose(words, tiny_vision.VISION)
        vision_models.write_base(model, processor, models.read_card(words), tmp_path / name, "bfloat16")
    assert torch.equal(before, torch.random.get_rng_state())
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    for name in files:
        content = (tmp_path / "a" / name).read_bytes()
        assert content == (tmp_path / "b" / name).read_bytes(), name
        assert str(tmp_path).encode() not in content, name
    assert {"processor_config.json", "chat_template.jinja", "model.safetensors", models.CARD} <= set(files)
    assert models.load_model(tmp_path / "a").dtype == torch.bfloat16


def test_the_image_stands_in_front_of_the_users_text(base: Path) -> None:
    processor = vision_models.load_processor(base)
    messages = [
        {"role": "system", "content": "You answer."},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]},
    ]
    text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text.index("You answer.") < text.index("<image>") < text.index("What?")
    assert text.count("<image>") == 1 and text.endswith("<|im_start|>assistant\n")


@pytest.mark.parametrize("family", tiny_vision.FAMILIES)
def test_local_copies_of_every_family_load(family: str, tmp_path: Path) -> None:
    source = tiny_vision.make(family, tmp_path / "source")
    (source / "pytorch_model.bin").write_bytes(b"pickle")
    (source / "modeling_mine.py").write_text("raise SystemExit")
    # repositories of 2024 keep the template with the processor alone
    template = (source / "chat_template.jinja").read_text()
    (source / "chat_template.jinja").unlink()
    (source / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    card = base_models.write_local(str(source), tmp_path / "base")
    names = {path.name for path in (tmp_path / "base").iterdir()}
    assert card["kind"] == "local" and not names & {"pytorch_model.bin", "modeling_mine.py"}
    assert models.reads_images(tmp_path / "base")
    model = models.load_model(tmp_path / "base", dtype="float32", attention="eager")
    assert type(model).__name__.endswith("ForConditionalGeneration")
    assert models.load_tokenizer(tmp_path / "base").chat_template == template
    pair = tiny_vision.encoder(tmp_path / "base").pair(tiny_vision.row("t0"), 400)
    assert len(pair.prompt) > len(pair.chosen) > 1


def test_a_language_model_reads_no_images(tmp_path: Path) -> None:
    words = tiny_vision.language(tmp_path / "words")
    assert not models.reads_images(words)
    with pytest.raises(InputError, match=r"tissue\.student\.base\.id.*processor"):
        vision_models.load_processor(words)
    with pytest.raises(InputError, match="family is not known"):
        vision_models.part(models.load_model(words), vision_models.PROJECTORS)


@pytest.mark.parametrize("family", tiny_vision.FAMILIES)
def test_eyes_are_never_packed_into_four_bits(family: str, tmp_path: Path) -> None:
    """A packed projector could not be trained whole."""
    model = models.load_model(tiny_vision.make(family, tmp_path / "base"))
    packed = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and should_convert_module(name, models.NEVER_PACKED)
    ]
    language = vision_models.part(model, vision_models.LANGUAGE)[0]
    assert packed and all(name.startswith(f"{language}.") for name in packed)


def test_adapter_with_a_projector_loads_and_merges(base: Path, tmp_path: Path) -> None:
    adapted = add_adapter(
        models.load_model(base, dtype="float32"),
        LORA,
        autocast=False,
        trained_whole=["multi_modal_projector"],
    )
    torch.manual_seed(1)
    with torch.no_grad():
        for weights in adapted.parameters():
            if weights.requires_grad:
                weights.add_(torch.randn_like(weights) * 0.05)
    encoder = tiny_vision.encoder(base)
    pair = encoder.pair(tiny_vision.row("t0"), 400)
    ids = torch.tensor([pair.prompt])
    given = {"input_ids": ids, **encoder.gallery.batch(["t0"], [pair.prompt], torch.ones_like(ids))}

    def logits(model: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return model.eval()(**given).logits

    adapted.save_pretrained(tmp_path / "trained")
    processor = vision_models.load_processor(base)
    write_adapter(tmp_path / "trained", tmp_path / "adapter", processor, models.read_card(base), "# card\n")
    config = io.read_json(tmp_path / "adapter" / "adapter_config.json")
    assert config["modules_to_save"] == ["multi_modal_projector"]
    assert str(tmp_path) not in json.dumps(config)
    wanted = logits(adapted)
    torch.testing.assert_close(
        logits(models.load_model(base, dtype="float32", adapter=tmp_path / "adapter")), wanted
    )
    assert not torch.allclose(logits(models.load_model(base, dtype="float32")), wanted, atol=1e-3)
    merge_adapter(base, tmp_path / "adapter", tmp_path / "merged", "float32")
    merged = LlavaForConditionalGeneration.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits(merged), wanted, atol=1e-5, rtol=1e-4)
    assert vision_models.load_processor(tmp_path / "merged").chat_template == processor.chat_template


def test_damaged_weights_are_refused(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "mine")
    weights = tmp_path / "mine" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="no whole safetensors"):
        base_models.write_local(str(tmp_path / "mine"), tmp_path / "base")
