"""Draw metrics against what the variants vary, with intervals, as SVG and PNG."""

from __future__ import annotations

import argparse

from mintflow import cli, figure_program, tables
from mintflow.sweep_plot import sweep_figure
from mintflow.variant_tables import SWEEPS


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = figure_program.parser(__doc__)
    parser.add_argument("--table", required=True, help="sweeps.csv")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    figure_program.draw(sweep_figure, tables.read_csv(args.table, SWEEPS), args)


if __name__ == "__main__":
    cli.run(main, arguments())
