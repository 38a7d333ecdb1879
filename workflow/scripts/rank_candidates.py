"""Rank all candidate diseases for a sample of the test patients, or for all, by the student's likelihood.

Settings: {student: device, attention, chat_template_kwargs, base.dtype of rare.student, list_length;
evaluation: ranking_cases, ranking_score, ranking_depth, ranking_chunk, seed of rare.evaluation; k of
rare.preferences}. With a depth, candidates that were not scored exactly have no logp_mean and pmi, and
as logp_sum their share of what their beginning has (mintflow.likelihood.best_candidates).
"""

from __future__ import annotations

import argparse
import os

from mintflow import cli, io
from mintflow.errors import InputError

COLUMNS = {
    "case_id": "str",
    "disease_id": "str",
    "logp_sum": "float64",
    "logp_mean": "float64",
    "pmi": "float64",
    "score": "float64",
    "rank": "int64",
}


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.with_student(cli.parser(__doc__))
    parser.add_argument("--candidates", required=True, help="candidates.parquet")
    parser.add_argument("--cases", required=True, help="selected cases, with their split")
    parser.add_argument("--output", required=True, help=f"parquet: {', '.join(COLUMNS)}")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, sample, score, write."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import pandas as pd

    from mintflow.evaluation import checked, ranked_cases
    from mintflow.inference import list_length, open_student
    from mintflow.likelihood import rank_candidates
    from mintflow.scores import rank_table

    settings = checked(args.settings, "student", "evaluation", "k")
    keys = ("ranking_cases", "ranking_score", "ranking_depth", "ranking_chunk", "seed")
    evaluation = checked(settings["evaluation"], *keys)
    candidates = io.read_parquet(args.candidates, ["disease_id", "name"]).sort_values("disease_id")
    cases = io.read_parquet(args.cases, ["case_id", "disease_id", "split"])
    sample = ranked_cases(cases, evaluation["ranking_cases"], evaluation["seed"])
    if not sample:
        cli.log.info("no test patient is ranked")
        io.write_parquet(pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS), args.output)
        return
    prompts = io.read_parquet(args.prompts, ["case_id", "control", "prompt"])
    shown, blank = (
        prompts[prompts["control"] == control].set_index("case_id")["prompt"] for control in ("none", "blank")
    )
    missing = sorted(set(sample) - set(shown.index))
    if missing:
        raise InputError("has no prompt", file=args.prompts, record=missing[0])
    has_blank = set(sample) <= set(blank.index)
    if evaluation["ranking_score"] == "pmi" and not has_blank:
        raise InputError(
            "pmi needs the blank control: add it, or rank by sum or mean", field="rare.evaluation.controls"
        )
    student = open_student(args.base, args.adapter, settings["student"], exact=True)
    scores = rank_candidates(
        student.model,
        student.encoder,
        shown.loc[sample].tolist(),
        blank.loc[sample].tolist() if has_blank else None,
        candidates["name"].tolist(),
        k=list_length(settings),
        chunk=evaluation["ranking_chunk"],
        depth=evaluation["ranking_depth"],
    )
    diseases = candidates["disease_id"].tolist()
    every = pd.MultiIndex.from_product([sample, diseases], names=["case_id", "disease_id"])
    details = pd.DataFrame(
        {
            "logp_sum": scores["sum"].ravel(),
            "logp_mean": scores["mean"].ravel(),
            "pmi": scores["pmi"].ravel(),
        },
        index=every,
    ).reset_index()
    ranked = rank_table(scores[evaluation["ranking_score"]], sample, diseases)
    table = ranked.merge(details, on=["case_id", "disease_id"], how="left", validate="one_to_one")
    io.write_parquet(table[list(COLUMNS)].astype(COLUMNS), args.output)


if __name__ == "__main__":
    cli.run(main, arguments())
