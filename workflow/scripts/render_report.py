"""Write the report: one HTML file with the sections of all tracks, readable offline."""

from __future__ import annotations

import argparse
from pathlib import Path

from mintflow import cli, io, report_page


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--run", required=True, help="name of the run")
    parser.add_argument("--template", required=True, help="page.html.j2")
    parser.add_argument(
        "--sections",
        required=True,
        nargs="+",
        metavar="TRACK=PATH",
        help="section.html of every track, in order; section.json lies beside it",
    )
    parser.add_argument("--output", required=True, help="report.html")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, assemble, write."""
    sections = []
    for pair in args.sections:
        [(track, path)] = cli.by_arm([pair], "--sections").items()
        summary = io.read_json(Path(path).with_suffix(".json"))
        sections.append((track, Path(path).read_text(encoding="utf-8"), summary))
    io.write_text(report_page.assemble(args.run, sections, args.template), args.output)


if __name__ == "__main__":
    cli.run(main, arguments())
