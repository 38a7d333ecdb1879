"""The tissue track's result in plain sentences, above all: does the student use the image?

It does where it beats, in paired tests, both itself shown a blank image and itself shown another tile.
Worded from the numbers alone; a claim needs the test's support after correction for multiple comparisons.
"""

from __future__ import annotations

from . import labels
from .findings import (
    ALPHA,
    BETTER,
    TIED,
    UNTESTED,
    WHOLE_LIST,
    WORSE,
    Finding,
    Results,
    join,
    percent,
    rivals,
)

USES, NOT_SHOWN = "uses the image", "is not shown to use the image"
UNMEASURED = "was not tested without the image"


def uses_image(results: Results, student: str) -> str:
    """``USES``, ``NOT_SHOWN``, or ``UNMEASURED`` where a control is missing."""
    verdicts = [results.verdict(student, f"{student}-{name}", WHOLE_LIST) for name in ("blank", "shuffled")]
    if UNTESTED in verdicts:
        return UNMEASURED
    return USES if verdicts == [BETTER, BETTER] else NOT_SHOWN


def least_p(results: Results, student: str, units: int) -> float:
    """The smallest adjusted p-value that any answers could reach in the tests that decide.

    A paired test flips whole units (patients): of 2**units patterns two are as extreme as units that all
    agree. Holm's correction multiplies the smallest of a metric's p-values by their number in the family.
    """
    return min(1.0, results.tests(student, WHOLE_LIST) * 2.0 ** (1 - units))


def image_sentence(results: Results, student: str, units: int, unit: str = "patient") -> Finding:
    """The answer to the track's question, with the numbers that it rests on.

    Args:
        results: all numbers of the run.
        student: key of the arm that the section is about.
        units: how many units the paired tests flip.
        unit: what one is called.
    """
    name = str(labels.TISSUE.arm(student))
    start = name[:1].upper() + name[1:]
    verdict = uses_image(results, student)
    if verdict == UNMEASURED:
        return Finding("bad", f"Whether {name} uses the image is not known: both controls are needed.")
    parts = []
    for control, how in (("blank", "shown a blank image"), ("shuffled", "shown another patient's tile")):
        found = results.get(f"{student}-{control}", "top1")
        if found is not None:
            parts.append(f"{percent(found.value)} {how}")
    own = results.get(student, "top1")
    numbers = (
        f"Right tissue first: {percent(own.value)} with its own tile, {join(parts)}." if own and parts else ""
    )
    if verdict == USES:
        text = f"{start} uses the image: it beats itself without it in both paired tests. {numbers}"
        return Finding("good", text.strip())
    text = f"{start} is not shown to use the image: it does not beat both its controls. {numbers}"
    if least_p(results, student, units) >= ALPHA:
        text += (
            f" With {labels.plural(units, unit)} tested no answers whatever could reach an adjusted p below "
            f"{ALPHA}: the test split is too small to tell."
        )
    return Finding("bad", text.strip())


def headline(results: Results, student: str) -> Finding:
    """The result in one sentence: against the base model, with and without the image, against the teacher."""
    name = str(labels.TISSUE.arm(student))
    start = name[:1].upper() + name[1:]
    if results.get(student, "top1") is None:
        return Finding("bad", f"{start} was not measured in this run.")
    base = results.verdict(student, "base", WHOLE_LIST)
    seen = uses_image(results, student)
    if base == WORSE:
        return Finding("bad", f"{start} is worse than the base model it was made from, and {seen}.")
    if base != BETTER:
        joined = "and" if seen == NOT_SHOWN else "though it"
        return Finding("bad", f"{start} is not shown to be better than the base model, {joined} {seen}.")
    ending = {
        WORSE: "; it stays below its teacher",
        BETTER: "; it is better than its teacher",
        TIED: "; it cannot be told apart from its teacher",
    }.get(results.verdict(student, "teacher", "top1"), "")
    tone = "good" if seen == USES else "bad"
    joined = "and" if seen == USES else "but"
    return Finding(tone, f"{start} is better than the base model, {joined} {seen}{ending}.")


def findings(
    results: Results, student: str, *, tiles: str, asked: int, units: int, unit: str = "patient"
) -> list[Finding]:
    """The summary's paragraphs.

    Args:
        results: all numbers of the run.
        student: key of the arm that the section is about.
        tiles: what was tested, in words, e.g. "160 synthetic tiles of 7 patients".
        asked: how many labels the student was asked to list.
        units, unit: see `image_sentence`.
    """
    found = []
    first, f1 = results.get(student, "top1"), results.get(student, "macro_f1")
    if first is not None:
        text = (
            f"Asked for the {asked} most likely tissue types of each of {tiles}, "
            f"{labels.TISSUE.arm(student)} named the right one first in {first.words()}"
        )
        text += f"; macro F1 {f1.words()}." if f1 is not None else "."
        found.append(Finding("plain", text))
    found.append(image_sentence(results, student, units, unit))
    for other, sort in (("base", WHOLE_LIST), ("teacher", "top1"), ("prior", "top1")):
        theirs = results.get(other, "top1")
        verdict = results.verdict(student, other, sort)
        wording = {
            BETTER: ("good", "better than"),
            WORSE: ("bad", "worse than"),
            TIED: ("plain", "not told apart from"),
        }
        if theirs is not None and verdict in wording:
            tone, words = wording[verdict]
            arm = labels.TISSUE.arm(other)
            found.append(
                Finding(tone, f"It is {words} {arm} (right tissue first in {percent(theirs.value)}).")
            )
    against = rivals(results, student)
    if against is not None:
        found.append(against)
    own = results.get(student, "ungrounded")
    if own is not None:
        base = results.get("base", "ungrounded")
        text = f"Of the items it lists, {own.words()} name no label of the closed set"
        found.append(
            Finding("plain", text + (f"; of the base model's, {percent(base.value)}." if base else "."))
        )
    return found
