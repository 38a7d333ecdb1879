"""Draw the rules of the workflow by track and stage, as SVG and PNG, and write them as a table."""

from __future__ import annotations

import argparse
from pathlib import Path

from mintflow import cli, figure_style, io
from mintflow.errors import InputError
from mintflow.workflow_plot import rule_table, workflow_figure


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--rules", nargs="+", type=Path, required=True, help="rule files, .smk")
    parser.add_argument("--output-table", required=True, help="CSV")
    parser.add_argument("--output-svg", required=True)
    parser.add_argument("--output-png", required=True)
    return parser


def main(args: argparse.Namespace) -> None:
    """Sort, write, draw."""
    table = rule_table({path.stem: path.read_text(encoding="utf-8") for path in args.rules})
    if table.empty:
        raise InputError("no rule belongs to a stage", field="--rules")
    io.write_csv(table, args.output_table)
    figure_style.save(workflow_figure(table), args.output_svg, args.output_png)


if __name__ == "__main__":
    cli.run(main, arguments())
