"""Measure every arm on the same test patients: metrics with intervals, paired tests, per-case values.

Settings: {evaluation: rare.evaluation, preferences: rare.preferences}. Arms are given as
arm=path, as often as needed; a test patient that is missing from an arm is an error.
"""

from __future__ import annotations

import argparse

import pandas as pd

from mintflow import cli, io, statistics
from mintflow import evaluation as ev
from mintflow.errors import InputError
from mintflow.metrics import BOUNDS
from mintflow.mondo import Mondo


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__)
    parser.add_argument("--cases", required=True, help="selected cases, with their split")
    parser.add_argument("--candidates", required=True, help="candidates.parquet")
    parser.add_argument("--vocabulary", required=True, help="vocabulary.parquet, the names that are known")
    parser.add_argument("--mondo", required=True, help="mondo.parquet")
    arms = {"nargs": "+", "action": "extend", "default": [], "metavar": "ARM=PATH"}
    parser.add_argument("--answers", help="written answers", **arms)
    parser.add_argument("--rankings", help="rankings by likelihood", **arms)
    parser.add_argument("--scores", help="scores of every candidate, the teacher's among them", **arms)
    parser.add_argument("--variants", nargs="*", default=[], metavar="VARIANT=ARM", help="what each varies")
    parser.add_argument("--output-metrics", required=True, help="CSV")
    parser.add_argument("--output-comparisons", required=True, help="CSV")
    parser.add_argument("--output-seeds", required=True, help="CSV: what each seed of an arm achieved")
    parser.add_argument("--output-per-case", required=True, help="parquet")
    parser.add_argument("--output-grounded", required=True, help="parquet")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, ground, measure, test, write."""
    settings = ev.checked(args.settings, "evaluation", "preferences")
    options, preferences = settings["evaluation"], settings["preferences"]
    answers, rankings, scores = (
        cli.by_arm(getattr(args, kind), f"--{kind}") for kind in ("answers", "rankings", "scores")
    )
    if ev.TEACHER not in scores:
        raise InputError(f"coverage and avoidance need the arm {ev.TEACHER}", field="--scores")
    if set(answers) & set(scores):
        raise InputError("an arm both writes and scores", record=min(set(answers) & set(scores)))
    cases = ev.read_cases(args.cases)
    sample = ev.ranking_sample(cases, options["ranking_cases"], options["seed"])
    cases = cases[cases["split"].isin(ev.SUFFIXES)].sort_values("case_id", ignore_index=True)
    if cases.empty:
        raise InputError("holds no test case", file=args.cases, field="split")
    mondo = Mondo.from_parquet(args.mondo)
    candidates = io.read_parquet(args.candidates, ["disease_id", "series"])
    labels = ev.disease_labels(candidates, mondo)
    ids = cases["case_id"].tolist()
    ranks = {arm: ev.read_ranks(path, arm, ids, labels) for arm, path in scores.items()}
    study = ev.build_study(
        cases,
        labels,
        ranks[ev.TEACHER],
        k=preferences["k"],
        q=preferences["q"],
        car_lambda=options["car_lambda"],
    )
    grounder = ev.open_grounder(args.vocabulary, candidates, mondo)
    per_case, grounded = ev.measure_arms(study, grounder, answers, ranks, rankings, sample)
    single = pd.concat(per_case).sort_values(["arm", "case_id", "metric"], ignore_index=True)
    measured, seeds = ev.mean_of_seeds(single, ev.SUFFIXES)
    if grounder.ambiguous:
        cli.log.info("%d list items name several diseases; the candidate counted", grounder.ambiguous)
    common = {
        "unit": options["bootstrap_unit"],
        "samples": options["bootstrap_samples"],
        "seed": options["seed"],
        "together": ev.TOGETHER,
    }
    metrics = statistics.summarise(measured, ev.SUFFIXES, BOUNDS, **common)
    variants = cli.by_arm(args.variants, "--variants")
    pairs = ev.arm_pairs(set(measured["arm"]), variants, options["comparisons"])
    comparisons = statistics.compare(measured, list(pairs), ev.SUFFIXES, BOUNDS, families=pairs, **common)
    cli.log.info("%d arms on %d patients, %d comparisons", measured["arm"].nunique(), len(cases), len(pairs))
    io.write_csv(metrics, args.output_metrics)
    io.write_csv(comparisons, args.output_comparisons)
    io.write_csv(seeds, args.output_seeds)
    io.write_parquet(single, args.output_per_case)  # each seed by itself, as its lists are
    io.write_parquet(grounded, args.output_grounded)


if __name__ == "__main__":
    cli.run(main, arguments())
