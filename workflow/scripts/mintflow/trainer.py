"""Training on ``transformers.Trainer``: what the loop sees of pairs, and what it logs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Sampler, SequentialSampler
from transformers import (
    EvalPrediction,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerState,
    TrainingArguments,
)

from . import checkpoints
from .collate import LengthBucketSampler, model_inputs
from .errors import InputError
from .models import pick_device
from .objectives import Objective
from .orpo import IGNORE
from .tokenization import Pair
from .training_flow import TrainingFlow

STATE = "trainer_state.json"
SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


class NotFiniteError(InputError):
    """The loss or a gradient is no finite number; training stops before it reaches the weights."""


class ResumableTrainer(Trainer):
    """A trainer whose checkpoints are sealed when whole, and which goes on from one.

    Subclasses set ``flow`` before they call the base class.
    """

    flow: TrainingFlow
    _before = 0.0
    _started: float | None = None

    @property
    def training_seconds(self) -> float:
        """Seconds of training so far, those before an interruption up to the checkpoint that was left."""
        return self._before + (0.0 if self._started is None else time.monotonic() - self._started)

    def resume(self, checkpoint: Path | None) -> None:
        """Train from the start or from ``checkpoint``; a checkpoint of a finished run is only loaded."""
        if checkpoint is not None:
            self._before = checkpoints.seconds_until(checkpoint)
            state = TrainerState.load_from_json(str(checkpoint / STATE))
            if state.global_step >= state.max_steps or self.flow.out_of_patience(state):
                self._load_from_checkpoint(str(checkpoint))
                self.state = state
                if self.args.load_best_model_at_end and state.best_model_checkpoint:
                    self._load_best_model()
                return
        self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    def train(self, *arguments: Any, **options: Any) -> Any:
        """Start the clock, then train."""
        self._started = time.monotonic()
        return super().train(*arguments, **options)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # every process writes its own random state
        if self.args.should_save:
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            checkpoints.seal(folder, self.training_seconds)


class RowTrainer(ResumableTrainer):
    """What the trainers of all arms share: order of rows, count of tokens, refusing what is not finite.

    Subclasses set ``flow`` and ``rows`` before they call the base class.
    """

    rows: Sequence[Sized]

    @property
    def kept_step(self) -> int:
        """The step whose weights the model holds after training."""
        best = self.state.best_model_checkpoint
        if self.args.load_best_model_at_end and best:
            return int(Path(best).name.rpartition("-")[2])
        return self.state.global_step

    def count_tokens(self, batches: Sequence[Mapping[str, Any]], device: torch.device) -> None:
        """Add the tokens of one optimiser step, over its micro-batches and processes, to the state."""
        count = torch.tensor([sum(batch["n_tokens"] for batch in batches)], device=device)
        self.state.num_input_tokens_seen += int(self.accelerator.reduce(count, "sum"))

    def require_finite(self, held_out_loss: float) -> None:
        """Refuse a held-out loss that no choice of the best step could use.

        Raises:
            NotFiniteError: it is not finite.
        """
        if not math.isfinite(held_out_loss):
            raise NotFiniteError(
                "the held-out loss is not finite", record=f"step {self.state.global_step}", file="validation"
            )

    def culprits(self) -> tuple[str, str]:
        """What is not finite, and in which rows, for the error."""
        return "gradient", "all rows"

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        # not the base class's group_by_length: its order is drawn from the global generator, so that
        # a resumed epoch would see other batches, and it leaves the longest rows first in each bucket
        self.flow.sampler = LengthBucketSampler(
            [len(row) for row in self.rows],
            # the rows of one optimiser step, so that their order does not depend on how it is divided
            self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size,
            self.args.seed,
        )
        return self.flow.sampler

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[int]:
        return SequentialSampler(eval_dataset)  # already in order of length

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """Called between backward and the optimiser's step, which a non-finite number must not reach."""
        grad_norm = super()._get_grad_norm(model, grad_norm)
        what, rows = self.culprits()
        if not math.isfinite(float(grad_norm)) or what == "loss":
            raise NotFiniteError(
                f"the {what} is not finite, no weight was changed; lower the learning rate or use fp32",
                record=f"step {self.state.global_step + 1}, {rows}",
                field="rare.student.training.learning_rate",
            )
        return grad_norm


class PreferenceTrainer(RowTrainer):
    """Trains and evaluates our own objectives on batches of shared rows.

    The loss of an optimiser step is that of its pairs taken together, whatever the number of
    micro-batches and devices they were divided over. On several devices accelerate fills the last, short step
    of an epoch up with pairs of its first, so that all have equally many; they are counted as tokens, too.

    Args:
        model: a causal language model, usually with an adapter.
        args: from ``training_arguments``.
        objective: what is minimised.
        collator: makes the batches that the objective reads.
        train_pairs: to learn from.
        held_out: evaluated every ``eval_steps`` steps; may be empty.
        patience: evaluations without a better held-out loss before training stops; 0 never.
    """

    # the base class then neither divides the loss by the micro-batches nor lets the model do so
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: PreTrainedModel | nn.Module,
        args: TrainingArguments,
        *,
        objective: Objective,
        collator: Callable[[Sequence[Pair]], dict[str, Any]],
        train_pairs: Sequence[Pair],
        held_out: Sequence[Pair] = (),
        patience: int = 0,
    ) -> None:
        self.objective = objective
        self.flow = TrainingFlow(patience)
        self.rows = list(train_pairs)
        self._step_batches: list[tuple[list[str], Tensor]] = []
        self._logged_sums: list[Tensor] = []
        super().__init__(
            model,
            args,
            data_collator=collator,
            train_dataset=list(train_pairs),
            eval_dataset=in_order_of_length(held_out) or None,
            compute_metrics=self._held_out_metrics,
            callbacks=[self.flow],
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = False
        self.attention = attention_of(self.model)

    def score(self, model: nn.Module, batch: Mapping[str, Any]) -> Any:
        """What the objective reads of a batch, by one forward pass of ``model``."""
        return self.objective.score(model(**model_inputs(batch, self.attention)).logits, batch)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Mapping[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Any:
        """The batch's share of the optimiser step's loss.

        Args:
            model: the wrapped model.
            inputs: a batch.
            return_outputs: also return the scores.
            num_items_in_batch: pairs and NLL tokens of the whole step, see ``_get_num_items_in_batch``.
        """
        scores = self.score(model, inputs)
        loss = self.objective.loss(scores, num_items_in_batch)
        if num_items_in_batch is not None:
            loss = loss * self.args.world_size  # gradients are averaged over processes afterwards
        if model.training:
            self._step_batches.append((inputs["case_ids"], self.objective.table(scores)))
        return (loss, scores) if return_outputs else loss

    def prediction_step(
        self,
        model: nn.Module,
        inputs: Mapping[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[None, Tensor, Tensor]:
        """Each held-out pair's row of the metric table; the loss is made of all rows at the end."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            table = self.objective.table(self.score(model, inputs))
        return None, table, table.new_zeros(len(table))  # labels are asked for, and not used

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the pairs' metrics since the last log, over all processes, to the training log."""
        if "loss" in logs and self._logged_sums:
            sums = self.accelerator.reduce(torch.stack(self._logged_sums).sum(0, keepdim=True), "sum")
            metrics = self.objective.summary(sums)
            del metrics["loss"]  # the base class has it
            logs |= metrics | {"tokens": self.state.num_input_tokens_seen}
            self._logged_sums.clear()
        super().log(logs, start_time)

    def _held_out_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        metrics = self.objective.summary(torch.from_numpy(np.asarray(prediction.predictions)))
        self.require_finite(metrics["loss"])
        return metrics

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Tensor | None:
        """Pairs and NLL tokens (2,) of one optimiser step over its micro-batches and processes."""
        if not batch_samples:
            return None
        counts = torch.zeros(2, device=device)
        for batch in batch_samples:
            scored = (batch["targets"][..., 0] != IGNORE).sum()
            counts += counts.new_tensor([len(batch["case_ids"]), int(scored)])
        self.count_tokens(batch_samples, device)
        return self.accelerator.reduce(counts, "sum")

    def culprits(self) -> tuple[str, str]:
        """Pairs whose row of the metric table is not finite."""
        finite = torch.isfinite(torch.cat([table for _, table in self._step_batches])).all(-1)
        cases = [case for ids, _ in self._step_batches for case in ids]
        wrong = [case for case, good in zip(cases, finite.tolist(), strict=True) if not good]
        return ("loss" if wrong else "gradient"), f"pairs {', '.join(wrong or cases)}"

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """Keep the step's metrics for the log, once they are known to be finite."""
        grad_norm = super()._get_grad_norm(model, grad_norm)
        tables = torch.cat([table for _, table in self._step_batches])
        count = tables.new_full((1,), len(tables))
        self._logged_sums.append(torch.cat([tables.sum(0), count]).double())
        self._step_batches.clear()
        return grad_norm


def attention_of(model: PreTrainedModel | nn.Module) -> str:
    """The attention implementation of a model of transformers."""
    return getattr(model.config, "_attn_implementation", "sdpa")


def in_order_of_length(pairs: Sequence[Pair]) -> list[Pair]:
    """Held-out pairs in the order in which they are evaluated."""
    return sorted(pairs, key=lambda pair: (len(pair), pair.case_id))


def choose_device(settings: Mapping[str, Any]) -> str:
    """``cpu`` or ``cuda`` for rare.student of the configuration.

    Raises:
        InputError: the device or attention asked for cannot be had here.
    """
    device = pick_device(settings["device"])
    if settings["quantization"] == "nf4" and device == "cpu":
        raise InputError("nf4 needs a CUDA device; use none", field="rare.student.quantization")
    if settings["attention"] == "flex_attention" and device == "cpu":
        raise InputError("flex_attention cannot train on the CPU; use sdpa", field="rare.student.attention")
    return device


def choose_attention(attention: str, device: str) -> str:
    """Resolve ``auto``: eager on the CPU, where the fused backward is slower, sdpa on a GPU."""
    if attention == "auto":
        return "eager" if device == "cpu" else "sdpa"
    return attention


def training_arguments(
    settings: Mapping[str, Any],
    checkpoint_folder: str | Path,
    *,
    device: str,
    evaluate: bool,
    passes: float = 1.0,
    steps: float = 1.0,
    kind: type[TrainingArguments] = TrainingArguments,
    **further: Any,
) -> TrainingArguments:
    """The base trainer's arguments for rare.student of the configuration.

    Args:
        settings: the slice rare.student.
        checkpoint_folder: where checkpoints go.
        device: from ``choose_device``.
        evaluate: whether there are held-out pairs.
        passes: epochs are multiplied by it, see ``budget.passes``.
        steps: a limit of steps is multiplied by it, see ``budget.steps``.
        kind: class of the arguments.
        **further: what this class has beyond the base class.

    Raises:
        InputError: settings that contradict each other.
    """
    training = settings["training"]
    if training["save_steps"] % training["eval_steps"]:
        raise InputError(
            f"must be a multiple of eval_steps ({training['eval_steps']}), not {training['save_steps']}",
            field="rare.student.training.save_steps",
        )
    for key in ("keep_best", "patience"):
        if training[key] and not evaluate:
            raise InputError(
                "needs held-out pairs; raise the validation fraction of the split",
                field=f"rare.student.training.{key}",
            )
    most = training["max_steps"]
    arguments = kind(
        output_dir=str(checkpoint_folder),
        num_train_epochs=training["epochs"] * passes,
        max_steps=math.ceil(most * steps) if most > 0 else most,
        learning_rate=training["learning_rate"],
        lr_scheduler_type=SCHEDULES[training["schedule"]],
        # below 1 it is a share of the steps
        warmup_steps=min(training["warmup_ratio"], 1 - 1e-9),
        weight_decay=training["weight_decay"],
        max_grad_norm=training["max_grad_norm"],
        per_device_train_batch_size=training["batch_size"],
        per_device_eval_batch_size=training["batch_size"],
        gradient_accumulation_steps=training["gradient_accumulation"],
        activation_checkpointing=training["gradient_checkpointing"],
        activation_checkpointing_kwargs={"use_reentrant": False},
        seed=training["seed"],
        bf16=settings["precision"] == "bf16",
        use_cpu=device == "cpu",
        logging_steps=training["log_steps"],
        # else a NaN would be logged as a loss of 0
        logging_nan_inf_filter=False,
        eval_strategy="steps" if evaluate else "no",
        eval_steps=training["eval_steps"] if evaluate else None,
        save_strategy="steps",
        # to give back the best evaluation its weights must have been saved
        save_steps=training["eval_steps"] if training["keep_best"] else training["save_steps"],
        save_total_limit=2,
        load_best_model_at_end=training["keep_best"],
        # else the best checkpoint would be kept in place of the last but one, and asked for at resumption
        metric_for_best_model="loss" if training["keep_best"] else None,
        greater_is_better=False,
        label_names=[],
        remove_unused_columns=False,
        dataloader_pin_memory=device == "cuda",
        ddp_find_unused_parameters=False,
        report_to="none",
        disable_tqdm=True,
        **further,
    )
    # one process trains on one device: the base class would spread the rows over all that it sees
    # (DataParallel), cut their common columns apart and multiply the batch size
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1
    return arguments
