"""A student opened for inference: model, tokenizer and device of a base folder and its adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel

from .errors import InputError
from .generation import Answer, generate
from .models import end_token_ids, load_model, load_tokenizer, pick_device
from .tokenization import ChatEncoder

if TYPE_CHECKING:
    from .vision_encoding import Gallery


def list_length(settings: Mapping[str, Any]) -> int:
    """Names in the lists that a student was trained to write; ``k``, unless its section says otherwise."""
    return settings["student"].get("list_length", settings["k"])


@dataclass(frozen=True)
class Student:
    """What answers prompts.

    Attributes:
        model: in eval mode on its device.
        encoder: turns messages into token ids, as in training.
    """

    model: PreTrainedModel
    encoder: ChatEncoder

    def answers(
        self,
        rows: Sequence[Mapping[str, Any]],
        evaluation: Mapping[str, Any],
        gallery: Gallery | None = None,
    ) -> list[Answer]:
        """Answers, greedily, to rows with ``prompt`` and, for a student that sees, ``image``.

        Args:
            rows: messages, and the name of the image in the gallery.
            evaluation: max_new_tokens, generation_batch_size.
            gallery: the images.
        """
        shown = [self.encoder.shown(row) for row in rows]
        return generate(
            self.model,
            [ids for ids, _ in shown],
            end_ids=self.encoder.end_ids,
            pad_id=self.encoder.tokenizer.pad_token_id,
            max_new_tokens=evaluation["max_new_tokens"],
            batch_size=evaluation["generation_batch_size"],
            images=[image for _, image in shown],
            gallery=gallery,
        )

    def text(self, tokens: tuple[int, ...]) -> str:
        """Generated tokens as text, without special tokens."""
        return self.encoder.tokenizer.decode(
            list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )


def open_student(
    base: str | Path,
    adapter: str | Path | None,
    settings: Mapping[str, Any],
    *,
    exact: bool,
    gallery: Gallery | None = None,
) -> Student:
    """Load a base folder, put the adapter on it, and move it to the device.

    In float32 (``exact``, and always on the CPU, where bfloat16 is hardly faster to decode and
    its ties make the answer depend on the batch) the adapter is merged into the weights. On a GPU
    it stays beside a base of the configured type, as it was trained.

    Args:
        base: folder made by prepare_base_model.py.
        adapter: PEFT folder, or None for the base model itself.
        settings: device, attention, chat_template_kwargs and base.dtype of rare.student.
        exact: whether float32 is needed.
        gallery: the images that prompts show, for a model that sees.

    Raises:
        InputError: a folder is missing, or the device cannot be had.
    """
    for folder, needed in ((base, "config.json"), (adapter, "adapter_config.json")):
        if folder is not None and not (Path(folder) / needed).is_file():
            raise InputError(f"holds no {needed}", file=folder)
    device = pick_device(settings["device"])
    float32 = exact or device == "cpu"
    tokenizer = load_tokenizer(base)
    model = load_model(
        base,
        dtype="float32" if float32 else settings["base"]["dtype"],
        # flex_attention takes no additive mask and cannot run on the CPU; the result is the same
        attention="eager" if settings["attention"] == "eager" else "sdpa",
        adapter=adapter,
    )
    if adapter is not None and float32:
        model = model.merge_and_unload()
    given = (tokenizer, end_token_ids(base, tokenizer), settings["chat_template_kwargs"])
    if gallery is not None:
        from .vision_encoding import VisionEncoder

        encoder: ChatEncoder = VisionEncoder(*given, gallery)
    else:
        encoder = ChatEncoder(*given)
    return Student(model.to(device).eval(), encoder)
