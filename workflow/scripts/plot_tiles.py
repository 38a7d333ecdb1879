"""Draw the tiles of every slide: kept, or dropped and why; as SVG and PNG."""

from __future__ import annotations

import argparse

from mintflow import cli, figure_style, tables, tissue_plots


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--manifest", required=True, help="manifest.csv")
    parser.add_argument("--simulated", required=True, choices=["true", "false"], help="synthetic slides?")
    parser.add_argument("--output-svg", required=True)
    parser.add_argument("--output-png", required=True)
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    manifest = tables.read_csv(args.manifest, ["slide_id", "status", "kept"])
    figure = tissue_plots.tiles_figure(manifest, simulated=args.simulated == "true")
    figure_style.save(figure, args.output_svg, args.output_png)


if __name__ == "__main__":
    cli.run(main, arguments())
