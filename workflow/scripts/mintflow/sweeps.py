"""Which variants vary one thing alone, and which try another base model.

Imported while Snakemake parses the workflow, so it must stay light: figures of variants are rules that exist
only where there is something to draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .arms import Arm, Plan, merged

TEACHER_KEY = "teacher"
PAIRS_KEY = "preferences.max_pairs"
# what may differ beside the thing that is varied: how learning rates are found, and the machine's speed
_NEUTRAL = ("student.threads", "student.launcher", "student.gpus", "student.device", "student.merge")
_RATE, _RATES = "student.training.learning_rate", "student.training.learning_rates"
_SEARCH = (_RATES, "student.training.further_seeds")
_BASE = "student.base."


def differences(arm: Arm, kind: Arm) -> dict[str, tuple[Any, Any]]:
    """Dotted key to (the variant's value, its kind's value), of all that changes the result."""
    own, theirs = _flat(arm), _flat(kind)
    neutral = {*_NEUTRAL, *_SEARCH}
    if own.get(_RATES) or theirs.get(_RATES):
        neutral.add(_RATE)  # what stands there is not what it was trained with
    return {
        key: (own.get(key), theirs.get(key))
        for key in sorted(own.keys() | theirs.keys())
        if own.get(key) != theirs.get(key) and key not in neutral
    }


def sweeps(plan: Plan, section: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Variants that differ in one key from the kind of arm that they vary.

    Args:
        plan: all arms of a track.
        section: the track's section of the configuration.

    Returns:
        arm, parent (its kind), key, value; of each kind and key also the kind itself.
    """
    rows, kinds = [], {}
    for arm, found in _variants(plan, section):
        if len(found) == 1 and not any(key.startswith(_BASE) for key in found):
            ((key, (value, original)),) = found.items()
            rows.append({"arm": arm.name, "parent": arm.kind, "key": key, "value": value})
            kinds[arm.kind, key] = original
    rows += [
        {"arm": kind, "parent": kind, "key": key, "value": original}
        for (kind, key), original in kinds.items()
    ]
    return sorted(rows, key=lambda row: (row["key"], row["parent"], row["arm"]))


def sizes(plan: Plan, section: Mapping[str, Any]) -> list[dict[str, str]]:
    """Arms on another base model, and those of the same kind on the run's own.

    What else of the student differs (another model needs another learning rate) is not held against them;
    other pairs are.

    Returns:
        arm, kind, base (name of its folder).
    """
    rows = [
        {"arm": arm.name, "kind": arm.kind, "base": arm.student["base"]["name"]}
        for arm, found in _variants(plan, section)
        if any(key.startswith(_BASE) for key in found) and all(key.startswith("student.") for key in found)
    ]
    kinds = sorted({row["kind"] for row in rows})
    rows += [{"arm": kind, "kind": kind, "base": plan.arms[kind].student["base"]["name"]} for kind in kinds]
    return sorted(rows, key=lambda row: (row["kind"], row["arm"]))


def _variants(plan: Plan, section: Mapping[str, Any]) -> Iterator[tuple[Arm, dict[str, tuple[Any, Any]]]]:
    """Every variant with what differs from its kind as the section has it."""
    for arm in plan.arms.values():
        if arm.parent:
            parts = (merged(section[part], {}, part) for part in ("student", "preferences"))
            student, preferences = parts
            yield arm, differences(arm, Arm(arm.kind, arm.kind, student, "", preferences))


def _flat(arm: Arm) -> dict[str, Any]:
    found: dict[str, Any] = {TEACHER_KEY: arm.teacher}

    def walk(content: Mapping[str, Any], path: str) -> None:
        for key, value in content.items():
            if isinstance(value, Mapping) and value:
                walk(value, f"{path}.{key}")
            else:
                found[f"{path}.{key}"] = value

    walk(arm.student, "student")
    walk(arm.preferences, "preferences")
    return found
