from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mini_ontology import BOTH, FINGER, FOOT, HAND, HEART, LIMB, SEPTUM, ontology
from mintflow.features import Cohort
from mintflow.likelihood_ratio import HIGHEST, LikelihoodRatio
from mintflow.similarity import Similarity

IC = {
    "HP:0000001": 0.0,
    "HP:0000118": 0.0,
    LIMB: 1,
    HAND: 2,
    FINGER: 3,
    FOOT: 2,
    HEART: 1,
    SEPTUM: 2,
    BOTH: 4,
}
CONTENT = pd.DataFrame({"hpo_id": list(IC), "ic": list(IC.values())})
PROFILES = pd.DataFrame(
    [("D1", HAND, 0.5), ("D1", SEPTUM, 0.25), ("D2", FOOT, 1.0)],
    columns=["disease_id", "hpo_id", "frequency"],
)


def patients(*listed: tuple[str, str, bool], ids: tuple[str, ...] = ("p", "q")) -> Cohort:
    phenotypes = pd.DataFrame(listed, columns=["case_id", "hpo_id", "excluded"])
    return Cohort(pd.DataFrame({"case_id": ids}), phenotypes, pd.DataFrame())


def test_resnik_by_hand():
    cohort = patients(("p", FINGER, False), ("p", HEART, False), ("q", BOTH, False), ("q", FOOT, True))
    scores = Similarity(PROFILES, CONTENT, ontology()).score(cohort, ["D2", "D1", "none"])
    # p: finger meets hand (2) in D1 and limb (1) in D2; heart meets itself (1) in D1 alone
    assert scores[0].tolist() == [0.5, 1.5, 0]
    # q: below both septum and finger, so septum or hand (2 each) in D1; the excluded foot is not counted
    assert scores[1].tolist() == [1, 2, 0]


def test_chunks_and_patients_without_terms():
    cohort = patients(("p", FOOT, False))
    similarity = Similarity(PROFILES, CONTENT, ontology())
    parts = [scores for _, scores in similarity.chunks(cohort, ["D1", "D2"], 1)]
    assert len(parts) == 2
    assert (
        np.concatenate(parts).tolist() == similarity.score(cohort, ["D1", "D2"]).tolist() == [[1, 2], [0, 0]]
    )


def test_likelihood_ratio_by_hand():
    # background: hand 0.5/2, foot 0.95/2 in the mean of D1 and D2 (unclipped 1/2), limb (0.5+1)/2
    ratio = LikelihoodRatio(PROFILES, ontology())
    scores = ratio.score(patients(("p", HAND, False), ("q", HAND, True)), ["D1", "D2", "none"])
    assert scores[0, 0] == pytest.approx(np.log(0.5 / 0.25))
    # D2 lacks hand; the best it has above is limb, or the root at no gain, less log 2
    assert scores[0, 1] == pytest.approx(np.log(HIGHEST / 0.75) - np.log(2))
    assert scores[1, 0] == pytest.approx(np.log(0.5 / 0.75))
    assert scores[1, 1] == pytest.approx(-np.log(0.75))
    assert scores[:, 2].tolist() == [0, 0]


def test_likelihood_ratio_is_finite_for_certain_and_unheard_of_findings():
    cohort = patients(("p", FOOT, True), ("p", BOTH, False), ("q", BOTH, True))
    scores = LikelihoodRatio(PROFILES, ontology()).score(cohort, ["D1", "D2"])
    assert np.isfinite(scores).all()
    assert scores[0, 1] < scores[0, 0]
