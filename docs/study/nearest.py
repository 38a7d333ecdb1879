"""How good the nearest training patient is, with all terms of a patient and with those that a prompt shows.

python docs/study/nearest.py RESULTS/rare resources/hpo/terms.parquet 14
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

from mintflow import io
from mintflow.features import Cohort, disease_codes
from mintflow.nearest_patient import NearestPatient
from mintflow.ontology import Ontology
from mintflow.prompts import order_terms
from mintflow.scores import ranks


def main(run: str, terms: str, most: int) -> None:
    """Print shares of the test patients by the rank of their disease."""
    patients = Cohort.read(f"{run}/cohort/cases.parquet", f"{run}/cohort/phenotypes.parquet")
    content = io.read_parquet(f"{run}/knowledge/information_content.parquet", ["hpo_id", "ic"])
    diseases = io.read_parquet(f"{run}/knowledge/candidates.parquet", ["disease_id"])["disease_id"].tolist()
    observed = patients.phenotypes[~patients.phenotypes["excluded"].astype(bool)]
    first = order_terms(observed, content).groupby("case_id").head(most).reset_index(drop=True)
    truth = disease_codes(patients, diseases)
    for name, phenotypes in (("all terms", observed), (f"{most} terms", first)):
        shown = replace(patients, phenotypes=phenotypes)
        scores = NearestPatient(content, Ontology.from_parquet(terms)).score(shown, diseases)
        rank = ranks(scores)[np.arange(len(truth)), truth]
        for split in ("test", "test_unseen"):
            here = rank[patients.in_split(split)]
            shares = ", ".join(f"top-{k} {(here <= k).mean():.3f}" for k in (1, 3, 10))
            print(f"{name}, {split} (n = {len(here)}): {shares}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
