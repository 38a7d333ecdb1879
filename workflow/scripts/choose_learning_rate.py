"""Choose the learning rate of an arm by the answers of each rate on trial to the validation cases."""

from __future__ import annotations

import argparse

from mintflow import cli, io
from mintflow.learning_rates import choose


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument(
        "--answers", nargs="+", required=True, metavar="ARM.lrRATE=PATH", help="answers to validation cases"
    )
    parser.add_argument(
        "--summaries", nargs="+", required=True, metavar="ARM.lrRATE=PATH", help="training.json of each"
    )
    parser.add_argument("--cases", required=True, help="cases.parquet, with the true labels")
    parser.add_argument("--labels", required=True, help="names of the labels")
    parser.add_argument("--label", required=True, help="column of the label's id in both")
    parser.add_argument("--output", required=True, help="JSON: learning_rate, and what each rate achieved")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, choose, write."""
    cases = io.read_parquet(args.cases, ["case_id", args.label])
    names = io.read_parquet(args.labels, [args.label, "name"]).set_index(args.label)["name"]
    truth = cases.set_index("case_id")[args.label].map(names).dropna().to_dict()
    trials = {
        name: io.read_parquet(path, ["case_id", "text"])
        for name, path in cli.by_arm(args.answers, "--answers").items()
    }
    summaries = {name: io.read_json(path) for name, path in cli.by_arm(args.summaries, "--summaries").items()}
    diverged = {name for name, found in summaries.items() if found["diverged_after_step"] is not None}
    losses = {}
    for name, found in summaries.items():
        if held_out := dict(found["losses"]["held_out"]):
            losses[name] = held_out.get(found["kept_step"], list(held_out.values())[-1])
    result = choose(trials, truth, diverged, losses)
    for row in result["trials"]:
        told = (row["rate"], row["top1"], row["mrr"], row["n"], ", diverged" * row["diverged"])
        cli.log.info("rate %g: top-1 %.3f, MRR %.3f of %d%s", *told)
    if result["tied"]:
        also = ", ".join(f"{rate:g}" for rate in result["tied"])
        by = "the held-out loss decides" if losses else "the smallest is taken"
        cli.log.warning("answers are as good at rate %s: %s", also, by)
    if result["edge"]:
        cli.log.warning("the best is the %s rate tried: a better one may lie beyond", result["edge"])
    io.write_json(result, args.output)


if __name__ == "__main__":
    cli.run(main, arguments())
