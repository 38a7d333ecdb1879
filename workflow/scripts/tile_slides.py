"""Cut the slides of one batch into tiles.

Writes per slide a table of tiles (<slide>.parquet, opened by datasets as images) and a picture of what was
kept and why not (<slide>.png), and a manifest with one row per slide. A slide that cannot be cut is a row of
the manifest with its status and why; the batch goes on. What was cut before, with the same bytes and
settings, is taken from the cache.

Settings: all of tissue.tiling.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack

from mintflow import cli, io
from mintflow.private import opaque, without_paths
from mintflow.settings import exact
from mintflow.sheets import batch_of, file_name, read_sheet
from mintflow.tile_batch import run_jobs
from mintflow.tile_cache import SlideJob, cut_slide, place, prepare, unnamed
from mintflow.tile_table import TILING_KEYS, manifest_row, write_manifest


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__)
    parser.add_argument("--sheet", required=True, help="TSV: slide, patient, path [, label, roi, mpp]")
    parser.add_argument("--batch", default="0", help="this batch, of sheets.batch_names")
    parser.add_argument("--batches", type=int, default=1, help="batches that the slides are divided into")
    parser.add_argument("--workers", type=int, default=1, help="slides at a time, each in its own process")
    parser.add_argument("--cache", help="folder of finished slides; none keeps nothing between runs")
    parser.add_argument("--output-tiles", required=True, help="folder of <slide>.parquet and <slide>.png")
    parser.add_argument("--output-manifest", required=True, help="parquet: one row per slide")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read the sheet, cut, place, write the manifest."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # one process per slide is the parallelism
        os.environ[name] = "1"
    tiling = exact(args.settings, TILING_KEYS, "tissue.tiling")
    rows, _ = read_sheet(args.sheet)
    rows = [row for row in rows if str(batch_of(row.slide, args.batches)) == args.batch]
    cli.log.info("batch %s of %d: %d slides, %d at a time", args.batch, args.batches, len(rows), args.workers)
    manifest = []
    with ExitStack() as stack:
        output = stack.enter_context(io.whole_directory(args.output_tiles))
        cache = args.cache or stack.enter_context(tempfile.TemporaryDirectory(dir=output.parent))
        jobs = [SlideJob(row, tiling, str(cache)) for row in rows]
        for outcome in run_jobs(
            cut_slide, jobs, workers=args.workers, timeout=tiling["timeout"], prepare=prepare
        ):
            slide = outcome.job.row
            if outcome.failure:
                status = "timeout" if outcome.failure == "timeout" else "unreadable-file"
                detail = without_paths(unnamed(outcome.detail.strip().splitlines()[-1], slide))
                row = manifest_row(slide.slide, slide.path, status, f"reading it ended: {detail}")
            else:
                row, entry = outcome.value
                if entry:
                    place(entry, output, file_name(slide.slide))
            manifest.append(row)
            cli.log.info(
                "%s: %s, %d of %d positions kept%s (%d/%d)",
                opaque(slide.slide),
                row["status"],
                row["kept"],
                row["positions"],
                f"; {row['message']}" if row["message"] else "",
                len(manifest),
                len(jobs),
            )
    write_manifest(manifest, args.output_manifest)


if __name__ == "__main__":
    cli.run(main, arguments())
