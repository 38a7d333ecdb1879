"""Measure how far confidence can be trusted: reliability by bin, and the expected calibration error.

Settings: {label, unit, samples, seed}: the column of labels (disease_id or label_id), and what is resampled,
how often and with which seed. Measured are test cases; those of a student are the ones that it ranked.
Seeds of an arm are pooled: a case counts once a seed, and all of it is resampled together.
"""

from __future__ import annotations

import argparse

import pandas as pd

from mintflow import cli, io
from mintflow.arms import SEED
from mintflow.calibration import calibration_table, confidences
from mintflow.errors import InputError
from mintflow.evaluation import disease_labels, grouped
from mintflow.mondo import Mondo
from mintflow.settings import exact

UNITS = {"publication": "publication", "patient": "patient_id", "case": "case_id"}


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = cli.parser(__doc__)
    parser.add_argument("--cases", required=True, help="cases.parquet with the split")
    arms = {"nargs": "+", "action": "extend", "default": [], "metavar": "ARM=PATH"}
    parser.add_argument("--scores", help="scores of every candidate (log probabilities)", **arms)
    parser.add_argument("--rankings", help="log-likelihoods of every candidate, logp_sum", **arms)
    parser.add_argument("--candidates", help="candidates.parquet, of diseases that have several ids")
    parser.add_argument("--mondo", help="mondo.parquet, with --candidates")
    parser.add_argument("--output", required=True, help="CSV")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, measure, write."""
    settings = exact(args.settings, ("label", "unit", "samples", "seed"), "evaluation")
    label, unit = settings["label"], UNITS[settings["unit"]]
    wanted = list(dict.fromkeys(["case_id", label, "split", unit]))
    cases = io.read_parquet(args.cases, wanted, optional=["publications", "publication_group"])
    if unit == "publication":
        cases = cases.assign(publication=grouped(cases))
    cases = cases[cases["split"] == "test"]
    if cases.empty:
        raise InputError("holds no test case", file=args.cases, field="split")
    truth = dict(zip(cases["case_id"], cases[label], strict=True))
    if args.candidates:
        candidates = io.read_parquet(args.candidates, ["disease_id", "series"])
        collapse = disease_labels(candidates, Mondo.from_parquet(args.mondo)).collapse
        truth = {case: collapse(disease) for case, disease in truth.items()}
    found: dict[str, list[pd.DataFrame]] = {}
    for paths, score in ((args.scores, "score"), (args.rankings, "logp_sum")):
        for arm, path in cli.by_arm(paths, "--scores or --rankings").items():
            table = io.read_parquet(path, ["case_id", label, score])
            found.setdefault(arm.partition(SEED)[0], []).append(confidences(table, truth, label, score))
    clusters = dict(zip(cases["case_id"], cases[unit], strict=True))
    pooled = {arm: pd.concat(seeds, ignore_index=True) for arm, seeds in found.items()}
    measured = calibration_table(pooled, clusters, samples=settings["samples"], seed=settings["seed"])
    io.write_csv(measured, args.output)


if __name__ == "__main__":
    cli.run(main, arguments())
