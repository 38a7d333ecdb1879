"""Draw loss, NLL, log-odds and reward accuracy over the training steps, as SVG and PNG."""

from __future__ import annotations

import argparse

from mintflow import cli, figure_style, plotting, tables


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--log", required=True, nargs="+", metavar="ARM=FILE", help="log.jsonl of each arm")
    parser.add_argument(
        "--simulated", default="false", choices=["true", "false"], help="are the patients simulated?"
    )
    parser.add_argument("--track", default="rare", choices=["rare", "tissue"])
    parser.add_argument("--output-svg", required=True)
    parser.add_argument("--output-png", required=True)
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    logs = {arm: tables.read_json_lines(path) for arm, path in tables.named_paths(args.log, "--log").items()}
    figure = plotting.training_figure(logs, simulated=args.simulated == "true", track=args.track)
    figure_style.save(figure, args.output_svg, args.output_png)


if __name__ == "__main__":
    cli.run(main, arguments())
