"""Turn the tissue teacher's ranking into preference pairs for training and validation, with a data-set card.

Settings: the slice tissue.preferences.
"""

from __future__ import annotations

import argparse
from typing import Any

import pandas as pd

from mintflow import cli, io
from mintflow.conversations import typed
from mintflow.errors import InputError
from mintflow.preferences import Lengths, build_pairs, name_truth, sample_spread
from mintflow.settings import exact
from mintflow.tissue_dataset import describe_dataset, summarize_split

MESSAGE_COLUMNS = ["prompt", "chosen", "rejected", "truth"]
LIST_COLUMNS = ["chosen_ids", "rejected_ids", "ranked"]
IMAGE_COLUMNS = ["image", "image_file", "image_row"]
COLUMNS = ["case_id", *MESSAGE_COLUMNS, *LIST_COLUMNS, "ranked_scores", *IMAGE_COLUMNS]
CASES = ["case_id", "label_id", "patient_id", "source", "split", "file", "row", "simulated"]


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--prompts", required=True, help="prompts of all tiles")
    parser.add_argument("--scores", required=True, help="the teacher's ranking")
    parser.add_argument("--labels", required=True, help="labels.parquet, the closed set")
    parser.add_argument("--cases", required=True, help="cases.parquet, with split and references to images")
    parser.add_argument("--output-train", required=True, help="parquet of training pairs")
    parser.add_argument("--output-validation", required=True, help="parquet of validation pairs")
    parser.add_argument("--output-card", required=True, help="README.md of the data set")
    parser.add_argument("--output-summary", required=True, help="the card's figures as JSON")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, pair, write."""
    settings = exact(args.settings, ("k", "q", "rejected", "max_pairs", "seed"), "tissue.preferences")
    cases = io.read_parquet(args.cases, CASES)
    labels = io.read_parquet(args.labels, ["label_id", "name"])
    ranking = io.read_parquet(args.scores, ["case_id", "label_id", "score", "rank"])
    prompts = io.read_parquet(args.prompts, ["case_id", "split", "control", "prompt", "image"])
    prompts = prompts[prompts["control"] == "none"].merge(
        cases[["case_id", "file", "row"]].rename(
            columns={"case_id": "image", "file": "image_file", "row": "image_row"}
        ),
        on="image",
        validate="one_to_one",
    )
    counts, kept = {}, {}
    for split, limit in (("train", settings["max_pairs"]), ("validation", None)):
        shown = prompts[prompts["split"] == split].drop(columns=["split", "control"])
        pairs, dropped = pair(shown, ranking, labels, cases, settings, limit)
        counts[split] = summarize_split(pairs, cases, dropped)
        table = pairs.rename(columns={"item_id": "case_id"})[COLUMNS]
        table = typed(table, MESSAGE_COLUMNS, LIST_COLUMNS, ["ranked_scores"])
        kept[split] = table.astype({"image": "str", "image_file": "str"})
        cli.log.info("preferences: %d %s pairs", len(pairs), split)
    if kept["train"].empty:
        raise InputError("no training pair is left: see tissue.cohort, tissue.split and the teacher's scores")
    io.write_parquet(kept["train"], args.output_train)
    io.write_parquet(kept["validation"], args.output_validation)
    used = cases[cases["split"].isin(["train", "validation"])]
    card = describe_dataset(counts, labels, settings, sorted(used["source"].unique()))
    io.write_text(card, args.output_card)
    io.write_json({**settings, "labels": len(labels), "splits": counts}, args.output_summary)


def pair(
    prompts: pd.DataFrame,
    ranking: pd.DataFrame,
    labels: pd.DataFrame,
    cases: pd.DataFrame,
    settings: dict[str, Any],
    limit: int | None,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The pairs of one split, and how many were left out for which reason.

    Tiles never repeat a pair, as each shows its own image.
    """
    truth = cases.set_index("case_id")["label_id"]
    made = build_pairs(
        name_truth(prompts.rename(columns={"case_id": "item_id"}), truth, labels),
        ranking.rename(columns={"case_id": "item_id"}),
        labels,
        Lengths(settings["k"], settings["q"], "tissue.preferences", settings["rejected"], settings["seed"]),
    )
    told = made[~made["flat"]]
    kept = sample_spread(told, truth, limit, settings["seed"])
    return kept, {
        "dropped_without_preference": len(made) - len(told),
        "left_out_by_max_pairs": len(told) - len(kept),
    }


if __name__ == "__main__":
    cli.run(main, arguments())
