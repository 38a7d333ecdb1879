"""Base models as they are read (base_models.py makes them): a folder of safetensors and tokenizer files.

A base folder holds config.json, one or more ``*.safetensors``, the tokenizer with its chat
template, and base_model.json (``id, hub_id, revision, kind, sha256, licence, parameters``).
``hub_id`` is the public model that an adapter can be loaded on elsewhere, null when there is none.
Nothing else is trusted: no pickled weights, no code from a model repository.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import seals
from .errors import InputError
from .io import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CARD = "base_model.json"
_REMEDY = "delete the folder, or snakemake --forcerun prepare_base_model"
# modules between the image and the language model, by family
EYES = ("vision_tower", "vision_model", "multi_modal_projector", "connector")
NEVER_PACKED = ["lm_head", *(rf"(.*\.)?{name}" for name in EYES)]


def read_card(folder: str | Path) -> dict[str, Any]:
    """The content of a base folder's base_model.json."""
    return read_json(Path(folder) / CARD)


def require_whole(folder: str | Path, *, weights: bool = True) -> None:
    """Compare the files of a base folder with what they were when it was finished.

    A folder that nobody sealed, an adapter's say, has nothing to compare.

    Args:
        folder: a base folder.
        weights: whether the weights are compared, too; they are large.

    Raises:
        InputError: a file is missing or another one; says how to make the folder again.
    """
    if not (Path(folder) / seals.SEAL).is_file():
        return
    damage = seals.first_damaged(folder, lambda name: weights or not name.endswith(".safetensors"))
    if damage:
        raise InputError(f"{damage}; {_REMEDY}", file=Path(folder).name)


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a base or adapter folder.

    Raises:
        InputError: it has no chat template, or a file is missing or damaged.
    """
    from transformers import AutoTokenizer

    require_whole(folder, weights=False)

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    of_processor = Path(folder) / "chat_template.json"  # where older vision models keep it
    if not tokenizer.chat_template and of_processor.is_file():
        tokenizer.chat_template = read_json(of_processor)["chat_template"]
    if not tokenizer.chat_template:
        raise InputError(
            "the base model has no chat template; take an instruction-tuned one", field="rare.student.base.id"
        )
    if tokenizer.pad_token_id is None:
        # padding is masked everywhere, so any token does; the end token is the usual choice
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(
    folder: str | Path,
    *,
    dtype: str = "auto",
    attention: str = "sdpa",
    quantization: str = "none",
    adapter: str | Path | None = None,
) -> PreTrainedModel:
    """The model of a base folder, one that sees if the folder holds such, on the CPU unless quantised.

    Args:
        folder: a base folder.
        dtype: ``auto`` keeps the stored type, else ``float32`` or ``bfloat16``.
        attention: attention implementation of transformers.
        quantization: ``nf4`` packs the weights into 4 bits (CUDA and bitsandbytes only).
        adapter: a PEFT folder to put on top, ready for inference.

    Raises:
        InputError: weights are damaged or were cut, or the device or packages that ``nf4`` needs are missing.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    quiet()
    require_whole(folder)
    for file in sorted(Path(folder).glob("*.safetensors")):
        try:
            count_parameters(file)
        except InputError as error:
            raise InputError(f"{error}; {_REMEDY}", file=Path(folder).name) from error
    extra: dict[str, Any] = {}
    if quantization == "nf4":
        require_nf4()
        from transformers import BitsAndBytesConfig

        extra["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
            bnb_4bit_quant_storage=torch.bfloat16,
            # a packed projector could not be trained whole
            llm_int8_skip_modules=NEVER_PACKED if reads_images(folder) else None,
        )
        extra["device_map"] = {"": int(os.environ.get("LOCAL_RANK", 0))}
    kind = AutoModelForImageTextToText if reads_images(folder) else AutoModelForCausalLM
    model = kind.from_pretrained(
        str(folder),
        dtype=dtype if dtype == "auto" else getattr(torch, dtype),
        attn_implementation=attention,
        local_files_only=True,
        use_safetensors=True,
        **extra,
    )
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter))
    return model.eval()


def reads_images(folder: str | Path) -> bool:
    """Whether a base folder holds a model with a vision tower."""
    return "vision_config" in read_json(Path(folder) / "config.json")


def pick_device(name: str) -> str:
    """``cpu`` or ``cuda`` for the configuration's ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: cuda was asked for and there is none.
    """
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("there is no CUDA device here", field="rare.student.device")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def require_nf4() -> None:
    """Raise an InputError that names the config key unless 4-bit weights can be used here."""
    from importlib.util import find_spec

    import torch

    if not torch.cuda.is_available() or find_spec("bitsandbytes") is None:
        raise InputError(
            "nf4 needs a CUDA device and the package bitsandbytes; use none here",
            field="rare.student.quantization",
        )


def end_token_ids(folder: str | Path, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Every token that ends an answer: the tokenizer's, and those of generation_config and config.

    Chat models often end a turn with another token than the tokenizer's ``eos_token``
    (Llama-3: ``<|eot_id|>``), which only generation_config.json lists.

    Raises:
        InputError: there is none, so that no answer could ever end.
    """
    found = {tokenizer.eos_token_id}
    for name in ("generation_config.json", "config.json"):
        path = Path(folder) / name
        config = read_json(path) if path.is_file() else {}
        for ids in (config.get("eos_token_id"), (config.get("text_config") or {}).get("eos_token_id")):
            found.update(ids if isinstance(ids, list) else [ids])
    found.discard(None)
    if not found:
        raise InputError("the base model names no end token", field="rare.student.base.id")
    return frozenset(found)


def count_parameters(file: Path) -> int:
    """Read from the header, which must fit the length of the file.

    Raises:
        InputError: it is damaged or was cut.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as tensors:
            shapes = [tensors.get_slice(key).get_shape() for key in tensors.keys()]  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file.name} is no whole safetensors file: {error}") from error
    return sum(math.prod(shape) for shape in shapes)


def quiet() -> None:
    """Keep transformers' progress bars out of the logs."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
