"""Compare the same arms in two runs, paired: what a changed key brings, the leakage control say.

Prints a table and, on request, writes it as CSV. A program for a person; no rule calls it.
"""

from __future__ import annotations

import argparse

from mintflow import cli, io
from mintflow.run_comparison import compare_runs


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("first", help="per_case.parquet of a run")
    parser.add_argument("second", help="per_case.parquet of another run, subtracted")
    parser.add_argument("--arms", nargs="+", default=[], help="all that both have if not given")
    parser.add_argument("--metrics", nargs="+", default=["top1", "top3", "mrr"], help="to print")
    parser.add_argument("--samples", type=int, default=2000, help="bootstrap samples and sign patterns")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", help="CSV with every metric")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, compare, print, write."""
    tables = [io.read_parquet(path) for path in (args.first, args.second)]
    found, alone = compare_runs(*tables, arms=args.arms, samples=args.samples, seed=args.seed)
    if alone:
        cli.log.warning("%d case(s) are in one run alone and left out", alone)
    print(found[found["metric"].isin(args.metrics)].round(3).to_string(index=False))
    if args.output:
        io.write_csv(found, args.output)


if __name__ == "__main__":
    cli.run(main, arguments())
