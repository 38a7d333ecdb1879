"""Patients shown in full: drawn by seed over the diseases, marked by identifier, without their ids."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pandas as pd
import pytest

import report_material
from mintflow import case_view, io, tables
from mintflow.case_view import case_table, draw, mark, pick
from mintflow.errors import InputError
from mintflow.evaluation import GROUNDED
from mintflow.metrics import Labels

NAMES = {"OMIM:1": "One", "OMIM:2": "Two", "OMIM:3": "Three", "OMIM:4": "Four"}
CANDIDATES = pd.DataFrame(
    {"disease_id": list(NAMES), "name": list(NAMES.values()), "series": ["S", "S", None, None]}
)
LABELS = Labels(
    frozenset(NAMES), {"OMIM:1": "S", "OMIM:2": "S"}, lambda disease: disease.replace("ORPHA", "OMIM")
)
CASES = pd.DataFrame(
    {
        "case_id": ["case-a", "case-b"],
        "disease_id": ["ORPHA:1", "OMIM:4"],
        "split": ["test", "test_unseen"],
    }
)
PHENOTYPES = pd.DataFrame(
    [
        ("case-a", "HP:1", "Ptosis", False),
        ("case-a", "HP:2", "Fever", True),
        ("case-b", "HP:1", "Ptosis", False),
    ],
    columns=["case_id", "hpo_id", "name", "excluded"],
)
TEACHER = pd.DataFrame(
    [
        (case, disease, rank)
        for case, order in (("case-a", "1234"), ("case-b", "1234"))
        for rank, disease in enumerate((f"OMIM:{digit}" for digit in order), start=1)
    ],
    columns=["case_id", "disease_id", "rank"],
)
WRITTEN = pd.DataFrame(
    [
        ("orpo", "case-a", 1, "two", "OMIM:2"),
        ("orpo", "case-a", 2, "Grumbling elbow", None),
        ("orpo", "case-a", 3, "the first", "OMIM:1"),
        ("orpo", "case-b", 1, "Three", "OMIM:3"),
        ("orpo.seed7", "case-b", 1, "Four", "OMIM:4"),
    ],
    columns=GROUNDED,
)


def table(seed: int = 1, wanted: int = 2) -> pd.DataFrame:
    arms = ["base", "orpo"]
    chosen = draw(CASES, wanted, seed)
    return case_table(CASES, PHENOTYPES, CANDIDATES, TEACHER, WRITTEN, LABELS, chosen=chosen, arms=arms, k=2)


def patient(found: pd.DataFrame, truth: str) -> pd.DataFrame:
    (number,) = found.loc[(found["source"] == "truth") & (found["text"] == truth), "patient"]
    return found[found["patient"] == number].set_index("source")


def test_all_that_is_said_of_a_patient() -> None:
    own = patient(table(), "One")
    assert own.loc[["observed"], "text"].tolist() == ["Ptosis"]
    assert own.loc[["excluded"], "text"].tolist() == ["Fever"]
    assert own.loc[["truth"], "disease_id"].tolist() == ["OMIM:1"]
    assert own.loc[["teacher"], ["position", "text", "mark"]].to_numpy().tolist() == [
        [1, "One", "correct"],
        [2, "Two", "related"],
    ]
    assert own.loc[["orpo"], ["position", "mark"]].to_numpy().tolist() == [
        [1, "related"],
        [2, "ungrounded"],
        [3, "correct"],
    ]
    assert own.loc[["base"], ["position", "text"]].to_numpy().tolist() == [[0, ""]]  # it wrote no list


def test_the_teachers_rank_of_the_truth_is_there_beyond_its_list() -> None:
    own = patient(table(), "Four")
    assert own.loc[["teacher"], ["position", "text"]].to_numpy().tolist() == [
        [1, "One"],
        [2, "Two"],
        [4, "Four"],
    ]
    assert own.loc[["truth"], "mark"].tolist() == ["unseen"]
    assert own.loc[["orpo"], "mark"].tolist() == ["wrong"]  # of the first seed alone


def test_no_identifier_is_in_the_table() -> None:
    text = table().to_csv()
    for private in [*CASES["case_id"], "HP:"]:
        assert private not in text


def test_draw_is_spread_over_diseases_and_looks_at_test_patients_alone() -> None:
    cases = report_material.cases()
    tested = cases[cases["split"].isin(["test", "test_unseen"])]
    diseases = tested["disease_id"].nunique()
    drawn = draw(cases, diseases, 7)
    assert set(drawn) <= set(tested["case_id"]) and len(drawn) == diseases
    assert cases.set_index("case_id").loc[drawn, "disease_id"].is_unique
    assert draw(cases.sample(frac=1, random_state=1), diseases, 7) == drawn
    assert draw(cases, 3, 8) != drawn[:3] == draw(cases, 3, 7)
    assert draw(cases, 10**6, 7) and len(draw(cases, 10**6, 7)) == len(tested)


def test_none_asked_for_is_an_empty_table() -> None:
    found = table(wanted=0)
    assert found.empty and found.columns.tolist() == case_view.COLUMNS


def test_marks() -> None:
    assert mark("OMIM:1", "OMIM:1", LABELS) == "correct"
    assert mark("OMIM:2", "OMIM:1", LABELS) == "related"
    assert mark("OMIM:3", "OMIM:4", LABELS) == "wrong"
    assert mark(None, "OMIM:1", LABELS) == "ungrounded"


def test_program(tmp_path: Path) -> None:
    mondo = pd.DataFrame(
        {
            "mondo_id": ["MONDO:1"] * 2,
            "mondo_label": "one",
            "source_id": ["OMIM:1", "ORPHA:1"],
            "source_label": "one",
        }
    )
    for name, content in {
        "cases": CASES,
        "phenotypes": PHENOTYPES,
        "candidates": CANDIDATES,
        "mondo": mondo,
        "teacher": TEACHER,
        "grounded": WRITTEN,
    }.items():
        io.write_parquet(content, tmp_path / f"{name}.parquet")
    settings = {"k": 2, "report_cases": 2, "report_case_ids": [], "seed": 1, "arms": ["base", "orpo"]}
    flags = ["--settings", json.dumps(settings)]
    for name in ("cases", "phenotypes", "candidates", "mondo", "teacher", "grounded"):
        flags += [f"--{name}", str(tmp_path / f"{name}.parquet")]
    program = importlib.import_module("choose_cases")
    for output in ("a.csv", "b.csv"):
        program.main(program.arguments().parse_args([*flags, "--output", str(tmp_path / output)]))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    found = tables.read_csv(tmp_path / "a.csv", case_view.COLUMNS)
    assert patient(found, "One").loc[["orpo"], "mark"].tolist() == ["related", "ungrounded", "correct"]
    for named in (["case-b"], ["case-b", "case-a"], ["case-a", "case-b"]):
        flags[1] = json.dumps(settings | {"report_cases": 0, "report_case_ids": named})
        program.main(program.arguments().parse_args([*flags, "--output", str(tmp_path / "named.csv")]))
        found = tables.read_csv(tmp_path / "named.csv", case_view.COLUMNS)
        truths = found.loc[found["source"] == "truth"].sort_values("patient")["text"].tolist()
        assert truths == [{"case-a": "One", "case-b": "Four"}[case] for case in named]
        assert "case-" not in (tmp_path / "named.csv").read_text()


def test_who_cannot_be_shown() -> None:
    cases = pd.concat([CASES, CASES.iloc[:1].assign(case_id="case-c", split="train")])
    for wrong, what in (("case-c", "is in train"), ("case-d", "is no patient of the cohort")):
        with pytest.raises(InputError, match=f"{wrong}, field rare.evaluation.report_case_ids: {what}"):
            pick(cases, ["case-a", wrong])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_numbers_count_from_one(seed: int) -> None:
    assert sorted(set(table(seed)["patient"])) == [1, 2]
