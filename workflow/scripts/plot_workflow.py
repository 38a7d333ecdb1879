"""Draw the rules of the workflow by track and stage, as SVG and PNG, and write them as a table."""

from __future__ import annotations

import argparse

from mintflow import cli, figure_style, io
from mintflow.errors import InputError
from mintflow.workflow_plot import TRACKS, rule_table, workflow_figure


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--rules", nargs="+", required=True, metavar="RULE=FILE", help="stem of its file")
    parser.add_argument(
        "--tracks", nargs="+", default=list(TRACKS), choices=list(TRACKS), help="that are run"
    )
    parser.add_argument("--output-table", required=True, help="CSV")
    parser.add_argument("--output-svg", required=True)
    parser.add_argument("--output-png", required=True)
    return parser


def main(args: argparse.Namespace) -> None:
    """Sort, write, draw."""
    rules = dict(pair.partition("=")[::2] for pair in args.rules)
    table = rule_table(rules, args.tracks)
    if table.empty:
        raise InputError("no rule belongs to a stage", field="--rules")
    io.write_csv(table, args.output_table)
    figure_style.save(workflow_figure(table), args.output_svg, args.output_png)


if __name__ == "__main__":
    cli.run(main, arguments())
