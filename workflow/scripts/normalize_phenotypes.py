"""Normalise every patient's HPO terms to the compiled release; write what changed and why."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mintflow import cli, io, phenotypes
from mintflow.errors import InputError
from mintflow.ontology import Ontology
from mintflow.quarantine import Quarantine

log = logging.getLogger("mintflow")


def arguments() -> argparse.ArgumentParser:
    """Flags of this program."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--cases", type=Path, required=True, help="raw/cases.parquet")
    parser.add_argument("--phenotypes", type=Path, required=True, help="raw/phenotypes.parquet")
    parser.add_argument("--terms", type=Path, required=True, help="terms.parquet")
    parser.add_argument("--output-phenotypes", type=Path, required=True, help="phenotypes.parquet")
    parser.add_argument("--output-changes", type=Path, required=True, help="phenotype_changes.tsv")
    parser.add_argument("--output-quarantine", type=Path, required=True, help="quarantine_phenotypes.tsv")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, normalise, write."""
    cases = io.read_parquet(args.cases, ["case_id", "source_file"])
    raw = io.read_parquet(args.phenotypes, ["case_id", "hpo_id", "excluded"])
    strangers = sorted(set(raw["case_id"]) - set(cases["case_id"]))
    if strangers:
        problem = "phenotypes of a case that is not in --cases"
        raise InputError(problem, file=args.phenotypes, record=strangers[0])
    quarantine = Quarantine("phenotypes")
    files = dict(zip(cases["case_id"], cases["source_file"], strict=True))
    kept, changes = phenotypes.normalize(raw, Ontology.from_parquet(args.terms), quarantine, files)
    io.write_parquet(kept, args.output_phenotypes)
    io.write_tsv(changes, args.output_changes)
    quarantine.write(args.output_quarantine)
    for action, count in changes["action"].value_counts().sort_index().items():
        log.info("%s: %d (%s)", action, count, phenotypes.ACTIONS[str(action)])
    log.info("%d terms of %d patients kept, of %d", len(kept), kept["case_id"].nunique(), len(raw))


if __name__ == "__main__":
    cli.run(main, arguments())
