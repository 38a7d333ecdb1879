"""What the encoder reads: patients, diseases, and how alike they are, as arrays.

Every comparison that has nothing to learn is made here with sparse matrices; the encoder learns how
to weigh the comparisons and what to add to them.

A disease looks different to each training patient: prototypes, profiles and gene counts leave the
patient's own publication out (``References``), as they will not have seen the next patient's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, vstack

from .errors import InputError
from .evidence import Evidence
from .features import Cohort, disease_codes, term_matrix, term_weights, unit_rows
from .knowledge import profiles_without
from .publications import citation

# A big family study counts for more than a single case report, but not in proportion.
PUBLICATION_POWER = 0.5

# Pseudo-counts of the gene frequencies: known links, and the background.
LINK_COUNT, BACKGROUND_COUNT = 1.0, 0.5

# Comparisons of a patient with a disease, in this order wherever they are stacked: cosines of the
# observed terms to prototype and profile, of the excluded terms to prototype, profile and the excluded
# terms of training patients, of images; log ratios of the genes with and without training patients.
COMPARISONS = (
    "prototype",
    "profile",
    "excluded_prototype",
    "excluded_profile",
    "looked_for",
    "image",
    "genes",
    "links",
)


@dataclass(frozen=True)
class Settings:
    """The slice ``rare.teacher`` as far as the encoder reads it; meanings in the schema."""

    modalities: tuple[str, ...]
    dim: int
    dropout: float
    modality_dropout: float
    excluded_weight: float
    learning_rate: float
    weight_decay: float
    batch_size: int
    epochs: int
    patience: int
    seed: int

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> Settings:
        """Take the encoder's keys from the slice.

        Raises:
            InputError: a key is missing.
        """
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if name not in settings]
        if missing:
            raise InputError(f"missing key(s) {', '.join(missing)}", field="rare.teacher")
        values = {name: settings[name] for name in names}
        return cls(**{**values, "modalities": tuple(values["modalities"])})


@dataclass(frozen=True)
class Patients:
    """Model inputs, in order of the cohort.

    Attributes:
        observed: closed, weighted, unit rows; cases x terms in use.
        excluded: as listed, weighted, unit rows.
        genes: share of each gene in the patient's list; cases x genes, last column for unknown ones.
        variants: per case, rows of (gene, zygosity, consequence) codes.
        images: standardised embeddings, NaN rows where there is none; cases x width, maybe 0.
    """

    observed: csr_matrix
    excluded: csr_matrix
    genes: csr_matrix
    variants: list[np.ndarray]
    images: np.ndarray


@dataclass(frozen=True)
class Side:
    """Reference rows for comparisons: all of them sparse, the D general ones dense and transposed."""

    rows: csr_matrix
    general: np.ndarray

    @classmethod
    def of(cls, rows: csr_matrix | np.ndarray, diseases: int) -> Side:
        """From a matrix whose first ``diseases`` rows are the general ones."""
        rows = csr_matrix(rows, dtype=np.float32)
        return cls(rows, np.ascontiguousarray(rows[:diseases].toarray().T))


@dataclass(frozen=True)
class References:
    """What each disease looks like: rows 0..D-1 in general, further rows without one publication.

    Attributes:
        prototypes: mean of the training patients; rows x terms, unit rows, empty for unseen diseases.
        looked_for: the same of their excluded terms: what one looks for in the disease and may not find.
        profiles: HPO profile; rows x terms, unit rows.
        genes: P(gene | disease) / P(gene); rows x genes.
        links: the same from gene-disease links alone.
        images: mean image embedding; rows x width, unit rows.
        directions: leading directions of prototypes and profiles, terms x at most dim; the bilinear
            term works on these, since single terms are too many for the patients there are.
        latent_prototypes, latent_profiles: rows x directions.
        seen: whether a row has training patients.
        rows_of: group of publications -> (disease code, row that takes the place of its general one).
    """

    prototypes: Side
    looked_for: Side
    profiles: Side
    genes: Side
    links: Side
    images: Side
    directions: np.ndarray
    latent_prototypes: np.ndarray
    latent_profiles: np.ndarray
    seen: np.ndarray
    rows_of: dict[str, list[tuple[int, int]]]


class Problem:
    """One model's data: the features of all patients, and references from its training patients.

    Args:
        cohort: all patients.
        disease_ids: candidates.
        evidence: knowledge without the publications that this model must not see.
        train: mask of the training patients.
        hidden: publications that this model must not see.
        settings: the slice ``rare.teacher``.
    """

    def __init__(
        self,
        cohort: Cohort,
        disease_ids: Sequence[str],
        evidence: Evidence,
        train: np.ndarray,
        hidden: set[str],
        settings: Settings,
    ) -> None:
        self.cohort, self.disease_ids, self.evidence = cohort, list(disease_ids), evidence
        self.train, self.hidden, self.settings = train, hidden, settings
        self.codes = disease_codes(cohort, disease_ids)
        self.pairs = self._pairs()
        self.zygosities = _codes(cohort.genotypes["zygosity"])
        self.consequences = _codes(cohort.genotypes["consequence"])
        self.patients, profiles = self._inputs()
        self.references = self._references(profiles)

    def _pairs(self) -> list[tuple[int, str]]:
        """(disease, publication group) of the training patients, sorted."""
        groups = self.cohort.groups[self.train].tolist()
        return sorted(set(zip(self.codes[self.train].tolist(), groups, strict=True)))

    def _inputs(self) -> tuple[Patients, csr_matrix]:
        ontology, cohort = self.evidence.ontology, self.cohort
        observed = cohort.terms(ontology)
        excluded = cohort.terms(ontology, excluded=True)
        profiles = self._profile_rows()
        if "phenotype" not in self.settings.modalities:
            observed, excluded, profiles = (m * 0 for m in (observed, excluded, profiles))
        weights = term_weights(self.evidence.information_content, ontology)
        used = np.asarray(observed[self.train].sum(axis=0)).ravel() + np.asarray(profiles.sum(axis=0)).ravel()
        columns = np.flatnonzero((used > 0) & (weights > 0))
        observed, excluded, profiles = (
            unit_rows(matrix[:, columns].multiply(weights[columns]).tocsr())
            for matrix in (observed, excluded, profiles)
        )
        genes, variants = self._genotypes()
        return Patients(observed, excluded, genes, variants, self._images()), profiles

    def _profile_rows(self) -> csr_matrix:
        """Closed profiles (frequencies), D + pairs rows; a pair's lacks the pair's publication."""
        ontology, hpoa = self.evidence.ontology, self.evidence.hpoa
        tables = [self.evidence.profiles]
        hpoa = hpoa[hpoa["disease_id"].isin(set(self.disease_ids))]
        spelling = {reference: citation(reference) for reference in hpoa["reference"].unique()}
        rows_of = dict(list(hpoa.assign(cited=hpoa["reference"].map(spelling)).groupby("disease_id")))
        written = {
            group: {citation(name) for name in self.cohort.publications(self.cohort.groups == group)}
            for group in sorted({group for _, group in self.pairs})
        }
        names, copies = list(self.disease_ids), []
        for code, group in self.pairs:
            rows = rows_of.get(self.disease_ids[code], hpoa[:0].assign(cited=""))
            citing = rows.loc[rows["cited"].isin(written[group]), "row_id"]
            if citing.empty:
                names.append(self.disease_ids[code])
                continue
            # the disease once more, under a name of its own, as if the group had not been written
            names.append(f"{self.disease_ids[code]} without {group}")
            rest = rows[~rows["row_id"].isin(citing)].drop(columns="cited")
            copies.append(rest.assign(disease_id=names[-1]))
        if copies:
            tables.append(profiles_without(pd.concat(copies, ignore_index=True), self.hidden, ontology))
        distinct = {name: i for i, name in enumerate(dict.fromkeys(names))}
        profiles = term_matrix(
            pd.concat(tables, ignore_index=True), "disease_id", list(distinct), ontology, value="frequency"
        )
        return profiles[[distinct[name] for name in names]]

    def _genotypes(self) -> tuple[csr_matrix, list[np.ndarray]]:
        """Gene shares, cases x (genes + 1), and each patient's variants as codes."""
        table = self.cohort.genotypes
        case = table["case_id"].map({name: i for i, name in enumerate(self.cohort.cases["case_id"])})
        case = case.to_numpy(np.int64)
        links = self.evidence.links
        links = links[links["disease_id"].isin(set(self.disease_ids))]
        in_training = table["gene_symbol"][self.train[case]] if len(table) else table["gene_symbol"]
        self.gene_ids = sorted(set(links["gene_symbol"]) | set(in_training.dropna()))
        index = {name: i for i, name in enumerate(self.gene_ids)}
        code = table["gene_symbol"].map(index).fillna(len(self.gene_ids)).to_numpy(np.int64)
        if "genotype" not in self.settings.modalities:
            case, code = case[:0], code[:0]
        shape = (len(self.cohort), len(self.gene_ids) + 1)
        # a gene counts once, however many variants it has
        listed = pd.DataFrame(
            {"case": case, "code": code, "name": table["gene_symbol"].to_numpy()[: len(case)]}
        )
        listed = listed.drop_duplicates(["case", "name"])
        sizes = np.bincount(listed["case"], minlength=shape[0])
        share = 1.0 / sizes[listed["case"]]
        genes = csr_matrix((share.astype(np.float32), (listed["case"], listed["code"])), shape=shape)
        zygosity = table["zygosity"].map(self.zygosities).to_numpy(np.int64)[: len(case)]
        consequence = table["consequence"].map(self.consequences).to_numpy(np.int64)[: len(case)]
        rows = np.stack([code, zygosity, consequence], axis=1)
        order = np.argsort(case, kind="stable")
        ends = np.cumsum(np.bincount(case, minlength=shape[0]))[:-1]
        return genes, np.split(rows[order], ends)

    def _images(self) -> np.ndarray:
        images = self.cohort.images
        if images is None or "image" not in self.settings.modalities:
            return np.zeros((len(self.cohort), 0), np.float32)
        known = images[self.train & np.isfinite(images).all(axis=1)]
        if not len(known):
            return np.full_like(images, np.nan)
        images = (images - known.mean(axis=0)) / np.maximum(known.std(axis=0), 1e-6)
        length = np.sqrt((images**2).sum(axis=1, keepdims=True))
        return (images / np.maximum(length, 1e-6)).astype(np.float32)

    def _references(self, profiles: csr_matrix) -> References:
        train = np.flatnonzero(self.train)
        groups = self.cohort.groups[train]
        codes = self.codes[train]
        sizes = pd.Series(1.0, index=train).groupby([codes, groups]).transform("sum").to_numpy()
        weight = sizes**-PUBLICATION_POWER

        n = len(self.disease_ids)
        belongs = csr_matrix((np.ones(len(train)), (codes, np.arange(len(train)))), shape=(n, len(train)))
        left_out = belongs[[code for code, _ in self.pairs]].tocoo()
        own = np.array([group for _, group in self.pairs], dtype=object)
        other = groups[left_out.col] != own[left_out.row]
        base = belongs.tocoo()
        rows = np.concatenate([base.row, n + left_out.row[other]])
        columns = np.concatenate([base.col, left_out.col[other]])
        shape = (n + len(self.pairs), len(train))
        members = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
        weighted = csr_matrix(members.multiply(weight[None, :]), dtype=np.float32)

        patients = self.patients
        prototypes = unit_rows(weighted @ patients.observed[train])
        images = np.nan_to_num(patients.images[train])
        faces = weighted @ images
        faces = faces / np.maximum(np.sqrt((faces**2).sum(axis=1, keepdims=True)), 1e-6)
        links = self._links()
        counts = np.asarray((members @ patients.genes[train]).todense())
        background = np.asarray(patients.genes[train].sum(axis=0)).ravel()
        background = (background + 1.0 / len(background)) / (background.sum() + 1.0)
        general = list(range(n)) + [code for code, _ in self.pairs]
        rows_of: dict[str, list[tuple[int, int]]] = {}
        for position, (code, group) in enumerate(self.pairs):
            rows_of.setdefault(group, []).append((code, n + position))
        directions = leading_directions(vstack([prototypes[:n], profiles[:n]]), self.settings)
        sides = {
            "prototypes": prototypes,
            "looked_for": unit_rows(weighted @ patients.excluded[train]),
            "profiles": profiles,
            "genes": _gene_ratios(counts, links[general], background),
            "links": _gene_ratios(np.zeros_like(links), links, background)[general],
            "images": faces,
        }
        return References(
            **{name: Side.of(rows, n) for name, rows in sides.items()},
            directions=directions,
            latent_prototypes=prototypes @ directions,
            latent_profiles=profiles @ directions,
            seen=np.diff(members.indptr) > 0,
            rows_of=rows_of,
        )

    def _links(self) -> np.ndarray:
        """D x (genes + 1), each row summing to 1 or, without a known gene, 0."""
        index = {name: i for i, name in enumerate(self.gene_ids)}
        diseases = {name: i for i, name in enumerate(self.disease_ids)}
        links = np.zeros((len(diseases), len(index) + 1))
        table = self.evidence.links
        table = table[table["disease_id"].isin(diseases)]
        links[table["disease_id"].map(diseases), table["gene_symbol"].map(index)] = 1.0
        return links / np.maximum(links.sum(axis=1, keepdims=True), 1.0)


def leading_directions(matrix: csr_matrix, settings: Settings, iterations: int = 3) -> np.ndarray:
    """Orthonormal basis of about the leading right singular vectors (Halko et al., SIAM Review 2011).

    Args:
        matrix: rows x terms.
        settings: dim, the most directions, and seed.
        iterations: power iterations.

    Returns:
        float32, terms x min(dim, rows, terms).
    """
    width = min(settings.dim, *matrix.shape)
    random = np.random.default_rng(settings.seed)
    basis = np.linalg.qr(matrix.T @ random.standard_normal((matrix.shape[0], width)))[0]
    for _ in range(iterations):
        basis = np.linalg.qr(matrix.T @ (matrix @ basis))[0]
    return np.ascontiguousarray(basis, dtype=np.float32)


def _gene_ratios(counts: np.ndarray, links: np.ndarray, background: np.ndarray) -> np.ndarray:
    """P(gene | disease) / P(gene), positive everywhere; one row per disease."""
    total = counts.sum(axis=1) + LINK_COUNT * links.sum(axis=1) + BACKGROUND_COUNT
    share = (counts + LINK_COUNT * links + BACKGROUND_COUNT * background) / total[:, None]
    return share / background


def _codes(values: pd.Series) -> dict[str, int]:
    return {name: i for i, name in enumerate(sorted(set(values)))}


@dataclass(frozen=True)
class Batch:
    """B patients against D diseases.

    Attributes:
        general: the comparisons, ``COMPARISONS`` x B x D, float32.
        own: those that take the place of some, with rows of the references that leave the patient's
            publication out; ``COMPARISONS`` x replaced.
        replaced: (position in the batch, disease, row of the references) of each.
        observed, excluded: along ``References.directions``, B x directions.
        variants: (gene, zygosity, consequence) codes of all patients, and where each patient's start.
        genotyped: whether a patient's genes are shown.
        images: B x width, 0 where there is none.
    """

    general: np.ndarray
    own: np.ndarray
    replaced: np.ndarray
    observed: np.ndarray
    excluded: np.ndarray
    variants: np.ndarray
    starts: np.ndarray
    genotyped: np.ndarray
    images: np.ndarray


def collect(
    problem: Problem,
    rows: np.ndarray,
    *,
    leave_out: bool,
    random: np.random.Generator | None = None,
) -> Batch:
    """The batch of the cases ``rows``.

    Args:
        problem: the data.
        rows: positions in the cohort.
        leave_out: keep each patient from its own publication (training patients).
        random: draws dropped terms and hidden genotypes and images; None shows everything.
    """
    patients, references, settings = problem.patients, problem.references, problem.settings
    observed, excluded = patients.observed[rows], patients.excluded[rows]
    genes, images = patients.genes[rows], np.nan_to_num(patients.images[rows])
    if random is not None:
        observed, excluded = (_thinned(m, settings.dropout, random) for m in (observed, excluded))
        shown = random.random((2, len(rows), 1)) >= settings.modality_dropout
        genes = csr_matrix(genes.multiply(shown[0]))
        images = images * shown[1]
    genotyped = np.asarray(genes.sum(axis=1)).ravel() > 0
    replaced = np.array(
        [
            (position, code, row)
            for position, group in enumerate(problem.cohort.groups[rows] if leave_out else ())
            for code, row in references.rows_of.get(group, ())
        ],
        dtype=np.int64,
    ).reshape(-1, 3)

    sides = (
        (observed, references.prototypes),
        (observed, references.profiles),
        (excluded, references.prototypes),
        (excluded, references.profiles),
        (excluded, references.looked_for),
        (csr_matrix(images), references.images),
        (genes, references.genes),
        (genes, references.links),
    )
    general = np.stack([left @ right.general for left, right in sides])
    at, _, row = replaced.T
    own = np.stack(
        [np.asarray(left[at].multiply(right.rows[row]).sum(axis=1)).ravel() for left, right in sides]
    )
    for stack, listed in ((general, genotyped), (own, genotyped[at])):
        ratios = stack[-2:]
        ratios[:, ~listed] = 1.0
        np.log(ratios, out=ratios)
    variants = [patients.variants[row] for row in rows]
    return Batch(
        general=general.astype(np.float32),
        own=own.astype(np.float32),
        replaced=replaced,
        observed=observed @ references.directions,
        excluded=excluded @ references.directions,
        variants=np.concatenate(variants),
        starts=np.cumsum([0, *(len(entry) for entry in variants[:-1])]),
        genotyped=genotyped,
        images=images.astype(np.float32),
    )


def _thinned(matrix: csr_matrix, rate: float, random: np.random.Generator) -> csr_matrix:
    """Unit rows with each entry dropped at ``rate``."""
    kept = matrix.data * (random.random(len(matrix.data)) >= rate)
    return unit_rows(csr_matrix((kept, matrix.indices, matrix.indptr), shape=matrix.shape))
