"""Closed-set ranking: the log-probability of every candidate answer after one prompt.

The prompt is computed once; its KV cache serves all candidates. The candidates'
tokens form a trie, and each trie node is computed once too: nodes are laid out
in one sequence under a block mask in which a node sees the prompt, its
ancestors and itself, at the position of its depth. Equal to scoring each
candidate alone up to rounding. Everything runs in float32: in bfloat16 two
orders of the same sums differ by tenths of a nat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import cli
from .conversations import Messages, answer
from .errors import InputError
from .lists import format_list

if TYPE_CHECKING:
    from .tokenization import ChatEncoder

_ROWS = 128  # rows of logits normalised at a time, to bound memory


@dataclass(frozen=True)
class Trie:
    """The distinct prefixes of a set of token sequences.

    Attributes:
        tokens: (n,) token of each node.
        parents: (n,) index of the parent, -1 below the root; parents precede children.
        depths: (n,) 0 for first tokens.
        leaves: node at which each sequence ends, in the order given.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    depths: tuple[int, ...]
    leaves: tuple[int, ...]

    @cached_property
    def children(self) -> dict[int, NDArray[np.intp]]:
        """Children of every node that has some; -1 is the root."""
        order = np.argsort(self.parents, kind="stable")
        nodes, starts = np.unique(np.array(self.parents)[order], return_index=True)
        return dict(zip(nodes.tolist(), np.split(order, starts[1:]), strict=True))

    def path(self, node: int) -> list[int]:
        """Nodes from the first token down to ``node``."""
        nodes = []
        while node >= 0:
            nodes.append(node)
            node = self.parents[node]
        return nodes[::-1]


def build_trie(sequences: Sequence[Sequence[int]]) -> Trie:
    """Merge shared prefixes; nodes are numbered along the sorted sequences, so subtrees lie together.

    Raises:
        ValueError: a sequence is empty.
    """
    tokens: list[int] = []
    parents: list[int] = []
    depths: list[int] = []
    leaves = [0] * len(sequences)
    children: dict[tuple[int, int], int] = {}
    for index in sorted(range(len(sequences)), key=lambda position: tuple(sequences[position])):
        if not sequences[index]:
            raise ValueError(f"candidate {index} has no token")
        node = -1
        for depth, token in enumerate(sequences[index]):
            child = children.get((node, token))
            if child is None:
                child = children[node, token] = len(tokens)
                tokens.append(token)
                parents.append(node)
                depths.append(depth)
            node = child
        leaves[index] = node
    return Trie(tuple(tokens), tuple(parents), tuple(depths), tuple(leaves))


def plan_chunks(trie: Trie, limit: int) -> list[list[int]]:
    """Inner nodes (those with children) in groups closed under ancestors, at most ``limit`` each.

    The end of a sequence is predicted, never read, so it needs no forward pass. Ancestors shared
    by two chunks are computed in both. A single path longer than ``limit`` has a chunk to itself.
    """
    inner = [node for node in trie.children if node >= 0]
    chunks: list[list[int]] = []
    current: dict[int, None] = {}
    for node in inner:
        new = [step for step in trie.path(node) if step not in current]
        if current and len(current) + len(new) > limit:
            chunks.append(list(current))
            current, new = {}, trie.path(node)
        current.update(dict.fromkeys(new))
    return [*chunks, list(current)] if current else chunks


@torch.inference_mode()
def score_candidates(
    model: torch.nn.Module,
    prompt: Sequence[int],
    trie: Trie,
    chunk: int,
) -> NDArray[np.float64]:
    """Log-probability (nats, summed over tokens) of each sequence of ``trie`` after ``prompt``.

    Args:
        model: a causal language model of transformers in float32, in eval mode, whose attention
            takes an additive 4D mask (sdpa or eager).
        prompt: token ids.
        trie: the candidates.
        chunk: most trie nodes in one forward pass.

    Returns:
        (candidates,) in the order in which the trie was given its sequences.

    Raises:
        ValueError: the model is not in float32, or the prompt is empty.
    """
    from transformers import DynamicCache

    if model.dtype != torch.float32:
        raise ValueError(f"ranking needs a model in float32, not {model.dtype}")
    if not prompt:
        raise ValueError("empty prompt")
    device = next(model.parameters()).device
    tokens = torch.tensor(trie.tokens, device=device)
    node_logp = np.zeros(len(trie.tokens))

    cache = DynamicCache(config=model.config)
    length = len(prompt)
    first = model(
        input_ids=torch.tensor([list(prompt)], device=device),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[0]
    _fill(node_logp, first, [-1], trie.children, tokens)
    done = {-1}
    for nodes in plan_chunks(trie, chunk):
        logits = model(
            input_ids=tokens[nodes][None],
            attention_mask=_block_mask(trie, nodes, length, device),
            position_ids=torch.tensor([[length + trie.depths[node] for node in nodes]], device=device),
            past_key_values=cache,
            use_cache=True,
        ).logits[0]
        cache.crop(-len(nodes))
        fresh = [row for row, node in enumerate(nodes) if node not in done]
        _fill(node_logp, logits[fresh], [nodes[row] for row in fresh], trie.children, tokens)
        done.update(nodes)
    totals = np.zeros(len(trie.tokens))
    for node, parent in enumerate(trie.parents):  # parents come first
        totals[node] = node_logp[node] + (totals[parent] if parent >= 0 else 0.0)
    return totals[list(trie.leaves)]


def _block_mask(trie: Trie, nodes: Sequence[int], length: int, device: torch.device) -> Tensor:
    """Additive mask (1, 1, nodes, length + nodes): the prompt, one's ancestors, oneself."""
    row_of = {node: row for row, node in enumerate(nodes)}
    visible = np.zeros((len(nodes), length + len(nodes)), dtype=bool)
    visible[:, :length] = True
    for row, node in enumerate(nodes):
        parent = trie.parents[node]
        if parent >= 0:  # ancestors come first, so the parent's row is complete
            visible[row] = visible[row_of[parent]]
        visible[row, length + row] = True
    mask = torch.zeros(visible.shape, device=device)
    return mask.masked_fill(torch.from_numpy(~visible).to(device), torch.finfo(mask.dtype).min)[None, None]


def _fill(
    node_logp: NDArray[np.float64],
    logits: Tensor,
    nodes: Sequence[int],
    children: Mapping[int, NDArray[np.intp]],
    tokens: Tensor,
) -> None:
    """Write the log-probability of every child of ``nodes``, given the logits (nodes, vocabulary)."""
    for start in range(0, len(nodes), _ROWS):
        part = logits[start : start + _ROWS].float()
        norm = part.logsumexp(dim=-1)
        below = [children[node] for node in nodes[start : start + _ROWS]]
        rows = torch.from_numpy(np.repeat(np.arange(len(below)), [len(found) for found in below]))
        targets = np.concatenate(below)
        rows = rows.to(logits.device)
        found = part[rows, tokens[torch.from_numpy(targets).to(tokens.device)]] - norm[rows]
        node_logp[targets] = found.double().cpu().numpy()


def first_lines(encoder: ChatEncoder, prompt: Messages, names: Sequence[str], k: int) -> list[list[int]]:
    """Token ids of the first line of an answer that puts each of ``names`` first.

    For lists of one the line ends with the end token, else with the token that holds the line break,
    so that a name is never favoured for being the beginning of another. Tokenised within the
    whole answer, as in training; ``prompt`` only gives it a place in the chat template.

    Raises:
        ValueError: a name cannot be written on one line.
    """
    lines = []
    for name in names:
        text = format_list([name] * min(k, 2))
        ids = encoder.completion_ids(prompt, answer(text))
        if k > 1:
            line = text[: text.index("\n") + 1]
            decode = encoder.tokenizer.decode
            ends = (
                end
                for end in range(1, len(ids) + 1)
                if line in decode(ids[:end], clean_up_tokenization_spaces=False)
            )
            ids = ids[: next(ends)]
        lines.append(ids)
    return lines


@torch.inference_mode()
def check_masking(model: torch.nn.Module, prompt: Sequence[int], trie: Trie, chunk: int) -> None:
    """Score one candidate both ways: does this model heed the block mask?

    Raises:
        InputError: it does not; closed-set ranking of it would be wrong.
    """
    leaf = int(np.argmax([trie.depths[node] for node in trie.leaves]))
    path = trie.path(trie.leaves[leaf])
    tokens = [trie.tokens[node] for node in path]
    ids = torch.tensor([[*prompt, *tokens]], device=next(model.parameters()).device)
    logp = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float().log_softmax(dim=-1)
    alone = float(logp.gather(1, ids[0, len(prompt) :, None]).double().sum())
    shared = float(score_candidates(model, prompt, trie, chunk)[leaf])
    if not abs(shared - alone) < 1e-2 + 1e-4 * abs(alone):
        raise InputError(
            f"this model does not heed a block attention mask (log-probability {shared:.4f} with a "
            f"shared prompt, {alone:.4f} alone): set ranking_cases to 0",
            field="rare.evaluation.ranking_cases",
        )


def rank_candidates(
    model: torch.nn.Module,
    encoder: ChatEncoder,
    prompts: Sequence[Messages],
    blanks: Sequence[Messages] | None,
    names: Sequence[str],
    *,
    k: int,
    chunk: int,
) -> dict[str, NDArray[np.float64]]:
    """Score every name as the first of the answer to every prompt.

    Args:
        model: in float32, eval mode.
        encoder: turns messages into ids, as in training.
        prompts: one conversation a case.
        blanks: the same without phenotypes, for pmi; None leaves pmi NaN.
        names: the candidates.
        k: length of the lists that the student was trained to write.
        chunk: most trie nodes in one forward pass.

    Returns:
        ``sum`` (nats), ``mean`` (nats per token), ``pmi`` (sum less the sum after the blank prompt),
        each (cases, names).
    """
    lines = first_lines(encoder, prompts[0], names, k)
    trie = build_trie(lines)
    tokens = sum(map(len, lines))
    cli.log.info("%d candidates, %d tokens in %d trie nodes", len(names), tokens, len(trie.tokens))
    check_masking(model, encoder.prompt_ids(prompts[0]), trie, chunk)
    without: dict[tuple[int, ...], NDArray[np.float64]] = {}
    total = np.empty((len(prompts), len(names)))
    pmi = np.full_like(total, np.nan)
    for row in cli.progress(range(len(prompts)), len(prompts), "ranked cases"):
        total[row] = score_candidates(model, encoder.prompt_ids(prompts[row]), trie, chunk)
        if blanks is not None:
            key = tuple(encoder.prompt_ids(blanks[row]))
            if key not in without:
                without[key] = score_candidates(model, key, trie, chunk)
            pmi[row] = total[row] - without[key]
    return {"sum": total, "mean": total / np.array([len(line) for line in lines]), "pmi": pmi}
