"""A frozen vision tower sees every image once: what it gives the projector is kept and fed from memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .cli import log, progress
from .io import whole_file
from .vision_models import PROJECTORS, part

if TYPE_CHECKING:
    from .vision_encoding import Gallery


MOST_BYTES = 2 << 30  # of features in memory; the rest goes to disk


class FeatureStore(Mapping[str, dict[str, Tensor]]):
    """Features of images by name: in memory, and beyond a limit in files named by what they were made from.

    Args:
        folder: for files, made when the first is written; None keeps everything in memory.
        most: bytes in memory.
    """

    def __init__(self, folder: str | Path | None = None, most: int = MOST_BYTES) -> None:
        self.folder, self.most = None if folder is None else Path(folder), most
        self._memory: dict[str, dict[str, Tensor]] = {}
        self._files: dict[str, Path] = {}
        self._bytes = 0

    def find(self, name: str, origin: str) -> bool:
        """Whether a file of an earlier run holds the features of ``name``; it is then used.

        Args:
            name: of the image.
            origin: what the features depend on (pixels, weights, precision).
        """
        path = self._path(origin)
        if path is not None and path.is_file():
            self._files[name] = path
            return True
        return False

    def put(self, name: str, features: dict[str, Tensor], origin: str) -> None:
        """Keep the features of one image; arguments as in ``find``."""
        size = sum(tensor.nbytes for tensor in features.values())
        path = self._path(origin)
        if path is None or self._bytes + size <= self.most:
            self._memory[name] = features
            self._bytes += size
            return
        from safetensors.torch import save_file

        with whole_file(path) as temporary:
            save_file({key: tensor.contiguous() for key, tensor in features.items()}, temporary)
        self._files[name] = path

    def __getitem__(self, name: str) -> dict[str, Tensor]:
        """The features of one image."""
        if name in self._memory:
            return self._memory[name]
        from safetensors.torch import load_file

        return load_file(self._files[name])

    def __iter__(self) -> Iterator[str]:
        """Names, in no order."""
        yield from self._memory
        yield from self._files

    def __len__(self) -> int:
        """Number of images."""
        return len(self._memory) + len(self._files)

    def _path(self, origin: str) -> Path | None:
        name = hashlib.sha256(origin.encode()).hexdigest()
        return None if self.folder is None else self.folder / f"{name}.safetensors"


def prepare_eyes(
    model: nn.Module,
    gallery: Gallery,
    settings: Mapping[str, Any],
    *,
    autocast: bool,
    folder: str | Path | None = None,
    weights: str = "",
) -> list[str]:
    """Keep features if the configuration says so, and name what is trained whole beside the adapter.

    Args:
        model: on its device, before an adapter is added.
        gallery: the images of the run.
        settings: train_projector and cache_features of tissue.student.
        autocast: whether training runs under bfloat16 autocast.
        folder: for features that do not fit into memory.
        weights: checksum of the model, which the features in the folder depend on.
    """
    trains = settings["train_projector"]
    if settings["cache_features"] and not keep_features(
        model,
        gallery,
        projector_trains=trains,
        autocast=autocast,
        store=FeatureStore(folder),
        weights=weights,
    ):
        log.info("this model's projector lies before what could be kept: pixels are seen in every step")
    return [part(model, PROJECTORS)[0].rpartition(".")[2]] if trains else []


def keep_features(
    model: nn.Module,
    gallery: Gallery,
    *,
    projector_trains: bool,
    autocast: bool,
    store: FeatureStore | None = None,
    weights: str = "",
) -> bool:
    """Compute the features of all images of ``gallery`` and make ``model`` take them in place of pixels.

    LLaVA- and Idefics3-type models project kept features anew in every step, so that the projector can
    learn. Models that look through cross-attention (Mllama) get the projected states, which only a frozen
    projector allows; with one that trains nothing is kept.

    Args:
        model: on its device, before an adapter is added.
        gallery: whose images are computed; ``gallery.kept`` is set.
        projector_trains: whether the projector will be trained.
        autocast: whether training runs under bfloat16 autocast, under which features are then computed too.
        store: where they are kept; in memory by default.
        weights: checksum of the model, where the store has a folder.

    Returns:
        Whether features were kept.
    """
    name, projector = part(model, PROJECTORS)
    owner = model.get_submodule(name.rpartition(".")[0])
    crossing = not hasattr(owner, "get_image_features")
    if crossing and projector_trains:
        return False
    device = next(model.parameters()).device
    context = torch.autocast(device.type, torch.bfloat16) if autocast else nullcontext()
    kept = store if store is not None else FeatureStore()
    made_by = f"{weights} {model.dtype} {autocast} {projector_trains}"
    names = sorted(gallery.images)
    with torch.no_grad(), context:
        for image in progress(names, len(names), "image features"):
            origin = f"{made_by} {gallery.digest([image])}"
            if kept.find(image, origin):
                continue
            pixels = {key: value.to(device) for key, value in gallery.pixels(image).items()}
            if crossing:
                features = {
                    "cross_attention_states": _crossing_states(owner, projector, pixels).cpu(),
                    "tiles": pixels["aspect_ratio_mask"].cpu(),
                }
            else:
                with _inputs_of(projector) as caught:
                    owner.get_image_features(**pixels)
                features = {"pixel_values": caught[0].cpu()}
            kept.put(image, features, origin)
    if not crossing:
        _project_only(owner, name.rpartition(".")[2])
    gallery.kept = kept
    return True


def _crossing_states(owner: nn.Module, projector: nn.Module, pixels: dict[str, Tensor]) -> Tensor:
    """What Mllama's language model attends to, (1, tiles * patches, width)."""
    seen = owner.vision_model(
        pixel_values=pixels["pixel_values"],
        aspect_ratio_ids=pixels["aspect_ratio_ids"],
        aspect_ratio_mask=pixels["aspect_ratio_mask"],
    ).last_hidden_state
    projected = projector(seen)
    return projected.reshape(1, -1, projected.shape[-1])


@contextmanager
def _inputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """The first argument of every call of ``module``."""
    caught: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, given: caught.append(given[0].detach()))
    try:
        yield caught
    finally:
        handle.remove()


def _project_only(owner: nn.Module, projector: str) -> None:
    """Make ``owner`` take features where it took pixels.

    The projector is looked up in every call: an adapter may have put a trained copy in its place.
    """
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    def get_image_features(pixel_values: Tensor, *_: Any, **__: Any) -> BaseModelOutputWithPooling:
        projected = getattr(owner, projector)(pixel_values)
        return BaseModelOutputWithPooling(pooler_output=[one.reshape(-1, one.shape[-1]) for one in projected])

    owner.get_image_features = get_image_features
