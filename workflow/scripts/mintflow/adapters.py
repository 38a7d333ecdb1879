"""LoRA adapters by PEFT: made, written for others to load, merged."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import models
from .errors import InputError
from .io import read_json, whole_directory, write_json

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


def add_adapter(
    model: PreTrainedModel, lora: Mapping[str, Any], *, autocast: bool, trained_whole: Sequence[str] = ()
) -> PeftModel:
    """Freeze ``model`` and put a float32 adapter on top.

    Of a model that sees, ``all-linear`` means the language model's layers: its eyes stay as they are.

    Args:
        model: the base model, quantised or not.
        lora: the slice {track}.student.lora of the configuration.
        autocast: whether training runs under autocast, which casts by itself; PEFT's own cast of
            every layer's input to float32 and back is then left out.
        trained_whole: names of modules that are trained, and kept in the adapter, whole (the projector).

    Raises:
        InputError: no module matches ``target_modules``.
    """
    from peft import LoraConfig, TaskType, get_peft_model, prepare_model_for_kbit_training

    targets = lora["target_modules"]
    if targets == "all-linear" and hasattr(model.config, "vision_config"):
        targets = language_layers(model)
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=lora["r"],
        lora_alpha=lora["alpha"],
        lora_dropout=lora["dropout"],
        target_modules=targets if isinstance(targets, str) else list(targets),
        use_dora=lora["variant"] == "dora",
        use_rslora=lora["variant"] == "rslora",
        modules_to_save=list(trained_whole) or None,
    )
    if getattr(model, "is_loaded_in_4bit", False):
        # checkpointing is the trainer's to switch
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    try:
        adapted = get_peft_model(model, config)
    except ValueError as error:
        raise InputError(str(error), field="rare.student.lora.target_modules") from error
    for weights in adapted.parameters():
        if weights.requires_grad and weights.is_floating_point():
            weights.data = weights.data.float()  # small steps vanish in bfloat16
    if autocast:
        for module in adapted.modules():
            if hasattr(module, "cast_input_dtype_enabled"):
                module.cast_input_dtype_enabled = False
    return adapted


def language_layers(model: PreTrainedModel) -> str:
    """A pattern of the linear layers of the language model in a model that also sees."""
    from torch import nn

    from .vision_models import LANGUAGE, part

    name, language = part(model, LANGUAGE)
    leaves = {
        key.rpartition(".")[2] for key, module in language.named_modules() if isinstance(module, nn.Linear)
    }
    return rf".*{re.escape(name)}\..*\.({'|'.join(sorted(leaves))})"


def write_adapter(
    trained: str | Path,
    folder: str | Path,
    tokenizer: PreTrainedTokenizerBase | ProcessorMixin,
    base: Mapping[str, Any],
    card: str,
) -> None:
    """Write an adapter folder that loads on another machine.

    Args:
        trained: a folder with PEFT's files, as the trainer saved them.
        folder: where the adapter appears, whole, with tokenizer, chat template and README.md.
        tokenizer: the base model's, or its processor.
        base: content of base_model.json; its public id replaces the local path in the PEFT config.
        card: text of the model card.
    """
    with whole_directory(folder) as temporary:
        shutil.copyfile(Path(trained) / WEIGHTS, temporary / WEIGHTS)
        config = read_json(Path(trained) / CONFIG)
        config["base_model_name_or_path"] = base.get("hub_id") or base["id"]
        config["revision"] = base.get("revision")
        if isinstance(config["target_modules"], list):
            config["target_modules"].sort()  # PEFT writes a set, in the order of its hashes
        write_json(config, temporary / CONFIG)
        tokenizer.save_pretrained(temporary)
        (temporary / "README.md").write_text(card, encoding="utf-8")


def merge_adapter(base: str | Path, adapter: str | Path, folder: str | Path, dtype: str = "auto") -> None:
    """Write the base model with the adapter's weights added, loadable without PEFT.

    The sum is taken in float32 and stored in ``dtype`` (``auto``: that of the base folder).
    """
    import torch

    stored = models.load_model(base).dtype if dtype == "auto" else getattr(torch, dtype)
    merged = models.load_model(base, dtype="float32", adapter=adapter).merge_and_unload()
    merged.config._name_or_path = ""
    with whole_directory(folder) as temporary:
        merged.to(stored).save_pretrained(temporary)
        if models.reads_images(base):
            from .vision_models import load_processor

            load_processor(adapter).save_pretrained(temporary)
        else:
            models.load_tokenizer(adapter).save_pretrained(temporary)
        shutil.copyfile(Path(adapter) / "README.md", temporary / "README.md")
        shutil.copyfile(Path(base) / models.CARD, temporary / models.CARD)
