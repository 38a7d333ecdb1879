"""Show every training patient, drawn ones too, again, each time with another part of the phenotypes."""

from __future__ import annotations

import argparse

import pandas as pd

from mintflow import cli, io
from mintflow.conversations import typed
from mintflow.errors import InputError
from mintflow.prompts import Template
from mintflow.views import build_views


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--cases", nargs="+", required=True, help="cases with their split; drawn ones may follow"
    )
    parser.add_argument("--phenotypes", nargs="+", required=True, help="normalised phenotypes, likewise")
    parser.add_argument("--ic", required=True, help="information content of every term")
    parser.add_argument("--output", required=True, help="parquet of prompts")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, build, write."""
    wrong = set(args.settings) ^ {"prompt", "k", "views", "leave_out", "seed"}
    if wrong:
        raise InputError(f"missing or unknown key(s): {', '.join(sorted(wrong))}", record="--settings")
    views = build_views(
        read(args.cases, ["case_id", "disease_id", "split", "sex", "age_years"]),
        read(args.phenotypes, ["case_id", "hpo_id", "name", "excluded"]),
        io.read_parquet(args.ic, ["hpo_id", "ic"]),
        Template.from_settings(args.settings["prompt"]),
        k=args.settings["k"],
        count=args.settings["views"],
        leave_out=args.settings["leave_out"],
        seed=args.settings["seed"],
    )
    io.write_parquet(typed(views, ["prompt"]), args.output)
    cli.log.info("views: %d of %d patients", len(views), views["case_id"].nunique())


def read(paths: list[str], columns: list[str]) -> pd.DataFrame:
    """Tables below each other."""
    return pd.concat([io.read_parquet(path, columns)[columns] for path in paths], ignore_index=True)


if __name__ == "__main__":
    cli.run(main, arguments())
