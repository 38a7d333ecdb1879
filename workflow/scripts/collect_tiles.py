"""One table of all tiles with patient and label, one manifest of all slides; what failed is set aside."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mintflow import cli, io
from mintflow.sheets import read_sheet
from mintflow.tile_collection import (
    collect,
    read_manifests,
    set_aside,
    set_tiles,
    slide_tiles,
    with_bad_rows,
)

log = logging.getLogger("mintflow")


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--sheet", type=Path, help="sample sheet of the slides; none without slides")
    parser.add_argument(
        "--simulated",
        choices=["true", "false"],
        default="false",
        help="whether the slides were drawn (tile sets never are)",
    )
    parser.add_argument("--manifests", type=Path, nargs="*", default=[], help="parquet, one a batch")
    parser.add_argument("--tiles", type=Path, nargs="*", default=[], help="folders of <slide>.parquet")
    parser.add_argument("--sets", type=Path, nargs="*", default=[], help="tile sets")
    parser.add_argument("--output-tiles", type=Path, required=True, help="tiles.parquet, images by reference")
    parser.add_argument("--output-manifest", type=Path, required=True, help="manifest.csv, one row a slide")
    parser.add_argument("--output-quarantine", type=Path, required=True, help="failed slides, bad rows")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, join, write."""
    rows, problems = read_sheet(args.sheet) if args.sheet else ([], [])
    manifest = read_manifests(args.manifests)
    quarantine = set_aside(problems, manifest, args.sheet)
    whole = with_bad_rows(manifest, problems)
    tables = slide_tiles(rows, manifest, args.tiles, simulated=args.simulated == "true")
    tables += [set_tiles(path) for path in args.sets]
    tiles = collect(tables)
    io.write_parquet(tiles, args.output_tiles)
    io.write_csv(whole, args.output_manifest)
    quarantine.write(args.output_quarantine)
    for status, count in whole["status"].value_counts().sort_index().items():
        log.info("slides %s: %d", status, count)
    for source, part in tiles.groupby("source"):
        log.info(
            "%s: %d tiles, %d kept, of %d patients",
            source,
            len(part),
            part["kept"].sum(),
            part["patient_id"].nunique(),
        )
    log.info("%d in quarantine", len(quarantine.rows))


if __name__ == "__main__":
    cli.run(main, arguments())
