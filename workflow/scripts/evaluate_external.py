"""Measure every arm on the clean patients of a further cohort, within the set and over all of them.

Settings: {evaluation: rare.evaluation, preferences: rare.preferences}. Arms are given as arm=path.
"""

from __future__ import annotations

import argparse

from mintflow import __version__, cli, io
from mintflow import evaluation as ev
from mintflow import external_evaluation as ex
from mintflow.metrics import BOUNDS
from mintflow.mondo import Mondo


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
    parser.add_argument("--variants", nargs="*", default=[], metavar="VARIANT=ARM", help="what each varies")
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
    cases = ev.read_cases(args.cases).sort_values("case_id", ignore_index=True)
    sample = ev.ranking_sample(cases, options["ranking_cases"], options["seed"])
    mondo = Mondo.from_parquet(args.mondo)
    candidates = io.read_parquet(args.candidates, ["disease_id", "name", "series"])
    labels = ev.disease_labels(candidates, mondo)
    ids = cases["case_id"].tolist()
    ranks = {arm: ev.read_ranks(path, arm, ids, labels) for arm, path in scores.items()}
    teacher = ranks.get(ev.TEACHER)
    lists = {"k": preferences["k"], "q": preferences["q"], "car_lambda": options["car_lambda"]}
    study = ex.build_study(cases, labels, teacher, **lists)
    grounder = ev.open_grounder(args.vocabulary, candidates, mondo)
    per_case, grounded = ev.measure_arms(study, grounder, answers, ranks, rankings, sample)
    single = ex.measured(per_case, has_teacher=teacher is not None)
    measured, _ = ev.mean_of_seeds(single, ev.SUFFIXES)
    variants = cli.by_arm(args.variants, "--variants")
    pairs = ev.arm_pairs(set(measured["arm"]), variants, options["comparisons"])
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
    io.write_parquet(grounded, args.output_grounded)
    names = dict(zip(candidates["disease_id"], candidates["name"], strict=True))
    io.write_csv(ex.rank_by_disease(single, names), args.output_by_disease)
    counts = io.read_json(args.counts)
    told = {"mintflow": __version__, "patients": counts, "arms": ex.headline(metrics)}
    io.write_json(told, args.output_summary)
    cli.log.info("%d arms on %d clean patients", measured["arm"].nunique(), len(cases))


if __name__ == "__main__":
    cli.run(main, arguments())
