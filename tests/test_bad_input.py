"""Every bad input that a user can give, through the command line: named, and the rest goes on."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from mintflow import cohort, io
from test_vcf import ann, vcf
from workflow_tools import ENVIRONMENT, ROOT, phenopacket, place, snakemake

TARGET = "results/bad/rare/cohort/genotypes.parquet"
GOOD = 24
SECRET = "Jane_Doe"


def _packets() -> dict[str, dict]:
    """Four diseases, three publications each, two patients of each."""
    made: dict[str, dict] = {}
    for i in range(GOOD):
        packet = phenopacket(i, 100001 + i % 4, 1 + i // 2 % 2 + 10 * (i % 4) + 100 * (i // 8))
        # different ages: no two patients are taken for one
        packet["subject"]["timeAtLastEncounter"] = {"age": {"iso8601duration": f"P{i + 1}Y"}}
        made[f"good{i}.json"] = packet
    return made


def _bad() -> dict[str, str]:
    """What stands in each bad file."""
    one = phenopacket(900, 100001, 900)
    two = [{"diagnosis": {"disease": {"id": f"OMIM:10000{i}"}}} for i in (1, 2)]
    unknown = {"type": {"id": "HP:9999999"}}
    terms = [*one["phenotypicFeatures"], unknown]
    files = {"missing_sample": "a.vcf", "missing_vcf": "nowhere.vcf"}
    packets = {
        "no_diagnosis": one | {"id": f"{SECRET}_1", "interpretations": []},
        "two_diagnoses": one | {"id": f"{SECRET}_2", "interpretations": two},
        "unknown_term": one | {"id": f"{SECRET}_3", "phenotypicFeatures": terms},
        "z_duplicate": _packets()["good0.json"],
        "list": [one],
        **{
            name: one | {"id": f"{SECRET}_{name}", "files": [{"uri": uri}], "subject": {"id": SECRET}}
            for name, uri in files.items()
        },
    }
    texts = {f"{name}.json": json.dumps(packet) for name, packet in packets.items()}
    return texts | {"broken.json": '{"id": ', f"{SECRET}; $(touch pwned) 'é.json": "null"}


def _configured(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(f"run: bad\nrare:\n  cohort: {{min_cases: 2, min_publications: 2, {text}}}\n")
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, knowledge_dir: Path) -> tuple[Path, str]:
    """A zip with good and bad patients, read up to the genotypes; the folder and what was printed."""
    folder = place(tmp_path_factory.mktemp("bad"))
    shutil.copytree(knowledge_dir, folder / "resources/hpo", copy_function=shutil.copy)
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for name, packet in _packets().items():
            archive.writestr(name, json.dumps(packet))
        for name, text in {**_bad(), "../outside.json": "{}"}.items():
            archive.writestr(name, text)
    vcf(folder / "a.vcf", [f"1 10 A G PASS ANN={ann('G', 'missense_variant', 'EXTRA')} 0/1 0/0"])
    sheet = f"case_id\tvcf\tsample\n{cohort.case_id('PMID_1_0')}\tnowhere.vcf\tS1\n{SECRET}\ta.vcf\tS1\n"
    (folder / "sheet.tsv").write_text(sheet)
    config = _configured(folder, "source: phenopackets, path: all.zip, sample_sheet: sheet.tsv")
    printed = snakemake(folder, TARGET, "--cores", "1", "--configfile", str(config), timeout=600).stdout
    return folder, printed


def _told(folder: Path) -> list[tuple[str, str, str]]:
    rows = []
    for path in sorted((folder / "results/bad/rare/cohort").rglob("quarantine*.tsv")):
        with open(path, encoding="utf-8", newline="") as table:
            rows += [
                (row["file"], row["field"], row["reason"]) for row in csv.DictReader(table, delimiter="\t")
            ]
    return rows


@pytest.mark.parametrize(
    ("file", "field", "reason"),
    [
        ("broken.json", "(file)", "broken JSON"),
        ("list.json", "(file)", "not a JSON object"),
        (f"{SECRET}; $(touch pwned) 'é.json", "(file)", "not a JSON object"),
        ("no_diagnosis.json", "interpretations[].diagnosis.disease.id", "no diagnosis"),
        ("two_diagnoses.json", "interpretations[1].diagnosis.disease.id", "two different diagnoses"),
        ("unknown_term.json", "phenotypicFeatures.type.id", ""),
        ("z_duplicate.json", "id", "the id of another phenopacket"),
        ("../outside.json", "(file name)", "a name that leaves the zip"),
        ("a.vcf", "#CHROM header", "no such sample"),
        ("nowhere.vcf", "(file)", "no such file"),
        ("sheet.tsv", "case_id", "no such patient"),
    ],
)
def test_each_has_a_quarantine_row(finished: tuple[Path, str], file: str, field: str, reason: str) -> None:
    rows = [row for row in _told(finished[0]) if row[0] == file]
    assert [row for row in rows if row[1] == field and reason in row[2]], rows


def test_the_rest_goes_on_and_no_log_names_a_patient(finished: tuple[Path, str]) -> None:
    folder, printed = finished
    kept = io.read_parquet(folder / "results/bad/rare/cohort/raw/cases.parquet")["source_file"]
    assert kept.str.startswith("good").sum() == GOOD
    assert len(kept) == GOOD + 3  # one with an unknown term, two whose VCF cannot be used
    logs = [path.read_text(encoding="utf-8") for path in (folder / "logs").rglob("*.log")]
    assert logs and not [text for text in [*logs, printed] if SECRET in text or "Traceback" in text]
    assert not list(folder.rglob("pwned"))


def _fails(folder: Path, *arguments: str) -> str:
    done = snakemake(folder, *arguments, check=False, timeout=300)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    return done.stdout


def test_empty_zip(finished: tuple[Path, str], tmp_path: Path) -> None:
    folder = place(tmp_path)
    shutil.copytree(finished[0] / "resources/hpo", folder / "resources/hpo", copy_function=shutil.copy)
    zipfile.ZipFile(folder / "empty.zip", "w").close()
    config = _configured(folder, "source: phenopackets, path: empty.zip")
    printed = _fails(folder, TARGET, "--cores", "1", "--configfile", str(config))
    assert "ERROR: file empty.zip, field rare.cohort.path: is an empty zip" in printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rare: {cohort: {min_case: 3}}", "rare.cohort.min_case: unknown key. Did you mean min_cases?"),
        ("rare: {preferences: {k: 30, q: 30}}", "rare.preferences.k + rare.preferences.q = 60 is more"),
        ("rare: {student: {base: {kind: local, id: gone, name: x}}}", "rare.student.base.id: gone does not"),
    ],
)
def test_wrong_configuration(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"run: bad\n{text}\n")
    assert message in _fails(place(tmp_path), "-n", "--configfile", str(tmp_path / "mine.yaml"))


def _program(name: str, **flags: object) -> subprocess.CompletedProcess[str]:
    words = [word for flag, value in flags.items() for word in (f"--{flag.replace('_', '-')}", str(value))]
    return subprocess.run(
        [sys.executable, str(ROOT / f"workflow/scripts/{name}.py"), *words],
        env=ENVIRONMENT,
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )


def test_lists_longer_than_the_diseases_that_are_left(tmp_path: Path) -> None:
    tables = {
        "cases": pd.DataFrame(
            [("case-1", "OMIM:1", "PMID:1", "train", False)],
            columns=["case_id", "disease_id", "publication", "split", "simulated"],
        ),
        "candidates": pd.DataFrame({"disease_id": ["OMIM:1", "OMIM:2"], "name": ["a", "b"], "seen": True}),
        "scores": pd.DataFrame(
            {"case_id": "case-1", "disease_id": ["OMIM:1", "OMIM:2"], "score": [1.0, 0.0], "rank": [1, 2]}
        ),
        "prompts": pd.DataFrame({"case_id": ["case-1"], "split": "train", "control": "none"}),
    }
    tables["prompts"]["prompt"] = [[{"role": "user", "content": "?"}]]
    for name, table in tables.items():
        io.write_parquet(table, tmp_path / name)
    names = ("train", "validation", "card", "summary")
    outputs = {f"output_{name}": tmp_path / f"o_{name}" for name in names}
    done = _program(
        "build_preferences",
        settings=json.dumps(
            {"k": 2, "q": 1, "rejected": "bottom", "max_pairs": None, "seed": 1}
            | {"unlabelled": False, "views": 0, "leave_out": 0.3}
        ),
        versions=tmp_path / "none",
        leakage=tmp_path / "none",
        **{name: tmp_path / name for name in tables},
        **outputs,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "rare.preferences.k" in done.stderr and "2 labels" in done.stderr
    assert not list(tmp_path.glob("o_*"))


@pytest.mark.parametrize("kind", ["local", "embedded"])
def test_base_model_that_is_not_there(tmp_path: Path, kind: str) -> None:
    settings = {"kind": kind, "id": str(tmp_path / "gone"), "revision": None, "dtype": "float32"}
    wheel = {"wheel": tmp_path / "gone.whl"} if kind == "embedded" else {}
    done = _program("prepare_base_model", settings=json.dumps(settings), output=tmp_path / "base", **wheel)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "gone" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "base").exists()


def test_errors_of_a_base_model_name_the_model(tmp_path: Path) -> None:
    """It may be a variant's, and another run's, too."""
    settings = json.dumps({"kind": "local", "id": "gone", "revision": None, "dtype": "float32"})
    done = _program("prepare_base_model", settings=settings, output=tmp_path / "Llama-1B")
    assert "record Llama-1B, field student.base.id: there is no folder gone" in done.stderr
