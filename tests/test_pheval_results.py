"""PhEval's files: their content here, and PhEval's own code on them where its wheel can be had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import export_pheval
from mintflow import cohort, io, phenopackets, pheval_results
from mintflow import evaluation as ev
from mintflow.mondo import COLUMNS as MONDO_COLUMNS
from mintflow.mondo import Mondo
from mintflow.quarantine import Quarantine
from test_cohort_scripts import call
from workflow_tools import phenopacket, zip_of

MONDO = pd.DataFrame(
    [
        ("MONDO:0007947", "Marfan syndrome", "OMIM:154700", "MARFAN SYNDROME"),
        ("MONDO:0007947", "Marfan syndrome", "ORPHA:558", "Marfan syndrome"),
        ("MONDO:0008104", "Noonan syndrome 1", "OMIM:163950", "NOONAN SYNDROME 1"),
        ("MONDO:0013578", "DYRK1A syndrome", "OMIM:614104", "MRD7"),
    ],
    columns=MONDO_COLUMNS,
)
MARFAN, NOONAN, OTHER = "OMIM:154700", "OMIM:163950", "OMIM:614104"

# pip takes exactly these, without what they ask for
WANTED = (
    "pheval==0.7.14",
    *("polars==1.44.2", "polars-runtime-32==1.44.2", "duckdb==1.5.6", "seaborn==0.12.2"),
    *("phenopackets==2.0.2.post5", "protobuf==6.33.6"),
)


def test_a_ranking_with_the_truth_under_another_id() -> None:
    ranking = pd.DataFrame({"disease_id": [NOONAN, MARFAN], "score": [-2.0, -1.0], "rank": [2, 1]})
    table = pheval_results.result(pheval_results.scored(ranking), "ORPHA:558", Mondo(MONDO))
    assert table.dtypes.astype(str).to_dict() == pheval_results.COLUMNS
    assert table.values.tolist() == [
        [1, -1.0, MARFAN, "MONDO:0007947", True],
        [2, -2.0, NOONAN, "MONDO:0008104", False],
    ]


def test_a_truth_that_was_not_ranked_is_the_last_row() -> None:
    table = pheval_results.result(pheval_results.written([NOONAN]), "OMIM:1", Mondo(MONDO))
    assert table.values.tolist() == [
        [1, 1.0, NOONAN, "MONDO:0008104", False],
        [0, 0.0, "OMIM:1", "OMIM:1", True],
    ]
    nothing = pheval_results.result(pheval_results.written([]), MARFAN, Mondo(MONDO))
    assert nothing["rank"].tolist() == [0] and nothing["true_positive"].all()


def test_places_of_a_written_list_are_those_of_the_metrics() -> None:
    table = pheval_results.written([NOONAN, None, NOONAN, MARFAN])
    assert table["rank"].tolist() == [1, 3] and table["score"].tolist() == [1.0, pytest.approx(1 / 3)]


def test_names_follow_the_phenopackets_unless_they_are_unsafe_or_shared() -> None:
    table = pd.DataFrame(
        {
            "case_id": ["case-1", "case-2", "case-3", "case-4", "case-5"],
            "source_id": ["a", "b", "c", "my patient", "e"],
            "source_file": ["x/PMID_1.json", "y/one.json", "z/ONE.json", "s.tsv:2", "x/..\n.json"],
        }
    )
    assert pheval_results.names(table) == ["PMID_1", "case-2", "case-3", "my patient", "case-5"]


# -- the program ----------------------------------------------------------------------------------------


def packet(number: int, disease: str) -> dict[str, Any]:
    content = phenopacket(number, int(disease.removeprefix("OMIM:")), 70 + number)
    content["metaData"] |= {"created": "2026-01-01T00:00:00Z", "createdBy": "nobody"}
    return content


def exported(folder: Path, source: Path, cases: pd.DataFrame) -> Path:
    """Three patients by a teacher that ties at the top, and a student who names one right."""
    io.write_parquet(cases, folder / "cases.parquet")
    terms = pd.DataFrame({"case_id": cases["case_id"], "hpo_id": "HP:0001250", "name": "Seizure"})
    io.write_parquet(terms.assign(excluded=False), folder / "phenotypes.parquet")
    genes = pd.DataFrame({"case_id": cases["case_id"], "gene_symbol": "FBN1"})
    io.write_parquet(genes, folder / "variants.parquet")
    io.write_parquet(MONDO, folder / "mondo.parquet")
    ids = cases["case_id"].tolist()
    grounded = [
        ("orpo+rag", ids[0], 1, "x", None),
        ("orpo+rag", ids[0], 2, "x", MARFAN),
        ("orpo+rag", ids[1], 1, "x", MARFAN),
    ]
    io.write_parquet(pd.DataFrame(grounded, columns=ev.GROUNDED), folder / "grounded.parquet")
    scores = [
        row
        for case in ids
        for row in ((case, MARFAN, 2.0, 1), (case, NOONAN, 1.0, 3), (case, "OMIM:100001", 1.0, 3))
    ]
    columns = ["case_id", "disease_id", "score", "rank"]
    io.write_parquet(pd.DataFrame(scores, columns=columns), folder / "teacher.parquet")
    ranked = pd.DataFrame(scores, columns=columns)
    io.write_parquet(ranked, folder / "all.parquet")
    io.write_parquet(ranked[ranked["case_id"] == ids[0]], folder / "sample.parquet")
    call(
        export_pheval,
        settings={"max_file_mb": 1, "max_total_mb": 10},
        source=source,
        cases=folder / "cases.parquet",
        phenotypes=folder / "phenotypes.parquet",
        variants=folder / "variants.parquet",
        mondo=folder / "mondo.parquet",
        grounded=folder / "grounded.parquet",
        answered="orpo+rag",
        scores=f"teacher={folder / 'teacher.parquet'}",
        rankings=[f"sft={folder / 'all.parquet'}", f"orpo={folder / 'sample.parquet'}"],
        name="test",
        output=folder / "pheval",
    )
    return folder / "pheval"


def clean(names: list[str], files: list[str], diseases: list[str]) -> pd.DataFrame:
    table = pd.DataFrame({"source_id": names, "source_file": files, "given_disease_id": diseases})
    table["case_id"] = table["source_id"].map(cohort.case_id)
    table = table.assign(disease_name="a disease", sex="FEMALE", age_years=[3.5, None, 0.0][: len(table)])
    table["publications"] = [[f"none:{case}"] for case in table["case_id"]]
    table["pheval_name"] = pheval_results.names(table)
    return table


@pytest.fixture
def corpus(tmp_path: Path) -> tuple[Path, Path]:
    """The folder, and the zip it was made from."""
    packets = [packet(1, MARFAN), packet(2, NOONAN), packet(3, OTHER)]
    source = zip_of(tmp_path / "three.zip", packets)
    names = [content["id"] for content in packets]
    files = [f"release/cohort/{name}.json" for name in names]
    return exported(tmp_path, source, clean(names, files, [MARFAN, NOONAN, OTHER])), source


def test_layout(corpus: tuple[Path, Path]) -> None:
    folder, _ = corpus
    names = ["PMID_71_1", "PMID_72_2", "PMID_73_3"]
    assert sorted(path.name for path in folder.iterdir()) == [
        *("benchmark.yaml", "orpo+rag", "phenopackets", "sft-ranked", "teacher")
    ]
    for arm in ("orpo+rag", "sft-ranked", "teacher"):
        found = sorted(path.name for path in (folder / arm / "pheval_disease_results").iterdir())
        assert found == [f"{name}-disease_result.parquet" for name in names]
    assert sorted(path.stem for path in (folder / "phenopackets").iterdir()) == names
    told = yaml.safe_load((folder / "benchmark.yaml").read_text())
    runs = ["orpo+rag", "sft-ranked", "teacher"]  # orpo ranked one patient alone, so it would look worse
    assert [entry["run_identifier"] for entry in told["runs"]] == runs
    for name in names:
        file = f"pheval_disease_results/{name}-disease_result.parquet"
        assert (folder / "sft-ranked" / file).read_bytes() == (folder / "teacher" / file).read_bytes()


def test_a_sheet_becomes_phenopackets(tmp_path: Path) -> None:
    table = clean(["a", "b"], ["s.tsv:2", "s.tsv:3"], [MARFAN, NOONAN])
    folder = exported(tmp_path, tmp_path / "s.tsv", table)
    content = json.loads((folder / "phenopackets" / "a.json").read_text())
    assert content["interpretations"][0]["diagnosis"]["disease"]["id"] == MARFAN
    assert content["subject"]["timeAtLastEncounter"]["age"]["iso8601duration"] == "P3Y6M"
    assert (
        "timeAtLastEncounter" not in json.loads((folder / "phenopackets" / "b.json").read_text())["subject"]
    )
    quarantine = Quarantine("x")
    limits = {"max_file_mb": 1, "max_total_mb": 1}
    again = phenopackets.read(folder / "phenopackets", quarantine, **limits)
    assert quarantine.rows == [] and sorted(again.cases["disease_id"]) == [MARFAN, NOONAN]
    assert again.variants["gene_symbol"].tolist() == ["FBN1", "FBN1"]


# -- PhEval itself --------------------------------------------------------------------------------------

CHECK = """
import json, sys, types
from pathlib import Path

serde = types.ModuleType("serde")  # writes the metadata of PhEval's own runs, nothing of results
serde.serde = serde.to_dict = lambda something: something
sys.modules["serde"] = serde
import polars as pl
from pheval.analyse.benchmark import process_stats, scan_directory
from pheval.analyse.benchmark_output_type import BenchmarkOutputTypeEnum
from pheval.analyse.run_data_parser import parse_run_config
from pheval.post_processing.post_processing import SortOrder, generate_disease_result
from pheval.post_processing.validate_result_format import ResultSchema

config = parse_run_config(Path("pheval/benchmark.yaml"))
kind = BenchmarkOutputTypeEnum.DISEASE.value
made = {}
for run in config.runs:
    for file in sorted((run.results_dir / kind.result_directory).iterdir()):
        ours = pl.read_parquet(file)
        raw = ours.filter(pl.col("rank") > 0).select("disease_identifier", "score")
        ResultSchema.DISEASE_RESULT_SCHEMA.validate(raw)
        again = Path("again") / run.run_identifier
        (again / "pheval_disease_results").mkdir(parents=True, exist_ok=True)
        name = file.name.removesuffix("-disease_result.parquet")
        import pheval.post_processing.post_processing as post
        post.executed_results.clear()
        generate_disease_result(raw, SortOrder.DESCENDING, again, Path(name), run.phenopacket_dir)
        theirs = pl.read_parquet(again / "pheval_disease_results" / file.name)
        made[f"{run.run_identifier} {name}"] = [
            {"schema": [[c, str(t)] for c, t in t.schema.items()], "rows": sorted(map(str, t.rows()))}
            for t in (ours, theirs)
        ]
stats, _, positives = process_stats(config.runs, kind, True)
print(json.dumps({"made": made, "stats": stats.to_dicts(), "positives": positives.to_dicts()}))
"""


@pytest.fixture(scope="module")
def pheval(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PhEval and the few packages that its loader and checker import, in a folder of their own."""
    folder = tmp_path_factory.mktemp("pheval")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "--target", str(folder), *WANTED],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no package index gives {', '.join(WANTED)}: {done.stderr.strip()[-300:]}")
    return folder


def test_pheval_takes_the_files_as_its_own(corpus: tuple[Path, Path], pheval: Path) -> None:
    """Its checker accepts them, its writer makes the same, its benchmark counts the hits that we count."""
    folder, _ = corpus
    config = folder / "benchmark.yaml"
    told = yaml.safe_load(config.read_text())
    for entry in told["runs"]:  # relative to where the workflow runs; here to the folder of the test
        for key in ("results_dir", "phenopacket_dir"):
            entry[key] = os.path.relpath(entry[key], folder.parent)
    config.write_text(yaml.safe_dump(told))
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": str(pheval), "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert len(found["made"]) == 9
    for name, (ours, theirs) in found["made"].items():
        assert ours["schema"] == theirs["schema"], name
        # ranks of a written list keep the gap that a name without disease leaves; PhEval closes it
        if name != "orpo+rag PMID_71_1":
            assert ours["rows"] == theirs["rows"], name
    stats = {row["run_identifier"]: row for row in found["stats"]}
    keys = ("top1", "top3", "found", "total")
    assert [stats["teacher"][key] for key in keys] == [1, 2, 2, 3]
    assert [stats["orpo+rag"][key] for key in keys] == [0, 1, 1, 3]
