"""Students that see: a LLaVA composed of a language model and a vision tower, and what to call its parts.

The embedded vision student is a plain ``LlavaForConditionalGeneration``: transformers alone loads it.
Its tower and projector are untrained when composed; alignment.py trains them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import base_models, models
from .errors import InputError
from .io import whole_directory

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, ProcessorMixin

IMAGE_TOKEN = "<image>"
# what stands between the tower and the language model, by family
PROJECTORS = ("multi_modal_projector", "connector")
TOWERS = ("vision_tower", "vision_model")
LANGUAGE = ("language_model", "text_model")

# as CHATML, but a message may be a list of parts; an image stands where it is named
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}" + IMAGE_TOKEN + "\n{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def compose(language: str | Path, settings: Mapping[str, Any]) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Put a fresh vision tower and projector in front of a language model.

    The projector's output is scaled to the spread of the word embeddings: the language model never
    met vectors of another size, and would learn to ignore them first.

    Args:
        language: a base folder (models.py).
        settings: the slice tissue.student.vision.

    Returns:
        A LLaVA in float32, in eval mode, and its processor.
    """
    import torch
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    words = models.load_model(language, dtype="float32")
    tokenizer = models.load_tokenizer(language)
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    tokenizer.chat_template = TEMPLATE
    size = settings["image_size"]
    vision = CLIPVisionConfig(
        hidden_size=settings["dim"],
        intermediate_size=4 * settings["dim"],
        num_hidden_layers=settings["layers"],
        num_attention_heads=settings["heads"],
        image_size=size,
        patch_size=settings["patch_size"],
        projection_dim=settings["dim"],
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=copy.deepcopy(words.config),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        image_seq_length=(size // settings["patch_size"]) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",  # without the class token
        tie_word_embeddings=bool(words.config.tie_word_embeddings),
    )
    with torch.random.fork_rng():
        torch.manual_seed(settings["seed"])
        model = LlavaForConditionalGeneration(config)
        model.model.language_model.load_state_dict(words.model.state_dict())
        if not config.tie_word_embeddings:
            model.lm_head.load_state_dict(words.lm_head.state_dict())
        model.resize_token_embeddings(max(len(tokenizer), words.config.vocab_size), mean_resizing=False)
        if config.tie_word_embeddings:
            model.tie_weights()
        _scale_projector(model, words)
    model.generation_config = copy.deepcopy(words.generation_config)
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"height": size, "width": size},
            do_center_crop=False,
            do_resize=True,
        ),
        tokenizer=tokenizer,
        patch_size=settings["patch_size"],
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # the class token, which the strategy drops again
        image_token=IMAGE_TOKEN,
        chat_template=TEMPLATE,
    )
    return model.eval(), processor


def _scale_projector(model: PreTrainedModel, words: PreTrainedModel) -> None:
    """Scale the last layer of the projector by what a normalised input comes out as."""
    import torch

    projector = model.model.multi_modal_projector
    probe = torch.randn(64, model.config.vision_config.hidden_size)
    with torch.no_grad():
        wanted = words.get_input_embeddings().weight.std()
        found = projector(torch.nn.functional.layer_norm(probe, probe.shape[-1:])).std()
        projector.linear_2.weight.mul_(wanted / found)


def write_base(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    language: Mapping[str, Any],
    folder: str | Path,
    dtype: str,
) -> dict[str, Any]:
    """Write a composed model as a base folder.

    Args:
        model: from `compose`, usually aligned.
        processor: its processor.
        language: content of base_model.json of the language model.
        folder: where it appears, whole.
        dtype: type of the written weights.

    Returns:
        The content of base_model.json.
    """
    import torch

    card = {
        "id": f"LLaVA of {language['id']} and an own vision tower",
        "hub_id": None,
        "revision": None,
        "kind": "embedded",
        "licence": language.get("licence", "unknown"),
    }
    for config in (model.config, model.config.text_config, model.generation_config):
        config._name_or_path = ""
        config.__dict__.pop("_model_name_or_path", None)
    with whole_directory(folder) as temporary:
        model.to(getattr(torch, dtype)).save_pretrained(temporary)
        processor.save_pretrained(temporary)
        return base_models.finish_base(temporary, card, card["id"])


def part(model: nn.Module, names: tuple[str, ...]) -> tuple[str, nn.Module]:
    """The outermost module that has one of ``names``, with its full name.

    Raises:
        InputError: there is none.
    """
    found = [(name, module) for name, module in model.named_modules() if name.rpartition(".")[2] in names]
    if not found:
        raise InputError(
            f"this model has no {' or '.join(names)}: its family is not known",
            field="tissue.student.base.id",
        )
    return min(found, key=lambda pair: pair[0].count("."))


def load_processor(folder: str | Path) -> ProcessorMixin:
    """The processor of a base folder, with Pillow's image operations (the same on every machine).

    Raises:
        InputError: the folder has no processor, or needs a package that is not here.
    """
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(str(folder), local_files_only=True, backend="pil")
    except (OSError, ValueError, ImportError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"its processor cannot be loaded: {reason}", field="tissue.student.base.id"
        ) from error
    if not hasattr(processor, "image_processor"):
        raise InputError("its processor takes no image", field="tissue.student.base.id")
    return processor
