"""Write the student's prompts: one for every patient, and the controls for the test patients."""

from __future__ import annotations

import argparse

from mintflow import cli, io
from mintflow.conversations import typed
from mintflow.errors import InputError
from mintflow.prompts import Template, build_prompts


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
    wrong = set(args.settings) ^ {"prompt", "k", "controls", "seed"}
    if wrong:
        raise InputError(f"missing or unknown key(s): {', '.join(sorted(wrong))}", record="--settings")
    prompts = build_prompts(
        io.read_parquet(args.cases, ["case_id", "disease_id", "split", "sex", "age_years"]),
        io.read_parquet(args.phenotypes, ["case_id", "hpo_id", "name", "excluded"]),
        io.read_parquet(args.ic, ["hpo_id", "ic"]),
        Template.from_settings(args.settings["prompt"]),
        k=args.settings["k"],
        controls=args.settings["controls"],
        seed=args.settings["seed"],
    )
    io.write_parquet(typed(prompts, ["prompt"]), args.output)
    cli.log.info("prompts: %d of %d patients", len(prompts), prompts["case_id"].nunique())


if __name__ == "__main__":
    cli.run(main, arguments())
