from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mintflow import cohort, genotypes
from mintflow.errors import InputError
from mintflow.quarantine import Quarantine
from patients import cases
from test_vcf import ann, vcf

SETTINGS = {
    "decoys": 2,
    "decoy_source": "candidates",
    "max_vcf_variants": 50,
    "max_vcf_records": 1000,
    "max_vcf_line_mb": 1,
    "seed": 2,
}
NO_DECOYS = {**SETTINGS, "decoys": 0}


def variants(rows: list[tuple[str, str | None, str, str]]) -> pd.DataFrame:
    """Raw variants of (case_id, gene, zygosity, consequence)."""
    entries = [
        (case, gene, None, f"NM_{gene}:c.1", None, None, zygosity, None, effect, "phenopacket")
        for case, gene, zygosity, effect in rows
    ]
    return cohort.table(entries, cohort.VARIANTS, ["case_id"])


def links(**genes: str) -> pd.DataFrame:
    """gene_disease.parquet: disease to genes, a letter each."""
    rows = [(gene, disease) for disease, found in genes.items() for gene in found]
    return pd.DataFrame(rows, columns=["gene_symbol", "disease_id"])


def collect(
    patients: pd.DataFrame,
    rows: pd.DataFrame,
    vcfs: list[tuple[str, str, str]] | None = None,
    gene_disease: pd.DataFrame | None = None,
    quarantine: Quarantine | None = None,
    **settings: Any,
) -> pd.DataFrame:
    return genotypes.collect(
        patients,
        rows,
        cohort.table(vcfs or [], cohort.VCFS, ["case_id"]),
        links() if gene_disease is None else gene_disease,
        {**SETTINGS, **settings},
        quarantine or Quarantine("genotypes"),
    )


def four() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Four diseases D0..D3 of genes G0..G3, twenty patients each; D3 is recessive; the last is a test."""
    patients = cases([(f"case-{d}{i:02d}", f"PMID:{i}", f"D{d}") for d in range(4) for i in range(20)])
    patients["split"] = ["test" if case.endswith("19") else "train" for case in patients["case_id"]]
    rows = []
    for case in patients["case_id"]:
        d = case[5]
        looks = [("homozygous", "missense")] if int(case[6:]) % 2 else [("heterozygous", "nonsense")] * 2
        rows += [(case, f"G{d}", *look) for look in (looks if d == "3" else [("heterozygous", "missense")])]
    return patients, variants(rows)


def test_without_decoys_the_real_rows_stay() -> None:
    patients, rows = four()
    found = collect(patients.iloc[:5], rows, decoys=0)
    assert len(found) == 5 and not found["is_decoy"].any()
    assert list(found) == list(genotypes.TYPES)


def test_decoys_belong_to_other_diseases_and_look_real() -> None:
    patients, rows = four()
    found = collect(patients, rows)
    genes = found.groupby(["case_id", "is_decoy"])["gene_symbol"].agg(set).unstack()
    assert (genes[True].map(len) == 2).all()
    assert not any(own & others for own, others in zip(genes[False], genes[True], strict=True))
    assert set().union(*genes[True]) == {"G0", "G1", "G2", "G3"}
    # a decoy of the recessive gene comes as its patients have it: homozygous, or twice heterozygous
    recessive = found[found["is_decoy"] & (found["gene_symbol"] == "G3")]
    looks = recessive.groupby("case_id")["zygosity"].agg(lambda values: ",".join(values))
    assert set(looks) == {"homozygous", "heterozygous,heterozygous"}
    assert set(found.loc[found["gene_symbol"] == "G0", "zygosity"]) == {"heterozygous"}
    assert not found.drop(columns="is_decoy")[["source", "hgvs_c"]].isna().any().any()


def test_decoys_never_come_from_the_own_disease() -> None:
    patients, rows = four()
    gene_disease = links(D0="XYZ", D1="X", D2="QR")
    found = collect(patients, rows, gene_disease=gene_disease, decoys=3)
    decoys = found[found["is_decoy"]].merge(patients[["case_id", "disease_id"]], on="case_id")
    own = decoys[decoys["disease_id"] == "D0"]
    assert not set(own["gene_symbol"]) & {"G0", "X", "Y", "Z"}
    assert set(own["gene_symbol"]) == {"G1", "G2", "G3", "Q", "R"}
    # X is of D0 and D1: patients of D2 may get it
    assert "X" in set(decoys.loc[decoys["disease_id"] == "D2", "gene_symbol"])
    # a gene that no training patient has copies another one's looks, but not its HGVS name
    assert own.loc[own["gene_symbol"] == "Q", "hgvs_c"].isna().all()
    assert own.loc[own["gene_symbol"] == "Q", "zygosity"].notna().all()


def test_looks_come_from_training_patients_only() -> None:
    patients, rows = four()
    rows.loc[rows["case_id"].str.endswith("19"), "consequence"] = "stop_lost"
    found = collect(patients, rows)
    assert "stop_lost" not in set(found.loc[found["is_decoy"], "consequence"])


def test_decoys_from_the_whole_release() -> None:
    patients, rows = four()
    gene_disease = links(E1="K", E2="L", D0="M")
    inside = collect(patients, rows, gene_disease=gene_disease)
    outside = collect(patients, rows, gene_disease=gene_disease, decoy_source="hpo")
    assert not {"K", "L"} & set(inside["gene_symbol"])
    assert {"K", "L"} <= set(outside["gene_symbol"])


def test_a_patient_without_a_gene_gets_decoys_too() -> None:
    patients, rows = four()
    patients.loc[0, "case_id"] = "case-none"
    found = collect(patients, rows)
    assert found[found["case_id"] == "case-none"]["is_decoy"].tolist() == [True, True]


def test_decoys_depend_on_seed_and_patient_not_on_order() -> None:
    patients, rows = four()
    first = collect(patients, rows)
    pd.testing.assert_frame_equal(first, collect(patients[::-1], rows[::-1]))
    assert not first.equals(collect(patients, rows, seed=3))


def test_too_few_genes_for_the_decoys() -> None:
    patients, rows = four()
    with pytest.raises(InputError, match=r"rare\.genotypes\.decoys.*3 gene\(s\) to draw 4"):
        collect(patients, rows, decoys=4)


def test_vcf_rows_are_added_and_repeats_left_out(tmp_path: Path) -> None:
    patients, rows = four()
    records = [
        f"1 10 A G PASS ANN={ann('G', 'missense_variant', 'G0')} 0/1 0/0",
        f"1 20 A G PASS ANN={ann('G', 'missense_variant', 'OTHER')} 1/1 0/0",
        f"1 30 A G PASS ANN={ann('G', 'intron_variant', 'INTRON')} 1/1 0/0",
    ]
    path = vcf(tmp_path / "a.vcf", records).as_posix()
    quarantine = Quarantine("genotypes")
    missing = (tmp_path / "none.vcf").as_posix()
    named = [("case-000", path, "S1"), ("case-001", path, "S9"), ("case-002", missing, "S1")]
    found = collect(patients, rows, named, quarantine=quarantine, decoys=0)
    own = found[found["case_id"] == "case-000"]
    assert own["gene_symbol"].tolist() == ["G0", "OTHER"]
    assert own["source"].tolist() == ["phenopacket", "vcf"]
    # a VCF that cannot be used costs the patient nothing else
    assert found[found["case_id"] == "case-001"]["gene_symbol"].tolist() == ["G0"]
    table = quarantine.table()[["file", "record", "field", "value"]].to_numpy().tolist()
    assert table == [
        ["a.vcf", "case-000", "INFO", "1"],
        ["a.vcf", "case-001", "#CHROM header", "S9"],
        ["none.vcf", "case-002", "(file)", "none.vcf"],
    ]


def test_sample_sheet(tmp_path: Path) -> None:
    patients = cases([(cohort.case_id("PMID_1_a"), "PMID:1", "D0"), ("case-b", "PMID:2", "D1")])
    sheet = tmp_path / "sheet.tsv"
    lines = [
        "case_id\tvcf\tsample",
        "PMID_1_a\tx.vcf\tS1",
        "case-b\t/abs/y.vcf\t",
        "typo\tz.vcf\tS1",
        "case-b\t\tS1",
    ]
    sheet.write_text("\n".join(lines) + "\n")
    quarantine = Quarantine("genotypes")
    found = genotypes.read_sample_sheet(sheet, patients, quarantine)
    rows = set(found.itertuples(index=False, name=None))
    x_vcf = (tmp_path / "x.vcf").as_posix()
    assert rows == {(cohort.case_id("PMID_1_a"), x_vcf, "S1"), ("case-b", "/abs/y.vcf", "")}
    told = quarantine.table()[["record", "field", "value"]].to_numpy().tolist()
    assert told == [["line 4", "case_id", "typo"], ["line 5", "vcf", ""]]
    # a VCF that the phenopacket names comes first
    named = cohort.table([("case-b", "own.vcf", "S1")], cohort.VCFS, ["case_id"])
    both = genotypes.named_vcfs(named, found, quarantine)
    assert set(both["vcf"]) == {"own.vcf", x_vcf} and len(quarantine.rows) == 3
    sheet.write_text("case_id\tvcf\n")
    with pytest.raises(InputError, match=r"sheet\.tsv.*sample"):
        genotypes.read_sample_sheet(sheet, patients, quarantine)


@pytest.mark.filterwarnings("ignore:Length of header")
def test_sample_sheet_with_a_tab_too_many(tmp_path: Path) -> None:
    people = cases([("case-1", "PMID:1", "OMIM:1")])
    path = tmp_path / "sheet.tsv"
    path.write_text("case_id\tvcf\tsample\ncase-1\ta.vcf\tS1\t\n")
    sheet = genotypes.read_sample_sheet(path, people, Quarantine("genotypes"))
    assert sheet["case_id"].tolist() == ["case-1"] and sheet["sample"].tolist() == ["S1"]


def test_genes_that_the_knowledge_lacks_are_counted() -> None:
    patients = cases([(f"case-{i}", f"PMID:{i}", "D0") for i in range(6)])
    patients["simulated"] = [False] * 5 + [True]
    called = ("case-4", "OTHER", "heterozygous", "missense")
    rows = variants(
        [
            ("case-0", "G0", "heterozygous", "missense"),
            ("case-1", "NEW", "heterozygous", "missense"),
            ("case-1", "NEW2", "heterozygous", "missense"),
            ("case-2", "g0", "unknown", "unknown"),
            ("case-3", None, "unknown", "deletion"),
            called,
        ]
    )
    rows.loc[rows["case_id"] == "case-2", "source"] = "sheet"
    rows.loc[rows["case_id"] == "case-4", "source"] = "vcf"
    table = rows[["case_id", "gene_symbol", "source"]].assign(is_decoy=False)
    decoy = pd.DataFrame([("case-3", "ELSE", "phenopacket", True)], columns=list(table))
    links = pd.DataFrame({"gene_symbol": ["G0"]})
    found = genotypes.gene_gaps(patients, pd.concat([table, decoy]), links)
    # genes of a VCF are called, not named; simulated patients have what the release has
    assert found == genotypes.GeneGaps(patients=5, unknown={"phenopacket": 1, "sheet": 1}, none=1)


def test_nothing_is_told_where_every_gene_is_known() -> None:
    patients, rows = four()
    table = collect(patients, rows)
    links_of_all = pd.DataFrame({"gene_symbol": [f"G{d}" for d in range(4)]})
    found = genotypes.gene_gaps(patients, table, links_of_all)
    assert (found.unknown, found.none) == ({}, 0)
