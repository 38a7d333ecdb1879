"""What arms, metrics and splits are called in figures and in the report.

Light on purpose: the report words its text from here without loading a plotting library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import InputError

STUDENT, VARIANT, CONTROL, YARDSTICK = "student", "variant", "control", "yardstick"

GROUPS = {
    STUDENT: "Language models (no genotype)",
    VARIANT: "Variants",
    CONTROL: "Controls: same student, input taken away",
    YARDSTICK: "Teacher and yardsticks (no language model)",
}


@dataclass(frozen=True)
class Arm:
    """One compared system: key in the tables, label, group, what it is, and its name in a sentence."""

    key: str
    label: str
    group: str
    meaning: str = ""
    words: str = ""

    def __str__(self) -> str:
        """Its name in a sentence."""
        return self.words or self.label

    @property
    def writes_lists(self) -> bool:
        """Whether it answers with a list, rather than ranking every candidate."""
        return self.group != YARDSTICK


def _trained(thing: str) -> tuple[Arm, ...]:
    """Arms with an adapter; every track has them."""
    return (
        Arm(
            "orpo",
            "ORPO student",
            STUDENT,
            "The same model after preference training on the teacher's lists.",
            "the ORPO student",
        ),
        Arm(
            "sft",
            "SFT student",
            STUDENT,
            "The same model trained to write the teacher's list, without a rejected one.",
            "supervised training on the teacher's lists (SFT)",
        ),
        Arm(
            "sft-truth",
            "SFT on the truth",
            STUDENT,
            f"The same model trained to write the true {thing} alone, where it is known.",
            f"supervised training on the true {thing} (SFT)",
        ),
        Arm(
            "dpo",
            "DPO student",
            STUDENT,
            "The same model trained on the same pairs by direct preference optimisation.",
            "direct preference optimisation (DPO)",
        ),
        Arm(
            "listwise",
            "Listwise student",
            STUDENT,
            f"The same model trained on the teacher's list and, {thing} by {thing}, on the teacher's scores.",
            "training on the teacher's scores (listwise)",
        ),
    )


_ARMS = (
    Arm(
        "base",
        "Base model, untuned",
        STUDENT,
        "The language model as published, before any training here.",
        "the untuned base model",
    ),
    *_trained("disease"),
    Arm(
        "rag",
        "Base model + retrieval",
        STUDENT,
        "The untuned model; its prompt begins with the disease profiles nearest to the patient's phenotypes.",
        "the untuned base model with retrieved profiles (RAG)",
    ),
    Arm(
        "orpo+rag",
        "ORPO student + retrieval",
        STUDENT,
        "The ORPO student with the same profiles in its prompt; it was trained without any.",
        "the ORPO student with retrieved profiles",
    ),
    Arm(
        "orpo-blank",
        "ORPO, phenotypes hidden",
        CONTROL,
        "The trained student, told that no phenotypes are available: what it knows without the patient.",
    ),
    Arm(
        "orpo-shuffled",
        "ORPO, other patient's input",
        CONTROL,
        "The trained student, shown the phenotypes of another patient with another disease.",
    ),
    Arm(
        "teacher",
        "Teacher",
        YARDSTICK,
        "The multimodal encoder (or scores made elsewhere) whose lists the student is trained on.",
        "the teacher",
    ),
    Arm(
        "teacher-phenotype",
        "Teacher, phenotype only",
        YARDSTICK,
        "The same encoder without the genotype: it sees what the student sees.",
        "the teacher that sees phenotypes alone",
    ),
    Arm(
        "similarity",
        "Ontology similarity",
        YARDSTICK,
        "Semantic similarity of the patient's terms to the disease profiles.",
        "ontology similarity",
    ),
    Arm(
        "likelihood-ratio",
        "Likelihood ratio",
        YARDSTICK,
        "Likelihood ratios from the term frequencies of the disease profiles.",
        "likelihood ratios",
    ),
    Arm(
        "nearest-patient",
        "Nearest training patient",
        YARDSTICK,
        "Likeness of the patient's terms to those of each disease's most similar training patient.",
        "the nearest training patient",
    ),
    Arm(
        "retrieval",
        "Text retrieval",
        YARDSTICK,
        "Likeness of the patient's terms to the disease profiles, both as sentences.",
        "text retrieval",
    ),
    Arm(
        "gene-lookup",
        "Gene lookup",
        YARDSTICK,
        "Diseases linked to a gene of the patient; no phenotypes.",
        "gene lookup",
    ),
    Arm(
        "prior",
        "Disease frequency alone",
        YARDSTICK,
        "Diseases by their number of training patients.",
        "disease frequency alone",
    ),
)
_CONTROLS = {"blank": "phenotypes hidden", "shuffled": "other patient's input"}

_TISSUE_ARMS = (
    Arm(
        "base",
        "Base model, aligned",
        STUDENT,
        "The vision-language model before preference training: it can see, and was not taught tissues here.",
        "the base model",
    ),
    *_trained("tissue"),
    Arm(
        "orpo-blank",
        "ORPO, image blanked",
        CONTROL,
        "The trained student, shown a grey image: what it knows without looking.",
    ),
    Arm(
        "orpo-shuffled",
        "ORPO, other tile's image",
        CONTROL,
        "The trained student, shown a tile of another patient and tissue.",
    ),
    Arm(
        "teacher",
        "Teacher",
        YARDSTICK,
        "The CLIP-type model (or scores made elsewhere) whose lists the student is trained on.",
        "the teacher",
    ),
    Arm(
        "prior",
        "Label frequency alone",
        YARDSTICK,
        "Labels by their number of training tiles; no image.",
        "label frequency alone",
    ),
)


class Vocabulary:
    """How one track calls its arms and groups of arms.

    Args:
        arms: known ones, in order.
        groups: heading of each group, in order.
        controls: what the controls take away.
    """

    def __init__(self, arms: Iterable[Arm], groups: Mapping[str, str], controls: Mapping[str, str]) -> None:
        self._arms = {one.key: one for one in arms}
        self.groups, self._controls = dict(groups), dict(controls)

    def arm(self, key: str) -> Arm:
        """The arm called ``key`` in the tables; one that is not known is a variant, and keeps its key.

        ``<arm>-blank`` and ``<arm>-shuffled`` are controls of ``<arm>``.
        """
        if key in self._arms:
            return self._arms[key]
        stem, _, control = key.rpartition("-")
        if stem and control in self._controls:
            return Arm(key, f"{self.arm(stem).label}, {self._controls[control]}", CONTROL)
        return Arm(key, key, VARIANT)

    def in_order(self, keys: Iterable[str]) -> list[Arm]:
        """The distinct arms among ``keys``: by group, and in each known ones first."""
        position = {key: index for index, key in enumerate(self._arms)}
        group = {name: index for index, name in enumerate(self.groups)}
        found = [self.arm(key) for key in set(keys)]
        return sorted(
            found, key=lambda one: (group[one.group], position.get(one.key, len(self._arms)), one.key)
        )


RARE = Vocabulary(_ARMS, GROUPS, _CONTROLS)
TISSUE = Vocabulary(
    _TISSUE_ARMS,
    {
        STUDENT: "Vision-language models (see the image only)",
        VARIANT: "Variants",
        CONTROL: "Controls: same student, image taken away",
        YARDSTICK: "Teacher and yardstick (no language model)",
    },
    {"blank": "image blanked", "shuffled": "other tile's image"},
)
TRACKS = {"rare": RARE, "tissue": TISSUE}
WHO = {"rare": "patients", "tissue": "slides"}  # what is simulated, where anything is
arm, in_order = RARE.arm, RARE.in_order


SPLITS = {
    "train": "Training",
    "validation": "Validation",
    "test": "Test",
    "test_unseen": "Test, unseen diseases",
}

_STEPS = {
    "read": "Read and with a diagnosis",
    "min_terms": "Enough phenotype terms",
    "twins_across_publications": "Not published twice",
    "min_cases and min_publications": "Disease with enough patients, papers",
    "max_diseases": "Disease among those kept",
    "caps": "Within the caps per disease: used",
}


def selection_steps(cohort: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Selection steps of cohort.json as (words, patients left).

    Raises:
        InputError: the summary has no steps.
    """
    try:
        return [(_STEPS.get(step["step"], step["step"]), int(step["cases"])) for step in cohort["steps"]]
    except (KeyError, TypeError) as error:
        problem = "expected a list of objects with step and cases"
        raise InputError(problem, file="cohort.json", field="steps") from error


_METRICS = {
    "mrr": "MRR × 100",
    "macro_f1": "Macro F1 × 100",
    "ungrounded": "Ungrounded",
    "coverage": "Coverage",
    "avoidance": "Avoidance",
    "car": "CAR",
    "parse_failure": "Unreadable answers",
}
_TOP = re.compile(r"top(\d+)")


def metric(key: str) -> str:
    """A metric in words: ``top3`` is "Top-3"; an unknown one keeps its key."""
    top = _TOP.fullmatch(key)
    return f"Top-{top[1]}" if top else _METRICS.get(key, key)


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun: ``1 patient``, ``1,204 patients``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
