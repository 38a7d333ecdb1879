"""The embedded tissue teacher: a small CLIP, trained here on the tiles and captions of training patients.

Image and text towers as in Radford et al. (arXiv 2103.00020), by transformers. As many tiles share a label,
tiles and texts of one label are all positives of each other (supervised contrastive loss, Khosla et al.,
arXiv 2004.11362); with the plain loss many negatives would be wrong ones. A text is a label prompt and what
was measured of the tile; a tile is scored by its similarity to the prompts alone.

A few hundred tiles are too few for a plain vision transformer: its patches are embedded by a few convolutions
(Xiao et al., arXiv 2106.14881), and what belongs to the stain of the patient rather than to the tissue is
taken out of the pixels before (`standardise`) or varied in training (`augment`).
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
from torch import Tensor, nn

from .errors import InputError

if TYPE_CHECKING:
    from PIL import Image
    from transformers import CLIPModel

log = logging.getLogger("mintflow")

PATCHES = 6  # about so many patches along a side
LAYERS = 2
TEXT_LAYERS = 2
HEADS = 4
WIDTHS = (32, 64, 96)  # of the convolutions, each of which halves the side
STAIN, TINT = 0.2, 0.1  # standard deviations of log optical density in training: of all channels, of each
LONGEST_TEXT = 64  # words
_WORD = re.compile(r"[a-z0-9]+(?:[-&'][a-z0-9]+)*|[^\sa-z0-9]", re.IGNORECASE)


@dataclass(frozen=True)
class Tiles:
    """What the teacher is given.

    Attributes:
        pixels: (n, 3, size, size) uint8, as an array, which other processes can be given.
        labels: (n,) position of the label, -1 where there is none.
        captions: what was measured of each tile, in words.
    """

    pixels: np.ndarray
    labels: np.ndarray
    captions: Sequence[str]

    def take(self, mask: np.ndarray) -> Tiles:
        """Those of the tiles."""
        chosen = np.flatnonzero(mask)
        return Tiles(self.pixels[chosen], self.labels[chosen], [self.captions[i] for i in chosen])


def to_pixels(image: Image.Image, size: int) -> np.ndarray:
    """An image as (3, size, size) uint8."""
    from PIL import Image as Pillow

    return np.asarray(image.resize((size, size), Pillow.Resampling.BICUBIC)).transpose(2, 0, 1)


class Stem(nn.Sequential):
    """Patches embedded by convolutions that each halve the side; in place of one convolution a patch.

    Args:
        halvings: a patch is 2**halvings pixels wide.
        dim: width of the embedding.
    """

    def __init__(self, halvings: int, dim: int) -> None:
        layers: list[nn.Module] = []
        before = 3
        for number in range(halvings - 1):
            width = WIDTHS[min(number, len(WIDTHS) - 1)]
            layers += [nn.Conv2d(before, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.GELU()]
            before = width
        super().__init__(*layers, nn.Conv2d(before, dim, 2, 2))
        self.patch = 2**halvings

    @property
    def weight(self) -> Tensor:
        """Of the last convolution: transformers asks it for the type of the numbers."""
        return self[-1].weight

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 3, H, W) to (n, dim, H // patch, W // patch); the rest of a patch is cut off."""
        high, wide = (side // self.patch * self.patch for side in pixels.shape[-2:])
        return super().forward(pixels[..., :high, :wide])


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

    Raises:
        InputError: the width does not fit.
    """

    def __init__(self, settings: Mapping[str, Any], names: Sequence[str]) -> None:
        if settings["dim"] % HEADS:
            raise InputError(f"must be a multiple of {HEADS}", field="tissue.teacher.dim")
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
                pixels = augment(torch.from_numpy(train.pixels[rows]), rng).to(device)
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
                log.info("teacher: epoch %d/%d, training loss %.3f", epoch + 1, epochs, float(loss.detach()))
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
        halvings = max(1, round(np.log2(size / PATCHES)))
        tower = {
            "hidden_size": dim,
            "intermediate_size": 4 * dim,
            "num_attention_heads": HEADS,
            "projection_dim": dim,
        }
        vision = {**tower, "num_hidden_layers": LAYERS, "image_size": size, "patch_size": 2**halvings}
        text = {
            **tower,
            "num_hidden_layers": TEXT_LAYERS,
            "vocab_size": len(self.words),
            "max_position_embeddings": LONGEST_TEXT,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 1,
        }
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=dim))
        model.vision_model.embeddings.patch_embedding = Stem(halvings, dim)
        return model

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
        seen = self.model.vision_model(pixel_values=standardise(pixels)).pooler_output
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
        scores = self.score(torch.from_numpy(tiles.pixels), device)
        return -float(scores[np.arange(len(tiles.labels)), tiles.labels].mean())


def optical_density(pixels: Tensor) -> Tensor:
    """Optical density (natural logarithm) of (n, 3, H, W) uint8, float32, 0 for white."""
    return -torch.log((pixels.float() + 1) / 256)


def standardise(pixels: Tensor) -> Tensor:
    """Optical density without the strength of a stain, (n, 3, H, W) uint8 to float32.

    A tile around its mean and on its own scale, all channels alike, so that hues stay; a blank one is 0.
    """
    density = optical_density(pixels)
    density = density - density.mean((1, 2, 3), keepdim=True)
    return density / (density.std((1, 2, 3), keepdim=True) + 0.05)


def augment(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Turn, mirror and stain tiles anew, (n, 3, H, W) uint8 to uint8: tiles have no up, and stains differ.

    Strength and tint of a stain multiply optical density, all channels by one factor and each by its own.
    """
    turned = []
    for one in pixels:
        one = torch.rot90(one, int(rng.integers(4)), (-2, -1))
        turned.append(one.flip(-1) if rng.random() < 0.5 else one)
    count = len(pixels)
    factors = np.exp(rng.normal(0, STAIN, (count, 1, 1, 1)) + rng.normal(0, TINT, (count, 3, 1, 1)))
    density = optical_density(torch.stack(turned)) * torch.from_numpy(factors.astype(np.float32))
    return (torch.exp(-density) * 256 - 1).clamp(0, 255).round().to(torch.uint8)


@dataclass(frozen=True)
class Round:
    """One model to train: tiles to learn from, to stop by, and pixels to score (n, 3, size, size) uint8."""

    settings: Mapping[str, Any]
    names: Sequence[str]
    learn: Tiles
    stop: Tiles
    score: np.ndarray


def run_round(job: Round, device: str = "cpu") -> tuple[np.ndarray, dict[str, Any]]:
    """Train and score, on one thread: so the bytes do not depend on how many there are.

    Returns:
        Log-probabilities (n, labels), and what `SmallClip.fit` tells.
    """
    torch.set_num_threads(1)
    model = SmallClip(job.settings, job.names)
    told = model.fit(job.learn, job.stop, device)
    return model.score(torch.from_numpy(job.score), device), told
