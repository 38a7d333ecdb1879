"""Rank the labels of every tile by a CLIP-type teacher; training tiles are scored out of fold.

Settings: the slice tissue.teacher, without gpus.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mintflow import cli, io
from mintflow.errors import InputError
from mintflow.settings import exact

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from PIL import Image

KEYS = (
    *("kind", "scores", "id", "revision", "head", "prompts"),
    *("image_size", "dim", "learning_rate", "weight_decay", "batch_size", "epochs", "device", "seed"),
)


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__)
    parser.set_defaults(track="tissue")
    parser.add_argument(
        "--cases", required=True, help="cases.parquet, with split, fold, references to images"
    )
    parser.add_argument("--labels", required=True, help="labels.parquet, the closed set")
    parser.add_argument("--descriptions", required=True, help="descriptions.parquet, with captions")
    parser.add_argument("--model", type=Path, help="kind pretrained: folder of the checkpoint")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads")
    parser.add_argument("--output-scores", required=True, help="case_id, label_id, score, rank (parquet)")
    parser.add_argument("--output-summary", required=True, help="accuracy per split, JSON")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, learn, score, write."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    settings = exact(args.settings, KEYS, "tissue.teacher")
    from mintflow.scores import rank_table
    from mintflow.tile_teacher import read_scores, summary

    cases = io.read_parquet(args.cases, ["case_id", "label_id", "split", "fold", "file", "row"])
    table = io.read_parquet(args.labels, ["label_id", "name"])
    labels, names = table["label_id"].tolist(), table["name"].tolist()
    about: dict[str, Any] = {"kind": settings["kind"]}
    if settings["kind"] == "scores":
        scores = read_scores(settings["scores"], cases, labels)
    else:
        images = _images(cases)
        if settings["kind"] == "clip":
            captions = io.read_parquet(args.descriptions, ["case_id", "caption"]).set_index("case_id")[
                "caption"
            ]
            scores, about["models"] = _own(cases, labels, names, images, captions, settings, args.threads)
        else:
            scores = _pretrained(cases, labels, names, images, settings, args)
            about |= {key: settings[key] for key in ("id", "revision", "head")}
    io.write_parquet(rank_table(scores, cases["case_id"].tolist(), labels, "label_id"), args.output_scores)
    result = summary(scores, cases, labels)
    io.write_json({**about, **result}, args.output_summary)
    for split, found in result["accuracy"].items():
        if found["n"]:
            cli.log.info("teacher: %s top-1 %.3f of %d tiles", split, found["top1"], found["n"])


def _images(cases: pd.DataFrame) -> list[Image.Image]:
    from mintflow.images import load_images

    found = dict(load_images(cases))
    return [found[case] for case in cases["case_id"]]


def _own(
    cases: pd.DataFrame,
    labels: Sequence[str],
    names: Sequence[str],
    images: Sequence[Image.Image],
    captions: pd.Series,
    settings: dict[str, Any],
    threads: int,
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """The embedded CLIP, one model a fold and one for everyone else."""
    import torch

    from mintflow.clip import SmallClip, Tiles, to_pixels
    from mintflow.models import pick_device
    from mintflow.tile_teacher import label_codes, out_of_fold

    torch.set_num_threads(max(1, threads))
    device = pick_device(settings["device"])
    if missing := sorted(set(cases["case_id"]) - set(captions.index)):
        raise InputError("has no caption", file="descriptions", record=missing[0])
    tiles = Tiles(
        to_pixels(images, settings["image_size"]),
        label_codes(cases, labels),
        captions[cases["case_id"]].tolist(),
    )
    models: list[dict[str, Any]] = []

    def fit(learn: np.ndarray, stop: np.ndarray, score: np.ndarray) -> np.ndarray:
        model = SmallClip(settings, names)
        known = tiles.labels >= 0
        models.append(
            {
                "tiles": int(learn.sum()),
                **model.fit(tiles.take(learn & known), tiles.take(stop & known), device),
            }
        )
        return model.score(tiles.pixels[torch.from_numpy(score.nonzero()[0])], device)

    return out_of_fold(cases, labels, fit), models


def _pretrained(
    cases: pd.DataFrame,
    labels: Sequence[str],
    names: Sequence[str],
    images: Sequence[Image.Image],
    settings: dict[str, Any],
    args: argparse.Namespace,
) -> np.ndarray:
    """Zero-shot, or a linear head learned out of fold."""
    import torch

    from mintflow.models import pick_device
    from mintflow.pretrained_clip import PretrainedClip, linear_head
    from mintflow.tile_teacher import label_codes, out_of_fold

    torch.set_num_threads(max(1, args.threads))
    if args.model is None:
        raise InputError("kind pretrained needs --model", field="tissue.teacher.id")
    model = PretrainedClip(args.model, pick_device(settings["device"]))
    seen = model.embed_images(images)
    if settings["head"] == "zero-shot":
        return model.zero_shot(seen, model.embed_labels(names, settings["prompts"]))
    codes, vectors = label_codes(cases, labels), seen.numpy()

    def fit(learn: np.ndarray, _: np.ndarray, score: np.ndarray) -> np.ndarray:
        learn = learn & (codes >= 0)
        return linear_head(vectors[learn], codes[learn], vectors[score], len(labels), settings["seed"])

    return out_of_fold(cases, labels, fit)


if __name__ == "__main__":
    cli.run(main, arguments())
