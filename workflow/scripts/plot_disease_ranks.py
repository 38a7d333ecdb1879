"""Draw in which place the arms put each disease of a further cohort, as SVG and PNG."""

from __future__ import annotations

import argparse

from mintflow import cli, figure_program, tables
from mintflow.external_evaluation import BY_DISEASE
from mintflow.external_plot import rank_figure


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = figure_program.parser(__doc__, track=False)
    parser.add_argument("--table", required=True, help="rank_by_disease.csv")
    parser.add_argument(
        "--arms", nargs="+", help="arms drawn; up to three are readable (default: the main ones)"
    )
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    figure_program.draw(rank_figure, tables.read_csv(args.table, BY_DISEASE), args, arms=args.arms)


if __name__ == "__main__":
    cli.run(main, arguments())
