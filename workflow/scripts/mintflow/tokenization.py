"""From preference rows to token ids: the chat template decides where the answer starts and ends.

The prompt's ids are exactly those the student is given at generation time. Each completion is what
the template puts after them, cut behind its first end token, so that exactly one end token is
scored: it is what tells "Ehlers-Danlos" from a longer name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = Mapping[str, str]


@dataclass(frozen=True)
class Pair:
    """Token ids of one preference pair; both completions end in an end token.

    ``image`` names what the prompt shows, for students that see; None where it shows nothing. ``candidates``
    are single answers and ``wanted`` the teacher's probabilities of them, for ``listwise``. ``decides`` says
    of every token of chosen and of rejected whether it decides (``decisions.py``); None where nobody asked.
    """

    case_id: str
    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    image: str | None = None
    candidates: tuple[tuple[int, ...], ...] = ()
    wanted: tuple[float, ...] = ()
    decides: tuple[tuple[bool, ...], tuple[bool, ...]] | None = None

    def __len__(self) -> int:
        """Tokens of the pair's row, prompt once, by which batches are bucketed."""
        return len(self.prompt) + len(self.chosen) + len(self.rejected)


class RowRejected(Exception):
    """A row that cannot be trained on; the message is the reason under which it is counted."""


@dataclass(frozen=True)
class ChatEncoder:
    """Renders and tokenises conversations with one tokenizer.

    Args:
        tokenizer: has a chat template.
        end_ids: tokens that end an answer (``models.end_token_ids``).
        template_kwargs: handed to the template, e.g. ``date_string``.
    """

    tokenizer: PreTrainedTokenizerBase
    end_ids: AbstractSet[int]
    template_kwargs: Mapping[str, Any]

    def prompt_ids(self, prompt: Sequence[Message]) -> list[int]:
        """Ids up to and with the header of the assistant's turn."""
        return self._ids(prompt, add_generation_prompt=True)

    def completion_ids(self, prompt: Sequence[Message], answer: Sequence[Message]) -> list[int]:
        """Ids of ``answer`` after ``prompt``, with exactly one end token, the last.

        Raises:
            RowRejected: the answer is empty, or the template does not put it behind the prompt.
        """
        before = self.prompt_ids(prompt)
        whole = self._ids([*prompt, *answer])
        if whole[: len(before)] == before:
            ids = whole[len(before) :]
        else:
            ids = self._across_a_merged_boundary(before, prompt, answer)
        for position, token in enumerate(ids):
            if token in self.end_ids:
                ids = ids[: position + 1]
                break
        else:
            end = self.tokenizer.eos_token_id
            ids = [*ids, end if end in self.end_ids else min(self.end_ids)]
        if len(ids) == 1 or not self.tokenizer.decode(ids[:-1]).strip():
            raise RowRejected("empty_completion")
        return ids

    def pair(self, row: Mapping[str, Any], max_length: int) -> Pair:
        """Encode one row of the preference table.

        A row with ``taught`` is learned by this answer in place of ``chosen``, but kept or rejected by its
        lists as well, so that every arm learns from the same pairs.

        Raises:
            RowRejected: reasons ``empty_prompt``, ``empty_completion``, ``prompt_is_no_prefix``,
                ``too_long`` (prompt and the longest completion exceed ``max_length`` tokens),
                ``chosen_equals_rejected``.
        """
        prompt, image = self.shown(row)
        if not prompt:
            raise RowRejected("empty_prompt")  # the first token of an answer needs one to be predicted from
        chosen = self.completion_ids(row["prompt"], row["chosen"])
        rejected = self.completion_ids(row["prompt"], row["rejected"])
        if chosen == rejected:
            raise RowRejected("chosen_equals_rejected")
        taught = self.completion_ids(row["prompt"], row["taught"]) if "taught" in row else chosen
        if len(prompt) + max(len(chosen), len(rejected), len(taught)) > max_length:
            raise RowRejected("too_long")  # never truncated: half a list is another answer
        return Pair(str(row["case_id"]), prompt, taught, rejected, image)

    def shown(self, row: Mapping[str, Any]) -> tuple[list[int], str | None]:
        """Ids of the prompt of a table's row as the model gets them, and the name of its image, if any."""
        return self.prompt_ids(row["prompt"]), None

    def _ids(self, messages: Sequence[Message], **options: bool) -> list[int]:
        encoded = self.tokenizer.apply_chat_template(
            list(messages), tokenize=True, return_dict=True, **self.template_kwargs, **options
        )
        return list(encoded["input_ids"])

    def _across_a_merged_boundary(
        self, before: list[int], prompt: Sequence[Message], answer: Sequence[Message]
    ) -> list[int]:
        """Ids of the answer's text alone, where one token spans the end of the prompt.

        At generation the prompt's ids are given, so the merged token could never be produced.
        """

        def text(messages: Sequence[Message], **options: bool) -> str:
            return self.tokenizer.apply_chat_template(
                list(messages), tokenize=False, **self.template_kwargs, **options
            )

        head, whole = text(prompt, add_generation_prompt=True), text([*prompt, *answer])
        if not whole.startswith(head):
            raise RowRejected("prompt_is_no_prefix")
        ids = self.tokenizer(whole[len(head) :], add_special_tokens=False)["input_ids"]
        if self.tokenizer.decode(before + ids) != self.tokenizer.decode(self._ids([*prompt, *answer])):
            raise RowRejected("prompt_is_no_prefix")  # e.g. a tokenizer that puts a space before any text
        return list(ids)


def encode_pairs(
    rows: Iterable[Mapping[str, Any]], encoder: ChatEncoder, *, max_length: int, max_dropped_fraction: float
) -> tuple[list[Pair], dict[str, int]]:
    """Encode preference rows in their order; rows that cannot be trained on are left out and counted.

    Args:
        rows: mappings with case_id, prompt, chosen, rejected and perhaps taught (messages).
        encoder: the tokenizer with its template.
        max_length: longest prompt plus one completion, in tokens.
        max_dropped_fraction: largest share of rows that may be left out.

    Returns:
        The pairs, and the number of dropped rows by reason (sorted).

    Raises:
        InputError: more than ``max_dropped_fraction`` of the rows were dropped.
    """
    pairs: list[Pair] = []
    dropped: Counter[str] = Counter()
    for row in rows:
        try:
            pairs.append(encoder.pair(row, max_length))
        except RowRejected as reason:
            dropped[str(reason)] += 1
    total = len(pairs) + dropped.total()
    if dropped.total() > max_dropped_fraction * total:
        counts = ", ".join(f"{reason} {count}" for reason, count in sorted(dropped.items()))
        raise InputError(
            f"{dropped.total()} of {total} pairs cannot be trained on ({counts})",
            field="rare.student.training.max_dropped_fraction",
        )
    return pairs, dict(sorted(dropped.items()))
