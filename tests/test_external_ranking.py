"""A further cohort with a patient whose disease is no candidate: ranked for PhEval, measured in no rank."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

import evaluate_external
import export_pheval
from mintflow import evaluation as ev
from mintflow import io
from mintflow.external import IN_SET, OUT_OF_SET
from mintflow.mondo import COLUMNS as MONDO
from mintflow.names import normalize_name
from test_cohort_scripts import call

DISEASES = [f"OMIM:10000{n}" for n in (1, 2, 3)]
CASES = pd.DataFrame(
    [("a", DISEASES[0], IN_SET), ("b", DISEASES[1], IN_SET), ("c", "OMIM:999999", OUT_OF_SET)],
    columns=["case_id", "disease_id", "split"],
)
EVALUATION = {
    "ranking_cases": None,
    "bootstrap_samples": 100,
    "bootstrap_unit": "case",
    "car_lambda": 1.0,
    "comparisons": [],
    "seed": 7,
}


def test_the_split_of_those_out_of_the_set_is_known_by_one_name() -> None:
    assert ev.UNLABELLED == OUT_OF_SET and OUT_OF_SET not in ev.SUFFIXES


def test_with_null_all_are_ranked_and_the_set_alone_is_measured() -> None:
    assert ev.ranking_sample(CASES, None, 7) == ["a", "b"]
    # the others behind them, so that nothing of the set's own changes
    assert ev.ranked_cases(CASES[::-1], None, 7) == ["a", "b", "c"]
    assert ev.ranked_cases(CASES, 5, 7) == ["a", "b"]
    assert ev.ranked_cases(CASES, 0, 7) == []
    assert ev.ranked_cases(CASES[2:], None, 7) == ["c"]


def ranking(cases: list[str]) -> pd.DataFrame:
    rows = [(case, disease, -place, place) for case in cases for place, disease in enumerate(DISEASES, 1)]
    return pd.DataFrame(rows, columns=["case_id", "disease_id", "score", "rank"]).astype({"score": "float64"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    table = CASES.assign(
        source_id=CASES["case_id"],
        source_file=[f"p.tsv:{line}" for line in (2, 3, 4)],
        pheval_name=CASES["case_id"],
        given_disease_id=CASES["disease_id"],
        disease_name="a disease",
        publication=[f"none:{case}" for case in CASES["case_id"]],
        sex="UNKNOWN",
        age_years=1.0,
    )
    table["publications"] = [[name] for name in table["publication"]]
    names = [f"disease {disease}" for disease in DISEASES]
    candidates = pd.DataFrame({"disease_id": DISEASES, "name": names, "series": None}).astype(
        {"series": "str"}
    )
    keys = pd.DataFrame({"key": map(normalize_name, names), "disease_id": DISEASES})
    answers = pd.DataFrame({"case_id": CASES["case_id"], "text": f"1. {names[0]}", "finished": True})
    terms = pd.DataFrame({"case_id": CASES["case_id"], "hpo_id": "HP:0001250", "name": "Seizure"})
    for name, content in {
        "cases": table,
        "candidates": candidates,
        "vocabulary": keys,
        "mondo": pd.DataFrame(columns=MONDO, dtype="str"),
        "answers": answers,
        "all": ranking(["a", "b", "c"]),
        "set": ranking(["a", "b"]),
        "phenotypes": terms.assign(excluded=False),
        "variants": pd.DataFrame({"case_id": ["a"], "gene_symbol": ["FBN1"]}),
    }.items():
        io.write_parquet(content, tmp_path / f"{name}.parquet")
    io.write_json({}, tmp_path / "counts.json")
    return tmp_path


def evaluated(folder: Path, rankings: str) -> pd.DataFrame:
    out = folder / rankings
    tables = {name: folder / f"{name}.parquet" for name in ("cases", "candidates", "vocabulary", "mondo")}
    written = {f"output_{name}": out / name for name in ("metrics", "comparisons", "by_disease", "summary")}
    call(
        evaluate_external,
        settings={"evaluation": EVALUATION, "preferences": {"k": 1, "q": 1}},
        counts=folder / "counts.json",
        answers=f"orpo={folder / 'answers.parquet'}",
        rankings=f"orpo={folder / f'{rankings}.parquet'}",
        scores=f"teacher={folder / 'all.parquet'}",
        output_per_case=folder / rankings / "per_case.parquet",
        output_grounded=folder / rankings / "grounded.parquet",
        **tables,
        **written,
    )
    return pd.read_csv(out / "metrics").set_index(["arm", "metric"])


def test_ranks_are_measured_within_the_set_whoever_is_ranked_beside(folder: Path) -> None:
    everybody, within = evaluated(folder, "all"), evaluated(folder, "set")
    pd.testing.assert_frame_equal(everybody, within)
    for arm in ("orpo", "teacher"):
        assert everybody.loc[(arm, "rank_mrr"), ["value", "n"]].tolist() == [0.75, 2]
        assert (arm, "rank_mrr_all") not in everybody.index


@pytest.mark.parametrize(("rankings", "there"), [("all", True), ("set", False)])
def test_the_ranking_of_everybody_is_a_result_for_pheval(folder: Path, rankings: str, there: bool) -> None:
    evaluated(folder, "all")
    call(
        export_pheval,
        settings={"max_file_mb": 1, "max_total_mb": 1},
        source=folder / "p.tsv",
        cases=folder / "cases.parquet",
        phenotypes=folder / "phenotypes.parquet",
        variants=folder / "variants.parquet",
        mondo=folder / "mondo.parquet",
        grounded=folder / "all" / "grounded.parquet",
        answered="orpo",
        scores=f"teacher={folder / 'all.parquet'}",
        rankings=f"orpo={folder / f'{rankings}.parquet'}",
        name="test",
        output=folder / "pheval",
    )
    told = yaml.safe_load((folder / "pheval/benchmark.yaml").read_text())
    runs = [entry["run_identifier"] for entry in told["runs"]]
    assert runs == ["orpo", *(["orpo-ranked"] if there else []), "teacher"]
    if there:
        table = io.read_parquet(folder / "pheval/orpo-ranked/pheval_disease_results/c-disease_result.parquet")
        # no candidate is true: the truth is the row that says so
        assert table["rank"].tolist() == [1, 2, 3, 0] and table["true_positive"].tolist() == [False] * 3 + [
            True
        ]
