from __future__ import annotations

import pytest

from mintflow import labels
from mintflow.arms import OBJECTIVES, RETRIEVAL
from mintflow.errors import InputError


def test_known_arm_and_controls() -> None:
    assert labels.arm("orpo").label == "ORPO student"
    assert labels.arm("orpo-blank").group == labels.CONTROL
    control = labels.arm("sft-shuffled")
    assert (control.group, control.label) == (labels.CONTROL, "SFT student, other patient's input")


@pytest.mark.parametrize("track", ["rare", "tissue"])
def test_every_kind_of_arm_is_labelled_and_what_is_not_known_is_a_variant(track: str) -> None:
    words = labels.TRACKS[track]
    kinds = ["base", *OBJECTIVES, *(RETRIEVAL if track == "rare" else ())]
    found = [words.arm(key) for key in kinds]
    assert all(one.group == labels.STUDENT and one.meaning and one.words for one in found)
    assert len({one.label for one in found}) == len(kinds)
    assert words.arm("orpo-q10") == labels.Arm("orpo-q10", "orpo-q10", labels.VARIANT)
    assert words.arm("orpo-q10").writes_lists
    assert labels.arm("retrieval").group == labels.YARDSTICK


def test_order_is_students_variants_controls_yardsticks_whatever_the_input_order() -> None:
    keys = ["prior", "orpo-blank", "orpo-q2", "sft", "teacher", "orpo", "base", "orpo"]
    wanted = ["base", "orpo", "sft", "orpo-q2", "orpo-blank", "teacher", "prior"]
    assert [arm.key for arm in labels.in_order(keys)] == wanted
    assert [arm.key for arm in labels.in_order(reversed(keys))] == wanted


def test_words() -> None:
    assert labels.metric("top3") == "Top-3"
    assert labels.metric("something_new") == "something_new"
    assert labels.plural(1, "patient") == "1 patient"
    assert labels.plural(1204, "patient") == "1,204 patients"


def test_selection_steps() -> None:
    cohort = {"steps": [{"step": "read", "cases": 9}, {"step": "new", "cases": 4}]}
    assert labels.selection_steps(cohort) == [("Read and with a diagnosis", 9), ("new", 4)]
    with pytest.raises(InputError, match="steps"):
        labels.selection_steps({"steps": [{"cases": 1}]})
