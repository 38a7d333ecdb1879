"""Views of a training patient: which phenotypes stay, whose they are, and what pairs are made of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from mintflow import io
from mintflow.prompts import Template, build_prompts
from mintflow.views import build_views, thin

TERMS = [f"HP:{number}" for number in range(12)]
IC = pd.DataFrame({"hpo_id": TERMS, "ic": [float(number) for number in range(12)]})
WORDING = {
    "system": "S",
    "user": "{phenotypes}{excluded}",
    "max_terms": 8,
    "max_excluded": 5,
    "demographics": False,
}
TEMPLATE = Template.from_settings(WORDING)
CASES = pd.DataFrame(
    [
        (f"case-{number}", "OMIM:1", split, "UNKNOWN", None)
        for number, split in enumerate(["train", "test"] * 3)
    ],
    columns=["case_id", "disease_id", "split", "sex", "age_years"],
)


def phenotypes(excluded: int = 2) -> pd.DataFrame:
    rows = [
        (case, term, term.replace(":", "-"), place < excluded)
        for case in CASES["case_id"]
        for place, term in enumerate(TERMS)
    ]
    return pd.DataFrame(rows, columns=["case_id", "hpo_id", "name", "excluded"])


def views(count: int = 3, leave_out: float = 0.4, seed: int = 1) -> pd.DataFrame:
    return build_views(CASES, phenotypes(), IC, TEMPLATE, 3, count, leave_out, seed)


def shown(prompt: list[dict[str, str]]) -> list[str]:
    return prompt[-1]["content"].partition(" Absent")[0].split(", ")


def test_nothing_is_left_out_at_zero_and_one_observed_term_stays_at_almost_one() -> None:
    table = phenotypes()
    assert len(thin(table, 0, 1, 1)) == len(table)
    left = thin(table, 0.999999, 1, 1)
    assert (left[~left["excluded"]].groupby("case_id").size() == 1).all()
    assert set(left["case_id"]) == set(table["case_id"])


def test_share_left_out_is_the_one_asked_for() -> None:
    table = pd.concat(
        [phenotypes(0).assign(case_id=lambda t, n=n: t["case_id"] + f"-{n}") for n in range(60)]
    )
    left = thin(table, 0.3, 4, 2)
    assert len(table) == 4320
    assert 1 - len(left) / len(table) == pytest.approx(0.3, abs=0.03)
    assert set(left["hpo_id"]) == set(TERMS)


def test_what_a_patient_loses_depends_on_no_other_patient() -> None:
    table = phenotypes()
    alone = thin(table[table["case_id"] == "case-2"].sample(frac=1, random_state=0), 0.5, 1, 1)
    among = thin(table, 0.5, 1, 1)
    among = among[among["case_id"] == "case-2"]
    assert alone["hpo_id"].tolist() == among["hpo_id"].tolist()
    assert alone["hpo_id"].tolist() != thin(table, 0.5, 1, 2).query("case_id == 'case-2'")["hpo_id"].tolist()
    assert alone["hpo_id"].tolist() != thin(table, 0.5, 2, 1).query("case_id == 'case-2'")["hpo_id"].tolist()


def test_no_held_out_patient_has_views_and_terms_keep_their_order() -> None:
    table = views()
    assert table["case_id"].tolist() == ["case-0"] * 3 + ["case-2"] * 3 + ["case-4"] * 3
    assert table["view"].tolist() == [1, 2, 3] * 3
    for prompt in table["prompt"]:
        names = shown(prompt)
        places = [int(name.removeprefix("HP-")) for name in names]
        assert (
            places == sorted(places, reverse=True) and min(places) >= 2
        )  # most telling first, none excluded
        assert 0 < len(names) <= 8
    assert len({json.dumps(prompt) for prompt in table["prompt"]}) > 6


def test_drawn_patients_have_views_too() -> None:
    cases = CASES.assign(split=["train", "unlabelled", "validation", "test", "test_unseen", "unlabelled"])
    table = build_views(cases, phenotypes(), IC, TEMPLATE, 3, 2, 0.4, 1)
    assert table["case_id"].unique().tolist() == ["case-0", "case-1", "case-5"]
    # whoever else there is
    own = views(2)
    same = table[table["case_id"] == "case-0"]["prompt"].tolist()
    assert own[own["case_id"] == "case-0"]["prompt"].tolist() == same


def test_terms_beyond_the_most_that_a_prompt_shows_come_into_view() -> None:
    """The prompt itself shows the first eight of ten; where some of these are left out, others follow."""
    whole = build_prompts(CASES, phenotypes(), IC, TEMPLATE, 3, [], 0)["prompt"].iloc[0]
    seen = {name for prompt in views(20)["prompt"] for name in shown(prompt)}
    assert seen > set(shown(whole)) and len(seen) == 10


def test_script_writes_the_same_bytes_again(root: Path, tmp_path: Path) -> None:
    tables = {"cases": CASES, "phenotypes": phenotypes(), "ic": IC}
    drawn = CASES.head(1).assign(case_id="drawn", split="unlabelled")
    own = phenotypes()[phenotypes()["case_id"] == "case-0"].assign(case_id="drawn")
    for name, table in {**tables, "more-cases": drawn, "more-phenotypes": own}.items():
        io.write_parquet(table, tmp_path / f"{name}.parquet")
    settings = {"prompt": WORDING, "k": 3, "views": 2, "leave_out": 0.4, "seed": 1}
    for output in ("a", "b"):
        done = subprocess.run(
            [
                sys.executable,
                str(root / "workflow/scripts/build_views.py"),
                *("--settings", json.dumps(settings)),
                *("--cases", str(tmp_path / "cases.parquet"), str(tmp_path / "more-cases.parquet")),
                *(
                    "--phenotypes",
                    str(tmp_path / "phenotypes.parquet"),
                    str(tmp_path / "more-phenotypes.parquet"),
                ),
                *("--ic", str(tmp_path / "ic.parquet")),
                *("--output", str(tmp_path / output)),
            ],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    written = io.read_parquet(tmp_path / "a", ["case_id", "view", "prompt"])
    assert written["case_id"].tolist()[-2:] == ["drawn", "drawn"]
    assert [list(prompt) for prompt in written["prompt"].iloc[:-2]] == views(2)["prompt"].tolist()
