"""Disease profiles, information content, candidates and names, without any held-out publication."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mintflow import cli, io, knowledge, settings
from mintflow.mondo import Mondo
from mintflow.ontology import Ontology

log = logging.getLogger("mintflow")


def arguments() -> argparse.ArgumentParser:
    """Flags of this program."""
    parser = cli.parser(__doc__)
    parser.add_argument("--cases", type=Path, required=True, help="cases.parquet, with their split")
    parser.add_argument("--hpoa", type=Path, required=True, help="hpoa.parquet")
    parser.add_argument("--genes", type=Path, required=True, help="gene_disease.parquet")
    parser.add_argument("--terms", type=Path, required=True, help="terms.parquet")
    parser.add_argument("--mondo", type=Path, required=True, help="mondo.parquet")
    parser.add_argument("--output-profiles", type=Path, required=True, help="profiles.parquet")
    parser.add_argument("--output-ic", type=Path, required=True, help="information_content.parquet")
    parser.add_argument("--output-candidates", type=Path, required=True, help="candidates.parquet")
    parser.add_argument("--output-vocabulary", type=Path, required=True, help="vocabulary.parquet")
    parser.add_argument("--output-leakage", type=Path, required=True, help="leakage.json")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, drop what leaks, build, write."""
    built = knowledge.build(
        io.read_parquet(args.cases),
        io.read_parquet(args.hpoa),
        io.read_parquet(args.genes, ["gene_symbol", "disease_id"]),
        Ontology.from_parquet(args.terms),
        Mondo.from_parquet(args.mondo),
        settings.exact(args.settings, knowledge.SETTINGS, "rare.knowledge"),
    )
    io.write_parquet(built.profiles, args.output_profiles)
    io.write_parquet(built.information_content, args.output_ic)
    io.write_parquet(built.candidates, args.output_candidates)
    io.write_parquet(built.vocabulary, args.output_vocabulary)
    io.write_json(built.leakage, args.output_leakage)
    if not built.leakage["controlled"]:
        log.warning("leakage control is off: held-out publications stay in the profiles")
    log.info(
        "%(hpoa_rows_dropped)d of %(hpoa_rows)d annotations dropped: they cite %(citing_publications)d "
        "of %(held_out_publications)d held-out publications",
        built.leakage,
    )


if __name__ == "__main__":
    cli.run(main, arguments())
