"""What a training run was and cost, for training.json and the model card."""

from __future__ import annotations

import platform
import resource
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import mintflow

if TYPE_CHECKING:
    from .trainer import RowTrainer

# of the log: kept out so that the same run gives the same log
TIMINGS = ("runtime", "per_second", "preparation_time")


def without_timings(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A log entry without what differs from run to run."""
    return {key: value for key, value in entry.items() if not key.endswith(TIMINGS)}


def summarize(
    student: RowTrainer, history: Sequence[Mapping[str, Any]], device: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """What the trainer knows at its end.

    Args:
        student: after training.
        history: its log, without timings.
        device: cpu or cuda.
        settings: the slice {track}.student.
    """
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
