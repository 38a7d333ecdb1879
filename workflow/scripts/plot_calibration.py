"""Draw reliability diagrams with the expected calibration error, as SVG and PNG."""

from __future__ import annotations

import argparse

from mintflow import cli, figure_program, tables
from mintflow.calibration import COLUMNS
from mintflow.calibration_plot import calibration_figure


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = figure_program.parser(__doc__)
    parser.add_argument("--table", required=True, help="calibration.csv")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    figure_program.draw(calibration_figure, tables.read_csv(args.table, COLUMNS), args)


if __name__ == "__main__":
    cli.run(main, arguments())
