"""Draw coverage, avoidance and CAR of every arm, with intervals, as SVG and PNG."""

from __future__ import annotations

import argparse

from mintflow import cli, figure_program, tables
from mintflow.agreement_plot import agreement_figure
from mintflow.tables import METRICS


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = figure_program.parser(__doc__)
    parser.add_argument("--table", required=True, help="metrics.csv")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    figure_program.draw(agreement_figure, tables.read_csv(args.table, METRICS), args)


if __name__ == "__main__":
    cli.run(main, arguments())
