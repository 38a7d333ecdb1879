"""Prompts that show an image: ids with the image tokens that the model's processor puts, and pixels.

The chat template decides where the image stands (in front of the first user text). Answers are encoded as for
students that only read, so exactly one end token is scored; a template that writes the start token keeps it
single, where MllamaProcessor would put a second one in front of every text of its own.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .errors import InputError
from .images import blank_image
from .tokenization import ChatEncoder, Message, Pair

if TYPE_CHECKING:
    from PIL import Image
    from transformers import ProcessorMixin

BLANK = ""  # name of the image that shows nothing
MOST_PIXEL_BYTES = 2 << 30  # of processed images in memory; others are processed again
TEXT_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "cross_attention_mask")


# ways to hand a system message to a template, in order of preference: as a list of parts like all others, as
# plain text (some templates print such a list as it stands), in front of the user's text (Llama-3.2-Vision
# allows none beside an image)
SYSTEM_LAYOUTS = ("parts", "text", "folded")


def with_image(messages: Sequence[Message], system: str = "parts") -> list[dict[str, Any]]:
    """Messages as lists of parts, an image in front of the first user text.

    Args:
        messages: roles and texts.
        system: one of ``SYSTEM_LAYOUTS``.

    Raises:
        InputError: no user speaks.
    """
    parted: list[dict[str, Any]] = []
    said: list[str] = []  # by the system, not yet handed on
    open_place = True
    for message in messages:
        text = message["content"]
        if message["role"] == "system" and system == "folded":
            said.append(text)
            continue
        if message["role"] == "system" and system == "text":
            parted.append({"role": "system", "content": text})
            continue
        parts = [{"type": "text", "text": text}]
        if message["role"] == "user" and open_place:
            parts = [{"type": "image"}, {"type": "text", "text": "\n\n".join([*said, text])}]
            open_place = False
        parted.append({"role": message["role"], "content": parts})
    if open_place:
        raise InputError("no user message to show the image in", field="tissue.prompt.user")
    return parted


class Gallery:
    """The images that prompts show, each put through the processor once while memory allows.

    Args:
        processor: of the base model.
        images: name to RGB image; ``BLANK`` is added.
    """

    def __init__(self, processor: ProcessorMixin, images: Mapping[str, Image.Image]) -> None:
        self.processor = processor
        self.images = {BLANK: blank_image(), **images}
        self.image_token_id = int(
            getattr(processor, "image_token_id", None)
            or processor.tokenizer.convert_tokens_to_ids(processor.image_token)
        )
        self._inputs: OrderedDict[str, dict[str, Tensor]] = OrderedDict()
        self._bytes = 0
        # set by vision_features: what the model gets in place of pixels
        self.kept: Mapping[str, dict[str, Tensor]] | None = None

    def digest(self, names: Sequence[str] | None = None) -> str:
        """SHA-256 over names and pixels of ``names``, of all images by default."""
        digest = hashlib.sha256()
        for name in sorted(self.images) if names is None else names:
            image = self.images[name]
            digest.update(f"{name} {image.size} ".encode() + image.tobytes())
        return digest.hexdigest()

    def encode(self, text: str, name: str) -> list[int]:
        """Ids of a rendered prompt that shows the image ``name``, image tokens in their full number.

        Raises:
            InputError: there is no such image.
        """
        if name not in self.images:
            raise InputError("has no image", record=name, field="image")
        encoded = self.processor(
            text=[text], images=[[self.images[name]]], add_special_tokens=False, return_tensors="pt"
        )
        if name not in self._inputs:
            self._remember(name, {key: encoded[key] for key in encoded if key not in TEXT_INPUTS})
        return encoded["input_ids"][0].tolist()

    def _remember(self, name: str, inputs: dict[str, Tensor]) -> None:
        """Keep the inputs of one image, and forget those used longest ago when there are too many."""
        self._inputs[name] = inputs
        self._bytes += sum(tensor.nbytes for tensor in inputs.values())
        while self._bytes > MOST_PIXEL_BYTES and len(self._inputs) > 1:
            _, old = self._inputs.popitem(last=False)
            self._bytes -= sum(tensor.nbytes for tensor in old.values())

    def pixels(self, name: str) -> dict[str, Tensor]:
        """The processor's inputs of one image, first axis 1."""
        if name not in self._inputs:
            self.encode(self.processor.image_token, name)
        self._inputs.move_to_end(name)
        return self._inputs[name]

    def batch(
        self, names: Sequence[str], prompts: Sequence[Sequence[int]], branch: Tensor
    ) -> dict[str, Tensor]:
        """What the model gets beside the ids of a batch.

        Args:
            names: image of each of the B rows.
            prompts: their prompt ids.
            branch: (B, L) 0 for padding, which stands left of the prompt or behind a completion.

        Returns:
            Pixel values and their companions, or kept features, (B or more, ...); for models that look
            through cross-attention also ``cross_attention_mask`` (B, L, 1, tiles): every token from the image
            token on sees the image, those of both completions too.
        """
        source = [self.kept[name] if self.kept is not None else self.pixels(name) for name in names]
        inputs = {key: joined([one[key] for one in source]) for key in source[0]}
        tiles = inputs.pop("tiles", inputs.get("aspect_ratio_mask"))
        if tiles is not None:
            inputs["cross_attention_mask"] = self._seen(prompts, branch)[..., None, None] * tiles[:, None]
        return inputs

    def _seen(self, prompts: Sequence[Sequence[int]], branch: Tensor) -> Tensor:
        """(B, L) 1 where a column may look at the image."""
        seen = (branch > 0).long()
        for row, prompt in enumerate(prompts):
            left = int(seen[row].argmax())  # the first column that is no padding
            seen[row, : left + list(prompt).index(self.image_token_id)] = 0
        return seen

    def __call__(self, pairs: Sequence[Pair], branch: Tensor) -> dict[str, Tensor]:
        """As ``collate.ExtraInputs``."""
        return self.batch([pair.image or BLANK for pair in pairs], [pair.prompt for pair in pairs], branch)


def open_gallery(base: str | Path, cases: str | Path, shown: Iterable[object]) -> Gallery:
    """The images that are shown, and no others.

    Args:
        base: base folder, for its processor.
        cases: parquet of case_id, file, row.
        shown: case ids, as a table's column ``image`` holds them: null for the blank image.

    Raises:
        InputError: an image is not among the cases, or cannot be read.
    """
    from .images import REFERENCE, load_images
    from .io import read_parquet
    from .vision_models import load_processor

    wanted = {name for name in shown if isinstance(name, str)}
    known = read_parquet(cases, REFERENCE)
    if missing := sorted(wanted - set(known["case_id"])):
        raise InputError("has no image", file=cases, record=missing[0], field="case_id")
    return Gallery(load_processor(base), dict(load_images(known[known["case_id"].isin(wanted)])))


def joined(tensors: Sequence[Tensor]) -> Tensor:
    """Concatenate along the first axis, padding the others with zeros to the largest."""
    shapes = {tuple(tensor.shape[1:]) for tensor in tensors}
    if len(shapes) > 1:
        largest = [max(sizes) for sizes in zip(*shapes, strict=True)]
        padded = []
        for tensor in tensors:
            place = tensor.new_zeros((tensor.shape[0], *largest))
            place[tuple(slice(0, size) for size in tensor.shape)] = tensor
            padded.append(place)
        tensors = padded
    return torch.cat(list(tensors))


@dataclass(frozen=True)
class VisionEncoder(ChatEncoder):
    """Encodes conversations whose first user message shows an image.

    Args:
        gallery: the images, and the processor.
    """

    gallery: Gallery

    def shown(self, row: Mapping[str, Any]) -> tuple[list[int], str | None]:
        """See ``ChatEncoder``; the row's ``image`` names what it shows, null for the blank image."""
        name = row["image"] if isinstance(row["image"], str) else BLANK
        return self.gallery.encode(self._text(row["prompt"], add_generation_prompt=True), name), name

    def _ids(self, messages: Sequence[Message], **options: bool) -> list[int]:
        # one image token here: answers do not depend on how many it becomes
        return list(self.tokenizer(self._text(messages, **options), add_special_tokens=False)["input_ids"])

    def _text(self, messages: Sequence[Message], **options: bool) -> str:
        """The conversation as the template writes it, with one image token and at most one start token.

        Raises:
            InputError: the template loses or rewrites a text, however it is handed over.
        """
        from jinja2 import TemplateError

        reason = "its chat template does not write the messages as they are"
        for layout in SYSTEM_LAYOUTS:
            try:
                text = self.gallery.processor.apply_chat_template(
                    with_image(messages, layout), tokenize=False, **self.template_kwargs, **options
                )
            except TemplateError as error:
                reason = f"its chat template refuses the prompt: {error}"
                continue
            whole = all(message["content"].strip() in text for message in messages)
            if whole and "{'type':" not in text and text.count(self.gallery.processor.image_token) == 1:
                return self._started(text)
        raise InputError(reason, field="tissue.student.base.id")

    def _started(self, text: str) -> str:
        """With the start token in front where the tokenizer would put it and the template does not."""
        start = self.tokenizer.bos_token
        if start is None or text.startswith(start):
            return text
        adds = self.tokenizer("a")["input_ids"][:1] == [self.tokenizer.bos_token_id]
        return start + text if adds else text
