"""Ontology similarity of a patient to disease profiles: asymmetric Resnik.

Resnik (IJCAI 1995): two terms are as similar as their most informative common ancestor. Asymmetric
as in Köhler et al. (AJHG 2009, Phenomizer's one-sided score): the mean, over the patient's terms,
of the best match among the disease's; what the patient does not (yet) show costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from .features import Cohort, term_matrix, term_weights
from .ontology import Ontology


def best_ancestor(terms: np.ndarray, values: csr_matrix, ontology: Ontology, default: float) -> np.ndarray:
    """For each term and disease, the largest value among the term's ancestors that the disease has.

    Args:
        terms: positions in ``ontology.ids``.
        values: diseases x terms; stored entries (zeros included) are what a disease has.
        ontology: the terms.
        default: where they share nothing.

    Returns:
        float32, terms x diseases.
    """
    columns = values.tocsc()
    indptr, indices = ontology.closure
    result = np.full((len(terms), values.shape[0]), default, np.float32)
    for row, term in zip(result, terms.tolist(), strict=True):
        for ancestor in indices[indptr[term] : indptr[term + 1]].tolist():
            stored = slice(columns.indptr[ancestor], columns.indptr[ancestor + 1])
            diseases = columns.indices[stored]
            row[diseases] = np.maximum(row[diseases], columns.data[stored])
    return result


class Similarity:
    """Mean best Resnik similarity of a patient's observed terms to a disease's profile.

    Args:
        profiles: disease_id, hpo_id of diseases' annotations.
        information_content: hpo_id, ic.
        ontology: the terms.
    """

    def __init__(self, profiles: pd.DataFrame, information_content: pd.DataFrame, ontology: Ontology) -> None:
        self.profiles, self.ontology = profiles, ontology
        self.weights = term_weights(information_content, ontology)

    def score(self, cohort: Cohort, disease_ids: Sequence[str]) -> np.ndarray:
        """See ``Teacher``: cases x diseases, float32; 0 for a disease without a profile."""
        return np.concatenate([scores for _, scores in self.chunks(cohort, disease_ids, len(cohort))])

    def chunks(
        self, cohort: Cohort, disease_ids: Sequence[str], size: int
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield (rows of ``cohort.cases``, their scores), ``size`` patients at a time, to bound memory."""
        observed = cohort.phenotypes[~cohort.phenotypes["excluded"].astype(bool)]
        case_ids = cohort.cases["case_id"].tolist()
        patients = term_matrix(observed, "case_id", case_ids, self.ontology, close=False)
        terms = np.unique(patients.indices)
        closed = term_matrix(self.profiles, "disease_id", disease_ids, self.ontology)
        closed.data[:] = self.weights[closed.indices]
        best = best_ancestor(terms, closed, self.ontology, 0.0)
        counts = np.diff(patients.indptr)
        shares = patients.multiply(1.0 / np.maximum(counts, 1)[:, None]).tocsr()[:, terms].astype(np.float32)
        for start in range(0, len(cohort), max(size, 1)):
            rows = slice(start, start + size)
            yield rows, shares[rows] @ best
