"""A pretrained CLIP or SigLIP as tissue teacher: zero-shot by label prompts, or with a linear head.

Any checkpoint that transformers opens as a model with an image and a text tower, from a local folder
of safetensors (a rule downloads hub models before); at the paper's scale PLIP (Huang et al., Nature
Medicine 2023).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .cli import progress
from .errors import InputError

if TYPE_CHECKING:
    from PIL import Image

BATCH = 32


class PretrainedClip:
    """Towers and processor of a checkpoint, on a device, in eval mode and float32.

    Args:
        folder: with safetensors, configuration, processor.
        device: cpu or cuda.

    Raises:
        InputError: the folder holds no such model, or only pickled weights.
    """

    def __init__(self, folder: str | Path, device: str = "cpu") -> None:
        from safetensors import SafetensorError
        from transformers import AutoModel, AutoProcessor

        where, name = "tissue.teacher.id", Path(folder).name
        local = {"local_files_only": True, "trust_remote_code": False}
        if not any(Path(folder).glob("*.safetensors")):
            raise InputError(
                "holds no *.safetensors; pickled weights are not read: convert them once",
                file=name,
                field=where,
            )
        try:
            model = AutoModel.from_pretrained(str(folder), use_safetensors=True, **local)
            self.processor = AutoProcessor.from_pretrained(str(folder), backend="pil", **local)
        except (OSError, ValueError, ImportError, SafetensorError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0].replace(str(folder), name)
            raise InputError(f"cannot be opened: {reason}", file=name, field=where) from error
        if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
            raise InputError("has no image and text tower", file=name, field=where)
        self.model, self.device = model.to(device).float().eval(), device

    @torch.inference_mode()
    def embed_images(self, images: Iterable[Image.Image], total: int) -> Tensor:
        """Normalised embeddings, (n, width) float32 on the CPU.

        Args:
            images: read batch by batch, so that never all are in memory.
            total: how many there are.
        """
        parts, left = [], iter(images)
        for _ in progress(range(-(-total // BATCH)), -(-total // BATCH), "image batches"):
            given = self.processor.image_processor(list(islice(left, BATCH)), return_tensors="pt")
            # some towers read more than pixels: which of them are padding, the shape of the image
            tensors = {key: value.to(self.device) for key, value in given.items()}
            parts.append(_normalised(self.model.get_image_features(**tensors)))
        return torch.cat(parts)

    @torch.inference_mode()
    def embed_labels(self, names: Sequence[str], prompts: Sequence[str]) -> Tensor:
        """One embedding a label: the mean of its normalised prompts, normalised again, (labels, width)."""
        rows = []
        for name in names:
            texts = [prompt.replace("{label}", name) for prompt in prompts]
            # SigLIP was trained on texts padded to its full length, and CLIP masks its padding
            given = self.processor.tokenizer(
                texts, padding="max_length", truncation=True, max_length=self._longest(), return_tensors="pt"
            )
            given = {
                key: value.to(self.device)
                for key, value in given.items()
                if key in ("input_ids", "attention_mask")
            }
            if self.model.config.model_type.startswith("siglip"):
                given.pop("attention_mask", None)
            rows.append(_normalised(self.model.get_text_features(**given)).mean(0))
        return torch.nn.functional.normalize(torch.stack(rows), dim=-1)

    def _longest(self) -> int:
        return int(self.model.config.text_config.max_position_embeddings)

    def zero_shot(self, images: Tensor, labels: Tensor) -> np.ndarray:
        """Log-probabilities of the labels, (n, labels), from normalised embeddings."""
        scale = float(self.model.logit_scale.detach().exp())
        return (scale * images.double() @ labels.double().T).log_softmax(-1).numpy()


def _normalised(features: Any) -> Tensor:
    """Features of either kind of answer: a tensor, or an output object."""
    tensor = features if isinstance(features, Tensor) else features.pooler_output
    return torch.nn.functional.normalize(tensor, dim=-1).cpu()


def linear_head(
    learn: np.ndarray, codes: np.ndarray, score: np.ndarray, labels: int, seed: int
) -> np.ndarray:
    """Log-probabilities of a logistic regression on embeddings.

    Args:
        learn: (n, width) embeddings to learn from.
        codes: (n,) their labels.
        score: (m, width) embeddings to score.
        labels: number of labels; those that ``codes`` lacks get the lowest score.
        seed: of the solver.
    """
    from sklearn.linear_model import LogisticRegression

    found = np.unique(codes)
    result = np.full((len(score), labels), -50.0)
    if len(found) == 1:
        result[:, found[0]] = 0.0
        return result
    model = LogisticRegression(C=10.0, max_iter=2000, random_state=seed).fit(learn, codes)
    result[:, found] = np.maximum(model.predict_log_proba(score), -49.0)
    return result
