"""Write the vision student's prompts: one for every tile, and the controls for the test tiles.

Settings: {prompt: tissue.prompt, k: tissue.preferences.k, controls: tissue.evaluation.controls, seed}.
"""

from __future__ import annotations

import argparse

import pandas as pd

from mintflow import cli, io
from mintflow.conversations import typed
from mintflow.settings import exact
from mintflow.tile_prompts import build_tile_prompts


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--cases", required=True, help="cases.parquet, with the split")
    parser.add_argument("--labels", required=True, help="labels.parquet, the closed set")
    parser.add_argument("--output", required=True, help="parquet of prompts")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, build, write."""
    settings = exact(args.settings, ("prompt", "k", "controls", "seed"), "tissue")
    prompts = build_tile_prompts(
        io.read_parquet(args.cases, ["case_id", "label_id", "patient_id", "split"]),
        io.read_parquet(args.labels, ["label_id", "name"]),
        settings["prompt"],
        k=settings["k"],
        controls=settings["controls"],
        seed=settings["seed"],
    )
    prompts = prompts.assign(image=pd.Series(prompts["image"].tolist(), prompts.index, "str"))
    io.write_parquet(typed(prompts, ["prompt"]), args.output)
    cli.log.info("prompts: %d of %d tiles", len(prompts), prompts["case_id"].nunique())


if __name__ == "__main__":
    cli.run(main, arguments())
