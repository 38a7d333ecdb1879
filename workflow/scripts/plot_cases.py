"""Draw test patients with the lists of teacher and students, as SVG and PNG."""

from __future__ import annotations

import argparse

from mintflow import cli, figure_program, tables
from mintflow.case_plot import case_figure
from mintflow.case_view import COLUMNS


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = figure_program.parser(__doc__, track=False)
    parser.add_argument("--table", required=True, help="case_view.csv")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    figure_program.draw(case_figure, tables.read_csv(args.table, COLUMNS), args)


if __name__ == "__main__":
    cli.run(main, arguments())
