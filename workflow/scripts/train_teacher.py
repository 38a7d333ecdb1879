"""Train the teacher and rank every candidate disease for every patient, training patients out of fold."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from mintflow import cli, io, settings
from mintflow.errors import InputError
from mintflow.evidence import Evidence, add_inputs, read_inputs
from mintflow.features import Cohort
from mintflow.scores import ExternalScores, rank_table
from mintflow.yardsticks import summary, yardstick

# every key of the configuration rare.teacher
TEACHER_SETTINGS = (
    "kind",
    "scores",
    "modalities",
    "dim",
    "dropout",
    "modality_dropout",
    "excluded_weight",
    "learning_rate",
    "weight_decay",
    "batch_size",
    "epochs",
    "patience",
    "seed",
)

MODALITIES = ("phenotype", "genotype", "image")


def arguments() -> argparse.ArgumentParser:
    """Flags of this program."""
    parser = cli.parser(__doc__)
    add_inputs(parser)
    parser.add_argument(
        "--modalities", nargs="+", choices=MODALITIES, help="what it sees, instead of the settings'"
    )
    parser.add_argument("--images", type=Path, help="parquet with case_id, embedding")
    parser.add_argument("--mondo", type=Path, help="mondo.parquet, to translate ids of a file of scores")
    parser.add_argument("--output-scores", type=Path, required=True, help="case_id, disease_id, score, rank")
    parser.add_argument("--output-summary", type=Path, required=True, help="training log, JSON")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, train, score, write."""
    chosen = settings.exact(args.settings, TEACHER_SETTINGS, "rare.teacher")
    if args.modalities:
        chosen["modalities"] = args.modalities
    images = args.images if "image" in chosen["modalities"] else None
    if "image" in chosen["modalities"] and args.images is None and chosen["kind"] == "encoder":
        raise InputError(
            "the image modality needs a file of embeddings", field="rare.cohort.image_embeddings"
        )
    cohort = Cohort.read(args.cases, args.phenotypes, args.genotypes, images)
    disease_ids, evidence = read_inputs(args)
    scores, told = teach(args, chosen, cohort, disease_ids, evidence)
    case_ids = cohort.cases["case_id"].tolist()
    io.write_parquet(rank_table(scores, case_ids, disease_ids), args.output_scores)
    io.write_json(
        {"kind": chosen["kind"], "modalities": list(chosen["modalities"]), "settings": chosen, **told},
        args.output_summary,
    )


def teach(
    args: argparse.Namespace,
    chosen: dict[str, Any],
    cohort: Cohort,
    disease_ids: list[str],
    evidence: Evidence,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Scores and summary of the configured kind of teacher."""
    if chosen["kind"] == "encoder":
        import torch

        from mintflow import teacher

        # one thread: small matrices gain nothing from more, and the sums keep their order
        torch.set_num_threads(1)
        learned = teacher.Settings.read(chosen)
        return teacher.train_and_score(cohort, disease_ids, evidence, learned)
    if chosen["kind"] == "likelihood-ratio":
        scores = yardstick("likelihood-ratio", cohort, disease_ids, evidence)
    elif chosen["kind"] == "scores":
        if chosen["scores"] is None:
            raise InputError("kind scores needs a file", field="rare.teacher.scores")
        mondo = None if args.mondo is None else io.read_parquet(args.mondo, ["mondo_id", "source_id"])
        scores = ExternalScores(chosen["scores"], mondo).score(cohort, disease_ids)
    else:
        raise InputError(f"unknown kind {chosen['kind']!r}", field="rare.teacher.kind")
    return scores, summary(scores, cohort, disease_ids)


if __name__ == "__main__":
    cli.run(main, arguments())
