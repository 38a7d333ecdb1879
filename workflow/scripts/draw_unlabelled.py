"""Draw patients whom nobody has labelled from the run's leak-free disease profiles, for its teacher to rank.

Settings: the slice rare.unlabelled.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from mintflow import cli, cohort, io, unlabelled
from mintflow.knowledge import held_out_publications, leak_free
from mintflow.ontology import Ontology


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__)
    parser.add_argument("--profiles", type=Path, required=True, help="profiles.parquet, leak-free")
    parser.add_argument("--candidates", type=Path, required=True, help="candidates.parquet")
    parser.add_argument("--cases", type=Path, required=True, help="the run's cases.parquet")
    parser.add_argument("--phenotypes", type=Path, required=True, help="their normalised terms")
    parser.add_argument("--variants", type=Path, required=True, help="their raw variants")
    parser.add_argument("--terms", type=Path, required=True, help="terms.parquet")
    parser.add_argument("--leakage", type=Path, required=True, help="leakage.json: is leakage controlled?")
    parser.add_argument("--hpoa", type=Path, required=True, help="hpoa.parquet, for modes of inheritance")
    parser.add_argument("--genes", type=Path, required=True, help="gene_disease.parquet")
    parser.add_argument("--output-cases", type=Path, required=True, help="the drawn patients")
    parser.add_argument("--output-phenotypes", type=Path, required=True, help="their terms")
    parser.add_argument("--output-vcfs", type=Path, required=True, help="an empty table: they have none")
    parser.add_argument("--output-everyone", type=Path, required=True, help="run's and drawn patients")
    parser.add_argument("--output-variants", type=Path, required=True, help="their raw variants")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, draw, write."""
    settings = unlabelled.Settings.from_config(args.settings)
    cases = io.read_parquet(args.cases)
    trained = set(cases.loc[cases["split"] == "train", "case_id"])
    terms = io.read_parquet(args.phenotypes, ["case_id", "hpo_id", "excluded"])
    terms = terms[terms["case_id"].isin(trained) & ~terms["excluded"].astype(bool)]
    candidates = io.read_parquet(args.candidates, ["disease_id", "name"])
    controlled = io.read_json(args.leakage)["controlled"]
    drawn = unlabelled.draw(
        io.read_parquet(args.profiles, ["disease_id", "hpo_id", "frequency"]),
        candidates,
        terms,
        leak_free(io.read_parquet(args.hpoa), held_out_publications(cases) if controlled else set()),
        io.read_parquet(args.genes, ["gene_symbol", "disease_id"]),
        Ontology.from_parquet(args.terms),
        settings,
    )
    run_variants = io.read_parquet(args.variants, list(cohort.VARIANTS))
    io.write_parquet(drawn.cases.assign(split=unlabelled.SPLIT, fold=-1), args.output_cases)
    io.write_parquet(drawn.phenotypes, args.output_phenotypes)
    io.write_parquet(drawn.vcfs, args.output_vcfs)
    io.write_parquet(unlabelled.together(cases, drawn.cases), args.output_everyone)
    io.write_parquet(pd.concat([run_variants, drawn.variants], ignore_index=True), args.output_variants)
    diseases = drawn.cases["disease_id"]
    unmet = set(diseases) - set(cases.loc[cases["split"] == "train", "disease_id"])
    cli.log.info(
        "%d patients of %d diseases, %d of these without a training patient; %d candidates lack a profile",
        len(drawn.cases),
        diseases.nunique(),
        len(unmet),
        len(candidates) - diseases.nunique(),
    )


if __name__ == "__main__":
    cli.run(main, arguments())
