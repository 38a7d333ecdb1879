"""Rankers without a model, to measure the teacher and the student against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .features import Cohort, disease_codes


@dataclass(frozen=True)
class Prior:
    """Ranks diseases by how many training patients they have, whoever the patient is.

    Args:
        hidden: publications whose patients are not counted.
    """

    hidden: frozenset[str] = frozenset()

    def score(self, cohort: Cohort, disease_ids: Sequence[str]) -> np.ndarray:
        """See ``Teacher``: share of the training patients."""
        train = cohort.in_split("train") & ~cohort.cases["publication"].isin(self.hidden).to_numpy()
        codes = disease_codes(cohort, disease_ids)[train]
        counts = np.bincount(codes, minlength=len(disease_ids))
        return np.tile(counts / max(counts.sum(), 1), (len(cohort), 1))


@dataclass(frozen=True)
class GeneLookup:
    """Ranks the diseases of the patient's genes: number of listed genes that cause the disease.

    Ties go to the disease with more training patients; diseases of none of the genes share 0.

    Args:
        gene_disease: gene_symbol, disease_id.
        hidden: publications whose patients are not counted.
    """

    gene_disease: pd.DataFrame
    hidden: frozenset[str] = frozenset()

    def score(self, cohort: Cohort, disease_ids: Sequence[str]) -> np.ndarray:
        """See ``Teacher``: linked genes, plus the prior (below 1) where there is any."""
        listed = cohort.genotypes[["case_id", "gene_symbol"]].drop_duplicates()
        links = self.gene_disease[["gene_symbol", "disease_id"]].drop_duplicates()
        pairs = listed.merge(links, on="gene_symbol")
        pairs = pairs[pairs["disease_id"].isin(set(disease_ids))]
        counts = np.zeros((len(cohort), len(disease_ids)))
        row = pairs["case_id"].map({name: i for i, name in enumerate(cohort.cases["case_id"])})
        column = pairs["disease_id"].map({name: i for i, name in enumerate(disease_ids)})
        np.add.at(counts, (row.to_numpy(np.int64), column.to_numpy(np.int64)), 1.0)
        prior = Prior(self.hidden).score(cohort, disease_ids)
        # one disease may hold all training patients: halved, the prior stays a tie-break
        return np.where(counts > 0, counts + prior / 2, 0.0)
