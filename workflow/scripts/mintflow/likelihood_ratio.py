"""Likelihood ratios of a patient's findings from the frequencies in disease profiles.

The idea is LIRICAL's (Robinson et al., AJHG 2020): every finding multiplies the odds of a disease by
P(finding | disease) / P(finding | any disease). The formulas are our own, kept finite everywhere;
see ``LikelihoodRatio``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .features import Cohort, term_matrix
from .ontology import Ontology
from .similarity import best_ancestor

# A frequency from a handful of patients is never certain: 4/4 does not make the fifth impossible.
LOWEST, HIGHEST = 0.01, 0.95

# Cost of a finding the disease is not annotated with, on the log scale, however near an ancestor is.
INEXACT = np.log(0.5)


class LikelihoodRatio:
    """Sum of log likelihood ratios over observed and excluded terms, uniform prior.

    With f(d, t) the frequency of term t in disease d (the largest among t and what lies below it,
    clipped to [0.01, 0.95]) and b(t) the mean of the frequencies as they stand over all profiled diseases,
    clipped too:

    - observed t: the largest of log f(d, a) / b(a) over the ancestors a of t that d has; that is
      P(a | d) P(t | a), the way from a down to t taken from the background. It is at least 0, that of the
      root: whoever is ill has some finding. Where a is not t itself, log 2 is taken off.
    - excluded t that d has: log (1 - f(d, t)) / (1 - b(t)); one that d lacks: log 1 / (1 - b(t)).

    A disease without a profile scores 0 for every finding: nothing is known of it.

    Args:
        profiles: disease_id, hpo_id, frequency; all profiled diseases, from which b is computed.
        ontology: the terms.
    """

    def __init__(self, profiles: pd.DataFrame, ontology: Ontology) -> None:
        self.profiles, self.ontology = profiles, ontology

    def score(self, cohort: Cohort, disease_ids: Sequence[str]) -> np.ndarray:
        """See ``Teacher``: cases x diseases, natural logarithms, float64."""
        known = sorted(self.profiles["disease_id"].unique())
        everything = term_matrix(self.profiles, "disease_id", known, self.ontology, value="frequency")
        background = np.asarray(everything.sum(axis=0)).ravel() / max(len(known), 1)
        background = np.clip(background, LOWEST / max(len(known), 1), HIGHEST)

        frequency = term_matrix(self.profiles, "disease_id", disease_ids, self.ontology, value="frequency")
        frequency.data = np.clip(frequency.data, LOWEST, HIGHEST)
        phenotypes = cohort.phenotypes
        excluded = phenotypes["excluded"].astype(bool)
        case_ids = cohort.cases["case_id"].tolist()
        seen = term_matrix(phenotypes[~excluded], "case_id", case_ids, self.ontology, close=False)
        absent = term_matrix(phenotypes[excluded], "case_id", case_ids, self.ontology, close=False)

        ratio = frequency.copy()
        ratio.data = np.log(frequency.data / background[frequency.indices]).astype(np.float32)
        terms = np.unique(seen.indices)
        # the inexact match first, then the exact one over it
        best = best_ancestor(terms, ratio, self.ontology, 0.0) + np.float32(INEXACT)
        exact = ratio[:, terms].tocoo()
        best[exact.col, exact.row] = np.maximum(best[exact.col, exact.row], exact.data)

        missing = frequency.copy()
        missing.data = np.log1p(-frequency.data).astype(np.float32)
        terms_absent = np.unique(absent.indices)
        against = missing[:, terms_absent].toarray().T - np.log1p(-background[terms_absent])[:, None]
        scores = seen[:, terms] @ best + absent[:, terms_absent] @ against
        profiled = np.diff(frequency.indptr) > 0
        return np.where(profiled[None, :], scores, 0.0).astype(np.float64)
