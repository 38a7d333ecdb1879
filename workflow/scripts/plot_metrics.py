"""Draw accuracy, ungrounded rate and CAR of every arm, with intervals, as SVG and PNG."""

from __future__ import annotations

import argparse

from mintflow import cli, figure_style, plotting, tables


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--metrics", required=True, help="metrics.csv")
    parser.add_argument(
        "--simulated", required=True, choices=["true", "false"], help="are the patients simulated?"
    )
    parser.add_argument("--track", default="rare", choices=["rare", "tissue"])
    parser.add_argument("--output-svg", required=True)
    parser.add_argument("--output-png", required=True)
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    metrics = tables.read_csv(args.metrics, tables.METRICS)
    figure = plotting.metrics_figure(metrics, simulated=args.simulated == "true", track=args.track)
    figure_style.save(figure, args.output_svg, args.output_png)


if __name__ == "__main__":
    cli.run(main, arguments())
