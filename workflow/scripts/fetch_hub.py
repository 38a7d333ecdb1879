"""Download a model (safetensors only) or a data set (parquet only) of the Hub at a revision."""

from __future__ import annotations

import argparse

from mintflow import cli, hub
from mintflow.io import whole_directory


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--kind", required=True, choices=["model", "dataset"])
    parser.add_argument("--hub", required=True, metavar="ID", help="repository id")
    parser.add_argument("--revision", required=True, help="commit or tag")
    parser.add_argument("--key", required=True, help="configuration key that names it, for errors")
    parser.add_argument("--output", required=True, help="the folder")
    return parser


def main(args: argparse.Namespace) -> None:
    """Download into a folder that appears whole."""
    dataset = args.kind == "dataset"
    with whole_directory(args.output) as folder:
        hub.snapshot(
            args.hub,
            args.revision,
            folder,
            dataset=dataset,
            patterns=hub.DATASET_FILES if dataset else hub.MODEL_FILES,
            field=args.key,
        )
    cli.log.info("%s at %s is here", args.hub, args.revision)


if __name__ == "__main__":
    cli.run(main, arguments())
