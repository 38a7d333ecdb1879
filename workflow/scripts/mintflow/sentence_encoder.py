"""Sentence embeddings with a bidirectional encoder, computed as its model card says, in float32.

An encoder is a folder of safetensors and tokenizer files as sentence-transformers writes it:
``modules.json`` lists its steps, ``1_Pooling/config.json`` how token vectors become one. A plain
checkpoint without these two is pooled by the mean. Vectors always have length 1, so that their
inner product is the cosine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .cli import log, progress
from .errors import InputError
from .io import read_json

WHERE = "rare.retrieval.encoder.id"
STEPS = ("Transformer", "Pooling", "Normalize")


def pool_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens of each text, padding left out.

    Args:
        hidden: (texts, tokens, width).
        mask: (texts, tokens), 1 where a token is no padding.

    Returns:
        (texts, width).
    """
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1.0)


def pool_first(hidden: Tensor, mask: Tensor) -> Tensor:
    """The vector of each text's first token that is no padding; shapes as in ``pool_mean``."""
    return hidden[torch.arange(len(hidden), device=hidden.device), mask.argmax(1)]


POOLINGS = {"mean": pool_mean, "cls": pool_first}


class SentenceEncoder:
    """An encoder on a device, in eval mode and float32.

    Args:
        folder: with safetensors, configuration and tokenizer.
        device: auto, cpu or cuda.

    Raises:
        InputError: no such folder, only pickled weights, a step or a pooling that is not known here, a
            model that needs a decoder, or a device that is not there.
    """

    def __init__(self, folder: str | Path, device: str = "cpu") -> None:
        from safetensors import SafetensorError
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        path = Path(folder)
        self._name = path.name
        if not path.is_dir():
            raise self._error("there is no such folder")
        if not any(path.glob("*.safetensors")):
            raise self._error("holds no *.safetensors; pickled weights are not read: convert them once")
        self.pool = POOLINGS[self._pooling(path)]
        self.device = _device(device)
        local = {"local_files_only": True, "trust_remote_code": False}
        try:
            model = AutoModel.from_pretrained(str(path), use_safetensors=True, dtype=torch.float32, **local)
            self.tokenizer = AutoTokenizer.from_pretrained(str(path), **local)
        except (OSError, ValueError, ImportError, SafetensorError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0].replace(str(path), path.name)
            raise self._error(f"cannot be opened: {reason}") from error
        if model.config.is_encoder_decoder:
            raise self._error("needs a decoder; take an encoder such as BERT")
        if self.tokenizer.pad_token is None:
            raise self._error("its tokenizer has no padding token")
        self.model = model.to(self.device).eval()
        self.max_tokens = self._longest(path)

    def embed(self, texts: Sequence[str], batch_size: int) -> np.ndarray:
        """Vectors of length 1, (texts, width) float32, in the order of ``texts``.

        A text longer than the encoder reads loses its end; how many do is logged.
        """
        # each text once, texts of like length together: less padding, and batches that no order changes
        lengths = self._lengths(sorted(set(texts)))
        if not lengths:
            return np.empty((0, int(self.model.config.hidden_size)), np.float32)
        if cut := sum(length > self.max_tokens for length in lengths.values()):
            log.warning("%d of %d texts are cut after %d tokens", cut, len(lengths), self.max_tokens)
        ordered = sorted(lengths, key=lambda text: (lengths[text], text))
        starts = range(0, len(ordered), batch_size)
        parts = [
            self._batch(ordered[start : start + batch_size])
            for start in progress(starts, len(starts), "text batches")
        ]
        position = {text: row for row, text in enumerate(ordered)}
        return np.concatenate(parts)[[position[text] for text in texts]]

    @torch.inference_mode()
    def _batch(self, texts: list[str]) -> np.ndarray:
        given = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        ).to(self.device)
        vectors = self.pool(self.model(**given).last_hidden_state.float(), given["attention_mask"])
        return torch.nn.functional.normalize(vectors, dim=-1).cpu().numpy()

    def _lengths(self, texts: list[str]) -> dict[str, int]:
        if not texts:
            return {}
        # verbose=False: a text over the limit is reported by embed
        ids = self.tokenizer(texts, verbose=False)["input_ids"]
        return {text: len(row) for text, row in zip(texts, ids, strict=True)}

    def _pooling(self, path: Path) -> str:
        folder = path / "1_Pooling"
        if (path / "modules.json").is_file():
            steps = [(str(step["type"]).rpartition(".")[2], step["path"]) for step in self._modules(path)]
            if strange := [name for name, _ in steps if name not in STEPS]:
                raise self._error(f"has a step {strange[0]}; known are {', '.join(STEPS)}")
            folder = next((path / place for name, place in steps if name == "Pooling"), folder)
        if not (folder / "config.json").is_file():
            return "mean"
        found = _pooling_modes(read_json(folder / "config.json"))
        if len(found) != 1 or found[0] not in POOLINGS:
            asked = " and ".join(found) or "nothing"
            raise self._error(f"pools by {asked}; known are {', '.join(POOLINGS)}, one of them")
        return found[0]

    def _modules(self, path: Path) -> list[dict[str, Any]]:
        modules = read_json(path / "modules.json")
        if not isinstance(modules, list) or any(
            not isinstance(step, dict) or {"type", "path"} - set(step) for step in modules
        ):
            raise self._error("its modules.json is no list of steps with type and path")
        return modules

    def _longest(self, path: Path) -> int:
        stated = path / "sentence_bert_config.json"
        limit = read_json(stated).get("max_seq_length") if stated.is_file() else None
        known = [limit, self.tokenizer.model_max_length, self.model.config.max_position_embeddings]
        return min(int(value) for value in known if value)

    def _error(self, problem: str) -> InputError:
        return InputError(problem, file=self._name, field=WHERE)


def _pooling_modes(config: Mapping[str, Any]) -> list[str]:
    """Names of the poolings that a Pooling module asks for, of either generation of its file."""
    if isinstance(config.get("pooling_mode"), str):
        return [config["pooling_mode"]]
    names = [key.removeprefix("pooling_mode_") for key, value in sorted(config.items()) if value is True]
    return [name.removesuffix("_tokens").removesuffix("_token") for name in names if name != "include_prompt"]


def _device(name: str) -> str:
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("there is no CUDA device here", field="rare.retrieval.device")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"
