"""Measure every arm on the same test tiles: metrics with intervals over patients, paired tests, confusion.

Settings: {evaluation: tissue.evaluation, preferences: tissue.preferences}. Arms are given as arm=path.
"""

from __future__ import annotations

import argparse

import pandas as pd

from mintflow import cli, io
from mintflow.errors import InputError
from mintflow.evaluation import ranking_sample
from mintflow.settings import exact
from mintflow.tile_evaluation import CASE_COLUMNS, GROUNDED, TEACHER, Evaluation, read_ranks, tested


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__)
    parser.add_argument("--cases", required=True, help="cases.parquet, with the split")
    parser.add_argument("--labels", required=True, help="labels.parquet, the closed set")
    arms = {"nargs": "+", "action": "extend", "default": [], "metavar": "ARM=PATH"}
    parser.add_argument("--answers", help="written answers", **arms)
    parser.add_argument("--rankings", help="rankings of every label by likelihood", **arms)
    parser.add_argument("--scores", help="scores of every label, the teacher's among them", **arms)
    parser.add_argument("--variants", nargs="*", default=[], metavar="VARIANT=ARM", help="what each varies")
    parser.add_argument("--output-metrics", required=True, help="CSV")
    parser.add_argument("--output-comparisons", required=True, help="CSV")
    parser.add_argument("--output-confusion", required=True, help="CSV: arm, truth, predicted, count")
    parser.add_argument("--output-seeds", required=True, help="CSV: what each seed of an arm achieved")
    parser.add_argument("--output-per-case", required=True, help="parquet")
    parser.add_argument("--output-grounded", required=True, help="parquet")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, ground, measure, test, write."""
    settings = exact(args.settings, ("evaluation", "preferences"), "tissue")
    options, lists = settings["evaluation"], settings["preferences"]
    answers, rankings, scores = (
        cli.by_arm(getattr(args, kind), f"--{kind}") for kind in ("answers", "rankings", "scores")
    )
    if TEACHER not in scores:
        raise InputError(f"coverage and avoidance need the arm {TEACHER}", field="--scores")
    if unwritten := set(rankings) - set(answers):
        raise InputError("is ranked, but wrote no answers", record=min(unwritten), field="--rankings")
    if set(answers) & set(scores):
        raise InputError("an arm both writes and scores", record=min(set(answers) & set(scores)))
    cases = io.read_parquet(args.cases, CASE_COLUMNS)
    labels = io.read_parquet(args.labels, ["label_id", "name"])
    ids = tested(cases)["case_id"].tolist()
    ranks = {arm: read_ranks(path, arm, ids, labels["label_id"].tolist()) for arm, path in scores.items()}
    evaluation = Evaluation(
        cases,
        labels,
        ranks[TEACHER],
        k=lists["k"],
        q=lists["q"],
        car_lambda=options["car_lambda"],
    )
    for arm, path in answers.items():
        evaluation.add_answers(arm, path)
    for arm, found in ranks.items():
        evaluation.add_scores(arm, found)
    if rankings:
        # beside the students, on the same tiles, whoever scores every label
        sample = ranking_sample(cases, options["ranking_cases"], options["seed"], "label_id")
        for arm, path in rankings.items():
            evaluation.add_ranking(arm, read_ranks(path, arm, sample, labels["label_id"].tolist()))
        for arm, found in ranks.items():
            evaluation.add_ranking(arm, {case: found[case] for case in sample})
    metrics, comparisons, seeds = evaluation.summarise(
        unit=options["bootstrap_unit"],
        samples=options["bootstrap_samples"],
        seed=options["seed"],
        variants=cli.by_arm(args.variants, "--variants"),
        asked=options["comparisons"],
    )
    patients = evaluation.cases["patient_id"].nunique()
    cli.log.info("%d arms on %d tiles of %d patients", metrics["arm"].nunique(), len(ids), patients)
    io.write_csv(metrics, args.output_metrics)
    io.write_csv(comparisons, args.output_comparisons)
    io.write_csv(seeds, args.output_seeds)
    io.write_csv(evaluation.confusion(), args.output_confusion)
    io.write_parquet(evaluation.per_case(), args.output_per_case)
    items = evaluation.grounded
    io.write_parquet(
        pd.concat(items, ignore_index=True) if items else pd.DataFrame(columns=GROUNDED), args.output_grounded
    )


if __name__ == "__main__":
    cli.run(main, arguments())
