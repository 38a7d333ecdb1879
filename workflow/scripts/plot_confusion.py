"""Draw what teacher and student name first for every tissue, as SVG and PNG."""

from __future__ import annotations

import argparse

from mintflow import cli, figure_style, io, tables, tissue_plots


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--confusion", required=True, help="confusion.csv")
    parser.add_argument("--labels", required=True, help="labels.parquet")
    parser.add_argument("--arms", nargs="+", default=["teacher", "orpo"], help="one matrix each")
    parser.add_argument("--simulated", required=True, choices=["true", "false"], help="synthetic slides?")
    parser.add_argument("--output-svg", required=True)
    parser.add_argument("--output-png", required=True)
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    names = io.read_parquet(args.labels, ["label_id", "name"]).set_index("label_id")["name"].to_dict()
    confusion = tables.read_csv(args.confusion, ["arm", "truth", "predicted", "count"])
    figure = tissue_plots.confusion_figure(confusion, names, args.arms, simulated=args.simulated == "true")
    figure_style.save(figure, args.output_svg, args.output_png)


if __name__ == "__main__":
    cli.run(main, arguments())
