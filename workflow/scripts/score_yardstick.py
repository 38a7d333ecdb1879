"""Rank every candidate disease for every patient without a trained model: one yardstick arm."""

from __future__ import annotations

import argparse
from pathlib import Path

from mintflow import cli, io
from mintflow.evidence import add_inputs, read_inputs
from mintflow.features import Cohort
from mintflow.scores import guess_among_equals, rank_table
from mintflow.yardsticks import GUESSING, YARDSTICKS, summary, yardstick


def arguments() -> argparse.ArgumentParser:
    """Flags of this program."""
    parser = cli.parser(__doc__, with_settings=False)
    add_inputs(parser)
    parser.add_argument("--arm", choices=YARDSTICKS, required=True, help="which yardstick")
    parser.add_argument("--seed", type=int, required=True, help="seed of guesses among equal scores")
    parser.add_argument("--output-scores", type=Path, required=True, help="case_id, disease_id, score, rank")
    parser.add_argument("--output-summary", type=Path, required=True, help="accuracy per split, JSON")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, score, write."""
    cohort = Cohort.read(args.cases, args.phenotypes, args.genotypes)
    disease_ids, evidence = read_inputs(args)
    scores = yardstick(args.arm, cohort, disease_ids, evidence)
    if args.arm in GUESSING:
        scores = guess_among_equals(scores, args.seed)
    table = rank_table(scores, cohort.cases["case_id"].tolist(), disease_ids)
    io.write_parquet(table, args.output_scores)
    io.write_json({"arm": args.arm, **summary(scores, cohort, disease_ids)}, args.output_summary)


if __name__ == "__main__":
    cli.run(main, arguments())
