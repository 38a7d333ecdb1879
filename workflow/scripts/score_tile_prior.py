"""Rank the labels of every tile by their number of training tiles alone: what needs no image."""

from __future__ import annotations

import argparse

from mintflow import cli, io
from mintflow.scores import guess_among_equals, rank_table
from mintflow.tile_teacher import prior, summary


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--seed", type=int, required=True, help="seed of guesses among equal scores")
    parser.add_argument("--cases", required=True, help="cases.parquet, with the split")
    parser.add_argument("--labels", required=True, help="labels.parquet, the closed set")
    parser.add_argument("--output-scores", required=True, help="case_id, label_id, score, rank (parquet)")
    parser.add_argument("--output-summary", required=True, help="accuracy per split, JSON")
    return parser


def main(args: argparse.Namespace) -> None:
    """Count, rank, write."""
    cases = io.read_parquet(args.cases, ["case_id", "label_id", "split"])
    labels = io.read_parquet(args.labels, ["label_id"])["label_id"].tolist()
    scores = guess_among_equals(prior(cases, labels), args.seed)
    io.write_parquet(rank_table(scores, cases["case_id"].tolist(), labels, "label_id"), args.output_scores)
    io.write_json({"arm": "prior", **summary(scores, cases, labels)}, args.output_summary)


if __name__ == "__main__":
    cli.run(main, arguments())
