"""A teacher's ranking turned into preference pairs: chosen = its top-k list, rejected = its bottom-q list.

Knows items and labels only, nothing of patients or diseases: any task that ranks
a closed set of labels for every item uses it as it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .conversations import answer
from .errors import InputError
from .lists import format_list

RANKED = ("ranked", "ranked_scores")


@dataclass(frozen=True)
class Lengths:
    """Lengths of the two lists, and which labels below the first k are rejected.

    Attributes:
        k: of the chosen list.
        q: of the rejected one.
        where: names the configuration section in errors.
        rejected: ``bottom``, the last q; ``hard``, those just below k; ``random``, any below k.
        seed: of that draw.
    """

    k: int
    q: int
    where: str = "preferences"
    rejected: str = "bottom"
    seed: int = 0

    def positions(self, items: int, labels: int) -> np.ndarray:
        """Places of the rejected labels in the teacher's order, (items, q), increasing."""
        if self.rejected == "random":
            lots = np.random.default_rng(self.seed).random((items, labels - self.k))
            return self.k + np.sort(np.argsort(lots, axis=1)[:, : self.q], axis=1)
        start = self.k if self.rejected == "hard" else labels - self.q
        return np.tile(np.arange(start, start + self.q), (items, 1))


def order_labels(
    items: Sequence[str], ranking: pd.DataFrame, labels: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Every item's labels in the teacher's order, best first, ties by ``label_id``.

    Labels that share a name cannot be told apart in a list of names: of those,
    each item keeps the one that its teacher ranks best.

    Args:
        items: ids, all different.
        ranking: item_id, label_id, score (higher is better), rank (1 is best, ties share a rank);
            every item must rank every label once. Rows of other items are ignored.
        labels: label_id, name; sorted by label_id.

    Returns:
        Positions in ``labels`` and their scores, both (items, differently named labels).

    Raises:
        InputError: a label is unknown, missing or repeated for an item, or a rank or score is no number.
    """
    ids = pd.Index(items)
    row = ids.get_indexer(ranking["item_id"])
    ranking, row = ranking[row >= 0], row[row >= 0]
    column = pd.Index(labels["label_id"]).get_indexer(ranking["label_id"])
    score, rank = (ranking[name].to_numpy(float, na_value=np.nan) for name in ("score", "rank"))
    if (unknown := column < 0).any():
        raise InputError("label without a name", record=ranking.loc[unknown, "label_id"].iloc[0])
    if (bad := ~(np.isfinite(score) & np.isfinite(rank))).any():
        raise InputError("score or rank is not a number", record=ids[row[bad][0]])
    shape = (len(ids), len(labels))
    times = np.bincount(row * shape[1] + column, minlength=shape[0] * shape[1]).reshape(shape)
    if (wrong := np.flatnonzero((times != 1).any(axis=1))).size:
        found = int((times[wrong[0]] > 0).sum())
        problem = f"ranks {found} of {shape[1]} labels" if found < shape[1] else "ranks a label twice"
        raise InputError(problem, record=ids[wrong[0]])
    ranks, scores = np.empty(shape), np.empty(shape)
    ranks[row, column], scores[row, column] = rank, score
    order = np.argsort(ranks, axis=1, kind="stable")  # stable: equal ranks stay in the order of the ids
    names = pd.factorize(labels["name"])[0]
    if len(set(names)) < len(names) and len(ids):
        firsts = (line[np.sort(np.unique(names[line], return_index=True)[1])] for line in order)
        order = np.stack(list(firsts))
    return order, np.take_along_axis(scores, order, axis=1)


def _checked_labels(labels: pd.DataFrame) -> pd.DataFrame:
    if (repeated := labels["label_id"].duplicated()).any():
        raise InputError("named twice", record=labels.loc[repeated, "label_id"].iloc[0])
    for label, name in zip(labels["label_id"], labels["name"], strict=True):
        try:
            format_list([name])
        except (ValueError, AttributeError) as error:
            raise InputError(f"{error}", record=label, field="name") from error
    return labels.sort_values("label_id", ignore_index=True)


def build_pairs(
    items: pd.DataFrame, ranking: pd.DataFrame, labels: pd.DataFrame, lengths: Lengths
) -> pd.DataFrame:
    """One pair for every item, both lists in the teacher's order and in the same format.

    Args:
        items: item_id (unique), prompt, and whatever else a pair should carry (e.g. image references).
        ranking: as for `order_labels`.
        labels: label_id (unique), name, in any order.
        lengths: of the lists.

    Returns:
        The columns of ``items`` plus chosen, rejected (each one assistant message),
        chosen_ids, rejected_ids (lists of label ids), ranked, ranked_scores (names and
        scores of all labels, best first), ``tied`` (the last chosen and the first
        rejected label share a score: sorting by id decided which is which) and ``flat``
        (so do the first chosen and the last rejected: no preference at all). Sorted by
        item_id.

    Raises:
        InputError: k + q exceeds the number of differently named labels, a name is missing or does
            not fit on one line, or as for `order_labels`.
    """
    k, q = lengths.k, lengths.q
    labels = _checked_labels(labels)
    available = labels["name"].nunique()
    if k + q > available:
        raise InputError(
            f"k + q = {k} + {q} = {k + q} is more than the {available} labels, so the lists would overlap",
            record=f"{lengths.where}.k and {lengths.where}.q",
        )
    items = items.sort_values("item_id", ignore_index=True)
    order, scores = order_labels(items["item_id"], ranking, labels)
    ids, names = (labels[column].to_numpy(object)[order] for column in ("label_id", "name"))
    places = lengths.positions(*names.shape)
    rejected = np.take_along_axis(scores, places, axis=1)
    return items.assign(
        chosen=[answer(format_list(row)) for row in names[:, :k].tolist()],
        rejected=[answer(format_list(row)) for row in np.take_along_axis(names, places, axis=1).tolist()],
        chosen_ids=ids[:, :k].tolist(),
        rejected_ids=np.take_along_axis(ids, places, axis=1).tolist(),
        ranked=names.tolist(),
        ranked_scores=scores.tolist(),
        tied=scores[:, k - 1] == rejected[:, 0],
        flat=scores[:, 0] == rejected[:, -1],
    )


def name_truth(items: pd.DataFrame, truth: pd.Series, labels: pd.DataFrame) -> pd.DataFrame:
    """``items`` with a column ``truth``: the list of the true label alone, in the format of the others.

    Args:
        items: item_id.
        truth: true label id of every item, indexed by item_id.
        labels: label_id, name.

    Raises:
        InputError: the true label of an item has no name.
    """
    names = items["item_id"].map(truth).map(labels.set_index("label_id")["name"])
    if (missing := names.isna()).any():
        raise InputError("true label has no name", record=items.loc[missing, "item_id"].iloc[0])
    return items.assign(truth=[answer(format_list([name])) for name in names])


def drop_repeats(pairs: pd.DataFrame) -> pd.DataFrame:
    """Keep the first of the pairs with the same prompt, carried columns and chosen list.

    Of these, pairs that name different truths (column ``truth``, where there is one) are no repeats of one
    another; one without a truth repeats any before it.
    """
    aside = {"item_id", "rejected", "chosen_ids", "rejected_ids", "tied", "flat", "truth", *RANKED}

    def keys(columns: Sequence[str]) -> pd.Series:
        rows = pairs[list(columns)].to_numpy(object).tolist()
        return pd.Series([json.dumps(row, sort_keys=True) for row in rows], pairs.index)

    shown = [name for name in pairs.columns if name not in aside]
    repeats = keys(shown).duplicated()
    if "truth" in pairs:
        repeats &= pairs["truth"].isna() | keys([*shown, "truth"]).duplicated()
    return pairs[~repeats]


def with_views(pairs: pd.DataFrame, views: pd.DataFrame) -> pd.DataFrame:
    """Each pair, then the same lists under further prompts of its item, but for repeats (see `drop_repeats`).

    Args:
        pairs: item_id (unique), prompt and whatever else a pair has.
        views: item_id, view (from 1), prompt; those of other items are ignored.
    """
    further = pairs.drop(columns="prompt").merge(views[["item_id", "view", "prompt"]], on="item_id")
    both = pd.concat([pairs.assign(view=0), further], ignore_index=True)
    # own prompts first: a view never displaces another item's own pair
    first = both.sort_values(["view", "item_id"], ignore_index=True)
    # whatever their truth: what fits two diseases is no further view of one
    fresh = drop_repeats(first[[name for name in pairs.columns if name != "truth"]]).index
    kept = (first["view"] == 0) | first.index.isin(fresh)
    return first[kept].sort_values(["item_id", "view"], ignore_index=True)[pairs.columns]


def sample_spread(pairs: pd.DataFrame, groups: pd.Series, limit: int | None, seed: int) -> pd.DataFrame:
    """At most ``limit`` pairs, as evenly over ``groups`` as their sizes allow.

    Every group gives one random pair before any gives its second, and so on;
    in the last round the giving groups are drawn too.

    Args:
        pairs: sorted by item_id.
        groups: the group of every item, indexed by item_id.
        limit: None for all.
        seed: of the draw.
    """
    if limit is None or len(pairs) <= limit:
        return pairs
    lot = pd.Series(np.random.default_rng(seed).random(len(pairs)), pairs.index)
    turn = lot.groupby(pairs["item_id"].map(groups)).rank(method="first")
    chosen = pd.DataFrame({"turn": turn, "lot": lot}).sort_values(["turn", "lot"]).index[:limit]
    return pairs.loc[sorted(chosen)]
