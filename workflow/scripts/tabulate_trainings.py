"""Put the summaries and logs of all trainings into two tables: what each was and cost, and its course.

Settings: name of a training to its seed, in the order of the rows. Each has its folder in --folder, with
training.json and, unless it only tried a learning rate, log.jsonl that is read.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mintflow import cli, io, tables
from mintflow.arms import RATE
from mintflow.training_table import curve_table, training_table


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = cli.parser(__doc__)
    parser.add_argument("--folder", required=True, type=Path, help="folder of the trainings (student/)")
    parser.add_argument("--output-training", required=True, help="CSV, one row a training")
    parser.add_argument("--output-curves", required=True, help="CSV, one row a step and quantity")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, put together, write."""
    seeds = args.settings
    summaries = {name: io.read_json(args.folder / name / "training.json") for name in seeds}
    logs = {
        name: tables.read_json_lines(args.folder / name / "log.jsonl") for name in seeds if RATE not in name
    }
    io.write_csv(training_table(summaries, seeds), args.output_training)
    io.write_csv(curve_table(logs, seeds), args.output_curves)


if __name__ == "__main__":
    cli.run(main, arguments())
