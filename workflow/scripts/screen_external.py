"""Set aside the patients of a further cohort that the run may have learned from, or cannot rank."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import pandas as pd

from mintflow import cli, cohort, external, io, pheval_results, settings
from mintflow import evaluation as ev
from mintflow.errors import InputError
from mintflow.mondo import Mondo
from mintflow.quarantine import read_quarantine

log = logging.getLogger("mintflow")

COLUMNS = [
    *("case_id", "source_id", "source_file", "pheval_name", "publication", "publications"),
    *("disease_id", "given_disease_id", "disease_name", "sex", "age_years", "simulated"),
    *("split", "fold", "n_observed", "n_excluded"),
]


def arguments() -> argparse.ArgumentParser:
    """Flags of this program."""
    parser = cli.parser(__doc__)
    parser.add_argument("--name", required=True, help="name of the cohort's file or folder")
    parser.add_argument("--cases", type=Path, required=True, help="raw cases of the further cohort")
    parser.add_argument("--phenotypes", type=Path, required=True, help="their normalised terms")
    parser.add_argument("--variants", type=Path, required=True, help="their raw variants")
    parser.add_argument(
        "--quarantine", type=Path, nargs="+", required=True, help="what the reader and HPO refused"
    )
    parser.add_argument("--run-cases", type=Path, required=True, help="the run's cases.parquet")
    parser.add_argument("--run-phenotypes", type=Path, required=True, help="the run's phenotypes.parquet")
    parser.add_argument("--run-variants", type=Path, required=True, help="the run's raw/variants.parquet")
    parser.add_argument("--candidates", type=Path, required=True, help="candidates.parquet")
    parser.add_argument("--hpoa", type=Path, required=True, help="hpoa.parquet, the whole annotation table")
    parser.add_argument("--mondo", type=Path, required=True, help="mondo.parquet")
    parser.add_argument("--output-cases", type=Path, required=True, help="clean patients")
    parser.add_argument(
        "--output-set-aside", type=Path, required=True, help="TSV of the others, with reasons"
    )
    parser.add_argument("--log-set-aside", type=Path, help="the same table, kept if nobody is left")
    parser.add_argument("--output-counts", type=Path, required=True, help="what became of whom, JSON")
    parser.add_argument("--output-everyone", type=Path, required=True, help="run's and new patients")
    parser.add_argument("--output-variants", type=Path, required=True, help="their raw variants")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, screen, write."""
    chosen = settings.exact(args.settings, ("drop_held_out_publications",), "rare.knowledge")
    raw = io.read_parquet(args.cases, list(cohort.CASES))
    run_cases = io.read_parquet(args.run_cases)
    labels = ev.disease_labels(
        io.read_parquet(args.candidates, ["disease_id", "series"]), Mondo.from_parquet(args.mondo)
    )
    run = external.Run(
        run_cases,
        io.read_parquet(args.run_phenotypes, ["case_id", "hpo_id", "excluded"]),
        external.used_references(
            io.read_parquet(args.hpoa), run_cases, bool(chosen["drop_held_out_publications"])
        ),
        labels,
    )
    phenotypes = io.read_parquet(args.phenotypes, ["case_id", "hpo_id", "excluded"])
    refused = read_quarantine(args.quarantine)
    clean, aside = external.screen(raw, phenotypes, run, refused)
    log.info("%d of %d patients are clean; set aside: %s", len(clean), len(raw), external.told(aside))
    left_out = external.left_out(refused, clean)
    if left_out:
        log.warning("values left out of patients who count: %s", left_out)
    if args.log_set_aside:
        io.write_tsv(external.nameless(aside), args.log_set_aside)
    if clean.empty:
        where = f"; each is told in {args.log_set_aside}" if args.log_set_aside else ""
        raise InputError(f"no patient is left to evaluate ({external.told(aside)}){where}", field="external")
    clean["pheval_name"] = pheval_results.names(clean)
    io.write_parquet(clean[COLUMNS], args.output_cases)
    io.write_tsv(aside, args.output_set_aside)
    told = {"cohort": args.name, "sha256_of_cases": io.sha256_file(args.cases)}
    told |= external.counts(raw, clean, aside, run_cases) | {"left_out": left_out}
    io.write_json(told, args.output_counts)
    io.write_parquet(external.together(run_cases, clean), args.output_everyone)
    new, old = (io.read_parquet(path, list(cohort.VARIANTS)) for path in (args.variants, args.run_variants))
    new = new[new["case_id"].isin(clean["case_id"])]
    old = old[~old["case_id"].isin(clean["case_id"])]
    io.write_parquet(pd.concat([old, new], ignore_index=True).astype(cohort.VARIANTS), args.output_variants)


if __name__ == "__main__":
    cli.run(main, arguments())
