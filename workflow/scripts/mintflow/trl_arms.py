"""The arms that TRL trains, SFT and DPO, on the very token ids of the others.

TRL's own tokenisation is left out: it would score the template's tail behind the answer, and its vision
collators lose Mllama's image (see docs/architecture.md). What is left of it is what is compared: its losses
and its training loop.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import trl.trainer.utils
from datasets import Dataset
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from .collate import ExtraInputs, SharedPromptCollator, model_inputs
from .objectives import Orpo
from .orpo import IGNORE
from .tokenization import Pair
from .trainer import RowTrainer, attention_of, in_order_of_length
from .training_flow import TrainingFlow

ROW = "row"
# of TRL's log: counted from the start of a process, or of no use beside the others
_UNLOGGED = ("num_tokens",)


@dataclass(frozen=True)
class CompletionCollator:
    """Rows ``[prompt | completion | padding]``: of all chosen lists, then, for DPO, of all rejected ones.

    Args:
        pairs: what the rows of the data set point to.
        pad_id: id in the padding columns.
        both: whether rejected lists have rows too.
        extra_inputs: as of ``collate.SharedPromptCollator``.
        multiple: the width is rounded up to a multiple of this.
    """

    pairs: Sequence[Pair]
    pad_id: int
    both: bool
    extra_inputs: ExtraInputs | None = None
    multiple: int = 1

    def __call__(self, rows: Sequence[Mapping[str, int]]) -> dict[str, Any]:
        """Collate B pairs.

        Returns:
            input_ids, attention_mask (R, L) with R = B or 2 B; n_tokens; for SFT labels (R, L), else
            completion_mask (R, L); what ``extra_inputs`` gives.
        """
        pairs = [self.pairs[row[ROW]] for row in rows]
        shown = [*pairs, *pairs] if self.both else pairs
        completions = [pair.chosen for pair in pairs] + (
            [pair.rejected for pair in pairs] if self.both else []
        )
        lengths = [len(pair.prompt) + len(ids) for pair, ids in zip(shown, completions, strict=True)]
        width = math.ceil(max(lengths) / self.multiple) * self.multiple
        input_ids = torch.full((len(shown), width), self.pad_id)
        seen = torch.zeros((len(shown), width), dtype=torch.long)
        completion = torch.zeros_like(seen)
        for row, (pair, ids, length) in enumerate(zip(shown, completions, lengths, strict=True)):
            input_ids[row, :length] = torch.tensor([*pair.prompt, *ids])
            seen[row, :length] = 1
            completion[row, len(pair.prompt) : length] = 1
        batch: dict[str, Any] = {"input_ids": input_ids, "attention_mask": seen}
        if self.both:
            batch["completion_mask"] = completion
        else:
            batch["labels"] = input_ids.masked_fill(completion == 0, IGNORE)
        if self.extra_inputs is not None:
            batch |= self.extra_inputs(shown, seen)
        return batch


@contextmanager
def labelled_positions_alone() -> Iterator[None]:
    """Let TRL's fused head project the positions that have a label and no others, on the CPU, too.

    TRL (1.16, ``add_fused_lm_head``) does so beside Triton alone, for compiled graphs of other devices would
    be made again at every length. In fp32 the CPU compiles none, and the rest is work for nothing; in bf16
    it keeps a kernel for every shape (see ``collate``), so there TRL has its way.
    """
    utils = trl.trainer.utils
    asked = utils._use_triton
    plain = not torch.is_autocast_enabled("cpu")
    utils._use_triton = lambda device: (device.type == "cpu" and plain) or asked(device)
    try:
        yield
    finally:
        utils._use_triton = asked


class TrlTrainer(RowTrainer):
    """What both have in common; comes before TRL's class.

    Args:
        model: with its adapter.
        args: of TRL's trainer.
        tokenizer: of the base model.
        train_pairs: to learn from.
        held_out: evaluated every ``eval_steps`` steps; may be empty.
        patience: as of ``trainer.PreferenceTrainer``.
        **collator: extra_inputs and multiple of ``CompletionCollator``.
    """

    both = False  # whether rejected lists are read, too

    def __init__(
        self,
        model: PreTrainedModel | nn.Module,
        args: SFTConfig | DPOConfig,
        *,
        tokenizer: PreTrainedTokenizerBase,
        train_pairs: Sequence[Pair],
        held_out: Sequence[Pair] = (),
        patience: int = 0,
        **collator: Any,
    ) -> None:
        self.rows, self.flow = list(train_pairs), TrainingFlow(patience)
        data = _datasets(train_pairs, held_out)
        super().__init__(
            model,
            args=args,
            data_collator=CompletionCollator(data.pairs, tokenizer.pad_token_id, self.both, **collator),
            train_dataset=data.train,
            eval_dataset=data.held_out,
            processing_class=tokenizer,
            callbacks=[self.flow],
        )
        self.remove_callback(PrinterCallback)
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                # beside a 4-bit model TRL makes them bfloat16, where small steps vanish; other arms' are not
                parameter.data = parameter.data.float()

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """TRL's."""
        with labelled_positions_alone():
            return super().compute_loss(*args, **kwargs)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        if batch_samples:
            # distinct tokens: a pair's second row repeats its prompt
            self.count_tokens([{"n_tokens": self.tokens_of(batch)} for batch in batch_samples], device)
        return super()._get_num_items_in_batch(batch_samples, device)

    def tokens_of(self, batch: Mapping[str, Tensor]) -> int:
        """Tokens of a batch as ``budget.tokens`` counts them."""
        return int(batch["attention_mask"].sum())

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As TRL logs, less what differs after a resume; a held-out loss must be finite."""
        self.require_finite(logs.get("eval_loss", 0.0))
        if "loss" in logs:
            logs["tokens"] = self.state.num_input_tokens_seen
        for values in self._metrics.values():
            for name in _UNLOGGED:
                values.pop(name, None)
        super().log(logs, start_time)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None: ours is written with the adapter."""


class SftTrainer(TrlTrainer, SFTTrainer):
    """TRL's supervised fine-tuning on the chosen lists.

    Args:
        lists: whether the log also tells of held-out pairs which list is the likelier one, as that of ORPO
            does. Nothing is learned from it.
        **options: as of ``TrlTrainer``.
    """

    def __init__(self, *args: Any, lists: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        rows = self.data_collator
        self.held_out = in_order_of_length(options.get("held_out", ())) if lists else []
        self.shared = SharedPromptCollator(
            rows.pad_id, extra_inputs=rows.extra_inputs, multiple=rows.multiple
        )

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """TRL's, and ORPO's measures of the held-out pairs."""
        output = super().evaluation_loop(*args, **kwargs)
        if self.held_out:
            output.metrics.update({f"eval_{name}": value for name, value in self._compare_lists().items()})
        return output

    def _compare_lists(self) -> dict[str, float]:
        """In every process of all pairs, so that all make as many passes as a sharded model asks of each."""
        goal = Orpo(beta=1.0)  # what is told here does not depend on it
        tables, size = [], self.args.per_device_eval_batch_size
        with torch.no_grad(), self.compute_loss_context_manager():
            for start in range(0, len(self.held_out), size):
                batch = self._prepare_inputs(self.shared(self.held_out[start : start + size]))
                logits = self.model_wrapped(**model_inputs(batch, attention_of(self.model))).logits
                tables.append(goal.table(goal.score(logits, batch)).cpu())
        told = goal.summary(torch.cat(tables))
        return {name: told[name] for name in ("rewards/accuracies", "logps/chosen", "logps/rejected")}


class DpoTrainer(TrlTrainer, DPOTrainer):
    """TRL's DPO; the reference is the base model, that is the adapter switched off."""

    both = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "ref" in self.model.peft_config:
            # a copy of an adapter that still does nothing: the base model is the same, and costs no memory
            self.model.delete_adapter("ref")

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset  # the rows are encoded already

    def tokens_of(self, batch: Mapping[str, Tensor]) -> int:
        """The prompt once, and both lists."""
        completions = int(batch["completion_mask"].sum())
        return completions + (int(batch["attention_mask"].sum()) - completions) // 2


@dataclass(frozen=True)
class _Data:
    pairs: list[Pair]
    train: Dataset
    held_out: Dataset | None


def _datasets(train: Sequence[Pair], held_out: Sequence[Pair]) -> _Data:
    """Data sets whose rows are places in one list of pairs."""
    pairs = [*train, *in_order_of_length(held_out)]
    places = Dataset.from_dict({ROW: list(range(len(pairs)))})
    rest = places.select(range(len(train), len(pairs))) if held_out else None
    return _Data(pairs, places.select(range(len(train))), rest)


def sft_arguments() -> dict[str, Any]:
    """What ``SFTConfig`` has beyond the base class."""
    return {
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "max_length": None,
        "gradient_checkpointing": False,
    }


def dpo_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What ``DPOConfig`` has beyond the base class, for {track}.student.dpo."""
    losses, weights = [settings["loss"]], [1.0]
    if settings["nll"]:
        losses, weights = [*losses, "sft"], [*weights, settings["nll"]]
    return {
        "beta": settings["beta"],
        "loss_type": losses,
        "loss_weights": weights,
        # dropout is part of the adapter's configuration, for this arm as for the others
        "disable_dropout": False,
        "max_length": None,
        "gradient_checkpointing": False,
    }
