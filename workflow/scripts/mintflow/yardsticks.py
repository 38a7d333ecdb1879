"""Rankers without a model, to measure the teacher and the student against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .evidence import Evidence
from .features import Cohort, disease_codes
from .likelihood_ratio import LikelihoodRatio
from .nearest_patient import NearestPatient
from .scores import Teacher, accuracy, out_of_fold
from .similarity import Similarity

YARDSTICKS = ("similarity", "likelihood-ratio", "nearest-patient", "gene-lookup", "prior")
# of few different values: they guess among equals
GUESSING = ("gene-lookup", "prior")


@dataclass(frozen=True)
class Prior:
    """Ranks diseases by how many training patients they have, whoever the patient is.

    Args:
        hidden: publications whose patients are not counted.
    """

    hidden: frozenset[str] = frozenset()

    def score(self, cohort: Cohort, disease_ids: Sequence[str]) -> np.ndarray:
        """See ``Teacher``: share of the training patients."""
        codes = disease_codes(cohort, disease_ids)[cohort.training(self.hidden)]
        counts = np.bincount(codes, minlength=len(disease_ids))
        return np.tile(counts / max(counts.sum(), 1), (len(cohort), 1))


@dataclass(frozen=True)
class GeneLookup:
    """Ranks the diseases of the patient's genes: number of listed genes that cause the disease.

    Ties go to the disease with more training patients; diseases of none of the genes share 0.

    Args:
        links: gene_symbol, disease_id.
        hidden: publications whose patients are not counted.
    """

    links: pd.DataFrame
    hidden: frozenset[str] = frozenset()

    def score(self, cohort: Cohort, disease_ids: Sequence[str]) -> np.ndarray:
        """See ``Teacher``: linked genes, plus the prior (below 1) where there is any."""
        listed = cohort.genotypes[["case_id", "gene_symbol"]].drop_duplicates()
        links = self.links[["gene_symbol", "disease_id"]].drop_duplicates()
        pairs = listed.merge(links, on="gene_symbol")
        pairs = pairs[pairs["disease_id"].isin(set(disease_ids))]
        counts = np.zeros((len(cohort), len(disease_ids)))
        row = pairs["case_id"].map({name: i for i, name in enumerate(cohort.cases["case_id"])})
        column = pairs["disease_id"].map({name: i for i, name in enumerate(disease_ids)})
        np.add.at(counts, (row.to_numpy(np.int64), column.to_numpy(np.int64)), 1.0)
        prior = Prior(self.hidden).score(cohort, disease_ids)
        # one disease may hold all training patients: halved, the prior stays a tie-break
        return np.where(counts > 0, counts + prior / 2, 0.0)


def yardstick(arm: str, cohort: Cohort, disease_ids: Sequence[str], evidence: Evidence) -> np.ndarray:
    """Scores of one of ``YARDSTICKS``; training patients' without the publications of their fold.

    Nothing is trained, but counts, profiles and information content of a training patient would
    otherwise hold the patient's own publication.

    Returns:
        Scores, cases x diseases, float64.
    """
    held_out = evidence.held_out(cohort)

    def build(fold: set[str]) -> Teacher:
        known = evidence.without(held_out | fold) if fold and arm != "prior" else evidence
        if arm == "similarity":
            return Similarity(known.profiles, known.information_content, known.ontology)
        if arm == "likelihood-ratio":
            return LikelihoodRatio(known.profiles, known.ontology)
        if arm == "nearest-patient":
            return NearestPatient(known.information_content, known.ontology, frozenset(fold))
        if arm == "gene-lookup":
            return GeneLookup(known.links, frozenset(fold))
        if arm == "prior":
            return Prior(frozenset(fold))
        raise ValueError(f"no yardstick {arm!r}")

    return out_of_fold(cohort, disease_ids, build)


def summary(scores: np.ndarray, cohort: Cohort, disease_ids: Sequence[str]) -> dict[str, Any]:
    """Patients and top-1 accuracy per split."""
    codes = disease_codes(cohort, disease_ids)
    splits = {name: cohort.in_split(name) for name in sorted(set(cohort.cases["split"]))}
    return {
        "top1": {
            name: {"n": int(mask.sum()), "value": accuracy(scores[mask], codes[mask])}
            for name, mask in splits.items()
        }
    }
