"""Nuclei, stain and structure of every tile, measured from its pixels, and a caption that names no tissue."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import pandas as pd

from mintflow import captions, cli, io
from mintflow.errors import InputError
from mintflow.images import load_images

log = logging.getLogger("mintflow")


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--cases", type=Path, required=True, help="cases.parquet")
    parser.add_argument("--labels", type=Path, help="labels.parquet: proves that no caption names a label")
    parser.add_argument("--output", type=Path, required=True, help="descriptions.parquet")
    return parser


def main(args: argparse.Namespace) -> None:
    """Measure, put in words, write."""
    cases = io.read_parquet(args.cases, ["case_id", "split", "file", "row"])
    training = set(cases.loc[cases["split"] == "train", "case_id"])
    if not training:
        raise InputError("holds no training tile: words are defined by these", file=args.cases, field="split")
    rows = [
        {"case_id": case, **captions.measure(image)}
        for case, image in cli.progress(load_images(cases), len(cases), "tiles measured")
    ]
    table = pd.DataFrame(rows).sort_values("case_id", ignore_index=True)
    table["caption"] = captions.describe(table, table["case_id"].isin(training))
    if args.labels:
        captions.check_names(table["caption"], io.read_parquet(args.labels, ["name"])["name"])
    io.write_parquet(table, args.output)
    log.info("%d different captions of %d tiles", table["caption"].nunique(), len(table))


if __name__ == "__main__":
    cli.run(main, arguments())
