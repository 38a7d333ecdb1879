from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mini_ontology import FINGER, FOOT, HAND, HEART, LIMB, ontology
from mintflow.errors import InputError
from mintflow.features import (
    Cohort,
    disease_codes,
    read_images,
    term_matrix,
    term_weights,
    unit_rows,
)

ROWS = pd.DataFrame(
    [("a", HAND, 0.5), ("a", FOOT, 0.75), ("b", HEART, 0.25), ("z", HEART, 1.0), ("b", "HP:9999999", 1.0)],
    columns=["who", "hpo_id", "f"],
)


def entry(matrix, row: int, term: str) -> float:
    return float(matrix[row, ontology().index[term]])


def test_term_matrix_closes_over_ancestors_with_the_largest_value():
    matrix = term_matrix(ROWS, "who", ["b", "a"], ontology(), value="f")
    assert matrix.shape == (2, len(ontology()))
    assert entry(matrix, 1, HAND) == 0.5
    assert entry(matrix, 1, FOOT) == 0.75
    assert entry(matrix, 1, LIMB) == entry(matrix, 1, "HP:0000118") == 0.75
    assert entry(matrix, 1, FINGER) == entry(matrix, 1, HEART) == 0
    assert entry(matrix, 0, HEART) == entry(matrix, 0, "HP:0000001") == 0.25


def test_term_matrix_without_closing_holds_the_listed_terms_only():
    matrix = term_matrix(ROWS, "who", ["a", "b"], ontology(), close=False)
    assert matrix.sum() == 3
    assert entry(matrix, 0, LIMB) == 0


def test_term_matrix_of_nothing():
    assert term_matrix(ROWS[:0], "who", ["a"], ontology()).nnz == 0


def test_unit_rows_leave_empty_rows_empty():
    matrix = unit_rows(term_matrix(ROWS, "who", ["a", "nobody"], ontology()))
    assert np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel() == pytest.approx([1, 0])


def test_term_weights_are_zero_for_terms_without_information():
    weights = term_weights(pd.DataFrame({"hpo_id": [HAND, "HP:9999999"], "ic": [2.0, 5.0]}), ontology())
    assert weights[ontology().index[HAND]] == 2
    assert weights.sum() == 2


def cases(**changes: object) -> pd.DataFrame:
    table = {
        "case_id": ["case-b", "case-a"],
        "publication": ["PMID:1", "PMID:2"],
        "disease_id": ["OMIM:1", "OMIM:2"],
        "split": ["train", "test"],
        "fold": [0, -1],
    }
    return pd.DataFrame(table | changes)


def written(tmp_path, table: pd.DataFrame, name: str):
    path = tmp_path / f"{name}.parquet"
    table.to_parquet(path)
    return path


def test_cohort_is_sorted_and_leaves_other_patients_out(tmp_path):
    phenotypes = pd.DataFrame(
        [("case-a", HAND, False), ("case-b", FOOT, True), ("other", HAND, False)],
        columns=["case_id", "hpo_id", "excluded"],
    )
    cohort = Cohort.read(
        written(tmp_path, cases(publications=[["PMID:1", "PMID:3"], ["PMID:2"]]), "cases"),
        written(tmp_path, phenotypes, "phenotypes"),
    )
    assert cohort.cases["case_id"].tolist() == ["case-a", "case-b"]
    assert entry(cohort.terms(ontology()), 0, LIMB) == 1
    excluded = cohort.terms(ontology(), excluded=True)
    assert (entry(excluded, 1, FOOT), entry(excluded, 1, LIMB)) == (1, 0)
    assert cohort.publications(cohort.in_split("train")) == {"PMID:1", "PMID:3"}


def test_publications_that_share_a_patient_are_one_group():
    table = cases(publications=[["PMID:1", "PMID:2"], ["PMID:2"]])
    groups = Cohort(table, pd.DataFrame(), pd.DataFrame()).groups
    assert groups[0] == groups[1]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (cases(case_id=["case-a", "case-a"]), "appears twice"),
        (cases().drop(columns="fold"), "lacks column.*fold"),
    ],
)
def test_cohort_refuses_bad_cases(tmp_path, table, message):
    phenotypes = pd.DataFrame([("case-a", HAND, False)], columns=["case_id", "hpo_id", "excluded"])
    with pytest.raises(InputError, match=message):
        Cohort.read(written(tmp_path, table, "cases"), written(tmp_path, phenotypes, "phenotypes"))


def test_disease_that_is_no_candidate_is_named():
    with pytest.raises(InputError, match=r"case-b.*OMIM:1 is no candidate"):
        disease_codes(Cohort(cases(), pd.DataFrame(), pd.DataFrame()), ["OMIM:2"])


def images(tmp_path, rows: list[tuple[str, list[float]]]):
    return written(tmp_path, pd.DataFrame(rows, columns=["case_id", "embedding"]), "images")


def test_images_follow_the_cases_and_are_nan_where_missing(tmp_path):
    path = images(tmp_path, [("b", [1.0, 2.0]), ("elsewhere", [1.0]), ("elsewhere", [1.0])])
    found = read_images(path, ["a", "b"])
    assert np.isnan(found[0]).all()
    assert found[1].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", [1.0]), ("a", [2.0])], "record a.*two embeddings"),
        ([("a", [1.0]), ("b", [2.0, 3.0])], r"lengths \[1, 2\]"),
        ([("a", [float("nan")])], "record a.*finite"),
        ([("a", [1e300])], "record a.*finite"),
        ([("c", [1.0])], "no embedding of any patient"),
    ],
)
def test_bad_images_are_refused(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read_images(images(tmp_path, rows), ["a", "b"])
