"""Find the disease profiles nearest to each patient's phenotypes and put them in front of the prompts."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from mintflow import cli, io, retrieval, settings
from mintflow.conversations import typed
from mintflow.external import OUT_OF_SET
from mintflow.features import Cohort
from mintflow.ontology import Ontology
from mintflow.prompts import Template
from mintflow.scores import rank_table
from mintflow.yardsticks import summary

SETTINGS = ("prompt", "controls", "seed", "retrieval")
RETRIEVAL = ("context", "top_k", "max_terms", "batch_size", "device")


def arguments() -> argparse.ArgumentParser:
    """Flags of this program."""
    parser = cli.parser(__doc__)
    parser.add_argument("--encoder", type=Path, required=True, help="folder of a sentence encoder")
    parser.add_argument("--cases", type=Path, required=True, help="cases.parquet, with their split")
    parser.add_argument("--phenotypes", type=Path, required=True, help="phenotypes.parquet, normalised")
    parser.add_argument("--terms", type=Path, required=True, help="terms.parquet, for the terms' names")
    parser.add_argument("--candidates", type=Path, required=True, help="candidates.parquet, leak-free")
    parser.add_argument("--profiles", type=Path, required=True, help="profiles.parquet, leak-free")
    parser.add_argument("--ic", type=Path, required=True, help="information_content.parquet, leak-free")
    parser.add_argument("--prompts", type=Path, required=True, help="prompts.parquet, without retrieval")
    parser.add_argument("--output-prompts", type=Path, required=True, help="the same with documents")
    parser.add_argument("--output-retrieved", type=Path, required=True, help="what was found, by patient")
    parser.add_argument("--output-scores", type=Path, required=True, help="case_id, disease_id, score, rank")
    parser.add_argument("--output-summary", type=Path, required=True, help="accuracy per split, JSON")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, embed, search, write."""
    given = settings.exact(args.settings, SETTINGS, "rare")
    keys = settings.exact(given["retrieval"], RETRIEVAL, "rare.retrieval")
    context = retrieval.Context(keys["context"])
    cohort = Cohort.read(args.cases, args.phenotypes)
    ic = io.read_parquet(args.ic, ["hpo_id", "ic"])
    documents = retrieval.disease_documents(
        io.read_parquet(args.candidates, ["disease_id", "name"]),
        io.read_parquet(args.profiles, ["disease_id", "hpo_id", "frequency"]),
        ic,
        Ontology.from_parquet(args.terms),
        keys["max_terms"],
    )
    queries = retrieval.search_texts(
        cohort.cases,
        io.read_parquet(args.phenotypes, ["case_id", "hpo_id", "name", "excluded"]),
        ic,
        Template.from_settings(given["prompt"]),
        given["controls"],
        given["seed"],
    )
    prompts = io.read_parquet(args.prompts, ["case_id", "split", "control", "prompt"])
    retrieval.check_prompts(prompts, queries)

    from mintflow.sentence_encoder import SentenceEncoder

    encoder = SentenceEncoder(args.encoder, keys["device"])
    texts = sorted(set(queries["query"]) - {""})
    found = retrieval.similarities(
        encoder.embed(texts, keys["batch_size"]),
        encoder.embed(documents["document"].tolist(), keys["batch_size"]),
    )
    by_text = dict(zip(texts, found, strict=True))
    shown, retrieved = retrieval.retrieve(prompts, queries, documents, by_text, context, keys["top_k"])

    own = queries[queries["control"] == retrieval.NONE].set_index("case_id")["query"]
    case_ids, disease_ids = cohort.cases["case_id"].tolist(), documents["disease_id"].tolist()
    scores = np.stack([by_text[own[case]] for case in case_ids])
    io.write_parquet(typed(shown, ["prompt"]), args.output_prompts)
    io.write_parquet(retrieved, args.output_retrieved)
    io.write_parquet(rank_table(scores, case_ids, disease_ids), args.output_scores)
    # patients of a further cohort may have a disease that is no candidate, the run's own may not
    ranked = ~cohort.in_split(OUT_OF_SET)
    known = replace(cohort, cases=cohort.cases[ranked].reset_index(drop=True))
    io.write_json({"arm": "retrieval", **summary(scores[ranked], known, disease_ids)}, args.output_summary)
    cli.log.info("%d prompts with up to %d of %d documents", len(shown), keys["top_k"], len(documents))


if __name__ == "__main__":
    cli.run(main, arguments())
