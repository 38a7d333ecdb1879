"""A ready-made tile set (class folders, PanNuke folds, parquet) in the form of extracted tiles.

Settings: one entry of tissue.tile_sets, with its path.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Iterator
from typing import Any

from mintflow import cli
from mintflow.quarantine import Quarantine
from mintflow.settings import exact
from mintflow.tile_sets import SETTINGS, read_tile_set, write_tile_set

log = logging.getLogger("mintflow")


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__)
    parser.add_argument("--output-tiles", required=True, help="parquet of tiles with images")
    parser.add_argument("--output-quarantine", required=True, help="TSV of what cannot be used, and why")
    return parser


def _told(rows: Iterable[Any], every: int = 1000) -> Iterator[Any]:
    """``rows``, with a line in the log now and then; how many there are is not known before."""
    for number, row in enumerate(rows, start=1):
        yield row
        if number % every == 0:
            log.info("%d tiles", number)


def main(args: argparse.Namespace) -> None:
    """Read, judge, write."""
    entry = exact(args.settings, SETTINGS, "tissue.tile_sets")
    quarantine = Quarantine("tile_set")
    try:
        counts = write_tile_set(_told(read_tile_set(entry, quarantine)), args.output_tiles)
    finally:
        quarantine.write(args.output_quarantine)
    for (kind, label), count in sorted(counts.items(), key=lambda item: (item[0][0], item[0][1] or "")):
        log.info("%s: %d tiles, label %s", kind or "(no class)", count, label or "unknown")
    log.info("%d in quarantine", len(quarantine.rows))


if __name__ == "__main__":
    cli.run(main, arguments())
