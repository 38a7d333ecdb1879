from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mintflow.features import Cohort
from mintflow.scores import guess_among_equals
from mintflow.yardsticks import (
    YARDSTICKS,
    GeneLookup,
    Prior,
    summary,
    yardstick,
)
from patients import annotation, annotations
from ranking_material import DISEASES, LEAVES, cohort, evidence, hpoa

CASES = pd.DataFrame(
    [
        ("a", "PMID:1", "D1", "train", 0),
        ("b", "PMID:2", "D1", "train", 1),
        ("c", "PMID:3", "D2", "train", 0),
        ("d", "PMID:4", "D2", "test", -1),
    ],
    columns=["case_id", "publication", "disease_id", "split", "fold"],
)
GENES = pd.DataFrame(
    [("d", "G1"), ("d", "G1"), ("d", "G2"), ("d", "odd"), ("a", "odd")], columns=["case_id", "gene_symbol"]
)
LINKS = pd.DataFrame(
    [("G1", "D1"), ("G1", "D2"), ("G2", "D2"), ("G2", "elsewhere")], columns=["gene_symbol", "disease_id"]
)
SMALL = Cohort(CASES, pd.DataFrame(), GENES)


def test_prior_counts_training_patients_of_visible_publications():
    assert Prior().score(SMALL, ["D1", "D2", "D3"])[0] == pytest.approx([2 / 3, 1 / 3, 0])
    hidden = Prior(frozenset({"PMID:1", "PMID:2"}))
    assert hidden.score(SMALL, ["D1", "D2", "D3"])[3].tolist() == [0, 1, 0]


def test_gene_lookup_counts_genes_once_and_breaks_ties_by_the_prior():
    scores = GeneLookup(LINKS).score(SMALL, ["D1", "D2", "D3"])
    assert scores[3] == pytest.approx([1 + 1 / 3, 2 + 1 / 6, 0])
    assert scores[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("arm", YARDSTICKS)
def test_yardsticks_never_see_the_publications_of_a_training_patients_fold(arm):
    patients = cohort()
    first = patients.cases["fold"].to_numpy() == 0
    before = yardstick(arm, patients, DISEASES, evidence(patients))
    planted = [annotation(900 + i, DISEASES[3], term, "PMID:00") for i, term in enumerate(LEAVES)]
    table = pd.concat([hpoa(), annotations(planted)], ignore_index=True)
    after = yardstick(arm, patients, DISEASES, evidence(patients, table))
    assert (before[first] == after[first]).all()
    if arm in ("similarity", "likelihood-ratio"):
        assert (before[~first] != after[~first]).any()
    assert np.isfinite(before).all()


@pytest.mark.parametrize("controlled", [True, False])
def test_the_control_covers_training_patients_too(controlled: bool) -> None:
    """Out-of-fold knowledge lacks held-out publications, unless their leak is to be measured."""
    patients = cohort()
    train = patients.in_split("train")
    held_out = sorted(patients.publications(~train))
    planted = [annotation(900 + i, DISEASES[3], term, held_out[0]) for i, term in enumerate(LEAVES)]
    tables = (hpoa(), pd.concat([hpoa(), annotations(planted)], ignore_index=True))
    before, after = (
        yardstick("similarity", patients, DISEASES, replace(evidence(patients, table), controlled=controlled))
        for table in tables
    )
    assert (before[train] == after[train]).all() == controlled


def test_summary_covers_every_split():
    patients = cohort()
    found = summary(yardstick("similarity", patients, DISEASES, evidence(patients)), patients, DISEASES)[
        "top1"
    ]
    assert {name: part["n"] for name, part in found.items()} == {
        "train": 48,
        "validation": 12,
        "test": 12,
        "test_unseen": 18,
    }
    assert found["test"]["value"] > 0.5


def test_unknown_yardstick():
    with pytest.raises(ValueError, match="no yardstick"):
        yardstick("oracle", cohort(), DISEASES, evidence(cohort()))


def test_guesses_among_equals_keep_the_order_and_are_fair() -> None:
    scores = np.tile(np.array([2.0, 2.0, 2.0, 1.0, 0.0]), (3000, 1))
    broken = guess_among_equals(scores, seed=1)
    assert (broken == guess_among_equals(scores, seed=1)).all()
    assert len(np.unique(broken[0])) == 5
    # whatever was different keeps its order
    assert (broken[:, :3].min(axis=1) > broken[:, 3]).all()
    assert (broken[:, 3] > broken[:, 4]).all()
    # each of three equals comes first one time in three
    first = np.bincount(broken.argmax(axis=1), minlength=5) / len(broken)
    assert np.abs(first[:3] - 1 / 3).max() < 0.03
    assert first[3:].sum() == 0
