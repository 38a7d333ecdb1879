"""Show every training patient again, each time with another part of the phenotypes."""

from __future__ import annotations

import argparse

from mintflow import cli, io
from mintflow.conversations import typed
from mintflow.errors import InputError
from mintflow.prompts import Template
from mintflow.views import build_views


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--cases", required=True, help="selected cases, with their split")
    parser.add_argument("--phenotypes", required=True, help="normalised phenotypes")
    parser.add_argument("--ic", required=True, help="information content of every term")
    parser.add_argument("--output", required=True, help="parquet of prompts")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, build, write."""
    wrong = set(args.settings) ^ {"prompt", "k", "views", "leave_out", "seed"}
    if wrong:
        raise InputError(f"missing or unknown key(s): {', '.join(sorted(wrong))}", record="--settings")
    views = build_views(
        io.read_parquet(args.cases, ["case_id", "disease_id", "split", "sex", "age_years"]),
        io.read_parquet(args.phenotypes, ["case_id", "hpo_id", "name", "excluded"]),
        io.read_parquet(args.ic, ["hpo_id", "ic"]),
        Template.from_settings(args.settings["prompt"]),
        k=args.settings["k"],
        count=args.settings["views"],
        leave_out=args.settings["leave_out"],
        seed=args.settings["seed"],
    )
    io.write_parquet(typed(views, ["prompt"]), args.output)
    cli.log.info("views: %d of %d training patients", len(views), views["case_id"].nunique())


if __name__ == "__main__":
    cli.run(main, arguments())
