"""The nearest training patient: checked against a plain reckoning, and what it may not look at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mintflow import nearest_patient
from mintflow.features import Cohort
from mintflow.nearest_patient import NearestPatient
from mintflow.yardsticks import yardstick
from ranking_material import DISEASES, cohort, evidence, ontology


def by_hand(patients: Cohort, hidden: frozenset[str] = frozenset()) -> np.ndarray:
    """The same with dictionaries: cosine of information content over terms and their ancestors."""
    known = evidence(patients)
    known = known.without(known.held_out(patients) | hidden) if hidden else known
    ic = known.information_content.set_index("hpo_id")["ic"].to_dict()
    vectors = {}
    for case, rows in patients.phenotypes[~patients.phenotypes["excluded"]].groupby("case_id"):
        closed = {up for term in rows["hpo_id"] for up in ontology().ancestors(term)}
        vectors[case] = {term: ic.get(term, 0.0) for term in closed}
    result = np.zeros((len(patients), len(DISEASES)))
    for row, one in enumerate(patients.cases.itertuples(index=False)):
        for other in patients.cases.itertuples(index=False):
            if other.split == "train" and other.publication not in hidden:
                a, b = vectors[one.case_id], vectors[other.case_id]
                product = sum(a[term] * b.get(term, 0.0) for term in a)
                length = np.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))
                column = DISEASES.index(other.disease_id)
                result[row, column] = max(result[row, column], product / length)
    return result


def build(patients: Cohort, *hidden: str) -> NearestPatient:
    known = evidence(patients)
    known = known.without(known.held_out(patients) | set(hidden)) if hidden else known
    return NearestPatient(known.information_content, known.ontology, frozenset(hidden))


@pytest.mark.parametrize("chunk", [7, 256])
@pytest.mark.parametrize("hidden", [(), ("PMID:00", "PMID:21")])
def test_it_is_the_largest_cosine(
    chunk: int, hidden: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest_patient, "CHUNK", chunk)
    patients = cohort()
    scores = build(patients, *hidden).score(patients, DISEASES)
    assert scores == pytest.approx(by_hand(patients, frozenset(hidden)), abs=1e-5)
    train = patients.in_split("train")
    if not hidden:
        assert scores[train].max(axis=1) == pytest.approx(1, abs=1e-5)  # oneself


def test_a_disease_without_a_training_patient_has_nothing() -> None:
    patients = cohort()
    scores = build(patients).score(patients, DISEASES)
    assert (scores[:, 4] == 0).all() and (scores[:, :4].max(axis=0) > 0.5).all()
    everything = patients.cases["publication"].unique().tolist()
    assert (build(patients, *everything).score(patients, DISEASES) == 0).all()


def test_excluded_phenotypes_of_nobody_are_read() -> None:
    patients = cohort()
    observed = patients.phenotypes[~patients.phenotypes["excluded"]].reset_index(drop=True)
    without = replace(patients, phenotypes=observed)
    assert len(observed) < len(patients.phenotypes)
    assert (build(patients).score(patients, DISEASES) == build(patients).score(without, DISEASES)).all()


def test_training_patients_do_not_find_their_own_publication() -> None:
    patients = cohort()
    found = yardstick("nearest-patient", patients, DISEASES, evidence(patients))
    first = patients.cases["fold"].to_numpy() == 0
    own = frozenset(patients.publications(first))
    assert found[first] == pytest.approx(by_hand(patients, own)[first], abs=1e-5)
    assert found[first].max() < 1 - 1e-5
    test = patients.in_split("test")
    assert found[test] == pytest.approx(by_hand(patients)[test], abs=1e-5)
    right = patients.cases["disease_id"].map(DISEASES.index).to_numpy()
    assert (found[test].argmax(axis=1) == right[test]).mean() > 0.5
