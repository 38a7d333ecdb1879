"""Draw accuracy, ungrounded rate and CAR of every arm, with intervals, as SVG and PNG.

With --ranked all candidates are ranked, those of a student by their likelihood.
"""

from __future__ import annotations

import argparse

from mintflow import cli, figure_program, tables
from mintflow.metrics_plot import metrics_figure, ranking_figure


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = figure_program.parser(__doc__)
    parser.add_argument("--metrics", required=True, help="metrics.csv")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--variants", action="store_true", help="draw the variants in place of all arms")
    what.add_argument("--ranked", action="store_true", help="draw rankings in place of written lists")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    table = tables.read_csv(args.metrics, tables.METRICS)
    if args.ranked:
        figure_program.draw(ranking_figure, table, args)
    else:
        figure_program.draw(metrics_figure, table, args, variants=args.variants)


if __name__ == "__main__":
    cli.run(main, arguments())
