"""Put together what is shown of a few test patients, named or drawn blindly, under numbers.

Settings: {k, report_cases, report_case_ids, seed, arms}: length of the lists, how many patients are drawn,
who is shown in their place, the seed of the draw, and whose lists are shown beside the teacher's.
"""

from __future__ import annotations

import argparse

from mintflow import cli, io
from mintflow.case_view import case_table, draw, pick
from mintflow.evaluation import GROUNDED, disease_labels
from mintflow.mondo import Mondo
from mintflow.settings import exact

KEYS = ("k", "report_cases", "report_case_ids", "seed", "arms")


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = cli.parser(__doc__)
    parser.add_argument("--cases", required=True, help="cases.parquet with the split")
    parser.add_argument("--phenotypes", required=True, help="phenotypes.parquet, normalised")
    parser.add_argument("--candidates", required=True, help="candidates.parquet")
    parser.add_argument("--mondo", required=True, help="mondo.parquet")
    parser.add_argument("--teacher", required=True, help="the teacher's scores (parquet)")
    parser.add_argument("--grounded", required=True, help="grounded.parquet")
    parser.add_argument("--output", required=True, help="CSV")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    settings = exact(args.settings, KEYS, "rare.evaluation")
    cases = io.read_parquet(args.cases, ["case_id", "disease_id", "split"])
    named = settings["report_case_ids"]
    chosen = pick(cases, named) if named else draw(cases, settings["report_cases"], settings["seed"])
    candidates = io.read_parquet(args.candidates, ["disease_id", "name", "series"])
    table = case_table(
        cases,
        io.read_parquet(args.phenotypes, ["case_id", "hpo_id", "name", "excluded"]),
        candidates,
        io.read_parquet(args.teacher, ["case_id", "disease_id", "rank"]),
        io.read_parquet(args.grounded, GROUNDED),
        disease_labels(candidates, Mondo.from_parquet(args.mondo)),
        arms=settings["arms"],
        k=settings["k"],
        chosen=chosen,
    )
    io.write_csv(table, args.output)


if __name__ == "__main__":
    cli.run(main, arguments())
