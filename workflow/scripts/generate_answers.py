"""Let a student answer the prompts of the test patients or tiles, greedily.

Settings: {student: device, attention, chat_template_kwargs, base.dtype of {track}.student;
evaluation: max_new_tokens, generation_batch_size of {track}.evaluation; k of {track}.preferences}.
"""

from __future__ import annotations

import argparse
import os

from mintflow import cli, io
from mintflow.errors import InputError


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.with_student(cli.with_track(cli.parser(__doc__)))
    parser.add_argument("--images", help="cases.parquet with references to images, for a student that sees")
    parser.add_argument(
        "--control", default="none", choices=["none", "blank", "shuffled"], help="which prompts to answer"
    )
    parser.add_argument(
        "--split",
        default="test",
        choices=["test", "validation"],
        help="whose prompts; test has every arm of it",
    )
    parser.add_argument("--output", required=True, help="parquet: case_id, text, n_tokens, finished")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, answer, write."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import pandas as pd

    from mintflow.evaluation import SUFFIXES, UNLABELLED, checked
    from mintflow.inference import open_student

    settings = checked(args.settings, "student", "evaluation", "k")
    evaluation = checked(settings["evaluation"], "max_new_tokens", "generation_batch_size")
    columns = ["case_id", "split", "control", "prompt"]
    table = io.read_parquet(args.prompts, [*columns, "image"] if args.images else columns)
    splits = [*SUFFIXES, UNLABELLED] if args.split == "test" else [args.split]
    table = table[table["split"].isin(splits) & (table["control"] == args.control)].sort_values("case_id")
    if table.empty:
        raise InputError(f"no {args.split} prompts with control {args.control}", file=args.prompts)
    gallery = None
    if args.images:
        from mintflow.vision_encoding import open_gallery

        gallery = open_gallery(args.base, args.images, table["image"])
    student = open_student(args.base, args.adapter, settings["student"], exact=False, gallery=gallery)
    answers = student.answers(table.to_dict("records"), evaluation, gallery)
    result = pd.DataFrame(
        {
            "case_id": table["case_id"].tolist(),
            "text": [student.text(answer.tokens) for answer in answers],
            "n_tokens": [len(answer.tokens) for answer in answers],
            "finished": [answer.finished for answer in answers],
        }
    )
    cut = int((~result["finished"]).sum())
    cli.log.info("%d answers, %d of them cut at %d tokens", len(result), cut, evaluation["max_new_tokens"])
    io.write_parquet(result, args.output)


if __name__ == "__main__":
    cli.run(main, arguments())
