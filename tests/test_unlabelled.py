"""Patients whom nobody has labelled: drawn from profiles alone, imprecise, unknown to every publication."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import draw_unlabelled
from mini_ontology import FINGER, FOOT, HAND, HEART, LIMB, SEPTUM, ontology
from mintflow import cohort, hpoa, io, unlabelled
from mintflow.errors import InputError

PROFILES = pd.DataFrame(
    [("OMIM:1", FINGER, 1.0), ("OMIM:1", FOOT, 0.2), ("OMIM:1", SEPTUM, 0.6), ("OMIM:2", HEART, 1.0)],
    columns=["disease_id", "hpo_id", "frequency"],
)
CANDIDATES = pd.DataFrame({"disease_id": ["OMIM:1", "OMIM:2", "OMIM:3"], "name": ["One", "Two", "Three"]})
TRAINED = pd.DataFrame({"case_id": ["a", "a", "b"], "hpo_id": [HAND, HEART, HEART]})
GENES = pd.DataFrame({"gene_symbol": ["G1"], "disease_id": ["OMIM:1"]})
NONE = pd.DataFrame(columns=hpoa.COLUMNS)


def draw(count: int = 50, imprecision: float = 0.0, noise: float = 0.0, **changes):
    tables = {"profiles": PROFILES, "candidates": CANDIDATES, "training_terms": TRAINED} | changes
    settings = unlabelled.Settings(count, imprecision, noise, 5)
    return unlabelled.draw(**tables, hpoa=NONE, gene_disease=GENES, ontology=ontology(), settings=settings)


def test_drawn_from_the_profiles_as_long_as_training_patients() -> None:
    found = draw()
    assert set(found.cases["disease_id"]) == {"OMIM:1", "OMIM:2"}  # the third has no profile
    assert (found.cases["publication"] == unlabelled.NEVER).all() and found.cases["simulated"].all()
    terms = found.phenotypes.merge(found.cases[["case_id", "disease_id"]])
    for disease, rows in terms.groupby("disease_id"):
        profile = PROFILES[PROFILES["disease_id"] == disease].set_index("hpo_id")["frequency"]
        assert set(rows["hpo_id"]) <= set(profile.index)
    lengths = terms[terms["disease_id"] == "OMIM:1"].groupby("case_id").size()
    assert set(lengths) == {1, 2}  # as many as the training patients have
    counts = terms.loc[terms["disease_id"] == "OMIM:1", "hpo_id"].value_counts()
    assert counts[FINGER] > counts[SEPTUM] > counts[FOOT]
    with_gene = set(found.variants["case_id"])
    assert with_gene == set(found.cases.loc[found.cases["disease_id"] == "OMIM:1", "case_id"])


def test_imprecise_and_unrelated_terms() -> None:
    imprecise = draw(imprecision=1.0).phenotypes["hpo_id"]
    assert FINGER not in set(imprecise) and {HAND, LIMB} & set(imprecise)
    assert set(draw(noise=1.0).phenotypes["hpo_id"]) <= {HAND, HEART}


def test_a_patient_depends_on_seed_and_number_alone() -> None:
    few, many = draw(3), draw(6)
    both = few.phenotypes.merge(many.phenotypes, on=["case_id", "hpo_id"])
    assert len(both) == len(few.phenotypes)
    assert draw(3).phenotypes.equals(few.phenotypes)


def test_everyone_together_keeps_the_runs_patients_first() -> None:
    run = pd.DataFrame(
        {"case_id": ["a"], "disease_id": ["OMIM:1"], "split": ["train"], "fold": np.array([2], "int64")}
    )
    both = unlabelled.together(run, draw(1).cases)
    assert both["case_id"].iloc[0] == "a" and both["fold"].tolist() == [2, -1, -1]
    assert set(both["split"].iloc[1:]) == {unlabelled.SPLIT} and both["fold"].dtype == run["fold"].dtype


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"training_terms": TRAINED.iloc[:0]}, "no training patient has a phenotype"),
        ({"profiles": PROFILES.iloc[:0]}, "no candidate has a profile"),
    ],
)
def test_nothing_to_draw_from(changes, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        draw(**changes)
    with pytest.raises(InputError, match="missing or unknown key"):
        unlabelled.Settings.from_config({"per_disease": 1})


@pytest.mark.parametrize("controlled", [True, False])
def test_what_held_out_publications_state_reaches_no_draw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, controlled: bool
) -> None:
    """Not even a mode of inheritance, which only shapes the genotype that the teacher sees."""
    cases = pd.DataFrame(
        {
            "case_id": ["a", "b", "c"],
            "disease_id": ["OMIM:1", "OMIM:1", "OMIM:2"],
            "publication": ["PMID:1", "PMID:2", "PMID:3"],
            "publications": [["PMID:1"], ["PMID:2"], ["PMID:3"]],
            "split": ["train", "test", "validation"],
            "fold": [0, -1, -1],
        }
    )
    rows = pd.DataFrame(columns=hpoa.COLUMNS, index=range(4))
    rows["reference"] = ["PMID:1", "PMID:2", "PMID:03", "PMID:9"]
    rows["row_id"] = range(4)
    tables = {
        "profiles": PROFILES,
        "candidates": CANDIDATES,
        "cases": cases,
        "phenotypes": TRAINED.assign(excluded=False),
        "variants": pd.DataFrame(columns=list(cohort.VARIANTS)),
        "terms": pd.DataFrame(),
        "hpoa": rows.astype(str),
        "genes": GENES,
    }
    for name, table in tables.items():
        io.write_parquet(table, tmp_path / f"{name}.parquet")
    io.write_json({"controlled": controlled}, tmp_path / "leakage.json")
    seen = {}

    def draw(profiles, candidates, terms, annotations, *rest):
        seen["references"] = set(annotations["reference"])
        raise InputError("enough")

    monkeypatch.setattr(unlabelled, "draw", draw)
    monkeypatch.setattr(draw_unlabelled.Ontology, "from_parquet", lambda path: None)
    flags = [word for name in tables for word in (f"--{name}", str(tmp_path / f"{name}.parquet"))]
    for name in ("cases", "phenotypes", "vcfs", "everyone", "variants"):
        flags += [f"--output-{name}", str(tmp_path / f"out-{name}")]
    flags += ["--leakage", str(tmp_path / "leakage.json")]
    chosen = json.dumps({"per_disease": 1, "imprecision": 0, "noise": 0, "seed": 1})
    with pytest.raises(InputError, match="enough"):
        draw_unlabelled.main(draw_unlabelled.arguments().parse_args(["--settings", chosen, *flags]))
    hidden = set() if not controlled else {"PMID:2", "PMID:03"}
    assert seen["references"] == {"PMID:1", "PMID:2", "PMID:03", "PMID:9"} - hidden
