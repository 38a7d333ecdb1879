"""Measure every tile and describe it in a caption that names no tissue."""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from mintflow import captions, cli, io
from mintflow.errors import InputError
from mintflow.images import REFERENCE, load_images


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--cases", required=True, help="cases.parquet, with split and references to images")
    parser.add_argument("--output", required=True, help="parquet: case_id, measures, caption")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, measure, describe, write."""
    cases = io.read_parquet(args.cases, [*REFERENCE, "split"])
    train = set(cases.loc[cases["split"] == "train", "case_id"])
    if not train:
        raise InputError("holds no training tile", file=args.cases, field="split")
    rows = [
        {"case_id": case, **captions.measure(np.asarray(image))}
        for case, image in cli.progress(load_images(cases), len(cases), "tiles described")
    ]
    table = pd.DataFrame(rows).sort_values("case_id", ignore_index=True)
    limits = captions.cuts(table[table["case_id"].isin(train)])
    table["caption"] = [captions.caption(row, limits) for row in table.to_dict("records")]
    io.write_parquet(table, args.output)
    cli.log.info("%d tiles, %d different captions", len(table), table["caption"].nunique())


if __name__ == "__main__":
    cli.run(main, arguments())
