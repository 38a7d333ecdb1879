"""Draw accuracy and ungrounded rate by size of the base model, as SVG and PNG."""

from __future__ import annotations

import argparse

from mintflow import cli, figure_program, tables
from mintflow.size_plot import size_figure
from mintflow.variant_tables import SIZES


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = figure_program.parser(__doc__)
    parser.add_argument("--table", required=True, help="sizes.csv")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    figure_program.draw(size_figure, tables.read_csv(args.table, SIZES), args)


if __name__ == "__main__":
    cli.run(main, arguments())
