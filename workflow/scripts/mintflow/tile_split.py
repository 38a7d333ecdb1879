"""Who is tested, who trains, and in which fold: whole patients, or sets whose patients are unknown.

These units are drawn in an order made of a hash of seed and name, so that a new patient moves few others; and
with an eye on their labels, so that every label is trained and tested where the patients allow it.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from .errors import InputError
from .tile_collection import SLIDES
from .tile_sets import UNKNOWN

Labels = Mapping[str, frozenset[str]]  # unit to the labels of its tiles

_ATTEMPTS = 32


def patients_unknown(tiles: pd.DataFrame) -> pd.Series:
    """Whether a tile's patient is unknown: its unit is its whole set."""
    return (tiles["patient_id"] == UNKNOWN + tiles["source"]) & (tiles["source"] != SLIDES)


def assign_sides(tiles: pd.DataFrame, split: Mapping[str, Any]) -> tuple[pd.DataFrame, list[str]]:
    """Divide labelled tiles: sets with a split go there, the others by whole patients.

    Args:
        tiles: case_id, patient_id, label_id, source, set_split, content.
        split: test_fraction, validation_fraction, folds, seed of tissue.split.

    Returns:
        The tiles with split (train, validation, test) and unit (what is not divided), without those of tested
        patients in training sets; and notes.

    Raises:
        InputError: nothing is left to train or to test.
    """
    notes: list[str] = []
    demanded = defaultdict(set)
    for patient, wanted in zip(tiles["patient_id"], tiles["set_split"], strict=True):
        demanded[patient].add(wanted)
    torn = {patient for patient, wanted in demanded.items() if {"train", "test"} <= wanted}
    if torn:
        dropped = tiles["patient_id"].isin(torn) & (tiles["set_split"] == "train")
        notes.append(
            f"{len(torn)} patient(s) are in a set for training and in one for the test: they are tested, and "
            f"{dropped.sum()} tiles left out of training"
        )
        tiles = tiles[~dropped].reset_index(drop=True)
    fixed = {
        patient: "test" if "test" in wanted else "train"
        for patient, wanted in demanded.items()
        if wanted & {"train", "test"}
    }
    units = _labels_of(tiles, "patient_id")
    free = {unit: labels for unit, labels in units.items() if unit not in fixed}
    side = {unit: fixed.get(unit, "train") for unit in units}

    def labels_on(where: str) -> set[str]:
        return {label for unit, labels in units.items() if fixed.get(unit) == where for label in labels}

    goal = round(split["test_fraction"] * len(free))
    if "test" not in side.values():
        goal = max(goal, 1)
    tested = hold_out(
        free,
        goal,
        seed=split["seed"],
        salt="test",
        covered=labels_on("test"),
        staying=labels_on("train"),
        exceed=True,
    )
    side.update(dict.fromkeys(tested, "test"))
    for where in ("train", "test"):
        if where not in side.values():
            raise InputError(
                f"{len(units)} patient(s) with labels: none is left for {where}; give tile sets of unknown "
                "patients a split (tissue.tile_sets), or more patients",
                field="tissue.split.test_fraction",
            )
    tiles = tiles.assign(split=tiles["patient_id"].map(side), unit=tiles["patient_id"])
    tiles = _broken_up(tiles, split["folds"], notes)
    training = _labels_of(tiles[tiles["split"] == "train"])
    goal = round(split["validation_fraction"] * len(training))
    if split["validation_fraction"]:
        chosen = hold_out(training, max(goal, 1), seed=split["seed"], salt="validation", spare=True)
        if not chosen:
            notes.append("no validation: every training patient is the last one of some label")
        where = tiles["unit"].isin(chosen) & (tiles["split"] == "train")
        tiles = tiles.assign(split=tiles["split"].mask(where, "validation"))
    return tiles, notes


def _broken_up(tiles: pd.DataFrame, folds: int, notes: list[str]) -> pd.DataFrame:
    """Training sets of unknown patients as one unit a picture, where there is no other way."""
    training = tiles["split"] == "train"
    unknown = training & patients_unknown(tiles)
    units = tiles.loc[training, "unit"].nunique()
    for source, part in tiles[unknown].groupby("source"):
        if units > folds and len(part) <= training.sum() / 2:
            continue
        content = part["content"].where(part["content"].fillna("") != "", part["case_id"])
        tiles.loc[part.index, "unit"] = f"{UNKNOWN}{source}#" + content
        notes.append(
            f"patients of the tile set {source} are unknown: validation and folds divide its pictures, so "
            "one patient may be on both sides of them"
        )
    return tiles


def in_order(names: Iterable[str], seed: int, salt: str = "") -> list[str]:
    """``names`` in an order that depends on the seed and on each name alone."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{salt}/{name}".encode()).digest())


def hold_out(
    units: Labels,
    goal: int,
    *,
    seed: int,
    salt: str,
    covered: Iterable[str] = (),
    staying: Iterable[str] = (),
    exceed: bool = False,
    spare: bool = False,
) -> set[str]:
    """Choose ``goal`` units that leave, so that as many labels as possible are on both sides.

    No unit leaves that takes a label's last unit with it; two units stay where a label has three. Which
    labels can be on both sides is a colouring problem without a fast exact answer: several orders are tried,
    and the best is taken.

    Args:
        units: units to choose from, and their labels.
        goal: how many leave; fewer if labels would be lost.
        seed, salt: of the order.
        covered: labels that the leaving side has already.
        staying: labels that the staying side has from elsewhere, whoever leaves.
        exceed: whether more than ``goal`` may leave to bring further labels to that side.
        spare: whether a label's second unit stays, too, unless nothing could leave otherwise.

    Returns:
        Units that leave.
    """
    covered, staying = frozenset(covered), frozenset(staying)
    total = Counter(label for labels in units.values() for label in labels)
    movable = {label for label, count in total.items() if count > 1 + spare or label in staying}
    best: tuple[tuple[int, int, int], set[str]] | None = None
    for attempt in range(_ATTEMPTS):
        order = in_order(units, seed, f"{salt}/{attempt}")
        chosen = _attempt(units, order, goal, total, movable - covered, staying, exceed, spare)
        missing = len(movable - covered - {label for unit in chosen for label in units[unit]})
        found = ((missing, abs(len(chosen) - goal), attempt), chosen)
        if best is None or found[0] < best[0]:
            best = found
        if best[0][:2] == (0, 0):
            break
    return best[1] if best else set()


def _attempt(
    units: Labels,
    order: list[str],
    goal: int,
    total: Counter[str],
    wanted: set[str],
    staying: frozenset[str],
    exceed: bool,
    spare: bool,
) -> set[str]:
    left = Counter(total)
    wanted = set(wanted)
    chosen: set[str] = set()

    def may_leave(unit: str, keep: Callable[[int], int]) -> bool:
        if unit in chosen or (len(chosen) + 1 >= len(units) and not staying):
            return False
        return all(label in staying or left[label] - 1 >= keep(total[label]) for label in units[unit])

    def leave(unit: str) -> None:
        chosen.add(unit)
        left.subtract(units[unit])
        wanted.difference_update(units[unit])

    # how many units of a label with so many stay: from cautious to bold
    keeps: list[Callable[[int], int]] = [lambda n: min(2, max(1, n - 1)), lambda n: 1]
    if spare:
        keeps.insert(0, lambda n: min(2, n))
    for keep in keeps:
        while wanted and (len(chosen) < goal or exceed):
            gains = [(len(wanted & units[unit]), unit) for unit in order]
            gains = [(gain, unit) for gain, unit in gains if gain and may_leave(unit, keep)]
            if not gains:
                break
            leave(max(gains, key=lambda found: found[0])[1])  # of equals the one that is drawn first
    for keep in keeps:
        for unit in order:
            if len(chosen) < goal and may_leave(unit, keep):
                leave(unit)
    return chosen


def deal(sizes: Mapping[str, Mapping[str, int]], folds: int, seed: int) -> dict[str, int]:
    """Fold of each unit: units of one label go to different folds, folds become about equally large.

    Args:
        sizes: unit to tiles of each label.
        folds: number of folds, at most the number of units.
        seed: of the order among equally large units.
    """
    load = [0] * folds
    crowd: list[Counter[str]] = [Counter() for _ in range(folds)]
    weight = {unit: sum(labels.values()) for unit, labels in sizes.items()}
    fold_of: dict[str, int] = {}
    for unit in sorted(in_order(sizes, seed, "folds"), key=weight.__getitem__, reverse=True):
        labels = sizes[unit]
        fold = min(
            range(folds),
            key=lambda fold: (max((crowd[fold][label] for label in labels), default=0), load[fold], fold),
        )
        fold_of[unit] = fold
        load[fold] += weight[unit]
        crowd[fold].update(labels.keys())
    return fold_of


def _labels_of(tiles: pd.DataFrame, unit: str = "unit") -> dict[str, frozenset[str]]:
    return {str(name): frozenset(part) for name, part in tiles.groupby(unit)["label_id"]}
