"""Train one arm of the student on preference pairs and write its adapter.

Settings: the slice {track}.student of the configuration, without the sections of other
objectives. May be started by torchrun or accelerate.
A run that was interrupted goes on from its last whole checkpoint when nothing it depends on changed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mintflow
from mintflow import cli, io
from mintflow.arms import OBJECTIVES
from mintflow.errors import InputError

if TYPE_CHECKING:
    from mintflow.tokenization import ChatEncoder, Pair

log = logging.getLogger("mintflow")

# settings that do not change what is learned
IRRELEVANT = ("launcher", "gpus", "threads", "merge")
# modules that do: checkpoints of other code are not gone on from
LEARNING = (
    *("adapters", "budget", "collate", "models"),
    *("tokenization", "trainer", "training", "training_flow"),
)
ALSO = {
    "orpo": ("decisions", "likelihood", "lists", "objectives", "orpo"),
    "listwise": ("likelihood", "listwise", "lists", "objectives", "orpo", "statistics"),
}
SEEING = ("images", "vision_encoding", "vision_features", "vision_models")


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.with_track(cli.parser(__doc__))
    parser.add_argument("--arm", default="orpo", choices=OBJECTIVES, help="what is minimised")
    parser.add_argument(
        "--trial", action="store_true", help="a learning rate on trial may diverge: the summary says where"
    )
    parser.add_argument("--learning-rate", help="JSON of choose_learning_rate.py; else the settings' own")
    parser.add_argument("--base", required=True, help="base folder, from prepare_base_model.py")
    parser.add_argument("--train", required=True, help="preference pairs to learn from, parquet")
    parser.add_argument(
        "--validation", required=True, help="held-out preference pairs, parquet; may be empty"
    )
    parser.add_argument(
        "--standard", help="pairs that set the token budget, where they are not those of --train"
    )
    parser.add_argument("--images", help="cases.parquet with references to images, for a student that sees")
    parser.add_argument("--checkpoints", required=True, help="folder that outlives an interrupted run")
    parser.add_argument("--output-adapter", required=True, help="folder: PEFT adapter, tokenizer, model card")
    parser.add_argument("--output-log", required=True, help="JSON lines, one per log event")
    parser.add_argument(
        "--output-summary", required=True, help="JSON: what was trained, on what, at what cost"
    )
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="CPU threads of all processes here"
    )
    parser.add_argument("--output-merged", help="folder: the base model with the adapter merged in")
    return parser


def main(args: argparse.Namespace) -> None:
    """Train; only the first process writes outputs."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # everything is local by now
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # idle threads sleep rather than spin, or a busy machine would cost ten times the time
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch
    from transformers import set_seed

    from mintflow import budget, checkpoints, models, precision, shared_rows, trainer, training
    from mintflow.adapters import add_adapter, merge_adapter, write_adapter
    from mintflow.cards import model_card
    from mintflow.tokenization import ChatEncoder
    from mintflow.training_summary import summarize, without_timings

    started = time.monotonic()
    settings, objective = args.settings, args.arm
    try:
        if args.learning_rate:
            rate = io.read_json(args.learning_rate)["learning_rate"]
            settings = settings | {"training": settings["training"] | {"learning_rate": rate}}
        seed = settings["training"]["seed"]
        device = trainer.choose_device(settings)
        merge, template_kwargs, _ = (settings[k] for k in ("merge", "chat_template_kwargs", "precision"))
    except KeyError as error:
        raise InputError("is missing", field=f"{args.track}.student: {error.args[0]}") from error
    if merge and not args.output_merged:
        raise InputError("merge needs --output-merged", field=f"{args.track}.student.merge")
    torch.set_num_threads(max(1, args.threads // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))

    base = models.read_card(args.base)
    tokenizer = models.load_tokenizer(args.base)
    data = {"train": io.sha256_file(args.train), "validation": io.sha256_file(args.validation)}
    if settings["training"]["budget"] == "pairs":
        args.standard = None
    if args.standard:
        data["standard"] = io.sha256_file(args.standard)
    gallery, whole = None, []
    ends = models.end_token_ids(args.base, tokenizer)
    if args.images:
        from mintflow.vision_encoding import VisionEncoder, open_gallery

        paths = [path for path in (args.train, args.validation, args.standard) if path]
        shown = [name for path in paths for name in io.read_parquet(path, ["image"])["image"]]
        gallery = open_gallery(args.base, args.images, shown)
        encoder: ChatEncoder = VisionEncoder(tokenizer, ends, template_kwargs, gallery)
        data["images"] = gallery.digest()
    else:
        encoder = ChatEncoder(tokenizer, ends, template_kwargs)
    pairs, dropped = {}, {}
    for name, path in (("train", args.train), ("validation", args.validation)):
        pairs[name], dropped[name] = _read_pairs(path, encoder, settings, objective, gallery is not None)
    standard, without_truth = pairs["train"], 0
    if objective == "sft-truth":
        table = io.read_parquet(args.train, ["case_id", "truth"])
        unknown = set(table.loc[table["truth"].isna(), "case_id"])
        without_truth = sum(pair.case_id in unknown for pair in pairs["train"])
    if args.standard or objective == "sft-truth":
        standard, _ = _read_pairs(args.standard or args.train, encoder, settings, "sft", gallery is not None)
    if not pairs["train"]:
        raise InputError("there is no pair to train on", file=Path(args.train).name)

    passes = training.passes_for(objective, settings, pairs["train"], standard)
    if settings["training"]["max_steps"] < 0 and settings["training"]["epochs"] * passes < 1:
        log.warning("the token budget ends before %s has seen every pair once", objective)
    origin = {
        "arm": objective,
        "settings": {key: value for key, value in settings.items() if key not in IRRELEVANT},
        "data": data,
        "base": base,
        "processes": int(os.environ.get("WORLD_SIZE", 1)),
        "code": {
            name: io.sha256_file(Path(mintflow.__file__).with_name(f"{name}.py"))
            for name in LEARNING + ALSO.get(objective, ("trl_arms",)) + SEEING * bool(gallery)
        },
        "mintflow": mintflow.__version__,
    }
    settings, chosen = precision.settle_precision(settings, args.checkpoints, origin, device)
    autocast = settings["precision"] == "bf16"
    train_args = training.arguments_for(
        objective,
        settings,
        args.checkpoints,
        device=device,
        evaluate=bool(pairs["validation"]),
        passes=passes,
        steps=budget.steps(passes, pairs["train"], settings["training"]["budget"], standard),
    )
    with train_args.main_process_first(local=False):  # the first process tidies up, the others look again
        checkpoint = checkpoints.prepare(args.checkpoints, origin, chosen)

    set_seed(seed)
    model = models.load_model(
        args.base,
        dtype=settings["base"]["dtype"] if autocast else "float32",
        attention=trainer.choose_attention(settings["attention"], device),
        quantization=settings["quantization"],
    )
    if gallery is not None:
        from mintflow.vision_features import prepare_eyes

        features = Path(args.checkpoints) / "features"
        eyes = {"folder": features, "weights": base["sha256"]}
        if settings["quantization"] == "none":  # else it is there
            model.to(device)
        whole = prepare_eyes(model, gallery, settings, autocast=autocast, **eyes)
    model = add_adapter(model, settings["lora"], autocast=autocast, trained_whole=whole)
    student = training.build_trainer(objective, model, train_args, settings, tokenizer, pairs, gallery)
    sharded = student.is_deepspeed_enabled or student.is_fsdp_enabled  # no process has the whole model
    if objective in ("orpo", "listwise") and not sharded:
        shared_rows.require_shared_rows(
            student.model,
            pairs["train"],
            attention=trainer.attention_of(student.model),
            bf16=autocast,
            extra_inputs=gallery,
        )
    training_started = time.monotonic()
    diverged = None
    try:
        student.resume(checkpoint)
    except trainer.NotFiniteError as error:
        if not args.trial:
            raise
        diverged = student.state.global_step  # its weights are those of the step before
        log.warning("this learning rate diverges after step %d: %s", diverged, error.problem)
    seconds = student.training_seconds
    preparing = training_started - started
    if student.flow.stop_asked:
        log.warning("stopped by SIGTERM at step %d; the next run goes on there", student.state.global_step)
        sys.exit(143)

    trained = Path(args.checkpoints) / "trained"
    student.save_model(str(trained))
    if student.is_world_process_zero():
        # the closing entry is of this process alone, not of the run before it was interrupted
        events = [entry for entry in student.state.log_history if "train_runtime" not in entry]
        history = [without_timings(entry) for entry in events]
        first_step = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
        summary = summarize(student, history, device, settings) | {
            "pairs": {name: len(items) for name, items in pairs.items()},
            "dropped": dropped,
            **({"without_truth": without_truth} if without_truth else {}),
            "data": data,
            "base": base["id"],
            "arm": objective,
            "diverged_after_step": diverged,
            "passes": round(passes, 4),
            "learning_rate": settings["training"]["learning_rate"],
            "resumed_from_step": first_step,
            "seconds": round(preparing + seconds, 1),
            "training_seconds": round(seconds, 1),
        }
        done = student.state.global_step * summary["pairs_per_step"]
        summary["seconds_per_pair"] = round(seconds / done, 4) if done else None
        write_adapter(
            trained,
            args.output_adapter,
            gallery.processor if gallery is not None else tokenizer,
            base,
            model_card(base, settings, summary, data),
        )
        if merge:
            merge_adapter(args.base, args.output_adapter, args.output_merged, settings["base"]["dtype"])
        lines = (json.dumps(entry, sort_keys=True) + "\n" for entry in history)
        io.write_text("".join(lines), args.output_log)
        io.write_json(summary, args.output_summary)
    student.accelerator.end_training()


def _read_pairs(
    path: str, encoder: ChatEncoder, settings: dict[str, Any], objective: str, sees: bool
) -> tuple[list[Pair], dict[str, int]]:
    from mintflow.tokenization import encode_pairs
    from mintflow.training import columns, rows_of, with_candidates, with_decisions

    wanted = columns(objective, settings)
    table = io.read_parquet(path, columns=[*wanted, "image"] if sees else wanted).to_dict("records")
    rows = rows_of(table, objective)
    pairs, dropped = encode_pairs(
        rows,
        encoder,
        max_length=settings["training"]["max_length"],
        max_dropped_fraction=settings["training"]["max_dropped_fraction"],
    )
    if objective == "listwise":
        pairs = with_candidates(pairs, rows, encoder, settings)
    elif "ranked" in wanted:  # ORPO whose odds are of decisions
        pairs = with_decisions(pairs, rows, encoder)
    log.info("%s: %d pairs, left out %s", Path(path).name, len(pairs), dropped or "none")
    return pairs, dropped


if __name__ == "__main__":
    cli.run(main, arguments())
