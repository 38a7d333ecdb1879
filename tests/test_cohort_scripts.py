"""The four programs of the cohort, one after the other, as the workflow calls them."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

import annotate_genotypes
import build_knowledge
import mini_ontology
import normalize_phenotypes
import read_cohort
import split_cohort
from mintflow import cohort, genotypes, io
from mintflow.errors import InputError
from mintflow.mondo import COLUMNS
from patients import A1, A2, B1, B, annotation, annotations, diagnosis, packet
from test_vcf import ann, vcf

COHORT: dict[str, Any] = {
    "source": "phenopackets",
    "path": None,
    "url": None,
    "sha256": None,
    "max_file_mb": 1,
    "max_total_mb": 10,
    "vcf_folder": None,
    "min_terms": 1,
    "min_publications": 2,
    "max_diseases": None,
    "simulation": {
        "patients_per_publication": 2,
        "min_terms_per_publication": 1,
        "default_frequency": 0.5,
        "seed": 1,
    },
}
CHOICE = {
    "source": "phenopackets",
    "min_terms": 1,
    "min_cases": 2,
    "min_publications": 2,
    "max_diseases": None,
}
SPLIT = {
    "test_fraction": 0.25,
    "validation_fraction": 0.1,
    "unseen_disease_fraction": 0.1,
    "stratified": True,
    "folds": 2,
    "max_train_cases_per_disease": None,
    "max_test_cases_per_disease": None,
    "seed": 3,
}
GENOTYPES = {
    "decoys": 1,
    "decoy_source": "candidates",
    "max_vcf_variants": 10,
    "max_vcf_records": 50,
    "max_vcf_line_mb": 1,
    "seed": 2,
}

Call = Callable[..., None]


def call(program: ModuleType, **flags: Any) -> None:
    """Run a program; settings become JSON, a list several words, other flags text."""
    arguments = []
    for name, value in flags.items():
        words = (
            value if isinstance(value, list) else [json.dumps(value) if isinstance(value, dict) else value]
        )
        arguments += [f"--{name.replace('_', '-')}", *map(str, words)]
    program.main(program.arguments().parse_args(arguments))


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Four diseases of four publications with two patients each, and the knowledge that goes with them."""
    folder = tmp_path / "packets"
    folder.mkdir()
    rows = []
    for d in range(4):
        disease = f"OMIM:10000{d}"
        for p in range(4):
            publication = f"PMID:{d}{p}1"
            rows.append(annotation(len(rows), disease, [A1, A2, B, B1][(d + p) % 4], publication))
            for i in range(2):
                name = f"PMID_{d}{p}1_patient_{i}"
                features = [{"type": {"id": term}} for term in ([A1, A2, B1][d % 3], [A2, B1, A1][p % 3])]
                features.append({"type": {"id": "HP:0000009"}, "excluded": bool(i)})
                content = packet(
                    name,
                    subject={"id": "person 1", "timeAtLastEncounter": {"age": {"iso8601duration": f"P{p}Y"}}},
                    phenotypicFeatures=features,
                    interpretations=[{"diagnosis": diagnosis(disease, f"GENE{d}")}],
                    metaData={"externalReferences": [{"id": publication}]},
                )
                (folder / f"{name}.json").write_text(json.dumps(content))
    (folder / "broken.json").write_text("{")
    io.write_parquet(mini_ontology.terms(), tmp_path / "terms.parquet")
    io.write_parquet(annotations(rows), tmp_path / "hpoa.parquet")
    genes = pd.DataFrame([(f"GENE{d}", f"OMIM:10000{d}") for d in range(4)])
    io.write_parquet(genes.set_axis(["gene_symbol", "disease_id"], axis=1), tmp_path / "genes.parquet")
    mondo = pd.DataFrame([("MONDO:0000001", "first", "OMIM:100000", "First")], columns=COLUMNS)
    io.write_parquet(mondo, tmp_path / "mondo.parquet")
    return tmp_path


def read(inputs: Path, output: Path, **changes: Any) -> None:
    call(
        read_cohort,
        settings={**COHORT, "path": str(inputs / "packets"), **changes},
        terms=inputs / "terms.parquet",
        hpoa=inputs / "hpoa.parquet",
        genes=inputs / "genes.parquet",
        mondo=inputs / "mondo.parquet",
        downloads=output / "downloads",
        output_cases=output / "raw_cases",
        output_phenotypes=output / "raw_phenotypes",
        output_variants=output / "raw_variants",
        output_vcfs=output / "raw_vcfs",
        output_quarantine=output / "quarantine.tsv",
    )


def test_a_further_cohort_is_a_table_or_phenopackets(inputs: Path, tmp_path: Path) -> None:
    read(inputs, tmp_path / "packets_read", source="external")
    assert len(io.read_parquet(tmp_path / "packets_read/raw_cases")) == 32
    lines = ["case_id\tdisease_id\thpo_ids\tgenes", f"a\tOMIM:100001\t{A1}\tgene1", f"b\tx\t{A1}"]
    (tmp_path / "p.tsv").write_text("\n".join(lines))
    read(inputs, tmp_path / "table_read", source="external", path=str(tmp_path / "p.tsv"))
    assert io.read_parquet(tmp_path / "table_read/raw_cases")["source_id"].tolist() == ["a"]
    assert io.read_parquet(tmp_path / "table_read/raw_variants")["gene_symbol"].tolist() == ["GENE1"]
    assert "line 3" in (tmp_path / "table_read/quarantine.tsv").read_text()
    (tmp_path / "p.csv").write_text("no zip")
    with pytest.raises(InputError, match="neither a folder nor a zip") as caught:
        read(inputs, tmp_path / "csv_read", source="external", path=str(tmp_path / "p.csv"))
    assert caught.value.field == "external"


def test_the_other_kind_of_file_is_told_what_is_expected(inputs: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.xlsx", "w") as workbook:
        workbook.writestr("xl/workbook.xml", "<workbook/>")
    (tmp_path / "p.tsv").write_text(f"case_id\tdisease_id\thpo_ids\na\tOMIM:100001\t{A1}\n")
    for source, name, field, told in (
        ("external", "p.xlsx", "external", "tab-separated"),
        ("phenopackets", "p.xlsx", "rare.cohort.path", "folder or a zip of phenopackets.*external"),
        ("phenopackets", "p.tsv", "rare.cohort.path", "folder or a zip of phenopackets.*external"),
    ):
        with pytest.raises(InputError, match=told) as caught:
            read(inputs, tmp_path / "out", source=source, path=str(tmp_path / name))
        assert (caught.value.file, caught.value.field) == (name, field)


def chain(inputs: Path, output: Path, **changes: Any) -> dict[str, bytes]:
    """Everything from reading to knowledge; the bytes of every output."""
    output.mkdir()
    read(inputs, output, **changes)
    call(
        normalize_phenotypes,
        cases=output / "raw_cases",
        phenotypes=output / "raw_phenotypes",
        terms=inputs / "terms.parquet",
        output_phenotypes=output / "phenotypes",
        output_changes=output / "changes.tsv",
        output_quarantine=output / "quarantine_phenotypes.tsv",
    )
    call(
        split_cohort,
        settings={"cohort": CHOICE | {key: changes[key] for key in CHOICE if key in changes}, "split": SPLIT},
        cases=output / "raw_cases",
        phenotypes=output / "phenotypes",
        output_cases=output / "cases",
        output_summary=output / "cohort.json",
    )
    call(
        annotate_genotypes,
        settings=GENOTYPES,
        cases=output / "cases",
        variants=output / "raw_variants",
        vcfs=output / "raw_vcfs",
        genes=inputs / "genes.parquet",
        output_genotypes=output / "genotypes",
        output_quarantine=output / "quarantine_genotypes.tsv",
    )
    call(
        build_knowledge,
        settings={"drop_held_out_publications": True},
        cases=output / "cases",
        hpoa=inputs / "hpoa.parquet",
        genes=inputs / "genes.parquet",
        terms=inputs / "terms.parquet",
        mondo=inputs / "mondo.parquet",
        output_profiles=output / "profiles",
        output_ic=output / "ic",
        output_candidates=output / "candidates",
        output_vocabulary=output / "vocabulary",
        output_leakage=output / "leakage.json",
    )
    return {path.name: path.read_bytes() for path in output.iterdir()}


@pytest.mark.parametrize("source", ["phenopackets", "hpoa"])
def test_from_patients_to_knowledge(inputs: Path, tmp_path: Path, source: str) -> None:
    first = chain(inputs, tmp_path / "first", source=source)
    assert chain(inputs, tmp_path / "second", source=source) == first
    output = tmp_path / "first"
    cases = io.read_parquet(output / "cases")
    assert list(cases) == split_cohort.COLUMNS
    assert set(cases["split"]) == {"train", "validation", "test", "test_unseen"}
    assert (cases["simulated"] == (source == "hpoa")).all()
    table = io.read_parquet(output / "genotypes")
    assert list(table) == list(genotypes.TYPES)
    assert table.groupby("case_id")["gene_symbol"].nunique().eq(2).all()
    summary = json.loads((output / "cohort.json").read_text())
    assert summary["source"] == source and summary["simulated"] == (source == "hpoa")
    assert sum(part["cases"] for part in summary["splits"].values()) == len(cases) == 32
    leakage = json.loads((output / "leakage.json").read_text())
    held_out = cases.loc[cases["split"] != "train", "publication"].nunique()
    assert leakage["hpoa_rows_dropped"] == leakage["citing_publications"] == held_out
    candidates = io.read_parquet(output / "candidates")
    assert candidates["disease_id"].tolist() == sorted(set(cases["disease_id"]))
    assert str(tmp_path).encode() not in b"".join(first.values())
    if source == "phenopackets":
        quarantine = pd.read_csv(output / "quarantine.tsv", sep="\t")
        assert quarantine["file"].tolist() == ["broken.json"]
        unknown = pd.read_csv(output / "quarantine_phenotypes.tsv", sep="\t")
        assert set(unknown["value"]) == {"HP:0000009"} and len(unknown) == 32


def test_raw_tables_have_the_same_columns_from_both_sources(inputs: Path, tmp_path: Path) -> None:
    schemas = []
    for source in ("phenopackets", "hpoa"):
        read(inputs, tmp_path / source, source=source)
        names = ("raw_cases", "raw_phenotypes", "raw_variants", "raw_vcfs")
        schemas.append([list(io.read_parquet(tmp_path / source / name)) for name in names])
    assert schemas[0] == schemas[1]
    assert schemas[0][0] == list(cohort.CASES)


def test_a_download_with_a_checksum(inputs: Path, tmp_path: Path) -> None:
    import shutil

    archive = Path(shutil.make_archive(str(tmp_path / "store"), "zip", inputs / "packets"))
    digest = io.sha256_file(archive)
    read(inputs, tmp_path / "out", path=None, url=archive.as_uri(), sha256=digest)
    assert len(io.read_parquet(tmp_path / "out" / "raw_cases")) == 32
    with pytest.raises(InputError, match=r"rare\.cohort\.path"):
        read(inputs, tmp_path / "none", path=None, url=archive.as_uri())


def test_a_vcf_from_phenopacket_and_sample_sheet(inputs: Path, tmp_path: Path) -> None:
    name = "PMID_001_patient_0"
    records = [f"1 10 A G PASS ANN={ann('G', 'missense_variant', 'EXTRA')} 0/1 0/0"]
    vcf(inputs / "packets" / "a.vcf", records)
    file = inputs / "packets" / f"{name}.json"
    files = [{"uri": "a.vcf", "individualToFileIdentifiers": {"person 1": "S1"}}]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"files": files}))
    sheet = inputs / "sheet.tsv"
    sheet.write_text(f"case_id\tvcf\tsample\nPMID_001_patient_1\tpackets/a.vcf\tS1\n{name}\tother.vcf\tS1\n")
    output = tmp_path / "out"
    chain(inputs, output)
    call(
        annotate_genotypes,
        settings=GENOTYPES,
        cases=output / "cases",
        variants=output / "raw_variants",
        vcfs=output / "raw_vcfs",
        genes=inputs / "genes.parquet",
        sample_sheet=sheet,
        output_genotypes=output / "genotypes",
        output_quarantine=output / "quarantine_genotypes.tsv",
    )
    table = io.read_parquet(output / "genotypes")
    carriers = set(table.loc[(table["gene_symbol"] == "EXTRA") & ~table["is_decoy"], "case_id"])
    assert carriers == {cohort.case_id(name), cohort.case_id("PMID_001_patient_1")}
    told = pd.read_csv(output / "quarantine_genotypes.tsv", sep="\t")
    assert told["reason"].str.contains("the phenopacket names a VCF").tolist() == [True]


def test_genes_that_the_release_lacks_are_told(
    inputs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    genes = io.read_parquet(inputs / "genes.parquet")
    io.write_parquet(genes[genes["gene_symbol"] != "GENE0"], inputs / "genes.parquet")
    caplog.set_level("INFO", "mintflow")
    chain(inputs, tmp_path / "out")
    told = "8 name a gene that this HPO release links to no disease (phenopacket 8), 0 name no gene"
    assert [text for text in caplog.messages if told in text and "case-" not in text]


def test_wrong_settings_are_named(inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rare\.cohort.*unknown min_term\b"):
        read(inputs, tmp_path / "out", min_term=3)
    with pytest.raises(InputError, match=r"rare\.split.*missing folds"):
        call(
            split_cohort,
            settings={"cohort": CHOICE, "split": {key: SPLIT[key] for key in SPLIT if key != "folds"}},
            **dict.fromkeys(("cases", "phenotypes", "output_cases", "output_summary"), tmp_path / "none"),
        )
    with pytest.raises(InputError, match=r"rare\.cohort\.source"):
        read(inputs, tmp_path / "out", source="elsewhere")


def test_real_patients_in_time_and_memory(shared_data: Path, knowledge_dir: Path, tmp_path: Path) -> None:
    """9,227 patients read and normalised: at most 60 s and 1.5 GB."""
    settings = {
        **COHORT,
        "path": str(shared_data / "phenopackets.zip"),
        "max_file_mb": 20,
        "max_total_mb": 4000,
    }
    scripts = Path(read_cohort.__file__).parent
    steps = {
        "read_cohort": {
            "settings": json.dumps(settings),
            "terms": knowledge_dir / "terms.parquet",
            "hpoa": knowledge_dir / "hpoa.parquet",
            "genes": knowledge_dir / "gene_disease.parquet",
            "mondo": tmp_path / "mondo.parquet",
            "output-cases": tmp_path / "cases",
            "output-phenotypes": tmp_path / "raw",
            "output-variants": tmp_path / "variants",
            "output-vcfs": tmp_path / "vcfs",
            "output-quarantine": tmp_path / "quarantine.tsv",
        },
        "normalize_phenotypes": {
            "cases": tmp_path / "cases",
            "phenotypes": tmp_path / "raw",
            "terms": knowledge_dir / "terms.parquet",
            "output-phenotypes": tmp_path / "phenotypes",
            "output-changes": tmp_path / "changes.tsv",
            "output-quarantine": tmp_path / "unknown.tsv",
        },
    }
    # none of the release gives a diagnosis twice
    io.write_parquet(pd.DataFrame(columns=COLUMNS, dtype=str), tmp_path / "mondo.parquet")
    started = time.monotonic()
    for name, flags in steps.items():
        arguments = [text for flag, value in flags.items() for text in (f"--{flag}", str(value))]
        subprocess.run([sys.executable, str(scripts / f"{name}.py"), *arguments], check=True)
    assert time.monotonic() - started < 60
    # the largest of this process's children so far, in kB: an upper bound
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 1_500_000
    assert io.read_parquet(tmp_path / "phenotypes", ["case_id"])["case_id"].nunique() > 9000
