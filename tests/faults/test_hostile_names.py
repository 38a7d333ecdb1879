"""Names that a shell would run, and secrets that must not get out, through both tracks to the report."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest
import yaml

import workflow_tools
from mintflow import io
from mintflow.config import complete
from mintflow.config_schema import read_schema
from tissue_material import tile
from workflow_tools import ENVIRONMENT, ROOT, phenopacket, place, snakemake

pytestmark = pytest.mark.skipif(
    not os.environ.get("MINTFLOW_FAULTS"), reason="runs both tracks once more: make test-faults"
)

PWNED = "pwned"
NAMES = [
    f"$(touch {PWNED})",
    f"`touch {PWNED}`",
    f"a; touch {PWNED} #",
    'it\'s "quoted"',
    "zwei  Wörter",
    "-rf --help",
    "{wildcard} %s ~ *",
    "玉ねぎ&|<x>",
]
PERSON = "Jane Q. Doe 1984"
TOKEN = "planted-secret-0123456789"
SMOKE = ("--cores", "2", "--configfile", "config/smoke.yaml", "mine.yaml")


def slides(folder: Path) -> str:
    """Synthetic slides under hostile names; returns the path of their sheet."""
    schema = read_schema(ROOT / "workflow/schemas/config.schema.yaml")
    smoke = complete(yaml.safe_load((ROOT / "config/smoke.yaml").read_text()), schema)
    command = [sys.executable, str(ROOT / "workflow/scripts/make_slides.py")]
    settings = json.dumps(smoke["tissue"]["slides"]["synthetic"])
    subprocess.run([*command, "--settings", settings, "--output", str(folder / "drawn")], check=True)
    with open(folder / "drawn/slides.tsv", encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    home = folder / "sli des's"
    home.mkdir()
    for number, (row, name) in enumerate(zip(rows, NAMES, strict=True)):
        for key, ending in (("path", ".tiff"), ("roi", ".geojson")):
            path = home / f"{name.replace('/', '_')}{ending}"
            Path(folder / row[key] if not os.path.isabs(row[key]) else row[key]).rename(path)
            row[key] = str(path.relative_to(folder))
        row["slide"], row["patient"] = name, f"{PERSON} {number}"
    sheet = folder / "she et's.tsv"
    with open(sheet, "w", encoding="utf-8", newline="") as table:
        # quotes are letters in a sheet
        table.writelines("\t".join(line) + "\n" for line in [rows[0].keys(), *(row.values() for row in rows)])
    return sheet.name


def patients(folder: Path, home: str, numbers: range, publication: int = 1) -> str:
    """Phenopackets whose ids, subjects, file names and VCFs are hostile; returns their folder."""
    (folder / home).mkdir()
    nobody = phenopacket(0, DISEASES[0], publication) | {
        "id": f"{PERSON} has no term",
        "phenotypicFeatures": [],
    }
    (folder / home / f"{PERSON} has no term.json").write_text(json.dumps(nobody))
    for i in numbers:
        name = f"{PERSON} {NAMES[i % len(NAMES)]} {i}"
        packet = phenopacket(i, DISEASES[i % 4], publication + i // 4 % 4 + 10 * (i % 4))
        terms = [{"type": {"id": term}} for term in TERMS[i % 4 : i % 4 + 3 + i // 16]]
        packet |= {"id": name, "phenotypicFeatures": terms}
        packet["subject"] = {"id": name, "timeAtLastEncounter": {"age": {"iso8601duration": f"P{i + 1}Y"}}}
        variants = f"va riants {NAMES[i % len(NAMES)]} {i}.vcf"
        (folder / home / variants).write_text(VCF.format(sample=name, gene=GENES[i % 4]), encoding="utf-8")
        packet["files"] = [{"uri": variants, "individualToFileIdentifiers": {name: name}}]
        (folder / home / f"{name}.json").write_text(json.dumps(packet), encoding="utf-8")
    return home


def tile_set(folder: Path, labels: list[str]) -> str:
    """A folder of tiles for each label, files of hostile names; returns the path of the set."""
    home = folder / "ti les's $(touch pwned)"
    for label in labels:
        (home / label).mkdir(parents=True)
        for number, name in enumerate(NAMES):
            tile(number).save(home / label / f"{name}_{number % 4}.png")
    return home.name


# of the HPO release, with genes and profiles
DISEASES = [154700, 312750, 219700, 163950]
GENES = ["FBN1", "MECP2", "CFTR", "PTPN11"]
VCF = """##fileformat=VCFv4.2
##contig=<ID=1>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##INFO=<ID=ANN,Number=.,Type=String,Description="Functional annotations">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{sample}
1\t10\t.\tA\tG\t.\tPASS\tANN=G|missense_variant|MODERATE|{gene}|{gene}\tGT\t0/1
"""


TERMS = [
    "HP:0001250",
    "HP:0001263",
    "HP:0000252",
    "HP:0001252",
    "HP:0001166",
    "HP:0000518",
    "HP:0000365",
    "HP:0001629",
    "HP:0001631",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = place(tmp_path_factory.mktemp("hos tile wörk"))
    mine = {
        "run": "hostile",
        "rare": {
            "cohort": {
                "source": "phenopackets",
                "path": patients(folder, "pa tients's $(touch pwned)", range(48)),
                "min_cases": 2,
                "min_publications": 2,
            },
            "split": {"unseen_disease_fraction": 0},
            "preferences": {"k": 2, "q": 2},
            "arms": ["orpo", "sft", "rag"],
            "variants": {"orpo-more": {"arm": "orpo", "preferences": {"unlabelled": True}}},
            "unlabelled": {"per_disease": 2},
        },
        "tissue": {
            "slides": {"source": "sheet", "sheet": slides(folder)},
            "tile_sets": [
                {
                    "name": "extra",
                    "kind": "folders",
                    "path": tile_set(folder, ["gland", "muscle"]),
                    "patients": r"(.+)_\d",
                }
            ],
        },
        "external": patients(folder, "fur ther's $(touch pwned)", range(100, 112), 500),
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(mine, allow_unicode=True), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY"):
            patch.setitem(workflow_tools.ENVIRONMENT, name, TOKEN)
        said = [snakemake(folder, *target, *SMOKE, timeout=1200).stdout for target in ((), ("external",))]
    (folder / "said.txt").write_text("\n".join(said), encoding="utf-8")
    return folder


def test_nothing_was_executed(finished: Path) -> None:
    assert not list(finished.rglob(PWNED))


def test_every_slide_became_tiles_under_its_own_name(finished: Path) -> None:
    cases = io.read_parquet(
        finished / "results/hostile/tissue/cohort/cases.parquet", ["slide_id", "patient_id"]
    )
    with open(finished / "results/hostile/tissue/cohort/manifest.csv", encoding="utf-8", newline="") as table:
        statuses = {row["slide_id"]: row["status"] for row in csv.DictReader(table)}
    assert statuses == dict.fromkeys(NAMES, "ok")
    assert len(set(cases["slide_id"]) & set(NAMES)) >= len(NAMES) - 2
    extra = io.read_parquet(finished / "results/hostile/tissue/tile_sets/extra.parquet", ["patient_id"])
    assert set(extra["patient_id"]) == set(NAMES)


def test_vcfs_of_hostile_names_are_read(finished: Path) -> None:
    cohort = finished / "results/hostile/rare/cohort"
    cases = io.read_parquet(cohort / "cases.parquet", ["case_id", "disease_id"]).set_index("case_id")
    found = io.read_parquet(cohort / "genotypes.parquet", ["case_id", "gene_symbol", "source", "is_decoy"])
    read = found[(found["source"] == "vcf") & ~found["is_decoy"]].set_index("case_id")["gene_symbol"]
    gene = {f"OMIM:{disease}": gene for disease, gene in zip(DISEASES, GENES, strict=True)}
    assert read.to_dict() == cases["disease_id"].map(gene).to_dict()
    files = io.read_parquet(cohort / "raw/vcfs.parquet", ["case_id", "vcf"]).set_index("case_id")["vcf"]
    assert all(any(name in path for path in files[list(cases.index)]) for name in NAMES)


def test_a_further_cohort_of_hostile_names_is_evaluated(finished: Path) -> None:
    with open(
        finished / "results/hostile/external/fur-ther-s-touch-pwned/metrics.csv", encoding="utf-8", newline=""
    ) as table:
        rows = [row for row in csv.DictReader(table) if row["metric"] == "top1_all"]
    assert {row["arm"] for row in rows} >= {"orpo", "sft", "teacher"} and {row["n"] for row in rows} == {"12"}


# the tables of who is in a cohort say it; per_case.parquet whose tiles are resampled together; PhEval wants
# the phenopackets themselves, its files named like them (docs/faults.md)
INSIDE = {"raw", "cohort", "per_case.parquet", "set_aside.tsv", "pheval"}


def text_of(path: Path) -> str:
    """All that a file says; of a parquet its names and values, which are compressed."""
    if path.suffix != ".parquet":
        return path.read_bytes().decode("utf-8", "replace")
    return pd.read_parquet(path).to_csv()


def assert_nothing_private(folder: Path, paths: Iterable[Path]) -> None:
    home = ENVIRONMENT.get("HOME", "/root")
    for path in paths:
        relative, text = path.relative_to(folder), text_of(path)
        assert TOKEN not in text, relative
        if not INSIDE & set(relative.parts):
            assert PERSON not in text and PERSON not in str(relative), relative
        if path.suffix not in (".png", ".safetensors") and relative.parts[0] != ".snakemake":
            assert str(folder) not in text and f"{home}/" not in text, relative
        if path.suffix == ".log" and relative.parts[0] == "logs":
            assert not [name for name in NAMES if name in text], relative


def files_in(folder: Path, *parts: str) -> list[Path]:
    return [path for part in parts for path in (folder / part).rglob("*") if path.is_file()]


def test_no_secret_gets_out(finished: Path) -> None:
    """Logs, reports, cards, summaries, figures, prompts and pairs: no patient, token or absolute path."""
    found = files_in(finished, "logs", "results", "benchmarks", ".snakemake/log")
    kinds = {path.suffix for path in found}
    assert {".log", ".html", ".json", ".md", ".csv", ".jsonl", ".svg", ".tsv", ".parquet"} <= kinds
    assert_nothing_private(finished, found)
    assert (
        PERSON not in (finished / "said.txt").read_text() and TOKEN not in (finished / "said.txt").read_text()
    )
    # the search finds what is there
    cohort = [path for path in found if {"raw", "cohort"} & set(path.parts) and path.suffix == ".parquet"]
    assert any(PERSON in text_of(path) for path in cohort)


def test_no_secret_gets_out_of_a_run_that_fails(tmp_path: Path) -> None:
    folder = place(tmp_path / "fails")
    home = folder / PERSON
    home.mkdir()
    for i in range(3):
        packet = phenopacket(i, 100001, 1) | {"id": f"{PERSON} {i}", "interpretations": [PERSON]}
        (home / f"{PERSON} {i}.json").write_text(json.dumps(packet))
    (home / "people").symlink_to(home)
    cohort = {"source": "phenopackets", "path": str(home)}
    (folder / "mine.yaml").write_text(yaml.safe_dump({"run": "hostile", "rare": {"cohort": cohort}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(workflow_tools.ENVIRONMENT, "HF_TOKEN", TOKEN)
        done = snakemake(folder, "cohort", *SMOKE, "--config", "tracks=[rare]", check=False)
    assert done.returncode != 0 and "no usable phenopacket" in done.stdout
    assert TOKEN not in done.stdout
    logs = files_in(folder, "logs")
    assert any("no usable phenopacket" in text_of(path) for path in logs)
    for path in logs:
        text = text_of(path)
        assert TOKEN not in text and str(folder) not in text, path
        assert PERSON not in text, path


def test_a_token_in_an_address_is_not_repeated(tmp_path: Path) -> None:
    folder = place(tmp_path / "asks")
    for address in (f"https://me:{TOKEN}@example.org/a.zip", f"https://example.org/a.zip?token={TOKEN}"):
        for key in ("path", "url"):
            cohort = {"source": "phenopackets", key: address}
            (folder / "mine.yaml").write_text(yaml.safe_dump({"run": "asks", "rare": {"cohort": cohort}}))
            done = snakemake(folder, "cohort", *SMOKE, "--config", "tracks=[rare]", check=False)
            assert done.returncode != 0 and f"rare.cohort.{key}" in done.stdout, done.stdout
            assert TOKEN not in done.stdout
            assert not [path for path in files_in(folder, "logs", ".snakemake") if TOKEN in text_of(path)]
