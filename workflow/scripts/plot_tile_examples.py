"""Draw test tiles with the lists of teacher and student, as SVG and PNG; the draw looks at no answer.

Settings: {k: tissue.preferences.k, report_cases and seed of tissue.evaluation}.
"""

from __future__ import annotations

import argparse

from mintflow import cli, figure_style, io, tile_examples, tissue_plots
from mintflow.settings import exact

STUDENT = "orpo"


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = cli.parser(__doc__)
    parser.add_argument("--cases", required=True, help="cases.parquet, with references to images")
    parser.add_argument("--labels", required=True, help="labels.parquet")
    parser.add_argument("--grounded", required=True, help="grounded.parquet")
    parser.add_argument("--teacher", required=True, help="the teacher's scores (parquet)")
    parser.add_argument("--simulated", required=True, choices=["true", "false"], help="synthetic slides?")
    parser.add_argument("--output-svg", required=True)
    parser.add_argument("--output-png", required=True)
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    settings = exact(args.settings, ("k", "report_cases", "seed"), "tissue.evaluation")
    shown = tile_examples.examples(
        io.read_parquet(args.cases, ["case_id", "label_id", "patient_id", "split", "file", "row"]),
        io.read_parquet(args.labels, ["label_id", "name"]),
        io.read_parquet(args.grounded, ["arm", "case_id", "position", "text", "label_id"]),
        io.read_parquet(args.teacher, ["case_id", "label_id", "rank"]),
        student=STUDENT,
        k=settings["k"],
        wanted=max(1, settings["report_cases"]),
        seed=settings["seed"],
    )
    figure = tissue_plots.examples_figure(shown, simulated=args.simulated == "true")
    figure_style.save(figure, args.output_svg, args.output_png)


if __name__ == "__main__":
    cli.run(main, arguments())
