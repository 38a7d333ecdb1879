"""The genotype table: what phenopackets, VCFs and decoys say about each chosen patient's genes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from . import cohort, vcf
from .decoys import LOOKS, add_decoys
from .errors import InputError
from .quarantine import Quarantine

SETTINGS = ("decoys", "decoy_source", "max_vcf_variants", "max_vcf_records", "max_vcf_line_mb", "seed")
SHEET_COLUMNS = ["case_id", "vcf", "sample"]

# hgvs_c, source and is_decoy are for reports: they identify papers and decoys, so no model may see them
TYPES = {
    "case_id": cohort.TEXT,
    "gene_symbol": cohort.TEXT,
    "zygosity": cohort.TEXT,
    "structural_type": cohort.TEXT,
    "consequence": cohort.TEXT,
    "hgvs_c": cohort.TEXT,
    "source": cohort.TEXT,
    "is_decoy": cohort.FLAG,
}


def read_sample_sheet(path: str | Path, cases: pd.DataFrame, quarantine: Quarantine) -> pd.DataFrame:
    """Read a TSV with columns case_id, vcf, sample.

    ``case_id`` may also be the phenopacket's own id. Relative VCF names start at the sheet's folder. An
    empty sample stands for the only one of a single-sample VCF.

    Returns:
        Rows of patients of the cohort; the others go to the quarantine.

    Raises:
        InputError: not readable, or a column is missing.
    """
    path = Path(path)
    try:
        sheet = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, quoting=3, index_col=False)
    except (OSError, ValueError) as error:
        problem = f"cannot be read as a table: {error}"
        raise InputError(problem, file=path.name, field="rare.cohort.sample_sheet") from error
    missing = [name for name in SHEET_COLUMNS if name not in sheet]
    if missing:
        problem = f"lacks column(s) {', '.join(missing)}"
        raise InputError(problem, file=path.name, field="rare.cohort.sample_sheet")
    known = set(cases["case_id"])
    rows = []
    for number, row in enumerate(sheet[SHEET_COLUMNS].itertuples(index=False), start=2):
        found = [name for name in (row.case_id, cohort.case_id(row.case_id)) if name in known]
        if not found:
            reason = "no such patient in the chosen cohort"
            quarantine.add(
                file=path.name, record=f"line {number}", field="case_id", value=row.case_id, reason=reason
            )
        elif not row.vcf:
            quarantine.add(file=path.name, record=f"line {number}", field="vcf", value="", reason="no file")
        else:
            rows.append((found[0], (path.parent / row.vcf).as_posix(), row.sample))
    return cohort.table(rows, cohort.VCFS, ["case_id", "vcf"])


def named_vcfs(vcfs: pd.DataFrame, sheet: pd.DataFrame, quarantine: Quarantine) -> pd.DataFrame:
    """VCFs of phenopackets, and of the sheet for patients whose phenopacket names none."""
    taken = sheet["case_id"].isin(vcfs["case_id"])
    for row in sheet[taken].itertuples(index=False):
        reason = "the phenopacket names a VCF, which is used"
        quarantine.add(file="sample sheet", record=row.case_id, field="vcf", value=row.vcf, reason=reason)
    both = pd.concat([vcfs, sheet[~taken]], ignore_index=True).drop_duplicates()
    return both.sort_values(["case_id", "vcf", "sample"], ignore_index=True)


def collect(
    cases: pd.DataFrame,
    variants: pd.DataFrame,
    vcfs: pd.DataFrame,
    gene_disease: pd.DataFrame,
    settings: Mapping[str, Any],
    quarantine: Quarantine,
) -> pd.DataFrame:
    """Genotypes of the chosen patients, decoys among them.

    A VCF's variant is left out where the patient's phenopacket already reports one in this gene with
    the same consequence and zygosity.

    Args:
        cases: case_id, disease_id, split, and further if known.
        variants: raw variants.
        vcfs: case_id, vcf, sample.
        gene_disease: gene_symbol, disease_id, for the decoys.
        settings: ``SETTINGS`` of ``rare.genotypes``.
        quarantine: receives VCFs that cannot be used and counts of calls without a gene.

    Returns:
        Columns ``TYPES``, sorted by patient and gene.

    Raises:
        InputError: too few genes for the decoys.
    """
    chosen = set(cases["case_id"])
    reported = variants[variants["case_id"].isin(chosen)]
    columns = ["case_id", "gene_symbol", *LOOKS]
    limits = {
        "max_variants": settings["max_vcf_variants"],
        "max_records": settings["max_vcf_records"],
        "max_line_mb": settings["max_vcf_line_mb"],
    }
    called = _from_vcfs(vcfs[vcfs["case_id"].isin(chosen)], limits, quarantine)
    keys = ["case_id", "gene_symbol", "consequence", "zygosity"]
    known = pd.MultiIndex.from_frame(reported[keys])
    called = called[~pd.MultiIndex.from_frame(called[keys]).isin(known)]
    both = pd.concat([reported[columns], called[columns]], ignore_index=True)
    return add_decoys(both, cases, gene_disease, settings)[list(TYPES)].astype(TYPES)


@dataclass(frozen=True)
class GeneGaps:
    """Patients for whose genes the knowledge has nothing to say.

    Attributes:
        patients: all that are not simulated.
        unknown: by source (phenopacket, sheet), those who name a gene that no disease is linked to.
        none: those who have no gene, not from a VCF either.
    """

    patients: int
    unknown: dict[str, int]
    none: int


def gene_gaps(cases: pd.DataFrame, genotypes: pd.DataFrame, gene_disease: pd.DataFrame) -> GeneGaps:
    """Count them: who was meant to have a gene may have lost it by its spelling.

    Simulated patients are left out: a disease without a gene gives them none. So are genes of a VCF, which
    are called, not named, and where there is a further cohort, the run's own patients.

    Args:
        cases: case_id, and simulated and further if known.
        genotypes: case_id, gene_symbol, source, is_decoy.
        gene_disease: gene_symbol.
    """
    real = cases[~cases["simulated"].astype(bool)] if "simulated" in cases else cases
    real = real[real["further"]] if "further" in real else real
    own = genotypes[~genotypes["is_decoy"] & genotypes["gene_symbol"].notna()]
    own = own[own["case_id"].isin(real["case_id"])]
    strange = own[(own["source"] != "vcf") & ~own["gene_symbol"].isin(gene_disease["gene_symbol"])]
    unknown = strange.groupby("source")["case_id"].nunique().to_dict()
    return GeneGaps(len(real), unknown, int((~real["case_id"].isin(own["case_id"])).sum()))


def _from_vcfs(vcfs: pd.DataFrame, limits: Mapping[str, int], quarantine: Quarantine) -> pd.DataFrame:
    rows: list[tuple[object, ...]] = []
    for case, path, sample in vcfs[SHEET_COLUMNS].itertuples(index=False, name=None):
        file = Path(path).name
        try:
            content = vcf.read(path, sample if isinstance(sample, str) else "", **limits)
        except vcf.UnreadableVcf as problem:
            quarantine.add(
                file=file, record=case, field=problem.field, value=problem.value, reason=problem.reason
            )
            continue
        for count, place, reason in (
            (content.filtered, "FILTER", "call(s) that failed the caller's filter"),
            (content.no_gene, "INFO", "call(s) without an annotated effect on a gene"),
        ):
            if count:
                quarantine.add(file=file, record=case, field=place, value=count, reason=reason)
        for found in content.variants:
            entry = (case, found.gene_symbol, None, found.hgvs_c, None, None, found.zygosity, None)
            rows.append((*entry, found.consequence, "vcf"))
    return cohort.table(rows, cohort.VARIANTS, ["case_id"])
