"""Closed-set ranking: the log-probability of every candidate answer after one prompt.

The prompt is computed once; its KV cache serves all candidates. The candidates'
tokens form a trie, and each trie node is computed once too: nodes are laid out
in one sequence under a block mask in which a node sees the prompt, its
ancestors and itself, at the position of its depth. Equal to scoring each
candidate alone up to rounding. Of many candidates the likeliest can be had
without reading the rest (``best_candidates``). Everything runs in float32:
in bfloat16 two orders of the same sums differ by tenths of a nat.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from .shared_rows import require_within_window, score_alone
from .tokenization import Pair

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


def plan_chunks(trie: Trie, limit: int, wanted: Iterable[int] | None = None) -> list[list[int]]:
    """Inner nodes (those with children) in groups closed under ancestors, at most ``limit`` each.

    The end of a sequence is predicted, never read, so it needs no forward pass. Ancestors shared
    by two chunks are computed in both. A single path longer than ``limit`` has a chunk to itself.

    Args:
        trie: the candidates.
        limit: most nodes of a group.
        wanted: inner nodes in ascending order, so that neighbours share ancestors; all by default.
    """
    inner = [node for node in trie.children if node >= 0]
    chunks: list[list[int]] = []
    current: dict[int, None] = {}
    for node in inner if wanted is None else wanted:
        new = [step for step in trie.path(node) if step not in current]
        if current and len(current) + len(new) > limit:
            chunks.append(list(current))
            current, new = {}, trie.path(node)
        current.update(dict.fromkeys(new))
    return [*chunks, list(current)] if current else chunks


class Scorer:
    """The log-probability of every node of a trie behind one prompt, as far as the nodes have been read.

    Args:
        model: a causal language model of transformers in float32, in eval mode, whose attention
            takes an additive 4D mask (sdpa or eager).
        prompt: token ids, read at once.
        trie: the candidates.
        chunk: most trie nodes in one forward pass.

    Raises:
        ValueError: the model is not in float32, or the prompt is empty.
        InputError: a likelihood is not finite.
    """

    @torch.inference_mode()
    def __init__(self, model: torch.nn.Module, prompt: Sequence[int], trie: Trie, chunk: int) -> None:
        from transformers import DynamicCache

        if model.dtype != torch.float32:
            raise ValueError(f"ranking needs a model in float32, not {model.dtype}")
        if not prompt:
            raise ValueError("empty prompt")
        self.model, self.trie, self.chunk, self.length = model, trie, chunk, len(prompt)
        self.device = next(model.parameters()).device
        self.tokens = torch.tensor(trie.tokens, device=self.device)
        self.read_nodes = {-1}
        # given its parent; unknown until that one is read
        self._node_logp = np.full(len(trie.tokens), np.nan)
        self.cache = DynamicCache(config=model.config)
        first = model(
            input_ids=torch.tensor([list(prompt)], device=self.device),
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[0]
        self._fill(first, [-1])

    @torch.inference_mode()
    def read(self, wanted: Iterable[int] | None = None) -> None:
        """Read nodes, all that have children by default, and their ancestors; ``chunk`` at most at a time."""
        for nodes in plan_chunks(self.trie, self.chunk, wanted):
            depths = [self.length + self.trie.depths[node] for node in nodes]
            logits = self.model(
                input_ids=self.tokens[nodes][None],
                attention_mask=_block_mask(self.trie, nodes, self.length, self.device),
                position_ids=torch.tensor([depths], device=self.device),
                past_key_values=self.cache,
                use_cache=True,
            ).logits[0]
            self.cache.crop(-len(nodes))
            fresh = [row for row, node in enumerate(nodes) if node not in self.read_nodes]
            self._fill(logits[fresh], [nodes[row] for row in fresh])
            self.read_nodes.update(nodes)

    def totals(self) -> NDArray[np.float64]:
        """Log-probability of every prefix, nats summed over its tokens, (nodes,); NaN where not known yet."""
        totals = np.empty(len(self.trie.tokens))
        for node, parent in enumerate(self.trie.parents):  # parents come first
            totals[node] = self._node_logp[node] + (totals[parent] if parent >= 0 else 0.0)
        return totals

    def _fill(self, logits: Tensor, nodes: Sequence[int]) -> None:
        """Note the log-probability of every child of ``nodes``, given the logits (nodes, vocabulary)."""
        children = self.trie.children
        for start in range(0, len(nodes), _ROWS):
            part = logits[start : start + _ROWS].float()
            norm = part.logsumexp(dim=-1)
            below = [children[node] for node in nodes[start : start + _ROWS]]
            rows = torch.from_numpy(np.repeat(np.arange(len(below)), [len(found) for found in below]))
            targets = np.concatenate(below)
            rows = rows.to(logits.device)
            found = part[rows, self.tokens[torch.from_numpy(targets).to(self.device)]] - norm[rows]
            if not found.isfinite().all():
                raise InputError("the model's likelihood of a candidate is no finite number")
            self._node_logp[targets] = found.double().cpu().numpy()


def score_candidates(
    model: torch.nn.Module, prompt: Sequence[int], trie: Trie, chunk: int
) -> NDArray[np.float64]:
    """Log-probability (nats, summed over tokens) of each sequence of ``trie`` after ``prompt``.

    Args: as of ``Scorer``.

    Returns:
        (candidates,) in the order in which the trie was given its sequences.
    """
    scorer = Scorer(model, prompt, trie, chunk)
    scorer.read()
    return scorer.totals()[list(trie.leaves)]


def best_candidates(
    model: torch.nn.Module, prompt: Sequence[int], trie: Trie, chunk: int, depth: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The ``depth`` likeliest sequences of ``trie`` and their log-probabilities, without reading all others.

    No sequence is likelier than its beginning, so a beginning that is no likelier than the last of the
    ``depth`` best known sequences need not be read on (best-first search; the result is exact).

    Args: as of ``Scorer``; depth, how many.

    Returns:
        Scores (candidates,), and which of them are the sequence's own log-probability. The others, none above
        the ``depth`` best, share the probability of their longest known beginning equally, so that no more
        probability is given away than there is.

    Raises:
        ValueError: a sequence is the beginning of another.
    """
    if begun := [leaf for leaf in trie.leaves if leaf in trie.children]:
        raise ValueError(f"a candidate is the beginning of another: {trie.leaves.index(begun[0])}")
    scorer = Scorer(model, prompt, trie, chunk)
    leaves = np.array(trie.leaves)
    while True:
        totals = scorer.totals()
        known = np.sort(totals[leaves][~np.isnan(totals[leaves])])
        least = known[-depth] if len(known) >= depth else -np.inf
        ends = [
            node
            for node in trie.children
            if node not in scorer.read_nodes and totals[node] > least  # NaN is never greater
        ]
        if not ends:
            break
        best = sorted(ends, key=lambda node: -totals[node])[:depth]
        scorer.read(sorted(node for end in best for node in _down(trie, end)))
    own = ~np.isnan(totals[leaves])
    scores = totals[leaves]
    known_beginning = [
        next((node for node in reversed(trie.path(leaf)) if not np.isnan(totals[node])), -1)
        for leaf in leaves[~own]
    ]
    _, which, sharing = np.unique(known_beginning, return_inverse=True, return_counts=True)
    scores[~own] = totals[known_beginning] - np.log(sharing[which])
    return scores, own


def _down(trie: Trie, node: int) -> list[int]:
    """A node, and those below it as far as there is no choice; none that has no children."""
    nodes = [node]
    while len(below := trie.children[nodes[-1]]) == 1 and int(below[0]) in trie.children:
        nodes.append(int(below[0]))
    return nodes


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
    alone = float(score_alone(model, Pair("", list(prompt), [], []), tokens).sum())
    shared = float(score_candidates(model, prompt, trie, chunk)[leaf])
    require_equal(shared, alone)


def require_equal(shared: float, alone: float) -> None:
    """Log-probabilities of one candidate, computed beside others and by itself.

    Raises:
        InputError: they differ, so the model does not heed the block mask.
    """
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
    depth: int | None = None,
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
        depth: only so many names of each case are scored exactly, the likeliest; all by default.

    Returns:
        ``sum`` (nats), ``mean`` (nats per token), ``pmi`` (sum less the sum after the blank prompt),
        each (cases, names). Where a name was not scored exactly, ``sum`` is as of ``best_candidates`` and
        the others are NaN.
    """
    lines = first_lines(encoder, prompts[0], names, k)
    trie = build_trie(lines)
    tokens = sum(map(len, lines))
    cli.log.info("%d candidates, %d tokens in %d trie nodes", len(names), tokens, len(trie.tokens))
    longest = max(len(encoder.prompt_ids(prompt)) for prompt in prompts)  # a blank one is no longer
    require_within_window(
        model,
        longest + max(trie.depths) + 1,
        what="a prompt and a candidate have",
        remedy="set ranking_cases to 0, or shorten the prompts (retrieval: top_k, max_terms)",
        field="rare.evaluation.ranking_cases",
    )
    check_masking(model, encoder.prompt_ids(prompts[0]), trie, chunk)
    without: dict[tuple[int, ...], NDArray[np.float64]] = {}
    total = np.empty((len(prompts), len(names)))
    exact = np.ones(total.shape, dtype=bool)
    pmi = np.full_like(total, np.nan)
    for row in cli.progress(range(len(prompts)), len(prompts), "ranked cases"):
        ids = encoder.prompt_ids(prompts[row])
        if depth is None or depth >= len(names):
            total[row] = score_candidates(model, ids, trie, chunk)
        else:
            total[row], exact[row] = best_candidates(model, ids, trie, chunk, depth)
        if blanks is not None:
            key = tuple(encoder.prompt_ids(blanks[row]))
            if key not in without:
                without[key] = score_candidates(model, key, trie, chunk)
            pmi[row] = total[row] - without[key]
    mean = total / np.array([len(line) for line in lines])
    return {"sum": total, "mean": np.where(exact, mean, np.nan), "pmi": np.where(exact, pmi, np.nan)}
