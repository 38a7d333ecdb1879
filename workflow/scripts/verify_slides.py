"""End with an error when more slides failed than the configuration allows.

Comes last: everything that could be made of the other slides is there by then, and the report says the same.
"""

from __future__ import annotations

import argparse

from mintflow import cli, io, tables
from mintflow.errors import InputError

# a slide without tissue is a finding; all else that is not ok is a slide the run could not use as meant
FINE = ("ok", "empty")


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--manifest", required=True, help="manifest.csv")
    parser.add_argument("--max-failed", required=True, type=int, help="tissue.slides.max_failed")
    parser.add_argument("--output", required=True, help="text: statuses and their counts")
    return parser


def main(args: argparse.Namespace) -> None:
    """Count, write, judge."""
    manifest = tables.read_csv(args.manifest, ["slide_id", "status"])
    counts = manifest["status"].value_counts().sort_index()
    failed = manifest[~manifest["status"].isin(FINE)].sort_values("slide_id")
    if len(failed) > args.max_failed:
        named = ", ".join(f"{row.slide_id} ({row.status})" for row in failed.head(5).itertuples())
        raise InputError(
            f"{len(failed)} of {len(manifest)} slides failed, {args.max_failed} allowed: {named}"
            + (" ..." if len(failed) > 5 else ""),
            file=args.manifest,
            field="tissue.slides.max_failed",
        )
    io.write_text("".join(f"{status}\t{count}\n" for status, count in counts.items()), args.output)


if __name__ == "__main__":
    cli.run(main, arguments())
