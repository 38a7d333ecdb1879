"""Download one pinned wheel without installing it or its dependencies, and check it."""

from __future__ import annotations

import argparse
from pathlib import Path

from mintflow import cli, wheels


def arguments() -> argparse.ArgumentParser:
    """Flags of this program."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--requirement", required=True, help="name==version")
    parser.add_argument("--sha256", required=True, help="checksum of the wheel, 64 hex digits")
    parser.add_argument("--output", type=Path, required=True, help="where the wheel goes")
    return parser


def main(args: argparse.Namespace) -> None:
    """Fetch it."""
    wheels.fetch_wheel(args.requirement, args.sha256, args.output)


if __name__ == "__main__":
    cli.run(main, arguments())
