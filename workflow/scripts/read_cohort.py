"""Read patients from phenopackets or a table, or simulate them from what HPO's annotations cite."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from mintflow import cli, cohort, downloads, io, patient_sheet, phenopackets, settings, simulation
from mintflow.errors import InputError
from mintflow.mondo import Mondo
from mintflow.ontology import Ontology
from mintflow.quarantine import Quarantine

log = logging.getLogger("mintflow")


def arguments() -> argparse.ArgumentParser:
    """Flags of this program."""
    parser = cli.parser(__doc__)
    parser.add_argument("--terms", type=Path, required=True, help="terms.parquet")
    parser.add_argument("--hpoa", type=Path, required=True, help="hpoa.parquet")
    parser.add_argument("--genes", type=Path, required=True, help="gene_disease.parquet")
    parser.add_argument("--mondo", type=Path, required=True, help="mondo.parquet")
    parser.add_argument(
        "--downloads", type=Path, default=Path("resources/downloads"), help="folder that keeps downloads"
    )
    parser.add_argument("--output-cases", type=Path, required=True, help="raw/cases.parquet")
    parser.add_argument("--output-phenotypes", type=Path, required=True, help="raw/phenotypes.parquet")
    parser.add_argument("--output-variants", type=Path, required=True, help="raw/variants.parquet")
    parser.add_argument("--output-vcfs", type=Path, required=True, help="raw/vcfs.parquet")
    parser.add_argument("--output-quarantine", type=Path, required=True, help="raw/quarantine.tsv")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read or simulate, write."""
    chosen = settings.exact(args.settings, cohort.SETTINGS, "rare.cohort")
    quarantine = Quarantine("read_cohort")
    if chosen["source"] == "hpoa":
        found = simulated(args, chosen)
    elif chosen["source"] == "phenopackets":
        limits = {key: chosen[key] for key in ("max_file_mb", "max_total_mb", "vcf_folder")}
        same = Mondo.from_parquet(args.mondo).same
        found = phenopackets.read(place(args, chosen), quarantine, same=same, **limits)
    elif chosen["source"] == "external":
        found = further(args, chosen, quarantine)
    else:
        raise InputError(f"{chosen['source']!r} is no source of patients", field="rare.cohort.source")
    io.write_parquet(found.cases, args.output_cases)
    io.write_parquet(found.phenotypes, args.output_phenotypes)
    io.write_parquet(found.variants, args.output_variants)
    io.write_parquet(found.vcfs, args.output_vcfs)
    quarantine.write(args.output_quarantine)
    log.info(
        "%d patients of %d diseases from %d publications; %d entries set aside",
        len(found.cases),
        found.cases["disease_id"].nunique(),
        found.cases["publication"].nunique(),
        len(quarantine.rows),
    )
    named = found.cases["publication"].map(cohort.names_publication)
    if alone := int((~named).sum()):
        log.warning(
            "%d patients name no publication that can be read: each is split as one of its own", alone
        )
    unread = int(found.cases["publications"].map(cohort.has_unread).sum())
    if unread:
        log.warning("%d patients name a publication that cannot be read, see the quarantine", unread)


def simulated(args: argparse.Namespace, chosen: dict[str, Any]) -> cohort.RawCohort:
    """Patients drawn from the annotation file."""
    hpoa = io.read_parquet(args.hpoa)
    genes = io.read_parquet(args.genes, ["gene_symbol", "disease_id"])
    cases, phenotypes, variants = simulation.simulate(hpoa, genes, Ontology.from_parquet(args.terms), chosen)
    return cohort.RawCohort(cases, phenotypes, variants, cohort.table([], cohort.VCFS, ["case_id"]))


def further(args: argparse.Namespace, chosen: dict[str, Any], quarantine: Quarantine) -> cohort.RawCohort:
    """A further cohort: a table of patients, or phenopackets; errors name its own key."""
    try:
        if patient_sheet.is_sheet(chosen["path"]):
            genes = io.read_parquet(args.genes, ["gene_symbol"])["gene_symbol"].unique()
            return patient_sheet.read(chosen["path"], quarantine, max_mb=chosen["max_total_mb"], genes=genes)
        if patient_sheet.is_workbook(chosen["path"]):
            problem = (
                "is a workbook; expected tab-separated text (.tsv), or a folder or a zip of phenopackets"
            )
            raise InputError(problem, file=Path(chosen["path"]).name, field="external")
        limits = {key: chosen[key] for key in ("max_file_mb", "max_total_mb", "vcf_folder")}
        same = Mondo.from_parquet(args.mondo).same
        return phenopackets.read(chosen["path"], quarantine, same=same, **limits)
    except InputError as error:
        field = "external" if error.field == "rare.cohort.path" else error.field
        raise InputError(error.problem, file=error.file, record=error.record, field=field) from error


def place(args: argparse.Namespace, chosen: dict[str, Any]) -> Path:
    """The folder or zip of phenopackets, downloaded where the configuration gives only a URL."""
    if chosen["path"]:
        path, name = Path(chosen["path"]), str(chosen["path"])
        if path.is_file() and (patient_sheet.is_sheet(name) or patient_sheet.is_workbook(name)):
            problem = (
                "expected a folder or a zip of phenopackets; a table is read as a further cohort (external)"
            )
            raise InputError(problem, file=path.name, field="rare.cohort.path")
        return path
    if not (chosen["url"] and chosen["sha256"]):
        problem = "source phenopackets needs a path, or a url with its sha256"
        raise InputError(problem, file="configuration", field="rare.cohort.path")
    return downloads.fetch(chosen["url"], chosen["sha256"], args.downloads, max_mb=chosen["max_total_mb"])


if __name__ == "__main__":
    cli.run(main, arguments())
