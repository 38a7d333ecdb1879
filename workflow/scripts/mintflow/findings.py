"""The result in plain sentences, worded from the numbers alone.

A claim of better or worse is made only where the paired test supports it after correction for
multiple comparisons; otherwise the two arms are said to be indistinguishable on these patients.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from . import labels

ALPHA = 0.05
BETTER, WORSE, TIED, UNTESTED = "better", "worse", "not distinguishable", "not tested"
# What decides between the student and other lists (the base model, itself without its input): it is asked
# for a list, so the place of the right disease in all of it counts.
WHOLE_LIST = "mrr"
# other ways to use the same model and the same teacher
RIVALS = ("sft", "sft-truth", "dpo", "listwise", "rag", "orpo+rag")


@dataclass(frozen=True)
class Estimate:
    """One cell of metrics.csv: a mean over ``n`` patients with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def words(self) -> str:
        """``47.5 % (95 % interval 40.1 to 55.0 %)``."""
        return f"{percent(self.value)} (95\u00a0% interval {_number(self.low)} to {percent(self.high)})"


@dataclass(frozen=True)
class Difference:
    """Paired difference in one metric, and whether its test supports it."""

    value: float
    low: float
    high: float
    p_value: float
    p_adjusted: float
    n: int

    @property
    def verdict(self) -> str:
        """Better, worse, not distinguishable or not tested; higher is taken as better."""
        if math.isnan(self.p_adjusted):
            return UNTESTED
        if self.p_adjusted >= ALPHA or self.value == 0:
            return TIED
        return BETTER if self.value > 0 else WORSE

    def reversed(self) -> Difference:
        """The same comparison with the arms exchanged."""
        return Difference(-self.value, -self.high, -self.low, self.p_value, self.p_adjusted, self.n)


class Results:
    """Look-ups in metrics.csv and comparisons.csv."""

    def __init__(
        self,
        metrics: pd.DataFrame,
        comparisons: pd.DataFrame,
        vocabulary: labels.Vocabulary = labels.RARE,
    ) -> None:
        known = metrics.dropna(subset=["value"])
        self._estimates = {
            (row.arm, row.metric): Estimate(row.value, row.ci_low, row.ci_high, int(row.n))
            for row in known.itertuples(index=False)
        }
        self._differences: dict[tuple[str, str, str], Difference] = {}
        for row in comparisons.itertuples(index=False):
            found = Difference(
                row.difference, row.ci_low, row.ci_high, row.p_value, row.p_adjusted, int(row.n)
            )
            self._differences[row.arm_a, row.arm_b, row.metric] = found
            self._differences[row.arm_b, row.arm_a, row.metric] = found.reversed()
        self.arms = vocabulary.in_order(metrics["arm"])
        self._tests = comparisons.groupby(["arm_a", "metric"]).size().to_dict()

    def get(self, arm: str, metric: str) -> Estimate | None:
        """The estimate, or None where the arm was not measured so."""
        return self._estimates.get((arm, metric))

    def has(self, metric: str) -> bool:
        """Whether any arm has this metric."""
        return any(name == metric for _, name in self._estimates)

    def compare(self, arm: str, other: str, metric: str) -> Difference | None:
        """``arm`` minus ``other``, or None where the two were not compared."""
        return self._differences.get((arm, other, metric))

    def tests(self, arm: str, metric: str) -> int:
        """How many others ``arm`` was tested against in this metric: its family in Holm's correction."""
        return int(self._tests.get((arm, metric), 0))

    def verdict(self, arm: str, other: str, metric: str) -> str:
        """How ``arm`` stands against ``other``; ``UNTESTED`` where the two were not compared."""
        found = self.compare(arm, other, metric)
        return found.verdict if found else UNTESTED


@dataclass(frozen=True)
class Finding:
    """One paragraph of the summary; ``tone`` is good, bad or plain, for its mark."""

    tone: str
    text: str


def percent(share: float) -> str:
    """``0.475`` as ``47.5 %`` (the space does not break); no number as ``not estimable``."""
    return f"{_number(share)}\u00a0%" if math.isfinite(share) else "not estimable"


def _number(share: float) -> str:
    return f"{100 * share:.1f}" if math.isfinite(share) else "?"


def points(share: float) -> str:
    """A difference of shares in signed percentage points."""
    return f"{100 * share:+.1f}".replace("-", "−") if math.isfinite(share) else "not estimable"


def p_words(p_value: float) -> str:
    """A p-value to three places, small ones as a bound."""
    if math.isnan(p_value):
        return "–"
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def headline(results: Results, student: str) -> Finding:
    """The result in one sentence: against the base model, without input, against the yardsticks."""
    name, own = str(labels.arm(student)), results.get(student, "top1")
    start = name[:1].upper() + name[1:]
    if own is None:
        return Finding("bad", f"{start} was not measured in this run.")
    base = results.verdict(student, "base", WHOLE_LIST)
    if base == WORSE:
        return Finding("bad", f"{start} is worse than the base model it was made from.")
    if base != BETTER:
        return Finding("bad", f"{start} is not shown to be better than the untuned base model.")
    controls = [results.verdict(student, arm.key, WHOLE_LIST) for arm in _controls(results, student)]
    if controls and all(verdict == BETTER for verdict in controls):
        text = f"{start} is better than the untuned base model, and it uses the patient's phenotypes"
        tone = "good"
    elif controls:
        text = (
            f"{start} is better than the untuned base model, but it is not shown to use the "
            "patient's phenotypes"
        )
        tone = "bad"
    else:
        text, tone = f"{start} is better than the untuned base model", "plain"
    same_view = results.verdict(student, "teacher-phenotype", "top1")
    ending = {
        WORSE: "; it stays below the teacher that sees phenotypes alone",
        BETTER: "; it is better than the teacher that sees phenotypes alone",
        TIED: "; it cannot be told apart from the teacher that sees phenotypes alone",
    }
    return Finding(tone, text + ending.get(same_view, "") + ".")


def findings(results: Results, student: str, *, patients: str, asked: int) -> list[Finding]:
    """The summary's paragraphs.

    Args:
        results: all numbers of the run.
        student: key of the arm that the report is about.
        patients: who was tested, in words, e.g. "160 simulated patients of 40 publications".
        asked: how many diseases the student was asked to list (k).
    """
    return [
        found
        for found in (
            _reached(results, student, patients, asked),
            *_against(results, student),
            rivals(results, student),
            _without_input(results, student),
            _invented(results, student),
            _unseen(results, student),
        )
        if found is not None
    ]


def _reached(results: Results, student: str, patients: str, asked: int) -> Finding | None:
    first = results.get(student, "top1")
    if first is None:
        return None
    text = (
        f"Asked for the {asked} most likely diseases of each of {patients}, "
        f"{labels.arm(student)} named the right one first in {first.words()}"
    )
    cutoff = max((cut for cut in (3, 10) if cut <= asked), default=0)
    further = results.get(student, f"top{cutoff}")
    if further is not None:
        text += f", and among its first {cutoff} in {further.words()}"
    return Finding("plain", text + ".")


def _against(results: Results, student: str) -> list[Finding]:
    others = [
        arm
        for arm in results.arms
        if arm.key not in (student, *RIVALS) and arm.group not in (labels.CONTROL, labels.VARIANT)
    ]
    sorted_by: dict[str, list[str]] = {BETTER: [], TIED: [], WORSE: [], UNTESTED: []}
    for arm in others:
        theirs = results.get(arm.key, "top1")
        if theirs is not None:
            # a ranking has places beyond the end of a list, so the two meet at the first place only
            metric = WHOLE_LIST if arm.writes_lists else "top1"
            sorted_by[results.verdict(student, arm.key, metric)].append(f"{arm} ({percent(theirs.value)})")
    wording = (
        (BETTER, "good", "It does better than"),
        (WORSE, "bad", "It does worse than"),
        (TIED, "plain", "On these patients it cannot be told apart from"),
        (UNTESTED, "plain", "No paired test was made against"),
    )
    return [
        Finding(tone, f"{words} {join(sorted_by[verdict])}.")
        for verdict, tone, words in wording
        if sorted_by[verdict]
    ]


def rivals(results: Results, student: str) -> Finding | None:
    """How the student compares with other ways to use the same model; None where the run has none."""
    told: dict[str, list[str]] = {BETTER: [], WORSE: [], TIED: []}
    for arm in results.arms:
        found = results.compare(student, arm.key, WHOLE_LIST)
        if found is not None and arm.key in RIVALS and found.verdict in told:
            told[found.verdict].append(
                f"{arm} ({points(found.value)} points of MRR, adjusted p {p_words(found.p_adjusted)})"
            )
    wording = {BETTER: "it is better than", WORSE: "it is worse than", TIED: "it cannot be told apart from"}
    parts = [f"{wording[verdict]} {join(arms)}" for verdict, arms in told.items() if arms]
    if not parts:
        return None
    tone = "bad" if told[WORSE] else "good" if not told[TIED] else "plain"
    name = str(labels.arm(student))
    return Finding(
        tone, f"{name[:1].upper()}{name[1:]} against other ways to use the same model: {'; '.join(parts)}."
    )


def _controls(results: Results, student: str) -> list[labels.Arm]:
    return [
        arm
        for arm in results.arms
        if arm.group == labels.CONTROL
        and arm.key.startswith(f"{student}-")
        and results.get(arm.key, "top1") is not None
    ]


def _without_input(results: Results, student: str) -> Finding | None:
    controls = _controls(results, student)
    if not controls or results.get(student, "top1") is None:
        return None
    how = {"blank": "with the phenotypes hidden", "shuffled": "shown another patient's phenotypes"}
    parts = []
    for arm in controls:
        found = results.get(arm.key, "top1")
        assert found is not None  # _controls keeps measured arms only
        parts.append(f"{how[arm.key.rpartition('-')[2]]} it is right in {percent(found.value)}")
    text = f"Without the patient's own input: {join(parts)}."
    verdicts = [results.verdict(student, arm.key, WHOLE_LIST) for arm in controls]
    tested = "Paired tests of where the right disease stands in the list"
    if all(verdict == BETTER for verdict in verdicts):
        return Finding("good", f"{text} {tested} support the difference: it reads the patient.")
    if all(verdict == UNTESTED for verdict in verdicts):
        return Finding("plain", text)
    if BETTER in verdicts:
        return Finding("bad", f"{text} {tested} support the difference to one of these only.")
    return Finding("bad", f"{text} {tested} give no evidence that it reads the patient.")


def _invented(results: Results, student: str) -> Finding | None:
    own, base = results.get(student, "ungrounded"), results.get("base", "ungrounded")
    if own is None:
        return None
    text = f"Of the items it lists, {own.words()} are no known disease name or synonym"
    text += f"; of the base model's, {percent(base.value)}." if base else "."
    return Finding("plain", text)


def _unseen(results: Results, student: str) -> Finding | None:
    own = results.get(student, "top1_unseen")
    if own is None:
        return None
    text = (
        f"For {labels.plural(own.n, 'patient')} whose disease occurs in no training patient it is right "
        f"in {own.words()}"
    )
    teacher = results.get("teacher", "top1_unseen")
    text += f"; the teacher in {percent(teacher.value)}." if teacher else "."
    return Finding("bad" if own.value == 0 else "plain", text)


def join(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


@dataclass(frozen=True)
class Row:
    """One arm's line of a results table: (value, interval) in percent a column, and how many patients."""

    arm: labels.Arm
    cells: list[tuple[str, str]]
    n: str


def rows(results: Results, columns: Sequence[str]) -> list[Row]:
    """Lines of a results table, arms in order; arms that have none of the metrics are left out."""
    table = []
    for arm in results.arms:
        found = [results.get(arm.key, key) for key in columns]
        counts = sorted({estimate.n for estimate in found if estimate})
        if counts:
            texts = [
                (_number(one.value), f"{_number(one.low)}–{_number(one.high)}") if one else ("–", "")
                for one in found
            ]
            table.append(Row(arm, texts, "–".join(f"{count:,}" for count in sorted({counts[0], counts[-1]}))))
    return table


def opponents(results: Results, student: str, metric: str) -> Iterator[dict[str, Any]]:
    """The student's paired comparisons in one metric; of whole lists only with arms that write lists."""
    words = {BETTER: "student better", WORSE: "student worse"}
    for arm in results.arms:
        found = results.compare(student, arm.key, metric)
        if found is not None and (arm.writes_lists or metric != WHOLE_LIST):
            yield {
                "arm": arm,
                "difference": points(found.value),
                "interval": f"{points(found.low)} to {points(found.high)}",
                "p": p_words(found.p_value),
                "p_adjusted": p_words(found.p_adjusted),
                "n": found.n,
                "verdict": words.get(found.verdict, found.verdict),
            }
