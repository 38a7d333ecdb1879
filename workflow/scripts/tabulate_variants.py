"""Metrics of the variants against what they vary, and against the size of their base model.

Settings: {sweeps, sizes}, lists as from mintflow.sweeps. The tables are empty where the run varies nothing.
"""

from __future__ import annotations

import argparse

from mintflow import cli, io, tables
from mintflow.settings import exact
from mintflow.training_table import COLUMNS, RESULT
from mintflow.variant_tables import size_table, sweep_table


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = cli.parser(__doc__)
    parser.add_argument("--metrics", required=True, help="metrics.csv")
    parser.add_argument("--training", required=True, help="training.csv, for the numbers of pairs")
    parser.add_argument("--bases", nargs="*", default=[], metavar="NAME=FILE", help="base_model.json of each")
    parser.add_argument("--output-sweeps", required=True, help="CSV")
    parser.add_argument("--output-sizes", required=True, help="CSV")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, put together, write."""
    settings = exact(args.settings, ("sweeps", "sizes"), "variants")
    metrics = tables.read_csv(args.metrics, tables.METRICS)
    training = tables.read_csv(args.training, COLUMNS)
    pairs = training[training["purpose"] == RESULT].groupby("arm")["pairs"].first().to_dict()
    cards = {name: io.read_json(path) for name, path in tables.named_paths(args.bases, "--bases").items()}
    parameters = {name: card["parameters"] for name, card in cards.items()}
    io.write_csv(sweep_table(metrics, settings["sweeps"], pairs), args.output_sweeps)
    io.write_csv(size_table(metrics, settings["sizes"], parameters), args.output_sizes)


if __name__ == "__main__":
    cli.run(main, arguments())
