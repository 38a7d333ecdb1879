"""Which tiles make the cohort: the closed set of labels, a split by whole patients, caps, folds."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from .errors import InputError
from .tile_sets import UNKNOWN
from .tile_split import assign_sides, deal, in_order, patients_unknown

SPLITS = ("train", "validation", "test", "unlabelled")
COHORT_SETTINGS = ("labels", "max_train_tiles_per_label", "max_test_tiles_per_label", "seed")
SPLIT_SETTINGS = ("test_fraction", "validation_fraction", "folds", "seed")
UNLABELLED_PER_SLIDE = 50
CASE_COLUMNS = {
    "case_id": "str",
    "label_id": "str",  # null for tiles without a label of the closed set
    "patient_id": "str",
    "slide_id": "str",
    "source": "str",
    "split": "str",
    "fold": "int64",  # -1 outside of training
    "file": "str",
    "row": "int64",
    "simulated": "bool",
}


@dataclass
class Cohort:
    """The chosen tiles.

    Attributes:
        cases: ``CASE_COLUMNS``, sorted by case_id.
        labels: label_id, name; the closed set, sorted by label_id.
        steps: what was left after each step: step, cases, labels, patients.
        notes: what a reader of the results must know, one sentence each.
        patients_unknown: tile sets whose patients are unknown.
        duplicates: held-out pictures that were dropped from training or validation.
    """

    cases: pd.DataFrame
    labels: pd.DataFrame
    steps: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    patients_unknown: list[str] = field(default_factory=list)
    duplicates: int = 0


def label_id(name: str) -> str:
    """Id of a label: its letters and digits in lower case, joined by hyphens."""
    slug = "-".join(re.findall(r"[^\W_]+", name.lower()))
    return slug or "label-" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]


def choose(tiles: pd.DataFrame, cohort: Mapping[str, Any], split: Mapping[str, Any]) -> Cohort:
    """Choose labels and tiles, and split them.

    1. Kept tiles. A slide with labelled tiles says nothing of those between its regions: these are left out.
    2. Patients of sets with a split go there; ``test_fraction`` of the others are tested, then
       ``validation_fraction`` of the training patients become validation, both so that a label is on both
       sides where it can be.
    3. The closed set: labels of training tiles, within ``labels`` if given. Other tiles are unlabelled.
    4. Pictures that are also held out leave training (and validation, if they are also tested).
    5. Caps per label, spread over patients; training patients are dealt to folds.

    Where the patients of a set are unknown the set stays whole, unless training would have fewer units than
    it needs, or the set is more than half of it: then its pictures are divided, and the result says so.

    Args:
        tiles: ``tile_collection.COLUMNS``.
        cohort: ``COHORT_SETTINGS`` of tissue.cohort.
        split: ``SPLIT_SETTINGS`` of tissue.split.

    Raises:
        InputError: too few patients or labels; names the configuration keys.
    """
    result = Cohort(tiles, pd.DataFrame())
    _step(result, "read", tiles)
    tiles = tiles[tiles["kept"]].reset_index(drop=True)
    _step(result, "kept by quality control", tiles)
    tiles = tiles.assign(label_id=tiles["label"].map(label_id, na_action="ignore").astype("str"))
    labelled_slides = set(tiles.loc[tiles["label_id"].notna(), "slide_id"].dropna())
    between = tiles["label_id"].isna() & tiles["slide_id"].isin(labelled_slides)
    tiles = tiles[~between].reset_index(drop=True)
    _step(result, "not between labelled regions", tiles)
    names = _names(tiles, cohort["labels"], result.notes)
    if cohort["labels"] is not None:
        tiles = tiles.assign(label_id=tiles["label_id"].where(tiles["label_id"].isin(names)))
    labelled = tiles[tiles["label_id"].notna()].reset_index(drop=True)
    _step(result, "with a label", labelled)
    if labelled.empty:
        raise InputError(f"no tile has a label ({_told(result)})", field="tissue.cohort.labels")
    labelled, notes = assign_sides(labelled, split)
    result.notes.extend(notes)
    result.patients_unknown = sorted(labelled.loc[patients_unknown(labelled), "source"].unique())
    _step(result, "split", labelled)
    labelled = _without_duplicates(labelled, result)
    closed = sorted(labelled.loc[labelled["split"] == "train", "label_id"].unique())
    if len(closed) < 2:
        raise InputError(
            f"training tiles have {len(closed)} label(s), 2 are needed ({_told(result)})",
            field="tissue.cohort.labels",
        )
    lost = sorted((set(labelled["label_id"]) | set(names)) - set(closed))
    if lost:
        result.notes.append(
            f"no training tile, so not in the closed set: {', '.join(names[one] for one in lost)}"
        )
    tested = set(labelled.loc[labelled["split"] == "test", "label_id"])
    if untested := [names[one] for one in closed if one not in tested]:
        result.notes.append(f"no test tile: {', '.join(untested)}")
    if not tested & set(closed):
        raise InputError(
            f"no test tile has a label that is trained ({_told(result)})", field="tissue.split.test_fraction"
        )
    inside = labelled["label_id"].isin(closed)
    outside = tiles[tiles["label_id"].isna() | ~tiles["label_id"].isin(closed)]
    labelled = _within_caps(labelled[inside], cohort)
    _step(result, "caps", labelled)
    labelled = labelled.assign(fold=_folds(labelled, split, result))
    outside = _some_of_each_slide(outside, cohort["seed"])
    outside = outside.assign(label_id=pd.NA, split="unlabelled", fold=-1)
    parts = [part for part in (labelled, outside) if len(part)]
    cases = pd.concat(parts)[list(CASE_COLUMNS)].astype(CASE_COLUMNS)
    result.cases = cases.sort_values("case_id", ignore_index=True)
    result.labels = pd.DataFrame({"label_id": closed, "name": [names[one] for one in closed]}).astype("str")
    check(result.cases)
    return result


def check(cases: pd.DataFrame) -> None:
    """Prove a split: no patient on two sides or in two folds, but for sets whose patients are unknown.

    Raises:
        ValueError: it is broken; never expected, so no user's error.
    """
    used = cases[cases["split"] != "unlabelled"]
    for patient, part in used.groupby("patient_id"):
        sides = set(part["split"])
        if len(sides) > 1 and not (patients_unknown(part).all() and "test" not in sides):
            raise ValueError(f"patient {patient} on {len(sides)} sides of the split")
        if part["fold"].nunique() > 1 and not patients_unknown(part).all():
            raise ValueError(f"patient {patient} in {part['fold'].nunique()} folds")
    if ((cases["split"] == "train") != (cases["fold"] >= 0)).any():
        raise ValueError("folds are not those of the training tiles")


def summary(cohort: Cohort) -> dict[str, Any]:
    """What lies where, for cohort.json."""
    cases = cohort.cases
    counts = cases.groupby(["label_id", "split"]).size().unstack(fill_value=0)
    counts = counts.reindex(columns=list(SPLITS[:3]), fill_value=0)
    parts = {name: cases[cases["split"] == name] for name in SPLITS}
    folds = cases.loc[cases["fold"] >= 0, "fold"].value_counts().sort_index()
    return {
        "simulated": bool(cases["simulated"].any()),
        "steps": cohort.steps,
        "splits": {
            name: {
                "cases": len(part),
                "labels": int(part["label_id"].nunique()),
                "patients": _patients(part),
                "slides": int(part["slide_id"].nunique()),
            }
            for name, part in parts.items()
        },
        "labels": {
            row.label_id: {
                "name": row.name_,
                **{name: int(counts.loc[row.label_id, name]) for name in counts},
            }
            for row in cohort.labels.rename(columns={"name": "name_"}).itertuples()
        },
        "patients": {name: _patients(part) for name, part in parts.items()},
        "folds": {str(fold): int(count) for fold, count in folds.items()},
        "patients_unknown": cohort.patients_unknown,
        "duplicates_across_splits": cohort.duplicates,
        "notes": cohort.notes,
    }


def _patients(tiles: pd.DataFrame) -> int:
    """Known patients: a set whose patients are unknown is none."""
    return int(tiles.loc[~patients_unknown(tiles), "patient_id"].nunique())


def _step(result: Cohort, name: str, tiles: pd.DataFrame) -> None:
    label = "label_id" if "label_id" in tiles else "label"
    result.steps.append(
        {
            "step": name,
            "cases": len(tiles),
            "labels": int(tiles[label].nunique()),
            "patients": _patients(tiles),
        }
    )


def _told(result: Cohort) -> str:
    return ", ".join(f"{step['step']}: {step['cases']} tiles" for step in result.steps)


def _names(tiles: pd.DataFrame, wanted: list[str] | None, notes: list[str]) -> dict[str, str]:
    """Name of each label id: as configured, else the most frequent spelling."""
    spelled = tiles.dropna(subset="label").groupby(["label_id", "label"]).size()
    if wanted is not None:
        names = {label_id(name): " ".join(name.split()) for name in wanted}
        if len(names) < len(wanted):
            raise InputError(
                "two labels differ in nothing but letter case or signs", field="tissue.cohort.labels"
            )
        return names
    names = {}
    for one, counts in spelled.groupby(level=0):
        spellings = sorted(counts.droplevel(0).items(), key=lambda item: (-item[1], item[0]))
        names[str(one)] = str(spellings[0][0])
        if len(spellings) > 1:
            notes.append(f"counted as one label: {', '.join(str(name) for name, _ in spellings)}")
    return names


def _without_duplicates(tiles: pd.DataFrame, result: Cohort) -> pd.DataFrame:
    """Without training pictures that are held out too, and validation pictures that are tested too."""
    known = tiles["content"].fillna("") != ""
    pictures = {name: set(tiles.loc[known & (tiles["split"] == name), "content"]) for name in SPLITS[:3]}
    held_out = pictures["validation"] | pictures["test"]
    repeated = (tiles["split"] == "train") & tiles["content"].isin(held_out)
    repeated |= (tiles["split"] == "validation") & tiles["content"].isin(pictures["test"])
    result.duplicates = int((repeated & known).sum())
    tiles = tiles[~(repeated & known)].reset_index(drop=True)
    _step(result, "not held out too", tiles)
    return tiles


def _place(tiles: pd.DataFrame, seed: int) -> pd.Series:
    """Place of each tile in an order drawn by seed."""
    order = {case: place for place, case in enumerate(in_order(tiles["case_id"], seed, "tiles"))}
    return tiles["case_id"].map(order)


def _within_caps(tiles: pd.DataFrame, cohort: Mapping[str, Any]) -> pd.DataFrame:
    """One tile of each patient in turn until a label's cap is reached."""
    drawn = tiles.assign(place=_place(tiles, cohort["seed"])).sort_values("place")
    turn = drawn.groupby(["split", "label_id", "patient_id"]).cumcount()
    ordered = drawn.assign(turn=turn).sort_values(["turn", "place"])
    rank = ordered.groupby(["split", "label_id"]).cumcount()
    caps = {
        name: cohort["max_train_tiles_per_label" if name == "train" else "max_test_tiles_per_label"]
        for name in SPLITS
    }
    limit = ordered["split"].map({name: np.inf if cap is None else float(cap) for name, cap in caps.items()})
    return ordered[rank < limit].sort_values("case_id", ignore_index=True)


def _folds(tiles: pd.DataFrame, split: Mapping[str, Any], result: Cohort) -> pd.Series:
    """Fold of each tile, -1 outside of training."""
    training = tiles[tiles["split"] == "train"]
    sizes = {str(unit): Counter(part) for unit, part in training.groupby("unit")["label_id"]}
    if len(sizes) < 2:
        raise InputError(
            "all training tiles are of one patient: the teacher cannot score them out of fold",
            field="tissue.split.folds",
        )
    folds = min(split["folds"], len(sizes))
    if folds < split["folds"]:
        result.notes.append(
            f"{folds} folds instead of {split['folds']}: there are {len(sizes)} training patients"
        )
    alone = Counter(label for labels in sizes.values() for label in labels)
    names = sorted(label for label, count in alone.items() if count == 1)
    if names:
        result.notes.append(
            f"trained on one patient, so scored by a teacher that never saw it: {', '.join(names)}"
        )
    fold_of = deal(sizes, folds, split["seed"])
    return tiles["unit"].map(fold_of).where(tiles["split"] == "train", -1).astype("int64")


def _some_of_each_slide(tiles: pd.DataFrame, seed: int) -> pd.DataFrame:
    """At most ``UNLABELLED_PER_SLIDE`` tiles of a slide, or of a set."""
    drawn = tiles.assign(place=_place(tiles, seed)).sort_values("place")
    drawn = drawn.assign(of=drawn["slide_id"].where(drawn["slide_id"].notna(), UNKNOWN + drawn["source"]))
    return drawn[drawn.groupby("of").cumcount() < UNLABELLED_PER_SLIDE]
