"""Draw accuracy, ungrounded rate and CAR of every arm, with intervals, as SVG and PNG."""

from __future__ import annotations

import argparse

from mintflow import cli, figure_program, tables
from mintflow.metrics_plot import metrics_figure


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = figure_program.parser(__doc__)
    parser.add_argument("--metrics", required=True, help="metrics.csv")
    parser.add_argument("--variants", action="store_true", help="draw the variants in place of all arms")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    table = tables.read_csv(args.metrics, tables.METRICS)
    figure_program.draw(metrics_figure, table, args, variants=args.variants)


if __name__ == "__main__":
    cli.run(main, arguments())
