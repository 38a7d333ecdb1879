"""Take the training whose learning rate was chosen for the arm's first seed: it is the same training."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from mintflow import cli, io
from mintflow.learning_rates import trial_of


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--learning-rate", required=True, help="JSON of choose_learning_rate.py")
    parser.add_argument(
        "--trials", nargs="+", required=True, metavar="ARM.lrRATE=FOLDER", help="folder of each trial"
    )
    parser.add_argument("--output-adapter", required=True, help="folder: the adapter")
    parser.add_argument("--output-merged", help="folder: the merged model, where the trials have one")
    parser.add_argument("--output-log", required=True, help="JSON lines, one per log event")
    parser.add_argument("--output-summary", required=True, help="JSON: the trial's, with its name")
    return parser


def main(args: argparse.Namespace) -> None:
    """Choose, copy."""
    folders = cli.by_arm(args.trials, "--trials")
    name = trial_of(io.read_json(args.learning_rate)["learning_rate"], folders)
    trial = Path(folders[name])
    for part, output in (("adapter", args.output_adapter), ("merged", args.output_merged)):
        if output:
            with io.whole_directory(output) as folder:
                shutil.copytree(trial / part, folder, dirs_exist_ok=True)
    with io.whole_file(args.output_log) as path:
        shutil.copyfile(trial / "log.jsonl", path)
    io.write_json(io.read_json(trial / "training.json") | {"trial": name}, args.output_summary)
    cli.log.info("taken from %s", name)


if __name__ == "__main__":
    cli.run(main, arguments())
