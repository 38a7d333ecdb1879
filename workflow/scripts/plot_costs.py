"""Draw time, memory and tokens of every training, as SVG and PNG."""

from __future__ import annotations

import argparse

from mintflow import cli, figure_program, tables
from mintflow.cost_plot import cost_figure
from mintflow.training_table import COLUMNS


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = figure_program.parser(__doc__)
    parser.add_argument("--table", required=True, help="training.csv")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    figure_program.draw(cost_figure, tables.read_csv(args.table, COLUMNS), args)


if __name__ == "__main__":
    cli.run(main, arguments())
