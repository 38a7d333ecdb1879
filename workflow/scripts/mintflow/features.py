"""Patients and diseases as sparse matrices over the ontology's terms.

A patient or disease that has a term also has everything above it (the true-path rule), so rows of
observed terms are closed over ancestors. Excluded terms are not: the absence of a term says nothing
about what lies above it, and what lies below it is found by the closed rows it is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from .cohort import cited_publications
from .errors import InputError
from .io import read_parquet
from .ontology import Ontology
from .selection import publication_groups

CASE_COLUMNS = ["case_id", "publication", "disease_id", "split", "fold"]
GENOTYPE_COLUMNS = ["case_id", "gene_symbol", "zygosity", "consequence"]


@dataclass(frozen=True)
class Cohort:
    """The selected patients, in order of ``cases``.

    Attributes:
        cases: case_id, publication, publications (optional: all that report the patient), disease_id,
            split, fold; sorted by case_id, default index.
        phenotypes: case_id, hpo_id, excluded.
        genotypes: case_id, gene_symbol, zygosity, consequence. Whether a row is a decoy is not read.
        images: one row of floats per case, NaN where a case has none; None without images.
    """

    cases: pd.DataFrame
    phenotypes: pd.DataFrame
    genotypes: pd.DataFrame
    images: np.ndarray | None = None

    @classmethod
    def read(
        cls,
        cases: str | Path,
        phenotypes: str | Path,
        genotypes: str | Path | None = None,
        images: str | Path | None = None,
    ) -> Cohort:
        """Read the cohort's tables.

        Raises:
            InputError: a table that cannot be read, a patient who appears twice, or image embeddings
                that are no table of equally long finite vectors.
        """
        people = read_parquet(cases).sort_values("case_id", ignore_index=True)
        missing = [name for name in CASE_COLUMNS if name not in people]
        if missing:
            raise InputError(f"lacks column(s) {', '.join(missing)}", file=cases)
        if people["case_id"].duplicated().any():
            twice = people.loc[people["case_id"].duplicated(), "case_id"].iloc[0]
            raise InputError("appears twice", file=cases, record=twice, field="case_id")
        terms = read_parquet(phenotypes, ["case_id", "hpo_id", "excluded"])
        if genotypes is None:
            variants = pd.DataFrame(columns=GENOTYPE_COLUMNS, dtype=str)
        else:
            variants = read_parquet(genotypes, GENOTYPE_COLUMNS)
        # the tables may hold patients that were not selected
        terms, variants = (
            table[table["case_id"].isin(people["case_id"])].reset_index(drop=True)
            for table in (terms, variants)
        )
        pictures = None if images is None else read_images(images, people["case_id"].tolist())
        return cls(people, terms, variants, pictures)

    def __len__(self) -> int:
        """Number of cases."""
        return len(self.cases)

    def terms(self, ontology: Ontology, *, excluded: bool = False) -> csr_matrix:
        """Binary float32 matrix, cases x terms of the ontology: observed closed, excluded as listed."""
        rows = self.phenotypes[self.phenotypes["excluded"].astype(bool) == excluded]
        return term_matrix(rows, "case_id", self.cases["case_id"].tolist(), ontology, close=not excluded)

    def in_split(self, *splits: str) -> np.ndarray:
        """Boolean mask of the cases in any of ``splits``."""
        return self.cases["split"].isin(splits).to_numpy()

    def training(self, hidden: frozenset[str]) -> np.ndarray:
        """Boolean mask of the training patients whom no ``hidden`` publication reports."""
        visible = [hidden.isdisjoint(names) for names in cited_publications(self.cases)]
        return self.in_split("train") & np.array(visible, bool)

    def publications(self, mask: np.ndarray) -> set[str]:
        """Every publication that reports one of the masked cases."""
        return {name for names in cited_publications(self.cases[mask]) for name in names}

    @cached_property
    def groups(self) -> np.ndarray:
        """Per case, its publication, or the group of publications that share patients with it."""
        return publication_groups(self.cases).to_numpy(dtype=object)


def read_images(path: str | Path, case_ids: Sequence[str]) -> np.ndarray:
    """Image embeddings in order of ``case_ids``: cases x width, float32, NaN rows where there is none.

    Embeddings of other patients are ignored, so that one file can serve many cohorts.

    Raises:
        InputError: the file has a case twice, vectors of unequal length, or values that are not finite.
    """
    table = read_parquet(path, ["case_id", "embedding"])
    table = table[table["case_id"].isin(set(case_ids))]
    if table["case_id"].duplicated().any():
        twice = table.loc[table["case_id"].duplicated(), "case_id"].iloc[0]
        raise InputError("has two embeddings", file=path, record=twice, field="case_id")
    vectors = {}
    for case_id, embedding in zip(table["case_id"], table["embedding"], strict=True):
        try:
            with np.errstate(over="ignore"):  # told below, as not finite
                vector = np.asarray(embedding, dtype=np.float32)
        except (TypeError, ValueError) as error:
            problem = f"no list of numbers: {error}"
            raise InputError(problem, file=path, record=case_id, field="embedding") from error
        if vector.ndim != 1 or not np.isfinite(vector).all():
            raise InputError("no list of finite numbers", file=path, record=case_id, field="embedding")
        vectors[case_id] = vector
    widths = sorted({len(vector) for vector in vectors.values()})
    if len(widths) != 1 or widths[0] == 0:
        found = f"lengths {widths}" if widths else "no embedding of any patient of the cohort"
        raise InputError(f"expected vectors of one length, found {found}", file=path, field="embedding")
    result = np.full((len(case_ids), widths[0]), np.nan, dtype=np.float32)
    for row, case_id in enumerate(case_ids):
        if case_id in vectors:
            result[row] = vectors[case_id]
    return result


def term_matrix(
    rows: pd.DataFrame,
    group: str,
    groups: Sequence[str],
    ontology: Ontology,
    *,
    value: str | None = None,
    close: bool = True,
) -> csr_matrix:
    """A table of terms as a float32 matrix, ``groups`` x ``ontology.ids``.

    Args:
        rows: columns ``group`` and hpo_id; rows of other groups or of terms that are not current
            are ignored.
        group: the column that says which row of the matrix.
        groups: order of the matrix's rows.
        ontology: order of its columns.
        value: column of positive values; 1 without. A term reached in several ways takes the largest.
        close: carry each entry to the term's ancestors.
    """
    row_of = {name: i for i, name in enumerate(groups)}
    row = rows[group].map(row_of)
    term = rows["hpo_id"].map(ontology.index)
    known = (row.notna() & term.notna()).to_numpy()
    row, term = row[known].to_numpy(np.int64), term[known].to_numpy(np.int64)
    values = np.ones(len(row), np.float32) if value is None else rows.loc[known, value].to_numpy(np.float32)
    if close:
        indptr, indices = ontology.closure
        lengths = np.diff(indptr)[term]
        starts = np.repeat(indptr[term] - (np.cumsum(lengths) - lengths), lengths)
        row, values = np.repeat(row, lengths), np.repeat(values, lengths)
        term = indices[starts + np.arange(len(row))].astype(np.int64)
    position = row * len(ontology) + term
    order = np.lexsort((-values, position))
    position, values = position[order], values[order]
    first = np.ones(len(position), bool)
    first[1:] = position[1:] != position[:-1]
    position, values = position[first], values[first]
    shape = (len(groups), len(ontology))
    return csr_matrix((values, (position // len(ontology), position % len(ontology))), shape=shape)


def unit_rows(matrix: csr_matrix) -> csr_matrix:
    """Rows scaled to length 1; empty rows stay empty."""
    squares = np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()
    scale = np.divide(1.0, np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0)
    return csr_matrix(matrix.multiply(scale[:, None]), dtype=np.float32)


def term_weights(information_content: pd.DataFrame, ontology: Ontology) -> np.ndarray:
    """Information content in the order of ``ontology.ids``, float32; 0 for terms the table lacks."""
    weights = np.zeros(len(ontology), np.float32)
    position = information_content["hpo_id"].map(ontology.index)
    known = position.notna()
    weights[position[known].to_numpy(np.int64)] = information_content.loc[known, "ic"].to_numpy(np.float32)
    return weights


def disease_codes(cohort: Cohort, disease_ids: Sequence[str]) -> np.ndarray:
    """Each case's position in ``disease_ids``.

    Raises:
        InputError: a case whose disease is no candidate.
    """
    codes = cohort.cases["disease_id"].map({name: i for i, name in enumerate(disease_ids)})
    if codes.isna().any():
        case = cohort.cases[codes.isna()].iloc[0]
        raise InputError(f"{case['disease_id']} is no candidate", record=case["case_id"], field="disease_id")
    return codes.to_numpy(np.int64)
