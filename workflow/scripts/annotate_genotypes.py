"""Collect each chosen patient's genes from phenopacket and VCF, and add decoy genes."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mintflow import cli, cohort, genotypes, io, settings
from mintflow.quarantine import Quarantine

log = logging.getLogger("mintflow")


def arguments() -> argparse.ArgumentParser:
    """Flags of this program."""
    parser = cli.parser(__doc__)
    parser.add_argument("--cases", type=Path, required=True, help="cases.parquet, with their split")
    parser.add_argument("--variants", type=Path, required=True, help="raw/variants.parquet")
    parser.add_argument("--vcfs", type=Path, required=True, help="raw/vcfs.parquet")
    parser.add_argument("--genes", type=Path, required=True, help="gene_disease.parquet")
    parser.add_argument("--sample-sheet", type=Path, help="TSV with columns case_id, vcf, sample")
    parser.add_argument("--output-genotypes", type=Path, required=True, help="genotypes.parquet")
    parser.add_argument("--output-quarantine", type=Path, required=True, help="quarantine_genotypes.tsv")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, collect, write."""
    chosen = settings.exact(args.settings, genotypes.SETTINGS, "rare.genotypes")
    quarantine = Quarantine("genotypes")
    cases = io.read_parquet(args.cases, ["case_id", "disease_id", "split"], optional=["simulated", "further"])
    vcfs = io.read_parquet(args.vcfs, list(cohort.VCFS))
    if args.sample_sheet:
        sheet = genotypes.read_sample_sheet(args.sample_sheet, cases, quarantine)
        vcfs = genotypes.named_vcfs(vcfs, sheet, quarantine)
    genes = io.read_parquet(args.genes, ["gene_symbol", "disease_id"])
    variants = io.read_parquet(args.variants, list(cohort.VARIANTS))
    table = genotypes.collect(cases, variants, vcfs, genes, chosen, quarantine)
    gaps = genotypes.gene_gaps(cases, table, genes)
    io.write_parquet(table, args.output_genotypes)
    quarantine.write(args.output_quarantine)
    decoys = int(table["is_decoy"].sum())
    log.info(
        "%d genotype rows of %d patients and %d decoy rows; %d entries set aside",
        len(table) - decoys,
        table.loc[~table["is_decoy"], "case_id"].nunique(),
        decoys,
        len(quarantine.rows),
    )
    if gaps.patients:
        log.info(
            "of %d patients %d name a gene that this HPO release links to no disease (%s), %d name no gene",
            gaps.patients,
            sum(gaps.unknown.values()),
            ", ".join(f"{source} {count}" for source, count in gaps.unknown.items()) or "none",
            gaps.none,
        )


if __name__ == "__main__":
    cli.run(main, arguments())
