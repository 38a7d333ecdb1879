"""Which tokens of a list decide what it says, where it can name nothing but the labels of a closed set.

A name is written token by token. Where names that begin alike go apart, a token decides between them;
every other token of a name, the numbers and the line breaks follow from what stands before them, whoever
the patient is. They are most of a list: an odds ratio over all tokens (``odds_scope: completion``, as in
the paper) is mostly about them, and lowers the odds of a rejected list by unlearning how its names are
spelled. Over the deciding tokens alone (``odds_scope: decisions``) it weighs which diseases are named.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .conversations import answer
from .errors import InputError
from .lists import format_list

if TYPE_CHECKING:
    from .tokenization import ChatEncoder, Pair

Mask = tuple[bool, ...]


def deciding_tokens(sequences: Collection[Sequence[int]]) -> dict[tuple[int, ...], Mask]:
    """For every sequence, which of its tokens another sequence of the set could have had otherwise.

    Args:
        sequences: token ids, each with what ends it, so that none begins another.
    """
    following: dict[tuple[int, ...], set[int]] = {}
    for sequence in sequences:
        for position, token in enumerate(sequence):
            following.setdefault(tuple(sequence[:position]), set()).add(token)
    return {
        tuple(sequence): tuple(
            len(following[tuple(sequence[:position])]) > 1 for position in range(len(sequence))
        )
        for sequence in sequences
    }


def lines_of(ids: Sequence[int], encoder: ChatEncoder) -> list[slice]:
    """Where the names of a numbered list stand among its tokens, each with what ends it.

    What ends a name is the line break, alone or in one token with the name's last letter, and the end token
    behind the last one.
    """
    found, start = [], None
    for position, token in enumerate(ids):
        text = encoder.tokenizer.decode([token])
        if start is None:
            start = position + 1 if "." in text else None
        elif "\n" in text or position == len(ids) - 1:
            found.append(slice(start, position + 1))
            start = None
    return found


def add_decisions(
    pairs: Sequence[Pair],
    names: Collection[str],
    encoder: ChatEncoder,
    prompt: Sequence[Mapping[str, str]],
) -> list[Pair]:
    """Say of every token of the lists of ``pairs`` whether it decides.

    Args:
        pairs: encoded.
        names: the closed set.
        encoder: as for the pairs.
        prompt: any prompt; it only gives answers their place in the chat template.

    Returns:
        Pairs with ``decides``.

    Raises:
        InputError: a list holds something else than numbered ``names``, as this tokenizer writes them;
            names the pair.
    """
    within, last = [], []
    for name in sorted(names):  # twice the same name: once a line follows it, once nothing does
        ids = encoder.completion_ids(prompt, answer(format_list([name, name])))
        lines = lines_of(ids, encoder)
        if len(lines) != 2:
            raise InputError(f"the tokenizer does not keep the lines of {name!r} apart", field=_FIELD)
        within.append(ids[lines[0]])
        last.append(ids[lines[1]])
    masks = deciding_tokens(within), deciding_tokens(last)

    def decides(ids: Sequence[int], case_id: str) -> Mask:
        mask = [False] * len(ids)
        lines = lines_of(ids, encoder)
        for line in lines:
            known = masks[line is lines[-1]].get(tuple(ids[line]))
            if known is None:
                text = encoder.tokenizer.decode(ids[line])
                raise InputError(f"{text!r} is no name of the closed set", record=case_id, field=_FIELD)
            mask[line] = known
        return tuple(mask)

    return [
        replace(pair, decides=(decides(pair.chosen, pair.case_id), decides(pair.rejected, pair.case_id)))
        for pair in pairs
    ]


_FIELD = "student.orpo.odds_scope"
