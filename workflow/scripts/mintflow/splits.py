"""Training, validation and test by whole publications, with an arm of unseen diseases.

Patients of one paper resemble one another (same clinic, same wording, often one family): a split by
patient measures how well a model remembers the paper. So a publication group (see
``selection.publication_groups``) lies on one side: training, validation, or test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .cohort import cited_publications
from .errors import InputError
from .selection import publication_groups

SPLITS = ("train", "validation", "test", "test_unseen")
HELD_OUT = ("validation", "test", "test_unseen")
SETTINGS = (
    "test_fraction",
    "validation_fraction",
    "unseen_disease_fraction",
    "stratified",
    "folds",
    "max_train_cases_per_disease",
    "max_test_cases_per_disease",
    "seed",
)

# A held-out publication leaves at least this share of a disease's patients for training, where the
# disease has another publication to hold out: the largest series stay, single reports are tested.
_TRAINING_SHARE = 0.5


class _Assignment:
    """Which publication group lies where; everything starts in training."""

    def __init__(self, cases: pd.DataFrame, groups: pd.Series) -> None:
        sizes = cases.groupby([groups.rename("group"), "disease_id"]).size()
        self.diseases_of: dict[str, dict[str, int]] = defaultdict(dict)
        self.groups_of: dict[str, list[str]] = defaultdict(list)
        for (group, disease), size in sizes.items():
            self.diseases_of[group][disease] = int(size)
            self.groups_of[disease].append(group)
        self.side = dict.fromkeys(sorted(self.diseases_of), "train")

    def training_groups(self, disease: str) -> list[str]:
        return [group for group in self.groups_of[disease] if self.side[group] == "train"]

    def count(self, disease: str, side: str) -> int:
        return sum(self.side[group] == side for group in self.groups_of[disease])

    def training_share(self, disease: str, without: str) -> float:
        sizes = {group: self.diseases_of[group][disease] for group in self.groups_of[disease]}
        left = sum(sizes[group] for group in self.training_groups(disease) if group != without)
        return left / sum(sizes.values())

    def may_leave(self, group: str, *, keep_groups: int, keep_share: float) -> bool:
        """Whether every disease of the group keeps enough training groups and patients without it."""
        return all(
            len(self.training_groups(disease)) - 1 >= min(keep_groups, len(self.groups_of[disease]) - 1)
            and len(self.training_groups(disease)) > 1
            and self.training_share(disease, group) >= keep_share
            for disease in self.diseases_of[group]
        )


def split(cases: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Divide the cohort.

    1. Diseases are drawn for the unseen arm; every publication group that holds one of them leaves
       training: its patients with such a disease become ``test_unseen``, the others ``test``.
    2. Of each other disease ``test_fraction`` of its groups (rounded, at least one if it has two) go to
       ``test``; then ``validation_fraction`` of the remaining groups, spread over diseases, to
       ``validation``. A disease keeps two training groups where it has three or more, unless there would be
       no validation otherwise, and one always.
    3. Patients above the caps are left out, those of the most represented publications first.
    4. Training groups are dealt to folds, those of one disease to different folds.

    Not ``stratified``, groups are drawn whatever their diseases, as new publications come: patients of a
    disease that is left without training patients become ``test_unseen``, and are left out of validation.

    Args:
        cases: case_id, publication, optionally publications (list), disease_id.
        settings: ``SETTINGS`` of ``rare.split``.

    Returns:
        ``cases`` without those above the caps, with columns split, fold and publication_group; sorted by
        case_id.

    Raises:
        InputError: a part that was asked for would be empty; names the configuration keys.
    """
    rng = np.random.default_rng(settings["seed"])
    cases = cases.sort_values("case_id", ignore_index=True)
    groups = publication_groups(cases)
    assignment = _Assignment(cases, groups)
    diseases = sorted(assignment.groups_of)
    if settings["stratified"]:
        unseen = _hold_out_diseases(assignment, diseases, settings["unseen_disease_fraction"], rng)
        seen = [disease for disease in diseases if disease not in unseen]
        _hold_out_test(assignment, seen, settings["test_fraction"], rng)
        if settings["validation_fraction"]:
            _hold_out_validation(assignment, seen, settings["validation_fraction"], rng)
    else:
        _hold_out_publications(assignment, settings, rng)
        unseen = {disease for disease in diseases if not assignment.training_groups(disease)}
    sides = groups.map(assignment.side)
    aside = cases["disease_id"].isin(unseen)
    result = cases.assign(split=sides.where(~aside, "test_unseen").astype("str"))
    if not (result["split"] == "test").any():
        raise InputError(
            "no test patient has a disease that is trained on; allow more patients (rare.cohort), set "
            "rare.split.stratified or another rare.split.seed",
            field="rare.split",
        )
    result = result[~(aside & (sides == "validation"))]
    result = result[_within_caps(result, groups, settings, rng)]
    folds = _folds(result, groups[result.index], settings["folds"], rng)
    result = result.assign(fold=folds, publication_group=groups[result.index])
    result = result.reset_index(drop=True)
    check(result)
    return result


def check(cases: pd.DataFrame) -> None:
    """Prove a split: no publication on two sides or in two folds, no unseen disease in training.

    Raises:
        ValueError: it is broken; never expected, so no user's error.
    """
    sides: dict[str, set[str]] = defaultdict(set)
    folds: dict[str, set[int]] = defaultdict(set)
    for publications, side, fold in zip(
        cited_publications(cases), cases["split"], cases["fold"], strict=True
    ):
        for publication in publications:
            sides[publication].add(side.removesuffix("_unseen"))
            folds[publication].add(fold)
    for kind, found in (("sides", sides), ("folds", folds)):
        torn = sorted(publication for publication, places in found.items() if len(places) > 1)
        if torn:
            raise ValueError(f"publication(s) on two {kind} of the split: {', '.join(torn[:5])}")
    unseen = set(cases.loc[cases["split"] == "test_unseen", "disease_id"])
    shown = set(cases.loc[cases["split"] != "test_unseen", "disease_id"]) & unseen
    if shown:
        raise ValueError(f"unseen disease(s) elsewhere in the split: {', '.join(sorted(shown))}")
    if ((cases["split"] == "train") != (cases["fold"] >= 0)).any():
        raise ValueError("folds are not those of the training patients")


def summary(cases: pd.DataFrame, phenotypes: pd.DataFrame) -> dict[str, Any]:
    """What lies where, for the cohort's JSON summary.

    ``repeated_in_training`` counts held-out patients with the disease and exactly the observed terms of a
    training patient of another publication: what is left of the leak that publications cannot show.
    """
    observed = phenotypes[~phenotypes["excluded"].astype(bool)].sort_values(["case_id", "hpo_id"])
    terms = cases["case_id"].map(observed.groupby("case_id")["hpo_id"].agg(" ".join)).fillna("")
    patient = pd.Series(list(zip(cases["disease_id"], terms, strict=True)), index=cases.index)
    repeated = patient.isin(set(patient[cases["split"] == "train"]))
    parts = {}
    for name in SPLITS:
        part = cases["split"] == name
        parts[name] = {
            "cases": int(part.sum()),
            "diseases": int(cases.loc[part, "disease_id"].nunique()),
            "publications": int(cases.loc[part, "publication"].nunique()),
        }
        if name != "train":
            parts[name]["repeated_in_training"] = int((part & repeated).sum())
    sizes = cases.groupby(["disease_id", "split"]).size().unstack(fill_value=0)
    sizes = sizes.reindex(columns=list(SPLITS), fill_value=0)
    names = cases.groupby("disease_id")["disease_name"].agg(lambda found: sorted(found)[0])
    return {
        "splits": parts,
        "folds": {
            str(fold): int(n) for fold, n in cases.loc[cases["fold"] >= 0, "fold"].value_counts().items()
        },
        "diseases": {
            disease: {"name": names[disease], **{name: int(row[name]) for name in SPLITS}}
            for disease, row in sizes.iterrows()
        },
    }


def _shuffled(items: Iterable[str], rng: np.random.Generator) -> list[str]:
    ordered = sorted(items)
    return [ordered[i] for i in rng.permutation(len(ordered))]


def _hold_out_diseases(
    assignment: _Assignment, diseases: Sequence[str], fraction: float, rng: np.random.Generator
) -> set[str]:
    """Draw diseases whose publications can leave without taking another disease's last two."""
    if not fraction:
        return set()
    wanted = min(max(1, round(fraction * len(diseases))), len(diseases) - 2)
    unseen: set[str] = set()
    for disease in _shuffled(diseases, rng):
        if len(unseen) >= wanted:
            break
        leaving = set(assignment.training_groups(disease))
        others = {other for group in leaving for other in assignment.diseases_of[group]}
        others -= {disease, *unseen}
        if all(len(set(assignment.training_groups(other)) - leaving) >= 2 for other in others):
            unseen.add(disease)
            assignment.side.update(dict.fromkeys(sorted(leaving), "test"))
    if not unseen:
        raise InputError(
            "no disease can be held out without emptying the training of another; "
            "set rare.split.unseen_disease_fraction to 0 or allow more diseases (rare.cohort.max_diseases)",
            field="rare.split.unseen_disease_fraction",
        )
    return unseen


def _hold_out_publications(
    assignment: _Assignment, settings: Mapping[str, Any], rng: np.random.Generator
) -> None:
    """Draw test and validation groups, each as likely as any other."""
    order = _shuffled(assignment.side, rng)
    test = max(1, round(settings["test_fraction"] * len(order)))
    fraction = settings["validation_fraction"]
    validation = max(1, round(fraction * (len(order) - test))) if fraction else 0
    if test + validation >= len(order):
        raise InputError(
            f"{len(order)} publication(s) leave none to train on; lower rare.split.test_fraction or allow "
            "more patients (rare.cohort)",
            field="rare.split.test_fraction",
        )
    assignment.side.update(dict.fromkeys(order[:test], "test"))
    assignment.side.update(dict.fromkeys(order[test : test + validation], "validation"))


def _hold_out_test(
    assignment: _Assignment, seen: Sequence[str], fraction: float, rng: np.random.Generator
) -> None:
    order = sorted(_shuffled(seen, rng), key=lambda disease: len(assignment.groups_of[disease]))
    for disease in order:
        total = len(assignment.groups_of[disease])
        goal = max(1, round(fraction * total)) if total > 1 else 0
        candidates = _shuffled(assignment.training_groups(disease), rng)
        for keep_share in (_TRAINING_SHARE, 0.0):
            for group in candidates:
                if assignment.count(disease, "test") >= goal:
                    break
                if assignment.side[group] == "train" and assignment.may_leave(
                    group, keep_groups=2, keep_share=keep_share
                ):
                    assignment.side[group] = "test"
    if not any(assignment.count(disease, "test") for disease in seen):
        raise InputError(
            "no publication is left for the test of seen diseases; every disease needs two "
            "(rare.cohort.min_publications, rare.split.test_fraction)",
            field="rare.split.test_fraction",
        )


def _hold_out_validation(
    assignment: _Assignment, seen: Sequence[str], fraction: float, rng: np.random.Generator
) -> None:
    training = sum(side == "train" for side in assignment.side.values())
    goal = max(1, round(fraction * training))
    order = _shuffled(seen, rng)
    taken = 0
    # the last way, a disease left with one training publication, only rather than no validation at all
    for keep_groups, keep_share in ((2, _TRAINING_SHARE), (2, 0.0), (1, 0.0)):
        if taken and keep_groups == 1:
            break
        progress = True
        while progress and taken < goal:
            progress = False
            for disease in order:
                if taken >= goal:
                    break
                for group in _shuffled(assignment.training_groups(disease), rng):
                    if assignment.may_leave(group, keep_groups=keep_groups, keep_share=keep_share):
                        assignment.side[group] = "validation"
                        taken += 1
                        progress = True
                        break
    if not taken:
        raise InputError(
            "no publication can be spared for validation; raise rare.cohort.min_publications, "
            "lower rare.split.test_fraction, or set rare.split.validation_fraction to 0",
            field="rare.split.validation_fraction",
        )


def _within_caps(
    cases: pd.DataFrame, groups: pd.Series, settings: Mapping[str, Any], rng: np.random.Generator
) -> np.ndarray:
    """Keep one patient of each publication in turn until the disease's cap is reached."""
    shuffled = cases.assign(group=groups).iloc[rng.permutation(len(cases))]
    turn = shuffled.groupby(["split", "disease_id", "group"]).cumcount()
    place = shuffled.assign(turn=turn).sort_values("turn", kind="stable")
    place = place.groupby(["split", "disease_id"]).cumcount()
    caps = {
        side: settings[f"max_{'train' if side == 'train' else 'test'}_cases_per_disease"] for side in SPLITS
    }
    limit = cases["split"].map({side: np.inf if cap is None else cap for side, cap in caps.items()})
    return (place[cases.index] < limit.astype("float64")).to_numpy()


def _folds(cases: pd.DataFrame, groups: pd.Series, folds: int, rng: np.random.Generator) -> pd.Series:
    """Fold of each patient, -1 outside training."""
    train = cases["split"] == "train"
    sizes = cases[train].groupby([groups[train].rename("group"), "disease_id"]).size()
    diseases_of: dict[str, list[str]] = defaultdict(list)
    for group, disease in sizes.index:
        diseases_of[group].append(disease)
    if len(diseases_of) < folds:
        raise InputError(
            f"{len(diseases_of)} training publication(s) for {folds} folds; lower rare.split.folds "
            "or allow more patients (rare.cohort)",
            field="rare.split.folds",
        )
    weight = {group: int(sizes[group].sum()) for group in diseases_of}
    order = sorted(_shuffled(diseases_of, rng), key=weight.__getitem__, reverse=True)
    of_disease: dict[str, list[int]] = defaultdict(lambda: [0] * folds)
    load = [0] * folds
    fold_of: dict[str, int] = {}
    for group in order:
        crowd = [max(of_disease[disease][fold] for disease in diseases_of[group]) for fold in range(folds)]
        chosen = min(range(folds), key=lambda fold: (crowd[fold], load[fold], fold))
        fold_of[group] = chosen
        load[chosen] += weight[group]
        for disease in diseases_of[group]:
            of_disease[disease][chosen] += 1
    return groups.map(fold_of).where(train, -1).astype("int64")
