"""Time and peak memory of ranking every patient of a cohort against every disease of the annotations.

Prints one line of JSON. Patients come from a table of normalised phenotypes, diseases are all OMIM
diseases with a profile; publications are not left out, since speed is what is measured. For example:

    python benchmark_ranking.py --phenotypes results/phenopackets/rare/cohort/phenotypes.parquet \
        --terms resources/hpo/terms.parquet --hpoa resources/hpo/hpoa.parquet
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from mintflow import cli, hpoa, io
from mintflow.features import Cohort
from mintflow.knowledge import profiles_without
from mintflow.ontology import Ontology
from mintflow.scores import ranks
from mintflow.similarity import Similarity


def arguments() -> argparse.ArgumentParser:
    """Flags of this program."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--phenotypes", type=Path, required=True, help="phenotypes.parquet, normalised")
    parser.add_argument("--terms", type=Path, required=True, help="terms.parquet")
    parser.add_argument("--hpoa", type=Path, required=True, help="hpoa.parquet")
    parser.add_argument("--chunk", type=int, default=512, help="patients ranked at a time")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, rank everyone in chunks, print."""
    started = time.perf_counter()
    ontology = Ontology.from_parquet(args.terms)
    profiles = profiles_without(io.read_parquet(args.hpoa), [], ontology)
    profiles = profiles[profiles["disease_id"].str.startswith("OMIM:")]
    diseases = sorted(profiles["disease_id"].unique())
    content = hpoa.information_content(profiles, ontology)
    phenotypes = io.read_parquet(args.phenotypes, ["case_id", "hpo_id", "excluded"])
    cases = pd.DataFrame({"case_id": sorted(phenotypes["case_id"].unique())})
    cohort = Cohort(cases, phenotypes, pd.DataFrame())
    read = time.perf_counter()
    similarity = Similarity(profiles, content, ontology)
    chunks = similarity.chunks(cohort, diseases, args.chunk)
    first = np.empty(len(cohort), np.int64)
    total = -(-len(cohort) // args.chunk)
    for rows, scores in cli.progress(chunks, total, "ranking"):
        first[rows] = ranks(scores).argmin(axis=1)
    ranked = time.perf_counter()
    # kilobytes on Linux, bytes on macOS
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    result = {
        "patients": len(cohort),
        "diseases": len(diseases),
        "distinct_first": len(np.unique(first)),
        "seconds_reading": round(read - started, 2),
        "seconds_ranking": round(ranked - read, 2),
        "peak_mb": round(peak),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    cli.run(main, arguments())
