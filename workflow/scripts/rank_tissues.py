"""Rank all labels for the test tiles, or a sample of them, by the student's likelihood.

Settings: {student: device, attention, chat_template_kwargs, base.dtype of tissue.student, list_length;
evaluation: ranking_cases, generation_batch_size, seed of tissue.evaluation; k of tissue.preferences}.
"""

from __future__ import annotations

import argparse
import os

from mintflow import cli, io
from mintflow.errors import InputError

COLUMNS = {"case_id": "str", "label_id": "str", "logp_sum": "float64", "rank": "int64"}


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.with_student(cli.with_track(cli.parser(__doc__)))
    parser.set_defaults(track="tissue")
    parser.add_argument("--cases", required=True, help="cases.parquet: split, label and image of every tile")
    parser.add_argument("--labels", required=True, help="labels.parquet")
    parser.add_argument("--output", required=True, help=f"parquet: {', '.join(COLUMNS)}")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, sample, score, write."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from mintflow.evaluation import checked, ranking_sample
    from mintflow.inference import list_length, open_student
    from mintflow.scores import rank_table
    from mintflow.tile_ranking import score_labels
    from mintflow.vision_encoding import open_gallery

    settings = checked(args.settings, "student", "evaluation", "k")
    evaluation = checked(settings["evaluation"], "ranking_cases", "generation_batch_size", "seed")
    cases = io.read_parquet(args.cases, ["case_id", "label_id", "split"])
    sample = ranking_sample(cases, evaluation["ranking_cases"], evaluation["seed"], "label_id")
    if not sample:
        raise InputError("no test tile to rank", file=args.cases, field="split")
    prompts = io.read_parquet(args.prompts, ["case_id", "control", "prompt", "image"])
    prompts = prompts[prompts["control"] == "none"].set_index("case_id", drop=False)
    if missing := sorted(set(sample) - set(prompts.index)):
        raise InputError("has no prompt", file=args.prompts, record=missing[0])
    rows = prompts.loc[sample]
    labels = io.read_parquet(args.labels, ["label_id", "name"]).sort_values("label_id")
    gallery = open_gallery(args.base, args.cases, rows["image"])
    student = open_student(args.base, args.adapter, settings["student"], exact=True, gallery=gallery)
    scores = score_labels(
        student,
        rows.to_dict("records"),
        labels["name"].tolist(),
        gallery,
        k=list_length(settings),
        batch_size=evaluation["generation_batch_size"],
    )
    table = rank_table(scores, sample, labels["label_id"].tolist(), "label_id")
    table = table.rename(columns={"score": "logp_sum"})
    io.write_parquet(table[list(COLUMNS)].astype(COLUMNS), args.output)


if __name__ == "__main__":
    cli.run(main, arguments())
