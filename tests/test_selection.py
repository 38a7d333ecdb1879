from __future__ import annotations

import pandas as pd
import pytest

from mintflow.errors import InputError
from mintflow.selection import choose, publication_groups, twins_across_publications
from patients import A1, A2, B1, B, cases, series

SETTINGS = {"min_terms": 1, "min_cases": 2, "min_publications": 2, "max_diseases": None}


def phenotypes(table: pd.DataFrame, **terms: list[str]) -> pd.DataFrame:
    """Each patient's terms; without any, two that differ from patient to patient by excluded ids."""
    rows = []
    for i, case in enumerate(table["case_id"]):
        given = terms.get(case.replace("-", "_"), [A1, f"!HP:{i:07d}"])
        rows += [(case, term.lstrip("!"), term.startswith("!")) for term in given]
    return pd.DataFrame(rows, columns=["case_id", "hpo_id", "excluded"])


def test_groups_are_publications_tied_by_patients() -> None:
    table = cases([("a", "PMID:1", "X"), ("b", "PMID:2", "X"), ("c", "PMID:3", "X"), ("d", "PMID:4", "X")])
    table["publications"] = [["PMID:1"], ["PMID:2", "PMID:1"], ["PMID:3", "PMID:2"], ["PMID:4"]]
    assert publication_groups(table).tolist() == ["PMID:1", "PMID:1", "PMID:1", "PMID:4"]
    assert publication_groups(table.drop(columns="publications")).nunique() == 4


def test_twins_across_publications_leave_one_publication() -> None:
    table = cases([(name, f"PMID:{i}", "X") for i, name in enumerate("abcdef")])
    table.loc[1, "publication"] = "PMID:0"
    table["publications"] = [[name] for name in table["publication"]]
    table.loc[4, "sex"] = "MALE"
    same = [B1, f"!{A2}"]
    terms = phenotypes(table, a=same, b=same, c=list(reversed(same)), d=[B1, A2], e=same, f=[A1])
    # a and b share a publication, so both stay; c repeats them elsewhere; d, e and f differ
    assert twins_across_publications(table, terms).tolist() == [False, False, True, False, False, False]


def test_steps_and_counts() -> None:
    rows = [
        *series({"PMID:1": 2, "PMID:2": 1}, "OMIM:100001"),
        *series({"PMID:3": 1, "PMID:4": 1, "PMID:5": 1}, "OMIM:100002"),
        *series({"PMID:6": 5}, "OMIM:100003"),
        *series({"PMID:7": 1, "PMID:8": 3}, "OMIM:100004"),
    ]
    table = cases(rows)
    few = table["case_id"].iloc[0]
    terms = phenotypes(table)
    terms = terms[~((terms["case_id"] == few) & ~terms["excluded"])]
    chosen, steps = choose(table, terms, SETTINGS)
    assert [(step["cases"], step["diseases"], step["publications"]) for step in steps] == [
        (15, 4, 8),
        (14, 4, 8),
        (14, 4, 8),
        (9, 3, 7),
        (9, 3, 7),
    ]
    assert chosen["case_id"].is_monotonic_increasing
    assert few not in set(chosen["case_id"])
    assert (chosen["n_observed"] == 1).all() and (chosen["n_excluded"] == 1).all()
    # most publications first, then more patients
    two, _ = choose(table, terms, {**SETTINGS, "max_diseases": 2})
    assert set(two["disease_id"]) == {"OMIM:100002", "OMIM:100004"}


def test_publications_that_cannot_be_told_apart_count_once() -> None:
    table = cases(
        [
            *series({"PMID:1": 1, "PMID:2": 1}, "OMIM:100001"),
            *series({"PMID:3": 1, "PMID:4": 1}, "OMIM:100002"),
            *series({"PMID:5": 1, "PMID:6": 1}, "OMIM:100003"),
        ]
    )
    table.at[0, "publications"] = ["PMID:1", "PMID:2"]
    chosen, _ = choose(table, phenotypes(table), SETTINGS)
    assert set(chosen["disease_id"]) == {"OMIM:100002", "OMIM:100003"}


def test_nothing_left_names_the_keys() -> None:
    table = cases(series({"PMID:1": 2, "PMID:2": 1}, "OMIM:100001"))
    with pytest.raises(InputError, match=r"rare\.cohort\.min_terms, min_cases or min_publications"):
        choose(table, phenotypes(table), {**SETTINGS, "min_terms": 3})
    with pytest.raises(InputError, match="1 disease"):
        choose(table, phenotypes(table), SETTINGS)


def test_the_order_of_rows_does_not_matter() -> None:
    rows = [
        *series({"PMID:1": 2, "PMID:2": 1}, "OMIM:100001"),
        *series({"PMID:3": 2, "PMID:4": 1}, "OMIM:100002"),
    ]
    table = cases(rows)
    terms = phenotypes(table, **{rows[0][0].replace("-", "_"): [B]})
    first, _ = choose(table, terms, SETTINGS)
    second, _ = choose(table[::-1], terms[::-1], SETTINGS)
    pd.testing.assert_frame_equal(first, second)
