"""Measure every arm on the clean patients of a further cohort, within the set and over all of them.

Settings: {evaluation: rare.evaluation, preferences: rare.preferences}. Arms are given as arm=path.
"""

from __future__ import annotations

import argparse

import pandas as pd

from mintflow import __version__, cli, external, io
from mintflow import evaluation as ev
from mintflow import external_evaluation as ex
from mintflow.metrics import BOUNDS
from mintflow.mondo import Mondo
from mintflow.names import Grounder


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__)
    parser.add_argument("--cases", required=True, help="clean patients")
    parser.add_argument("--counts", required=True, help="what became of whom, JSON")
    parser.add_argument("--candidates", required=True, help="candidates.parquet")
    parser.add_argument("--vocabulary", required=True, help="vocabulary.parquet, the names that are known")
    parser.add_argument("--mondo", required=True, help="mondo.parquet")
    arms = {"nargs": "+", "action": "extend", "default": [], "metavar": "ARM=PATH"}
    parser.add_argument("--answers", help="written answers", **arms)
    parser.add_argument("--rankings", help="rankings by likelihood", **arms)
    parser.add_argument("--scores", help="scores of every candidate", **arms)
    parser.add_argument("--trained", nargs="*", default=[], help="arms that are compared with every other")
    parser.add_argument("--output-metrics", required=True, help="CSV")
    parser.add_argument("--output-comparisons", required=True, help="CSV")
    parser.add_argument("--output-per-case", required=True, help="parquet")
    parser.add_argument("--output-grounded", required=True, help="parquet")
    parser.add_argument("--output-by-disease", required=True, help="CSV")
    parser.add_argument("--output-summary", required=True, help="JSON")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, ground, measure, test, write."""
    settings = ev.checked(args.settings, "evaluation", "preferences")
    options, preferences = settings["evaluation"], settings["preferences"]
    answers, rankings, scores = (
        cli.by_arm(getattr(args, kind), f"--{kind}") for kind in ("answers", "rankings", "scores")
    )
    cases = io.read_parquet(args.cases, ev.CASE_COLUMNS).sort_values("case_id", ignore_index=True)
    sample = ev.ranking_sample(cases, options["ranking_cases"], options["seed"])
    mondo = Mondo.from_parquet(args.mondo)
    candidates = io.read_parquet(args.candidates, ["disease_id", "name", "series"])
    labels = ev.disease_labels(candidates, mondo)
    ids = cases["case_id"].tolist()
    ranks = {arm: ev.read_ranks(path, arm, ids, labels) for arm, path in scores.items()}
    teacher = ranks.get(ev.TEACHER)
    lists = {"k": preferences["k"], "q": preferences["q"], "car_lambda": options["car_lambda"]}
    study = ex.build_study(cases, labels, teacher, **lists)
    grounder = Grounder(
        io.read_parquet(args.vocabulary, ["key", "disease_id"]),
        {mondo.canonical(disease) for disease in candidates["disease_id"]},
    )
    per_case, grounded = [], []
    for arm, path in answers.items():
        written = ev.read_answers(path, arm, ids)
        grounded.append(ev.ground_answers(written, arm, grounder, labels))
        per_case.append(ev.score_answers(study, written, grounded[-1], arm))
    per_case += [ev.score_scores(study, ranks[arm], arm) for arm in scores]
    if sample:
        for arm, path in rankings.items():
            per_case.append(ev.score_rankings(study, ev.read_ranks(path, arm, sample, labels), arm))
    single = ex.measured(per_case, has_teacher=teacher is not None)
    measured, _ = ev.mean_of_seeds(single, ev.SUFFIXES)
    pairs = external.pairs(args.trained, set(measured["arm"]), ev.OTHER_PAIRS)
    metrics, comparisons = ex.tables(
        measured,
        pairs,
        BOUNDS,
        unit=options["bootstrap_unit"],
        samples=options["bootstrap_samples"],
        seed=options["seed"],
    )
    io.write_csv(metrics, args.output_metrics)
    io.write_csv(comparisons, args.output_comparisons)
    io.write_parquet(single, args.output_per_case)
    items = pd.concat(grounded, ignore_index=True) if grounded else pd.DataFrame(columns=ev.GROUNDED)
    io.write_parquet(items, args.output_grounded)
    names = dict(zip(candidates["disease_id"], candidates["name"], strict=True))
    io.write_csv(ex.rank_by_disease(single, names), args.output_by_disease)
    counts = io.read_json(args.counts)
    told = {"mintflow": __version__, "patients": counts, "arms": ex.headline(metrics)}
    io.write_json(told, args.output_summary)
    cli.log.info("%d arms on %d clean patients", measured["arm"].nunique(), len(cases))


if __name__ == "__main__":
    cli.run(main, arguments())
