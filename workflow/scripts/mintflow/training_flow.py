"""What happens around the steps of a training: order of the epochs, early stop, stop on SIGTERM, progress."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .collate import LengthBucketSampler

log = logging.getLogger("mintflow")


class TrainingFlow(TrainerCallback):
    """Order of the epochs, early stop, stop on SIGTERM, progress.

    Everything it decides by is in ``TrainerState``, so that a resumed run decides alike.
    """

    def __init__(self, patience: int, every: float = 5.0) -> None:
        self.patience, self.every = patience, every
        self.sampler: LengthBucketSampler | None = None
        self.stop_asked = False
        self._started = self._told = time.monotonic()
        self._first_step = 0
        self._previous_handler: Any = None

    def out_of_patience(self, state: TrainerState) -> bool:
        """Whether the last ``patience`` evaluations were no better than the best before them."""
        losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
        return bool(self.patience and losses) and len(losses) - 1 - int(np.argmin(losses)) >= self.patience

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start the clock; from now SIGTERM asks for a checkpoint and a stop."""
        self._started = self._told = time.monotonic()
        self._first_step = state.global_step
        if threading.current_thread() is threading.main_thread():
            self._previous_handler = signal.signal(signal.SIGTERM, self._ask_to_stop)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Give SIGTERM back."""
        if self._previous_handler is not None:
            signal.signal(signal.SIGTERM, self._previous_handler)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Give the sampler the epoch's order, also when it is entered in the middle."""
        if self.sampler is not None:
            self.sampler.set_epoch(int(state.epoch or 0))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Stop when asked; log with every checkpoint, so that no log entry spans one."""
        if self._anyone_asked_to_stop(args):
            self.stop_asked = control.should_save = control.should_training_stop = True
        if control.should_save:
            control.should_log = True
        now = time.monotonic()
        if now - self._told >= self.every and state.is_world_process_zero:
            done = state.global_step - self._first_step
            left = (now - self._started) / done * (state.max_steps - state.global_step)
            log.info("training: step %d/%d, about %.0f s left", state.global_step, state.max_steps, left)
            self._told = now

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Stop early."""
        if self.out_of_patience(state):
            log.info("no better held-out loss in %d evaluations: training stops", self.patience)
            control.should_training_stop = control.should_save = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Tell losses as they come."""
        for name in ("loss", "eval_loss"):
            if logs and name in logs and state.is_world_process_zero:
                accuracy = logs.get(name.replace("loss", "rewards/accuracies"), math.nan)
                log.info("step %d: %s %.4f, accuracy %.2f", state.global_step, name, logs[name], accuracy)

    def _ask_to_stop(self, signum: int, frame: FrameType | None) -> None:
        self.stop_asked = True

    def _anyone_asked_to_stop(self, args: TrainingArguments) -> bool:
        if args.world_size == 1:
            return self.stop_asked
        # processes get the signal at different steps, and must save at the same one
        asked = torch.tensor(int(self.stop_asked), device=args.device)
        torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
        return bool(asked)
