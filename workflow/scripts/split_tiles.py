"""Choose labels and tiles, then divide them by whole patients.

Settings: cohort (tissue.cohort) and split (tissue.split).
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mintflow import __version__, cli, io, tile_cohort, tile_collection
from mintflow.settings import exact

log = logging.getLogger("mintflow")


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__)
    parser.add_argument("--tiles", type=Path, required=True, help="tiles.parquet of collect_tiles")
    parser.add_argument("--output-cases", type=Path, required=True, help="cases.parquet")
    parser.add_argument("--output-labels", type=Path, required=True, help="labels.parquet, the closed set")
    parser.add_argument("--output-summary", type=Path, required=True, help="cohort.json")
    return parser


def main(args: argparse.Namespace) -> None:
    """Choose, split, summarise."""
    settings = exact(args.settings, ("cohort", "split"), "tissue")
    choice = exact(settings["cohort"], tile_cohort.COHORT_SETTINGS, "tissue.cohort")
    division = exact(settings["split"], tile_cohort.SPLIT_SETTINGS, "tissue.split")
    tiles = io.read_parquet(args.tiles, list(tile_collection.COLUMNS))
    tile_collection.require_images(tiles)
    cohort = tile_cohort.choose(tiles.astype(tile_collection.COLUMNS), choice, division)
    io.write_parquet(cohort.cases, args.output_cases)
    io.write_parquet(cohort.labels, args.output_labels)
    summary = {
        "mintflow": __version__,
        "settings": {"cohort": choice, "split": division},
        **tile_cohort.summary(cohort),
    }
    io.write_json(summary, args.output_summary)
    for step in cohort.steps:
        log.info("%(step)s: %(cases)d tiles, %(labels)d labels, %(patients)d patients", step)
    for name, part in summary["splits"].items():
        log.info(
            "%s: %d tiles, %d labels, %d patients", name, part["cases"], part["labels"], part["patients"]
        )
    for note in cohort.notes:
        log.info("note: %s", note)


if __name__ == "__main__":
    cli.run(main, arguments())
