"""Tiny random students that see, one of each family, made here: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    MllamaConfig,
    MllamaForConditionalGeneration,
    MllamaImageProcessorPil,
    MllamaProcessor,
)

from mintflow import base_models, models, vision_models
from mintflow.tokenization import ChatEncoder
from mintflow.vision_encoding import Gallery, VisionEncoder

FAMILIES = ("llava", "idefics3", "mllama")
VISION = {"image_size": 32, "patch_size": 16, "dim": 16, "layers": 2, "heads": 2, "seed": 1}
TEXTS = [
    "1. gland\n2. tumor",
    "muscle, nerve, lymphoid",
    "List the tissue types of this image.",
    "You answer.",
]
PROMPT = [{"role": "system", "content": "You answer."}, {"role": "user", "content": "List 2 tissue types."}]


def picture(seed: int, size: int = 40) -> Image.Image:
    """Noise on a colour of its own: noise alone looks the same to a tower that averages."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 60, (size, size, 3)) + rng.integers(0, 195, 3)
    return Image.fromarray(values.astype(np.uint8))


def language(folder: Path) -> Path:
    base_models.write_random(TEXTS, folder, seed=2)
    return folder


def make(family: str, folder: Path) -> Path:
    """A base folder of a family."""
    words = language(folder.with_name(f"{folder.name}-words"))
    torch.manual_seed(0)
    if family == "llava":
        model, processor = vision_models.compose(words, VISION)
    else:
        model, processor = {"idefics3": _idefics3, "mllama": _mllama}[family](words)
    with torch.no_grad():  # initial weights are so small that nothing depends on anything
        for name, weights in model.named_parameters():
            if weights.ndim > 1 and "embed" not in name:
                weights.mul_(4)
            if "gate" in name:  # Mllama's cross-attention starts closed
                weights.fill_(0.7)
    vision_models.write_base(model, processor, models.read_card(words), folder, "float32")
    return folder


def _template(image: str, start: str = "") -> str:
    begin = f"{{{{ '{start}' }}}}" if start else ""
    return begin + vision_models.TEMPLATE.replace(vision_models.IMAGE_TOKEN, image)


def _tokenizer(words: Path, *tokens: str):
    tokenizer = models.load_tokenizer(words)
    tokenizer.add_special_tokens({"additional_special_tokens": list(tokens)})
    return tokenizer


def _idefics3(words: Path):
    tokenizer = _tokenizer(
        words, "<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"
    )
    tokenizer.chat_template = _template("<image>")
    text = models.load_model(words).config
    text.vocab_size = len(tokenizer)
    config = Idefics3Config(
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        text_config=text.to_dict(),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": 32}, max_image_size={"longest_edge": 32}, do_image_splitting=False
    )
    processor = Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=tokenizer.chat_template)
    model = Idefics3ForConditionalGeneration(config).eval()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model, processor


def _mllama(words: Path):
    tokenizer = _tokenizer(words, "<|image|>", "<|begin_of_text|>")
    tokenizer.bos_token = "<|begin_of_text|>"
    tokenizer.chat_template = _template("<|image|>", "<|begin_of_text|>")
    config = MllamaConfig(
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 2,
            "image_size": 28,
            "patch_size": 14,
            "max_num_tiles": 2,
            "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
            "intermediate_layers_indices": [0],
            "vision_output_dim": 32,
        },
        text_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "cross_attention_layers": [1, 3],
            # the last ids are of the image token, which has an input embedding only
            "vocab_size": len(tokenizer),
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "bos_token_id": tokenizer.bos_token_id,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<|image|>"),
    )
    images = MllamaImageProcessorPil(size={"height": 28, "width": 28}, max_image_tiles=2)
    processor = MllamaProcessor(images, tokenizer, chat_template=tokenizer.chat_template)
    model = MllamaForConditionalGeneration(config).eval()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model, processor


def encoder(base: Path, seeds: range = range(3)) -> VisionEncoder:
    tokenizer = models.load_tokenizer(base)
    gallery = Gallery(vision_models.load_processor(base), {f"t{seed}": picture(seed) for seed in seeds})
    return VisionEncoder(tokenizer, models.end_token_ids(base, tokenizer), {}, gallery)


def row(image: str | None, chosen: str = "1. gland\n2. tumor", rejected: str = "1. nerve") -> dict:
    return {
        "case_id": f"case-{image}",
        "prompt": PROMPT,
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
        "image": image,
    }


__all__ = ["FAMILIES", "PROMPT", "VISION", "ChatEncoder", "encoder", "language", "make", "picture", "row"]
