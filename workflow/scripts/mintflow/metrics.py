"""What one answer is worth: metrics of a list, or of a ranking, against truth and teacher.

Generic over any closed label set (diseases, tissue types): an answer is a list
of label ids, ``None`` where an item names no label. Each formula, its range and
in what it departs from the MINT authors' evaluator (WGLab/MINT-LLM,
AutoEvaluator) stands in docs/metrics.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from .statistics import Bounds

CUTOFFS = (1, 3, 10)
UNIT: Bounds = (0.0, 1.0)

HIT_METRICS = (
    *(f"top{cutoff}" for cutoff in CUTOFFS),
    *(f"top{cutoff}_lenient" for cutoff in CUTOFFS),
    "mrr",
)
AGREEMENT_METRICS = ("coverage", "avoidance", "car")
LIST_METRICS = ("ungrounded", "out_of_set", "duplicates", "parse_failure", "list_length", "unfinished")
RANKING_METRICS = (*(f"rank_top{cutoff}" for cutoff in CUTOFFS), "rank_mrr")

BOUNDS: dict[str, Bounds] = {
    name: None if name == "list_length" else UNIT
    for name in (*HIT_METRICS, *AGREEMENT_METRICS, *LIST_METRICS, *RANKING_METRICS)
}


@dataclass(frozen=True)
class Labels:
    """Which ids mean one label, which labels are one family, and which can be the truth.

    Args:
        candidates: ids of the closed label set.
        family: candidate id -> key of its family (phenotypic series), where it has one.
        collapse: gives the id that stands for an id; by default itself.
    """

    candidates: frozenset[str]
    family: Mapping[str, str] = field(default_factory=dict)
    collapse: Callable[[str], str] = str

    def __post_init__(self) -> None:
        """Collapse the ids of the candidates themselves."""
        collapse = self.collapse
        object.__setattr__(self, "candidates", frozenset(collapse(label) for label in self.candidates))
        object.__setattr__(self, "family", {collapse(key): value for key, value in self.family.items()})

    def related(self, label: str, truth: str) -> bool:
        """Whether two canonical ids are one label or of one family."""
        family = self.family.get(truth)
        return label == truth or (family is not None and self.family.get(label) == family)


@dataclass(frozen=True)
class TeacherLists:
    """The teacher's top-k and bottom-q labels of one case, canonical ids."""

    top: frozenset[str]
    bottom: frozenset[str]


def teacher_lists(ranks: Mapping[str, int], k: int, q: int) -> TeacherLists:
    """First ``k`` and last ``q`` labels by (rank, id).

    Raises:
        ValueError: fewer than k + q labels.
    """
    if len(ranks) < k + q:
        raise ValueError(f"k + q = {k + q} exceeds the {len(ranks)} ranked labels")
    ordered = sorted(ranks, key=lambda label: (ranks[label], label))
    return TeacherLists(frozenset(ordered[:k]), frozenset(ordered[-q:]))


def collapse_ranks(table: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """Rank canonical labels: ids of one label are merged at their best rank, ties rank worst.

    Both rules are PhEval's (monarch-initiative/pheval issues 326, 349, 427).

    Args:
        table: case_id, disease_id, rank.
        labels: the label set.

    Returns:
        case_id, label, rank (int), sorted by case_id, rank, label.
    """
    ids = table["disease_id"]
    names = {label: labels.collapse(label) for label in ids.unique()}
    named = table.assign(label=ids.map(names))
    best = named.groupby(["case_id", "label"], as_index=False)["rank"].min()
    best["rank"] = best.groupby("case_id")["rank"].rank(method="max").astype(int)
    return best.sort_values(["case_id", "rank", "label"], ignore_index=True)


def hits(position: float, lenient_position: float, cutoffs: Sequence[int] = CUTOFFS) -> dict[str, float]:
    """``HIT_METRICS`` of a truth found at ``position`` (1-based; infinity when absent)."""
    result = {f"top{cutoff}": float(position <= cutoff) for cutoff in cutoffs}
    result |= {f"top{cutoff}_lenient": float(lenient_position <= cutoff) for cutoff in cutoffs}
    return result | {"mrr": 1.0 / position}


def agreement(
    named: Iterable[str], teacher: TeacherLists, car_lambda: float, k: int, q: int
) -> dict[str, float]:
    """``AGREEMENT_METRICS`` of the labels that an answer names (at most k, canonical).

    An answer without labels has coverage 0, avoidance 1 and CAR 0: avoidance says something
    only together with coverage.
    """
    labels = set(named)
    coverage = len(labels & teacher.top) / k
    avoidance = 1.0 - len(labels & teacher.bottom) / min(k, q)
    weighted = car_lambda * coverage + avoidance
    car = (1.0 + car_lambda) * coverage * avoidance / weighted if weighted > 0 else 0.0
    return {"coverage": coverage, "avoidance": avoidance, "car": car}


def score_list(
    items: Sequence[str | None],
    truth: str,
    labels: Labels,
    teacher: TeacherLists,
    *,
    k: int,
    q: int,
    car_lambda: float,
    finished: bool = True,
    cutoffs: Sequence[int] = CUTOFFS,
) -> dict[str, float]:
    """Metrics of one written list.

    Args:
        items: label id of each list item in order, None where an item names no known label.
        truth: id of the true label.
        labels: the label set.
        teacher: the teacher's lists for this case.
        k: length of the teacher's top list, and how many items count for agreement.
        q: length of the teacher's bottom list.
        car_lambda: weight of coverage in CAR.
        finished: whether the answer ended by itself.
        cutoffs: of the top-k metrics.

    Returns:
        ``HIT_METRICS``, ``AGREEMENT_METRICS`` and ``LIST_METRICS``.
    """
    right = labels.collapse(truth)
    named: dict[str, None] = {}
    position, found, found_related = 0, math.inf, math.inf
    ungrounded = outside = repeated = 0
    for item in items:
        label = labels.collapse(item) if item is not None else None
        if label in named:
            repeated += 1
            continue  # a repeated label takes no second place
        position += 1
        if label is None:
            ungrounded += 1
            continue
        named[label] = None
        outside += label not in labels.candidates
        if label == right:
            found = min(found, position)
        if labels.related(label, right):
            found_related = min(found_related, position)
    total = len(items)
    return {
        **hits(found, found_related, cutoffs),
        **agreement(list(named)[:k], teacher, car_lambda, k, q),
        "ungrounded": ungrounded / total if total else 1.0,
        "out_of_set": outside / total if total else 0.0,
        "duplicates": repeated / total if total else 0.0,
        "parse_failure": float(not total),
        "list_length": float(total),
        "unfinished": float(not finished),
    }


def score_ranks(
    ranks: Mapping[str, int],
    truth: str,
    labels: Labels,
    teacher: TeacherLists,
    *,
    k: int,
    q: int,
    car_lambda: float,
    cutoffs: Sequence[int] = CUTOFFS,
) -> dict[str, float]:
    """``HIT_METRICS`` and ``AGREEMENT_METRICS`` of one ranking (canonical label -> rank).

    The labels it names are those of rank k or better; as ties take the worst rank, these are at
    most k, and a tie across k names none of its labels.
    """
    found, related = _positions(ranks, truth, labels)
    named = [label for label, rank in ranks.items() if rank <= k]
    return {**hits(found, related, cutoffs), **agreement(named, teacher, car_lambda, k, q)}


def score_closed_set(
    ranks: Mapping[str, int], truth: str, labels: Labels, cutoffs: Sequence[int] = CUTOFFS
) -> dict[str, float]:
    """``RANKING_METRICS`` of a ranking of all candidates (canonical label -> rank)."""
    found = hits(*_positions(ranks, truth, labels), cutoffs)
    return {f"rank_{name}": found[name] for name in (*(f"top{cutoff}" for cutoff in cutoffs), "mrr")}


def _positions(ranks: Mapping[str, int], truth: str, labels: Labels) -> tuple[float, float]:
    right = labels.collapse(truth)
    related = (rank for label, rank in ranks.items() if labels.related(label, right))
    return ranks.get(right, math.inf), min(related, default=math.inf)
