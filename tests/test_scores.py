from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mintflow.errors import InputError
from mintflow.scores import ExternalScores, accuracy, rank_table, ranks

CASES = ["case-1", "case-2"]
DISEASES = ["OMIM:1", "OMIM:2", "OMIM:3"]
COHORT = SimpleNamespace(cases=pd.DataFrame({"case_id": CASES}))


def test_ties_share_the_worst_rank():
    assert ranks(np.array([[5.0, 5.0, 1.0], [0.0, 0.0, 0.0]])).tolist() == [[2, 2, 3], [3, 3, 3]]


def test_ranks_agree_with_their_definition():
    scores = np.random.default_rng(0).integers(0, 5, (50, 9)).astype(float)
    expected = (scores[:, None, :] >= scores[:, :, None]).sum(axis=2)
    assert (ranks(scores) == expected).all()


def test_accuracy_counts_a_tie_for_the_first_place_as_a_miss():
    scores = np.array([[1.0, 1.0, 0.0], [3.0, 2.0, 1.0]])
    assert accuracy(scores, np.array([0, 0])) == 0.5
    assert accuracy(scores, np.array([0, 0]), k=2) == 1
    assert accuracy(scores[:0], np.array([], int)) is None


def test_rank_table_is_tidy_and_sorted():
    table = rank_table(np.array([[1.0, 3.0, 1.0], [2.0, 1.0, 0.0]]), ["case-2", "case-1"], DISEASES)
    assert table["case_id"].tolist() == ["case-1"] * 3 + ["case-2"] * 3
    assert table["disease_id"].tolist() == ["OMIM:1", "OMIM:2", "OMIM:3", "OMIM:2", "OMIM:1", "OMIM:3"]
    assert table["rank"].tolist() == [1, 2, 3, 1, 3, 3]


def test_rank_table_refuses_what_is_not_finite():
    with pytest.raises(InputError, match=r"case-1, OMIM:2"):
        rank_table(np.array([[0.0, np.nan, 1.0]]), ["case-1"], DISEASES)
    with pytest.raises(ValueError, match="1 cases x 3"):
        rank_table(np.zeros((2, 3)), ["case-1"], DISEASES)


MONDO = pd.DataFrame(
    {"mondo_id": ["MONDO:2", "MONDO:2", "MONDO:9"], "source_id": ["OMIM:2", "ORPHA:22", "OMIM:9"]}
)


def scored(tmp_path, rows, name="scores.tsv"):
    path = tmp_path / name
    table = pd.DataFrame(rows, columns=["case_id", "disease_id", "score"])
    table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, sep="\t", index=False)
    return ExternalScores(path, MONDO)


ROWS = [
    ("case-1", "OMIM:1", 0.5),
    ("case-1", "Orphanet:22", 0.9),
    ("case-1", "MONDO:2", 0.7),
    ("case-1", "OMIM:777", 9.0),
    ("case-2", "OMIM:3", -1.0),
]


@pytest.mark.parametrize("name", ["scores.tsv", "scores.parquet"])
def test_external_scores_are_translated_and_the_rest_ranks_last(tmp_path, name):
    scores = scored(tmp_path, ROWS, name).score(COHORT, DISEASES)
    assert scores.tolist() == [[0.5, 0.9, -0.5], [-2.0, -2.0, -1.0]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("case-9", "OMIM:1", 1.0), r"scores\.tsv, record row \d+, field case_id: 1 unknown case"),
        (("case-1", "OMIM:1", "high"), r"case-1, OMIM:1.*'high' is no finite number"),
        (("case-1", "OMIM:1", float("nan")), "no finite number"),
        (("case-1", "Marfan syndrome", 1.0), "'Marfan syndrome' is no disease id"),
    ],
)
def test_bad_external_scores_are_named(tmp_path, row, message):
    with pytest.raises(InputError, match=message):
        scored(tmp_path, [*ROWS, row]).score(COHORT, DISEASES)


def test_patients_without_scores_are_named(tmp_path):
    with pytest.raises(InputError, match=r"1 patient.*case-2"):
        scored(tmp_path, ROWS[:2]).score(COHORT, DISEASES)


def test_file_of_scores_that_is_none(tmp_path):
    with pytest.raises(InputError, match=r"missing\.tsv"):
        ExternalScores(tmp_path / "missing.tsv")
    (tmp_path / "other.tsv").write_text("case_id\tscore\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"lacks column.*disease_id"):
        ExternalScores(tmp_path / "other.tsv")
