"""Compose a student that sees of a language model, a vision tower and a projector, and teach it to describe.

Learns from the captions of training tiles only; validation tiles give the three held-out losses (right image,
another tile's, blank). A run that was interrupted goes on from its last whole checkpoint.

Settings: vision, alignment, device, precision, attention, dtype, chat_template_kwargs of tissue.student.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import mintflow
from mintflow import cli, io
from mintflow.errors import InputError
from mintflow.settings import exact

KEYS = ("vision", "alignment", "device", "precision", "attention", "dtype", "chat_template_kwargs")
# modules whose change makes checkpoints those of another training
LEARNING = ("adapters", "alignment", "images", "models", "tokenization", "vision_encoding", "vision_models")


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__)
    parser.set_defaults(track="tissue")
    parser.add_argument("--language", required=True, help="base folder of the language model")
    parser.add_argument("--cases", required=True, help="cases.parquet, with references to images")
    parser.add_argument("--descriptions", required=True, help="descriptions.parquet, with captions")
    parser.add_argument("--checkpoints", required=True, help="folder that outlives an interrupted run")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads")
    parser.add_argument("--output", required=True, help="base folder of the composed model")
    parser.add_argument("--output-log", required=True, help="JSON lines, one per log event")
    parser.add_argument("--output-summary", required=True, help="JSON: losses with and without the image")
    return parser


def main(args: argparse.Namespace) -> None:
    """Compose, train, merge, measure, write."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    settings = exact(args.settings, KEYS, "tissue.student")
    import torch
    from transformers import set_seed

    from mintflow import alignment, checkpoints, models, precision, vision_models
    from mintflow.adapters import add_adapter
    from mintflow.images import REFERENCE, load_images
    from mintflow.training_summary import without_timings
    from mintflow.vision_encoding import Gallery, VisionEncoder

    torch.set_num_threads(max(1, args.threads))
    options, device = settings["alignment"], models.pick_device(settings["device"])
    cases = io.read_parquet(args.cases, [*REFERENCE, "split"])
    said = io.read_parquet(args.descriptions, ["case_id", "caption"]).set_index("case_id")["caption"]
    cases = cases[cases["split"].isin(["train", "validation"])]
    if missing := sorted(set(cases["case_id"]) - set(said.index)):
        raise InputError("has no caption", file=args.descriptions, record=missing[0])
    if not (cases["split"] == "train").any():
        raise InputError("no training tile to learn from", file=args.cases)

    set_seed(options["seed"])
    model, processor = vision_models.compose(args.language, settings["vision"])
    gallery = Gallery(processor, dict(load_images(cases[REFERENCE])))
    tokenizer = processor.tokenizer
    ends = models.end_token_ids(args.language, tokenizer)
    encoder = VisionEncoder(tokenizer, ends, settings["chat_template_kwargs"], gallery)
    captions = {
        split: alignment.encode_captions(encoder, said[rows["case_id"]].to_dict())
        for split, rows in cases.groupby("split")
    }
    order = alignment.schedule(captions["train"], options["steps"] * options["batch_size"], options["seed"])
    origin = {
        "settings": settings,
        "language": models.read_card(args.language),
        "images": gallery.digest(),
        "captions": io.fingerprint({split: [one.text for one in rows] for split, rows in captions.items()}),
        "code": {name: io.sha256_file(Path(mintflow.__file__).with_name(f"{name}.py")) for name in LEARNING},
    }
    settings, chosen = precision.settle_precision(settings, args.checkpoints, origin, device)
    autocast = settings["precision"] == "bf16"
    checkpoint = checkpoints.prepare(args.checkpoints, origin, chosen)
    train = cases.loc[cases["split"] == "train", "case_id"]
    warmed = alignment.warm_up(
        model.to(device),
        gallery,
        said[train].to_dict(),
        # a checkpoint holds a tower that was warmed up
        steps=0 if checkpoint else options["warmup_steps"],
        batch_size=options["warmup_batch_size"],
        learning_rate=options["warmup_learning_rate"],
        seed=options["seed"],
    )
    if warmed:
        cli.log.info("warm-up: loss on caption words %.3f, then %.3f", warmed["first"], warmed["last"])
    eyes = alignment.eyes_of(model)
    rank = max(1, options["lora_rank"])  # PEFT knows no 0; one that never trains adds nothing
    lora = {"r": rank, "alpha": 2 * rank, "dropout": 0.0}
    model = add_adapter(
        model,
        {**lora, "target_modules": "all-linear", "variant": "lora"},
        autocast=autocast,
        trained_whole=eyes,
    )
    if not options["lora_rank"]:
        for name, weights in model.named_parameters():
            if "lora_" in name:
                weights.requires_grad_(False)
    student = alignment.CaptionTrainer(
        model,
        alignment.training_arguments(options, args.checkpoints, device=device, autocast=autocast),
        order,
        alignment.CaptionCollator(gallery, tokenizer.pad_token_id),
        options["lora_learning_rate"],
    )
    student.resume(checkpoint)
    seconds = student.training_seconds
    if student.flow.stop_asked:
        cli.log.warning(
            "stopped by SIGTERM at step %d; the next run goes on there", student.state.global_step
        )
        sys.exit(143)
    merged = student.model.merge_and_unload()
    losses = alignment.held_out_losses(
        merged,
        captions.get("validation", []),
        gallery,
        tokenizer.pad_token_id,
        options["batch_size"],
        options["seed"],
        autocast=autocast,
    )
    cli.log.info("held-out caption loss: %s", losses or "not measured, there are no validation tiles")
    card = vision_models.write_base(
        merged.cpu(), processor, models.read_card(args.language), args.output, settings["dtype"]
    )
    history = [without_timings(entry) for entry in student.state.log_history if "train_runtime" not in entry]
    io.write_text("".join(json.dumps(entry, sort_keys=True) + "\n" for entry in history), args.output_log)
    summary = {
        "base": card["id"],
        "parameters": card["parameters"],
        "steps": student.state.global_step,
        "captions": {split: len(rows) for split, rows in captions.items()},
        "held_out_caption_loss": losses,
        "training_seconds": round(seconds, 1),
    }
    io.write_json(summary, args.output_summary)


if __name__ == "__main__":
    cli.run(main, arguments())
