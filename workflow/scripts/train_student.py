"""Train the student by ORPO on preference pairs and write its adapter.

Settings: the slice rare.student of the configuration. May be started by torchrun or accelerate.
A run that was interrupted goes on from its last whole checkpoint when nothing it depends on changed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mintflow
from mintflow import cli, io
from mintflow.errors import InputError

if TYPE_CHECKING:
    from mintflow.tokenization import ChatEncoder, Pair
    from mintflow.trainer import OrpoTrainer

log = logging.getLogger("mintflow")

COLUMNS = ["case_id", "prompt", "chosen", "rejected"]
# settings that do not change what is learned
IRRELEVANT = ("launcher", "gpus", "threads", "merge")
# modules that do: checkpoints of other code are not gone on from
LEARNING = ("adapters", "collate", "models", "orpo", "tokenization", "trainer")
# of the log: kept out so that the same run gives the same log
TIMINGS = ("runtime", "per_second", "preparation_time")


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__)
    parser.add_argument("--base", required=True, help="base folder, from prepare_base_model.py")
    parser.add_argument("--train", required=True, help="preference pairs to learn from, parquet")
    parser.add_argument(
        "--validation", required=True, help="held-out preference pairs, parquet; may be empty"
    )
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

    from mintflow import checkpoints, models, trainer
    from mintflow.adapters import add_adapter, merge_adapter, write_adapter
    from mintflow.cards import model_card
    from mintflow.collate import SharedPromptCollator
    from mintflow.tokenization import ChatEncoder

    started = time.monotonic()
    settings = args.settings
    try:
        training, orpo, seed = settings["training"], settings["orpo"], settings["training"]["seed"]
        autocast = settings["precision"] == "bf16"
        merge, template_kwargs = settings["merge"], settings["chat_template_kwargs"]
    except KeyError as error:
        raise InputError("is missing", field=f"rare.student: {error.args[0]}") from error
    if merge and not args.output_merged:
        raise InputError("merge needs --output-merged", field="rare.student.merge")
    device = trainer.choose_device(settings)
    torch.set_num_threads(max(1, args.threads // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))

    base = models.read_card(args.base)
    tokenizer = models.load_tokenizer(args.base)
    encoder = ChatEncoder(tokenizer, models.end_token_ids(args.base, tokenizer), template_kwargs)
    pairs, dropped = {}, {}
    for name, path in (("train", args.train), ("validation", args.validation)):
        pairs[name], dropped[name] = _read_pairs(path, encoder, training)
    if not pairs["train"]:
        raise InputError("there is no pair to train on", file=Path(args.train).name)
    data = {"train": io.sha256_file(args.train), "validation": io.sha256_file(args.validation)}

    train_args = trainer.training_arguments(
        settings, args.checkpoints, device=device, evaluate=bool(pairs["validation"])
    )
    origin = {
        "settings": {key: value for key, value in settings.items() if key not in IRRELEVANT},
        "data": data,
        "base": base,
        "processes": train_args.world_size,
        "code": {name: io.sha256_file(Path(mintflow.__file__).with_name(f"{name}.py")) for name in LEARNING},
        "mintflow": mintflow.__version__,
    }
    with train_args.main_process_first(local=False):  # the first process tidies up, the others look again
        checkpoint = checkpoints.prepare(args.checkpoints, origin)

    set_seed(seed)
    model = models.load_model(
        args.base,
        dtype=settings["base"]["dtype"] if autocast else "float32",
        attention=trainer.choose_attention(settings["attention"], device),
        quantization=settings["quantization"],
    )
    model = add_adapter(model, settings["lora"], autocast=autocast)
    student = trainer.OrpoTrainer(
        model,
        train_args,
        collator=SharedPromptCollator(
            tokenizer.pad_token_id, orpo["nll_scope"], multiple=training["pad_to_multiple"]
        ),
        train_pairs=pairs["train"],
        held_out=pairs["validation"],
        beta=orpo["beta"],
        nll_reduction=orpo["nll_reduction"],
        patience=training["patience"],
    )
    training_started = time.monotonic()
    student.resume(checkpoint)
    seconds = time.monotonic() - training_started
    if student.flow.stop_asked:
        log.warning("stopped by SIGTERM at step %d; the next run goes on there", student.state.global_step)
        sys.exit(143)

    trained = Path(args.checkpoints) / "trained"
    student.save_model(str(trained))
    if student.is_world_process_zero():
        # the closing entry is of this process alone, not of the run before it was interrupted
        events = [entry for entry in student.state.log_history if "train_runtime" not in entry]
        history = [_without_timings(entry) for entry in events]
        first_step = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
        summary = _summary(student, history, device, settings) | {
            "pairs": {name: len(items) for name, items in pairs.items()},
            "dropped": dropped,
            "data": data,
            "base": base["id"],
            "resumed_from_step": first_step,
            "seconds": round(time.monotonic() - started, 1),
            "training_seconds": round(seconds, 1),
        }
        done = (student.state.global_step - first_step) * summary["pairs_per_step"]
        summary["seconds_per_pair"] = round(seconds / done, 4) if done else None
        write_adapter(
            trained, args.output_adapter, tokenizer, base, model_card(base, settings, summary, data)
        )
        if merge:
            merge_adapter(args.base, args.output_adapter, args.output_merged, settings["base"]["dtype"])
        lines = (json.dumps(entry, sort_keys=True) + "\n" for entry in history)
        io.write_text("".join(lines), args.output_log)
        io.write_json(summary, args.output_summary)
    student.accelerator.end_training()


def _read_pairs(
    path: str, encoder: ChatEncoder, training: dict[str, Any]
) -> tuple[list[Pair], dict[str, int]]:
    from mintflow.tokenization import encode_pairs

    rows = io.read_parquet(path, columns=COLUMNS).to_dict("records")
    pairs, dropped = encode_pairs(
        rows,
        encoder,
        max_length=training["max_length"],
        max_dropped_fraction=training["max_dropped_fraction"],
    )
    log.info("%s: %d pairs, left out %s", Path(path).name, len(pairs), dropped or "none")
    return pairs, dropped


def _without_timings(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if not key.endswith(TIMINGS)}


def _summary(
    student: OrpoTrainer, history: list[dict[str, Any]], device: str, settings: dict[str, Any]
) -> dict[str, Any]:
    """What the trainer knows at its end, for training.json and the model card."""
    import platform

    import accelerate
    import peft
    import torch
    import transformers

    args, state = student.args, student.state
    evaluations = [entry for entry in history if "eval_loss" in entry]
    kept = [entry for entry in evaluations if entry["step"] == student.kept_step]
    losses = [entry["loss"] for entry in history if "loss" in entry]
    return {
        "steps": state.global_step,
        "planned_steps": state.max_steps,
        "kept_step": student.kept_step,
        "epochs": round(state.epoch or 0, 4),
        "pairs_per_step": args.train_batch_size * args.gradient_accumulation_steps * args.world_size,
        "processes": args.world_size,
        "tokens": int(state.num_input_tokens_seen),
        "losses": {
            "first": losses[0] if losses else None,
            "last": losses[-1] if losses else None,
            "held_out": [[entry["step"], entry["eval_loss"]] for entry in evaluations],
        },
        "metrics": kept[-1] if kept else {},
        "trainable_parameters": sum(p.numel() for p in student.model.parameters() if p.requires_grad),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "dtype": {"weights": settings["base"]["dtype"], "autocast": settings["precision"]},
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "peak_vram_mb": round(torch.cuda.max_memory_allocated() / 2**20) if device == "cuda" else None,
        "versions": {
            "python": platform.python_version(),
            "mintflow": mintflow.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "peft": peft.__version__,
            "accelerate": accelerate.__version__,
        },
    }


if __name__ == "__main__":
    cli.run(main, arguments())
