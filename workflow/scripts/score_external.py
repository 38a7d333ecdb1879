"""Rank every candidate disease for the patients of a further cohort: one teacher or yardstick arm.

Settings: {teacher: rare.teacher, modalities: of the arm, seed}.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mintflow import cli, io, newcomers, settings
from mintflow.evidence import add_inputs, read_inputs
from mintflow.features import GENOTYPE_COLUMNS, read_images
from mintflow.scores import rank_table
from mintflow.yardsticks import GUESSING

TERMS = ["case_id", "hpo_id", "excluded"]


def arguments() -> argparse.ArgumentParser:
    """Flags of this program; those of every ranking program name the run's tables."""
    parser = cli.parser(__doc__)
    add_inputs(parser)
    parser.add_argument("--arm", required=True, help="which arm")
    parser.add_argument("--new-cases", type=Path, required=True, help="clean patients of the further cohort")
    parser.add_argument("--new-phenotypes", type=Path, required=True, help="their normalised terms")
    parser.add_argument("--new-genotypes", type=Path, required=True, help="their variants, with decoys")
    parser.add_argument("--run-scores", type=Path, required=True, help="the arm's scores in the run")
    parser.add_argument("--images", type=Path, help="parquet with case_id, embedding")
    parser.add_argument("--output-scores", type=Path, required=True, help="case_id, disease_id, score, rank")
    parser.add_argument("--output-summary", type=Path, required=True, help="what was compared, JSON")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, rank, compare with the run, write."""
    chosen = settings.exact(args.settings, ("teacher", "modalities", "seed"), "rare.teacher")
    teacher = {**chosen["teacher"], "modalities": chosen["modalities"]}
    everyone = io.read_parquet(args.cases)
    new = io.read_parquet(args.new_cases, ["case_id"])["case_id"].tolist()
    disease_ids, evidence = read_inputs(args)
    images = None
    if args.images and "image" in teacher["modalities"]:
        images = read_images(args.images, everyone["case_id"].tolist())
    cohort = newcomers.gather(
        everyone,
        new,
        disease_ids,
        (io.read_parquet(args.phenotypes, TERMS), io.read_parquet(args.new_phenotypes, TERMS)),
        (
            io.read_parquet(args.genotypes, GENOTYPE_COLUMNS),
            io.read_parquet(args.new_genotypes, GENOTYPE_COLUMNS),
        ),
        images,
    )
    scores = newcomers.rank(args.arm, cohort, disease_ids, evidence, teacher, chosen["seed"])
    difference = None
    if args.arm not in GUESSING:  # whose guesses depend on who else is there
        stored = io.read_parquet(args.run_scores, ["case_id", "disease_id", "score"])
        difference = newcomers.difference(scores, cohort, disease_ids, new, stored)
    rows = cohort.cases["case_id"].isin(set(new)).to_numpy()
    table = rank_table(scores[rows], cohort.cases.loc[rows, "case_id"].tolist(), disease_ids)
    io.write_parquet(table, args.output_scores)
    told = {"arm": args.arm, "cases": int(rows.sum()), "largest_difference_from_run": difference}
    io.write_json(told, args.output_summary)
    cli.log.info("%s: %d new patients; largest difference from the run %s", args.arm, rows.sum(), difference)


if __name__ == "__main__":
    cli.run(main, arguments())
