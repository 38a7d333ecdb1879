"""Draw the course of the training of every arm and seed, as SVG and PNG."""

from __future__ import annotations

import argparse

from mintflow import cli, figure_program, tables
from mintflow.training_plot import training_figure
from mintflow.training_table import CURVES


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = figure_program.parser(__doc__)
    parser.add_argument("--table", required=True, help="training_curves.csv")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    figure_program.draw(training_figure, tables.read_csv(args.table, CURVES), args)


if __name__ == "__main__":
    cli.run(main, arguments())
