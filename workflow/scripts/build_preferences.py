"""Turn the teacher's ranking into preference pairs for training and validation, with a data-set card."""

from __future__ import annotations

import argparse
from typing import Any

import pandas as pd

from mintflow import cli, io
from mintflow.conversations import typed
from mintflow.errors import InputError
from mintflow.preferences import Lengths, build_pairs, drop_repeats, name_truth, sample_spread, with_views
from mintflow.rare_dataset import describe_dataset, summarize_split

MESSAGE_COLUMNS = ["prompt", "chosen", "rejected", "truth"]
LIST_COLUMNS = ["chosen_ids", "rejected_ids", "ranked"]
SETTINGS = {"k", "q", "rejected", "max_pairs", "seed", "unlabelled", "views", "leave_out"}
COLUMNS = ["case_id", *MESSAGE_COLUMNS, *LIST_COLUMNS, "ranked_scores"]


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--prompts", required=True, help="prompts of all patients")
    parser.add_argument("--scores", required=True, help="the teacher's ranking")
    parser.add_argument("--candidates", required=True, help="candidate diseases and their names")
    parser.add_argument("--cases", required=True, help="selected cases, with their split")
    parser.add_argument("--versions", required=True, help="versions of the knowledge, for the card")
    parser.add_argument("--leakage", required=True, help="leakage.json, for the card")
    parser.add_argument("--views", help="further prompts of patients, which give pairs with the same lists")
    parser.add_argument("--more-prompts", help="prompts of unlabelled patients, who give training pairs too")
    parser.add_argument("--more-scores", help="the teacher's ranking of them")
    parser.add_argument("--more-cases", help="their cases")
    parser.add_argument("--output-train", required=True, help="parquet of training pairs")
    parser.add_argument("--output-validation", required=True, help="parquet of validation pairs")
    parser.add_argument("--output-card", required=True, help="README.md of the data set")
    parser.add_argument("--output-summary", required=True, help="the card's figures as JSON")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, pair, write."""
    settings = args.settings
    wrong = set(settings) ^ SETTINGS
    if wrong:
        raise InputError(f"missing or unknown key(s): {', '.join(sorted(wrong))}", record="rare.preferences")
    cases = io.read_parquet(args.cases, ["case_id", "disease_id", "publication", "split", "simulated"])
    candidates = io.read_parquet(args.candidates, ["disease_id", "name", "seen"])
    ranking = io.read_parquet(args.scores, ["case_id", "disease_id", "score", "rank"])
    prompts = io.read_parquet(args.prompts, ["case_id", "split", "control", "prompt"])
    prompts = prompts[prompts["control"] == "none"]
    counts, kept, drawn, views = {}, {}, {}, 0
    for split, limit in (("train", settings["max_pairs"]), ("validation", None)):
        pairs, dropped = pair(prompts[prompts["split"] == split], ranking, candidates, cases, settings, limit)
        counts[split] = summarize_split(pairs, cases, candidates, dropped)
        if split == "train" and settings["unlabelled"]:
            further, left_out = unlabelled(args, candidates, settings)
            both = drop_repeats(pd.concat([pairs, further], ignore_index=True))
            left_out["dropped_duplicates"] += len(pairs) + len(further) - len(both)
            drawn = {"pairs": len(both) - len(pairs), **left_out}
            pairs = both
        if split == "train" and settings["views"]:
            seen = with_views(pairs, further_prompts(args))
            views, pairs = len(seen) - len(pairs), seen
        table = pairs.rename(columns={"item_id": "case_id"})[COLUMNS]
        kept[split] = typed(table, MESSAGE_COLUMNS, LIST_COLUMNS, ["ranked_scores"])
        cli.log.info("preferences: %d %s pairs", len(pairs), split)
    if kept["train"].empty:
        raise InputError("no training pair is left: see rare.cohort, rare.split and the teacher's scores")
    io.write_parquet(kept["train"], args.output_train)
    io.write_parquet(kept["validation"], args.output_validation)
    unknown = int(kept["train"]["truth"].isna().sum())
    versions, leakage = io.read_json(args.versions), io.read_json(args.leakage)
    card = describe_dataset(
        counts,
        candidates,
        settings,
        versions,
        drawn,
        views,
        unknown,
        leakage_controlled=leakage["controlled"],
    )
    io.write_text(card, args.output_card)
    io.write_json(
        {
            **settings,
            "candidates": len(candidates),
            "splits": counts,
            "rows": {name: len(table) for name, table in kept.items()},
            "view_pairs": views,
            "without_truth": unknown,
            "unlabelled": drawn,
        },
        args.output_summary,
    )


def further_prompts(args: argparse.Namespace) -> pd.DataFrame:
    """Views of the patients to be trained on.

    Raises:
        InputError: they are not given.
    """
    if not args.views:
        raise InputError("needs --views", field="rare.preferences.views")
    views = io.read_parquet(args.views, ["case_id", "view", "prompt"])
    return views.rename(columns={"case_id": "item_id"})


def unlabelled(
    args: argparse.Namespace, candidates: pd.DataFrame, settings: dict[str, Any]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Pairs of the patients whom nobody has labelled; they have no truth.

    Raises:
        InputError: their tables are not given.
    """
    if not (args.more_prompts and args.more_scores and args.more_cases):
        raise InputError(
            "needs --more-prompts, --more-scores, --more-cases", field="rare.preferences.unlabelled"
        )
    prompts = io.read_parquet(args.more_prompts, ["case_id", "split", "control", "prompt"])
    ranking = io.read_parquet(args.more_scores, ["case_id", "disease_id", "score", "rank"])
    cases = io.read_parquet(args.more_cases, ["case_id", "disease_id"])
    pairs, dropped = pair(prompts, ranking, candidates, cases, settings, None)
    return pairs.assign(truth=None), dropped


def pair(
    prompts: pd.DataFrame,
    ranking: pd.DataFrame,
    candidates: pd.DataFrame,
    cases: pd.DataFrame,
    settings: dict[str, Any],
    limit: int | None,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The pairs of one split, and how many were left out for which reason."""
    labels = candidates.rename(columns={"disease_id": "label_id"})[["label_id", "name"]]
    items = prompts[["case_id", "prompt"]].rename(columns={"case_id": "item_id"})
    truth = cases.set_index("case_id")["disease_id"]
    made = build_pairs(
        name_truth(items, truth, labels),
        ranking.rename(columns={"case_id": "item_id", "disease_id": "label_id"}),
        labels,
        Lengths(settings["k"], settings["q"], "rare.preferences", settings["rejected"], settings["seed"]),
    )
    told = made[~made["flat"]]
    unique = drop_repeats(told)
    kept = sample_spread(unique, truth, limit, settings["seed"])
    return kept, {
        "dropped_without_preference": len(made) - len(told),
        "dropped_duplicates": len(told) - len(unique),
        "left_out_by_max_pairs": len(unique) - len(kept),
    }


if __name__ == "__main__":
    cli.run(main, arguments())
