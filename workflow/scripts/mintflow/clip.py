"""The embedded tissue teacher: a small CLIP, trained here on the tiles and captions of training patients.

Image and text towers as in Radford et al. (arXiv 2103.00020), by transformers. As many tiles share a label,
tiles and texts of one label are all positives of each other (supervised contrastive loss, Khosla et al.,
arXiv 2004.11362); with the plain loss many negatives would be wrong ones. A text is a label prompt and what
was measured of the tile; a tile is scored by its similarity to the prompts alone.
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image
    from transformers import CLIPModel

log = logging.getLogger("mintflow")

PATCHES = 6  # patches along a side
LAYERS = 4
TEXT_LAYERS = 2
HEADS = 4
LONGEST_TEXT = 64  # words
_WORD = re.compile(r"[a-z0-9]+(?:[-&'][a-z0-9]+)*|[^\sa-z0-9]", re.IGNORECASE)


@dataclass(frozen=True)
class Tiles:
    """What the teacher is given.

    Attributes:
        pixels: (n, 3, size, size) uint8.
        labels: (n,) position of the label, -1 where there is none.
        captions: what was measured of each tile, in words.
    """

    pixels: Tensor
    labels: np.ndarray
    captions: Sequence[str]

    def take(self, mask: np.ndarray) -> Tiles:
        """Those of the tiles."""
        chosen = np.flatnonzero(mask)
        return Tiles(
            self.pixels[torch.from_numpy(chosen)], self.labels[chosen], [self.captions[i] for i in chosen]
        )


def to_pixels(images: Sequence[Image.Image], size: int) -> Tensor:
    """Images as (n, 3, size, size) uint8."""
    from PIL import Image as Pillow

    arrays = [np.asarray(image.resize((size, size), Pillow.Resampling.BICUBIC)) for image in images]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()


class Words:
    """Texts as ids of the words that training knew; others are left out."""

    def __init__(self, texts: Sequence[str]) -> None:
        known = sorted({word for text in texts for word in _WORD.findall(text.lower())})
        self.ids = {word: number for number, word in enumerate(known, start=2)}  # 0 pads, 1 ends

    def __len__(self) -> int:
        """Size of the vocabulary."""
        return len(self.ids) + 2

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and mask, (texts, longest)."""
        most = LONGEST_TEXT - 1
        known = (
            [self.ids[word] for word in _WORD.findall(text.lower()) if word in self.ids] for text in texts
        )
        rows = [[*ids[:most], 1] for ids in known]
        width = max(map(len, rows))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        return ids, (ids > 0).long()


class SmallClip:
    """A CLIP of the configured width; see the module's description.

    Args:
        settings: the slice tissue.teacher.
        names: label names, in the order of the label positions.
    """

    def __init__(self, settings: Mapping[str, Any], names: Sequence[str]) -> None:
        self.settings, self.names = settings, list(names)
        self.model: CLIPModel | None = None
        self.words: Words | None = None

    def fit(self, train: Tiles, held_out: Tiles, device: str = "cpu") -> dict[str, Any]:
        """Train on ``train``; the epoch with the lowest loss on ``held_out`` is kept, the last without any.

        Returns:
            epochs run, the one kept, its held-out loss.
        """
        settings = self.settings
        seed = settings["seed"]
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        self.words = Words([*self._texts(train), *(t for row in self._prompts() for t in row)])
        self.model = self._build().to(device)
        weights = [one for one in self.model.parameters() if one.requires_grad]
        optimizer = torch.optim.AdamW(
            weights, lr=settings["learning_rate"], weight_decay=settings["weight_decay"]
        )
        size, epochs = settings["batch_size"], settings["epochs"]
        steps = epochs * -(-len(train.captions) // size)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, settings["learning_rate"], total_steps=steps, pct_start=0.1
        )
        best, kept = float("inf"), -1
        state: dict[str, Tensor] = {}
        for epoch in range(epochs):
            self.model.train()
            order = rng.permutation(len(train.captions))
            for start in range(0, len(order), size):
                rows = np.sort(order[start : start + size])
                pixels = augment(train.pixels[torch.from_numpy(rows)], rng).to(device)
                texts = self._texts(train, rows, rng)
                loss = self._loss(pixels, texts, train.labels[rows], device)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(weights, 1.0)
                optimizer.step()
                schedule.step()
            if len(held_out.captions):
                value = self._held_out_loss(held_out, device)
                if value < best:
                    best, kept, state = value, epoch, copy.deepcopy(self.model.state_dict())
            if epoch % 5 == 4 or epoch == epochs - 1:
                log.info("teacher: epoch %d/%d, training loss %.3f", epoch + 1, epochs, float(loss))
        if state:
            self.model.load_state_dict(state)
        return {
            "epochs": epochs,
            "kept_epoch": (kept if state else epochs - 1) + 1,
            "held_out_loss": round(best, 6) if state else None,
        }

    @torch.inference_mode()
    def score(self, pixels: Tensor, device: str = "cpu") -> np.ndarray:
        """Log-probability of every label for every tile, (n, labels) float64."""
        assert self.model is not None and self.words is not None, "fit comes first"
        self.model.eval()
        targets = torch.stack([self._embed_texts(row, device).mean(0) for row in self._prompts()])
        targets = torch.nn.functional.normalize(targets, dim=-1)
        scores = []
        for part in pixels.split(256):
            seen = self._embed_pixels(part.to(device))
            scores.append((self.model.logit_scale.exp() * seen @ targets.T).log_softmax(-1).double().cpu())
        return torch.cat(scores).numpy()

    def _build(self) -> CLIPModel:
        from transformers import CLIPConfig, CLIPModel

        dim, size = self.settings["dim"], self.settings["image_size"]
        tower = {
            "hidden_size": dim,
            "intermediate_size": 4 * dim,
            "num_attention_heads": HEADS,
            "projection_dim": dim,
        }
        vision = {**tower, "num_hidden_layers": LAYERS, "image_size": size, "patch_size": -(-size // PATCHES)}
        text = {
            **tower,
            "num_hidden_layers": TEXT_LAYERS,
            "vocab_size": len(self.words),
            "max_position_embeddings": LONGEST_TEXT,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 1,
        }
        return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=dim))

    def _prompts(self) -> list[list[str]]:
        return [
            [prompt.replace("{label}", name) for prompt in self.settings["prompts"]] for name in self.names
        ]

    def _texts(
        self, tiles: Tiles, rows: np.ndarray | None = None, rng: np.random.Generator | None = None
    ) -> list[str]:
        """A prompt of the label and the caption, of each tile; the prompt is drawn where ``rng`` is given."""
        prompts = self._prompts()
        rows = np.arange(len(tiles.captions)) if rows is None else rows
        texts = []
        for row in rows:
            choices = prompts[tiles.labels[row]]
            prompt = choices[int(rng.integers(len(choices)))] if rng is not None else choices[0]
            # half of the texts are the prompt alone: that is what tiles are compared with in the end
            with_caption = rng is None or rng.random() < 0.5
            texts.append(f"{prompt}. {tiles.captions[row]}" if with_caption else prompt)
        return texts

    def _embed_pixels(self, pixels: Tensor) -> Tensor:
        seen = self.model.vision_model(pixel_values=pixels.float() / 127.5 - 1).pooler_output
        return torch.nn.functional.normalize(self.model.visual_projection(seen), dim=-1)

    def _embed_texts(self, texts: Sequence[str], device: str) -> Tensor:
        ids, mask = (one.to(device) for one in self.words.encode(texts))
        read = self.model.text_model(input_ids=ids, attention_mask=mask).pooler_output
        return torch.nn.functional.normalize(self.model.text_projection(read), dim=-1)

    def _loss(self, pixels: Tensor, texts: Sequence[str], labels: np.ndarray, device: str) -> Tensor:
        logits = (
            self.model.logit_scale.exp().clamp(max=100)
            * self._embed_pixels(pixels)
            @ self._embed_texts(texts, device).T
        )
        same = torch.from_numpy(labels[:, None] == labels[None]).to(device).float()
        wanted = same / same.sum(1, keepdim=True)
        return -0.5 * (
            (wanted * logits.log_softmax(1)).sum(1).mean() + (wanted * logits.T.log_softmax(1)).sum(1).mean()
        )

    @torch.inference_mode()
    def _held_out_loss(self, tiles: Tiles, device: str) -> float:
        scores = self.score(tiles.pixels, device)
        return -float(scores[np.arange(len(tiles.labels)), tiles.labels].mean())


def augment(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Turn, mirror and stain tiles anew, (n, 3, H, W) uint8 to uint8: tiles have no up, and stains differ.

    Strength and tint of a stain multiply optical density, each channel by its own factor near 1.
    """
    turned = []
    for one in pixels:
        one = torch.rot90(one, int(rng.integers(4)), (-2, -1))
        turned.append(one.flip(-1) if rng.random() < 0.5 else one)
    density = -torch.log((torch.stack(turned).float() + 1) / 256)
    factors = torch.from_numpy(rng.normal(1.0, 0.12, (len(pixels), 3, 1, 1)).astype(np.float32))
    return (torch.exp(-density * factors.clamp(0.6, 1.6)) * 256 - 1).clamp(0, 255).round().to(torch.uint8)
