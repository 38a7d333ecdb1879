"""Which tokens of a list decide what it says, where it can name nothing but the labels of a closed set.

A name is written token by token. Where names that begin alike go apart, a token decides between them;
every other token of a name, the numbers and the line breaks follow from what stands before them, whoever
the patient is. They are most of a list: an odds ratio over all tokens (``odds_scope: completion``, as in
the paper) is mostly about them, and lowers the odds of a rejected list by unlearning how its names are
spelled. Over the deciding tokens alone (``odds_scope: decisions``) it weighs which diseases are named.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .conversations import Messages
from .errors import InputError
from .likelihood import build_trie, first_lines

if TYPE_CHECKING:
    from .tokenization import ChatEncoder, Pair

Mask = tuple[bool, ...]
FIELD = "student.orpo.odds_scope"


def deciding_tokens(sequences: Sequence[Sequence[int]]) -> dict[tuple[int, ...], Mask]:
    """For every sequence, which of its tokens another sequence of the set could have had otherwise.

    Args:
        sequences: token ids, each with what ends it, so that none begins another.
    """
    trie = build_trie(sequences)
    return {
        tuple(sequence): tuple(len(trie.children[trie.parents[node]]) > 1 for node in trie.path(leaf))
        for sequence, leaf in zip(sequences, trie.leaves, strict=True)
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
    prompt: Messages,
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
    listed = sorted(names)
    masks = []  # of names that a line follows, and of the last
    for k in (2, 1):
        lines = [(ids, lines_of(ids, encoder)) for ids in first_lines(encoder, prompt, listed, k)]
        if not all(len(found) == 1 for _, found in lines):
            raise InputError("the tokenizer does not keep number and name apart", field=FIELD)
        masks.append(deciding_tokens([ids[found[0]] for ids, found in lines]))

    def decides(ids: Sequence[int], case_id: str) -> Mask:
        mask = [False] * len(ids)
        lines = lines_of(ids, encoder)
        for line in lines:
            known = masks[line is lines[-1]].get(tuple(ids[line]))
            if known is None:
                text = encoder.tokenizer.decode(ids[line])
                raise InputError(f"{text!r} is no name of the closed set", record=case_id, field=FIELD)
            mask[line] = known
        return tuple(mask)

    return [
        replace(pair, decides=(decides(pair.chosen, pair.case_id), decides(pair.rejected, pair.case_id)))
        for pair in pairs
    ]
