"""The training patient who is most like the patient: what diagnosed patients give without training.

Patients are vectors of information content over their observed terms and everything above these; two are as
alike as the cosine of their vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, diags

from .features import Cohort, disease_codes, term_weights, unit_rows
from .ontology import Ontology

CHUNK = 256  # patients at a time, so that thousands of training patients do not fill the memory


class NearestPatient:
    """Ranks diseases by their training patient who is most like the patient.

    Args:
        information_content: hpo_id, ic.
        ontology: the terms.
        hidden: publications whose patients are not looked at.
    """

    def __init__(
        self, information_content: pd.DataFrame, ontology: Ontology, hidden: frozenset[str] = frozenset()
    ) -> None:
        self.ontology, self.hidden = ontology, hidden
        self.weights = term_weights(information_content, ontology)

    def score(self, cohort: Cohort, disease_ids: Sequence[str]) -> np.ndarray:
        """See ``Teacher``: the largest cosine, float32; 0 for a disease without a training patient."""
        vectors = unit_rows(csr_matrix(cohort.terms(self.ontology) @ diags(self.weights)))
        known = np.flatnonzero(cohort.training(self.hidden))
        scores = np.zeros((len(cohort), len(disease_ids)), np.float32)
        if not len(known):
            return scores
        codes = disease_codes(cohort, disease_ids)[known]
        known = known[np.argsort(codes, kind="stable")]
        diseases, first = np.unique(np.sort(codes), return_index=True)
        others = vectors[known].T.tocsr()
        for start in range(0, len(cohort), CHUNK):
            alike = (vectors[start : start + CHUNK] @ others).toarray()
            scores[start : start + CHUNK, diseases] = np.maximum.reduceat(alike, first, axis=1)
        return scores
