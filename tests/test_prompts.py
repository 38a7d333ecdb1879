"""Prompts: what is shown, in which order, and what the controls take away."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from mintflow import io
from mintflow.errors import InputError
from mintflow.prompts import (
    Template,
    build_prompts,
    choose_donors,
    describe_patient,
    order_terms,
)

USER = "{patient}Phenotypes: {phenotypes}.{excluded} List {k}."
SETTINGS = {"system": "S", "user": USER, "max_terms": 2, "max_excluded": 1, "demographics": True}

CASES = pd.DataFrame(
    [
        ("case-1", "OMIM:1", "train", "FEMALE", 3.0),
        ("case-2", "OMIM:1", "test", "MALE", None),
        ("case-3", "OMIM:2", "test_unseen", "UNKNOWN", 0.5),
    ],
    columns=["case_id", "disease_id", "split", "sex", "age_years"],
)
PHENOTYPES = pd.DataFrame(
    [
        ("case-1", "HP:1", "Common", False),
        ("case-1", "HP:2", "Rare", False),
        ("case-1", "HP:3", "Rarer", False),
        ("case-1", "HP:1", "Common", True),
        ("case-1", "HP:3", "Rarer", True),
        ("case-2", "HP:2", "Rare", False),
        ("case-3", "HP:1", "Common", False),
        ("case-9", "HP:7", "Of no selected case", False),
    ],
    columns=["case_id", "hpo_id", "name", "excluded"],
)
IC = pd.DataFrame({"hpo_id": ["HP:1", "HP:2", "HP:3"], "ic": [0.5, 2.0, 3.0]})


def prompts(controls: list[str], **changes: object) -> pd.DataFrame:
    template = Template.from_settings({**SETTINGS, **changes})
    return build_prompts(CASES, PHENOTYPES, IC, template, k=3, controls=controls, seed=0)


def user_text(table: pd.DataFrame, case: str, control: str) -> str:
    row = table[(table["case_id"] == case) & (table["control"] == control)].iloc[0]
    return row["prompt"][-1]["content"]


def test_most_informative_observed_and_most_telling_absent_terms_are_shown() -> None:
    table = prompts([])
    assert user_text(table, "case-1", "none") == (
        "3-year-old female. Phenotypes: Rarer, Rare. Absent: Common. List 3."
    )
    assert table["prompt"].iloc[0][0] == {"role": "system", "content": "S"}


def test_ties_in_information_go_by_id() -> None:
    flat = IC.assign(ic=1.0)
    ordered = order_terms(PHENOTYPES[PHENOTYPES["case_id"] != "case-9"].iloc[::-1], flat)
    assert ordered.query("case_id == 'case-1' and not excluded")["hpo_id"].tolist() == [
        "HP:1",
        "HP:2",
        "HP:3",
    ]


def test_without_demographics_absences_and_system() -> None:
    table = prompts([], demographics=False, max_excluded=0, system="")
    assert table["prompt"].iloc[0] == [{"role": "user", "content": "Phenotypes: Rarer, Rare. List 3."}]


def test_controls_are_for_test_cases_only_and_keep_everything_else() -> None:
    table = prompts(["shuffled", "blank"])
    assert list(zip(table["case_id"], table["control"], strict=True)) == [
        ("case-1", "none"),
        *(("case-2", control) for control in ("blank", "none", "shuffled")),
        *(("case-3", control) for control in ("blank", "none", "shuffled")),
    ]
    assert user_text(table, "case-2", "none") == "male. Phenotypes: Rare. List 3."
    assert user_text(table, "case-2", "blank") == "male. Phenotypes: not available. List 3."
    assert user_text(table, "case-2", "shuffled") == "male. Phenotypes: Common. List 3."
    assert user_text(table, "case-3", "shuffled") == "6-month-old. Phenotypes: Rare. List 3."


def test_a_patient_out_of_the_set_gets_the_blank_prompt_that_a_ranking_by_pmi_reads_and_lends_nothing() -> (
    None
):
    cases = CASES.assign(split=["unlabelled", "test", "test_unseen"])
    table = build_prompts(
        cases, PHENOTYPES, IC, Template.from_settings(SETTINGS), 3, ["shuffled", "blank"], 0
    )
    assert table.loc[table["case_id"] == "case-1", "control"].tolist() == ["blank", "none"]
    assert user_text(table, "case-1", "blank") == "3-year-old female. Phenotypes: not available. List 3."
    assert user_text(table, "case-3", "shuffled") == "6-month-old. Phenotypes: Rare. List 3."


def test_donors_have_another_disease_and_depend_on_the_seed_alone() -> None:
    cases = pd.DataFrame(
        {"case_id": [f"c{i:02}" for i in range(40)], "disease_id": ["a", "b", "c", "d"] * 10}
    )
    donors = choose_donors(cases, seed=3)
    disease = dict(zip(cases["case_id"], cases["disease_id"], strict=True))
    assert all(disease[case] != disease[donor] for case, donor in donors.items())
    assert choose_donors(cases.sample(frac=1, random_state=1), seed=3) == donors
    assert choose_donors(cases, seed=4) != donors
    with pytest.raises(InputError, match=r"rare\.evaluation\.controls"):
        choose_donors(cases[cases["disease_id"] == "a"], seed=3)


@pytest.mark.parametrize(
    ("sex", "age", "text"),
    [
        ("FEMALE", 3.9, "3-year-old female. "),
        ("MALE", 1.5, "18-month-old male. "),
        ("MALE", 0.02, "newborn male. "),
        ("UNKNOWN", 40.0, "40-year-old. "),
        ("FEMALE", float("nan"), "female. "),
        ("UNKNOWN", None, ""),
    ],
)
def test_patient_description(sex: str, age: float | None, text: str) -> None:
    assert describe_patient(sex, age) == text


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("{phenotype}", "unknown placeholder {phenotype}"),
        ("{phenotypes} {}", "unknown placeholder {}"),
        ("{phenotypes.__class__}", "unknown placeholder"),
        ("{phenotypes:>9}", "unknown placeholder"),
        ("{phenotypes} {", "literal brace is doubled"),
        ("List {k}.", "lacks {phenotypes}"),
    ],
)
def test_bad_template_names_its_key(user: str, message: str) -> None:
    with pytest.raises(InputError, match=r"rare\.prompt\.user") as caught:
        Template.from_settings({**SETTINGS, "user": user})
    assert message in str(caught.value)


def test_other_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="max_term"):
        Template.from_settings({**SETTINGS, "max_term": 1})
    with pytest.raises(InputError, match=r"unknown control.*mirror"):
        prompts(["mirror"])
    template = Template.from_settings(SETTINGS)
    with pytest.raises(InputError, match="HP:3"):
        build_prompts(CASES, PHENOTYPES, IC.iloc[:2], template, 3, [], 0)
    with pytest.raises(InputError, match="record case-3, field phenotypes"):
        build_prompts(CASES, PHENOTYPES[PHENOTYPES["case_id"] != "case-3"], IC, template, 3, [], 0)


def test_script_writes_the_same_bytes_twice_and_names_a_bad_key(tmp_path: Path, root: Path) -> None:
    for name, table in (("cases", CASES), ("phenotypes", PHENOTYPES), ("ic", IC)):
        io.write_parquet(table, tmp_path / f"{name}.parquet")
    settings = {"prompt": SETTINGS, "k": 3, "controls": ["blank", "shuffled"], "seed": 7}

    def run(output: str, **changes: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                sys.executable,
                str(root / "workflow/scripts/build_prompts.py"),
                *("--settings", json.dumps({**settings, **changes})),
                *(
                    item
                    for name in ("cases", "phenotypes", "ic")
                    for item in (f"--{name}", f"{name}.parquet")
                ),
                *("--output", output),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    assert run("a.parquet").returncode == run("b.parquet").returncode == 0
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    table = io.read_parquet(tmp_path / "a.parquet")
    assert list(table.columns) == ["case_id", "split", "control", "prompt"]
    assert list(table["prompt"].iloc[0][0]) == ["role", "content"]
    failed = run("c.parquet", colour="red")
    assert failed.returncode == 2
    assert "colour" in failed.stderr
    assert not (tmp_path / "c.parquet").exists()
