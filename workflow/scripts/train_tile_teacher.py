"""Rank the labels of every tile by a CLIP-type teacher; training tiles are scored out of fold.

Settings: the slice tissue.teacher, without gpus.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mintflow import cli, io
from mintflow.errors import InputError
from mintflow.settings import exact

if TYPE_CHECKING:
    from PIL import Image

WEEK = 7 * 24 * 3600.0  # seconds: no model takes so long
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
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="kind clip: models trained at the same time"
    )
    parser.add_argument("--output-scores", required=True, help="case_id, label_id, score, rank (parquet)")
    parser.add_argument("--output-summary", required=True, help="accuracy per split, JSON")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, learn, score, write."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    settings = exact(args.settings, KEYS, "tissue.teacher")
    from mintflow.scores import rank_table
    from mintflow.tile_teacher import check_prompts, read_scores, summary

    cases = io.read_parquet(args.cases, ["case_id", "label_id", "split", "fold", "file", "row"])
    table = io.read_parquet(args.labels, ["label_id", "name"])
    labels, names = table["label_id"].tolist(), table["name"].tolist()
    about: dict[str, Any] = {"kind": settings["kind"]}
    if settings["kind"] == "scores":
        if not settings["scores"]:
            raise InputError("kind scores needs a file", field="tissue.teacher.scores")
        scores = read_scores(settings["scores"], cases, labels)
        scored = ~np.isnan(scores).all(axis=1)
        cases, scores = cases[scored].reset_index(drop=True), scores[scored]
    else:
        check_prompts(settings["prompts"])
        if settings["kind"] == "clip":
            said = io.read_parquet(args.descriptions, ["case_id", "caption"])
            captions = said.set_index("case_id")["caption"]
            scores, about["models"] = _own(cases, labels, names, captions, settings, args.threads)
        else:
            scores = _pretrained(cases, labels, names, settings, args)
            about |= {key: settings[key] for key in ("id", "revision", "head")}
    io.write_parquet(rank_table(scores, cases["case_id"].tolist(), labels, "label_id"), args.output_scores)
    result = summary(scores, cases, labels)
    io.write_json({**about, **result}, args.output_summary)
    for split, found in result["accuracy"].items():
        if found["n"]:
            cli.log.info("teacher: %s top-1 %.3f of %d tiles", split, found["top1"], found["n"])


def _own(
    cases: pd.DataFrame,
    labels: Sequence[str],
    names: Sequence[str],
    captions: pd.Series,
    settings: dict[str, Any],
    threads: int,
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """The embedded CLIP, one model a fold and one for everyone else."""
    from mintflow.clip import Round, Tiles, run_round, to_pixels
    from mintflow.images import load_images
    from mintflow.models import pick_device
    from mintflow.tile_batch import run_jobs
    from mintflow.tile_teacher import label_codes, rounds

    device = pick_device(settings["device"])
    if missing := sorted(set(cases["case_id"]) - set(captions.index)):
        raise InputError("has no caption", file="descriptions", record=missing[0])
    size = settings["image_size"]
    pixels = np.empty((len(cases), 3, size, size), np.uint8)
    place = {case: number for number, case in enumerate(cases["case_id"])}
    for case, image in load_images(cases):  # never all of them at their full size
        pixels[place[case]] = to_pixels(image, size)
    tiles = Tiles(pixels, label_codes(cases, labels), captions[cases["case_id"]].tolist())
    known, masks = tiles.labels >= 0, rounds(cases)
    jobs = [
        Round(settings, names, tiles.take(learn & known), tiles.take(stop & known), pixels[here])
        for learn, stop, here in masks
    ]
    results: dict[int, tuple[np.ndarray, dict[str, Any]]] = {}
    if device != "cpu" or threads < 2:
        results = {number: run_round(job, device) for number, job in enumerate(jobs)}
    else:
        for outcome in run_jobs(run_round, jobs, workers=min(threads, len(jobs)), timeout=WEEK):
            if outcome.failure:
                raise RuntimeError(f"a model could not be trained: {outcome.detail}")
            number = next(n for n, job in enumerate(jobs) if job is outcome.job)
            results[number] = outcome.value
    scores = np.empty((len(cases), len(labels)))
    for number, (_, _, here) in enumerate(masks):
        scores[here] = results[number][0]
    models = [{"tiles": len(job.learn.captions), **results[number][1]} for number, job in enumerate(jobs)]
    return scores, models


def _pretrained(
    cases: pd.DataFrame,
    labels: Sequence[str],
    names: Sequence[str],
    settings: dict[str, Any],
    args: argparse.Namespace,
) -> np.ndarray:
    """Zero-shot, or a linear head learned out of fold."""
    import torch

    from mintflow.images import load_images
    from mintflow.models import pick_device
    from mintflow.pretrained_clip import PretrainedClip, linear_head
    from mintflow.tile_teacher import label_codes, out_of_fold

    torch.set_num_threads(max(1, args.threads))
    if args.model is None:
        raise InputError("kind pretrained needs --model", field="tissue.teacher.id")
    model = PretrainedClip(args.model, pick_device(settings["device"]))
    order: list[str] = []

    def stream() -> Iterator[Image.Image]:
        for case, image in load_images(cases):
            order.append(case)
            yield image

    found = model.embed_images(stream(), len(cases))
    seen = found[pd.Index(order).get_indexer(cases["case_id"])]
    if settings["head"] == "zero-shot":
        return model.zero_shot(seen, model.embed_labels(names, settings["prompts"]))
    codes, vectors = label_codes(cases, labels), seen.numpy()

    def fit(learn: np.ndarray, _: np.ndarray, score: np.ndarray) -> np.ndarray:
        learn = learn & (codes >= 0)
        return linear_head(vectors[learn], codes[learn], vectors[score], len(labels), settings["seed"])

    return out_of_fold(cases, labels, fit)


if __name__ == "__main__":
    cli.run(main, arguments())
