"""One arm's trainer from the configuration: which rows it reads, for how long, and what it minimises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import budget, trainer
from .conversations import answer, text_of
from .errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from .collate import ExtraInputs
    from .conversations import Messages
    from .tokenization import ChatEncoder, Pair

Rows = Sequence[Mapping[str, Any]]


def columns(objective: str, settings: Mapping[str, Any]) -> list[str]:
    """Columns of the preference table that an objective reads under the slice {track}.student."""
    also = {"sft-truth": ["truth"], "listwise": ["ranked", "ranked_scores"]}.get(objective, [])
    if objective == "orpo" and settings["orpo"]["odds_scope"] == "decisions":
        also = ["ranked"]
    return ["case_id", "prompt", "chosen", "rejected", *also]


def rows_of(rows: Rows, objective: str) -> list[dict[str, Any]]:
    """The table's rows as the objective sees them.

    For sft-truth the true label alone is taught; where nobody knows it, the teacher's first name.
    """
    if objective != "sft-truth":
        return [dict(row) for row in rows]
    return [
        {**row, "taught": first_of(row["chosen"]) if row["truth"] is None else row["truth"]} for row in rows
    ]


def first_of(messages: Messages) -> Messages:
    """The list of the first name alone."""
    return answer(text_of(messages).partition("\n")[0])


def with_candidates(
    pairs: Sequence[Pair], rows: Rows, encoder: ChatEncoder, settings: Mapping[str, Any]
) -> list[Pair]:
    """For listwise: the candidates of every pair. ``rows`` are those that the pairs were made of."""
    from .lists import parse_list
    from .listwise import add_candidates

    if not pairs:
        return []
    ranked = {str(row["case_id"]): (list(row["ranked"]), list(row["ranked_scores"])) for row in rows}
    length = len(parse_list(text_of(list(rows[0]["chosen"])), 1000))
    return add_candidates(
        pairs,
        ranked,
        encoder,
        rows[0]["prompt"],
        settings["listwise"],
        k=length,
        seed=settings["training"]["seed"],
    )


def with_decisions(pairs: Sequence[Pair], rows: Rows, encoder: ChatEncoder) -> list[Pair]:
    """For orpo with ``odds_scope: decisions``: which tokens decide. ``rows`` are those of the pairs."""
    from .decisions import add_decisions

    if not pairs:
        return []
    names = {name for row in rows for name in row["ranked"]}
    return add_decisions(pairs, names, encoder, rows[0]["prompt"])


def build_trainer(
    objective: str,
    model: nn.Module,
    arguments: trainer.TrainingArguments,
    settings: Mapping[str, Any],
    tokenizer: PreTrainedTokenizerBase,
    pairs: Mapping[str, Sequence[Pair]],
    extra_inputs: ExtraInputs | None,
) -> trainer.RowTrainer:
    """The trainer of an arm.

    Args:
        objective: one of ``arms.OBJECTIVES``.
        model: with its adapter.
        arguments: from ``arguments_for``.
        settings: the slice {track}.student.
        tokenizer: of the base model.
        pairs: train and validation.
        extra_inputs: the images, for a student that sees.
    """
    training = settings["training"]
    shared = {
        "train_pairs": pairs["train"],
        "held_out": pairs["validation"],
        "patience": training["patience"],
    }
    form = {"extra_inputs": extra_inputs, "multiple": training["pad_to_multiple"]}
    if objective in ("sft", "sft-truth", "dpo"):
        from . import trl_arms

        given = {"tokenizer": tokenizer, **shared, **form}
        if objective == "dpo":
            return trl_arms.DpoTrainer(model, arguments, **given)
        return trl_arms.SftTrainer(model, arguments, lists=objective == "sft", **given)
    from .collate import SharedPromptCollator
    from .listwise import ListwiseCollator
    from .objectives import Listwise, Orpo

    pad = tokenizer.pad_token_id
    if objective == "listwise":
        ours = settings["listwise"]
        goal: Any = Listwise(ours["weight"], ours["score"], ours["normalize"])
        collator: Any = ListwiseCollator(pad, **form)
    else:
        ours = settings["orpo"]
        goal = Orpo(ours["beta"], ours["nll_reduction"])
        collator = SharedPromptCollator(pad, ours["nll_scope"], **form)
    return trainer.PreferenceTrainer(model, arguments, objective=goal, collator=collator, **shared)


def arguments_for(
    objective: str,
    settings: Mapping[str, Any],
    folder: str | Path,
    *,
    device: str,
    evaluate: bool,
    passes: float,
    steps: float = 1.0,
) -> trainer.TrainingArguments:
    """Arguments of the arm's trainer, see ``trainer.training_arguments``."""
    common = {"device": device, "evaluate": evaluate, "passes": passes, "steps": steps}
    if objective in ("orpo", "listwise"):
        return trainer.training_arguments(settings, folder, **common)
    from trl import DPOConfig, SFTConfig

    from . import trl_arms

    if objective == "dpo":
        return trainer.training_arguments(
            settings, folder, **common, kind=DPOConfig, **trl_arms.dpo_arguments(settings["dpo"])
        )
    return trainer.training_arguments(settings, folder, **common, kind=SFTConfig, **trl_arms.sft_arguments())


def passes_for(
    objective: str, settings: Mapping[str, Any], pairs: Sequence[Pair], standard: Sequence[Pair]
) -> float:
    """See ``budget.passes``; ``standard`` are the pairs as ORPO sees them."""
    if not pairs:
        raise InputError("there is no pair to train on", file="train")
    return budget.passes(pairs, objective, settings["training"]["budget"], standard)
