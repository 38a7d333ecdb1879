"""Draw how the composed student learned to see: caption loss, and its loss without the image; SVG and PNG."""

from __future__ import annotations

import argparse

from mintflow import cli, figure_style, io, tables, tissue_plots


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--log", required=True, help="alignment.jsonl")
    parser.add_argument("--summary", required=True, help="alignment.json")
    parser.add_argument("--simulated", required=True, choices=["true", "false"], help="synthetic slides?")
    parser.add_argument("--output-svg", required=True)
    parser.add_argument("--output-png", required=True)
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    losses = io.read_json(args.summary).get("held_out_caption_loss") or {}
    events = tables.read_json_lines(args.log)
    figure = tissue_plots.alignment_figure(events, losses, simulated=args.simulated == "true")
    figure_style.save(figure, args.output_svg, args.output_png)


if __name__ == "__main__":
    cli.run(main, arguments())
