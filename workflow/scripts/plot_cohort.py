"""Draw the selection of patients, their splits, terms and diseases, as SVG and PNG."""

from __future__ import annotations

import argparse

from mintflow import cli, figure_style, io, labels
from mintflow.cohort_plot import cohort_figure

CASES = ["case_id", "publication", "disease_id", "simulated", "split"]


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--cohort", required=True, help="cohort.json: counts of the selection")
    parser.add_argument("--cases", required=True, help="cases.parquet with the split")
    parser.add_argument("--phenotypes", required=True, help="phenotypes.parquet, normalised")
    parser.add_argument("--output-svg", required=True)
    parser.add_argument("--output-png", required=True)
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    cases = io.read_parquet(args.cases, CASES)
    phenotypes = io.read_parquet(args.phenotypes, ["case_id", "excluded"])
    steps = labels.selection_steps(io.read_json(args.cohort))
    figure = cohort_figure(steps, cases, phenotypes, simulated=bool(cases["simulated"].any()))
    figure_style.save(figure, args.output_svg, args.output_png)


if __name__ == "__main__":
    cli.run(main, arguments())
