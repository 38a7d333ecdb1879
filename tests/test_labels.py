from __future__ import annotations

import pytest

from mintflow import labels
from mintflow.errors import InputError


def test_known_arm_and_controls() -> None:
    assert labels.arm("orpo").label == "ORPO student"
    assert labels.arm("orpo-blank").group == labels.CONTROL
    unknown = labels.arm("sft-shuffled")
    assert (unknown.group, unknown.label) == (labels.CONTROL, "sft, other patient's input")
    assert labels.arm("sft") == labels.Arm("sft", "sft", labels.STUDENT)


def test_order_is_students_controls_yardsticks_whatever_the_input_order() -> None:
    keys = ["prior", "orpo-blank", "sft", "teacher", "orpo", "base", "orpo"]
    wanted = ["base", "orpo", "sft", "orpo-blank", "teacher", "prior"]
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
