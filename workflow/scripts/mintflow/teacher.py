"""The multimodal encoder: a patient tower and a disease tower, trained on the training publications.

The score of disease d for patient p adds up

- phenotype: cosine between the patient's closed, information-weighted terms and the mean of the
  training patients of d (prototype); the same to the disease's HPO profile, which alone speaks for
  diseases without training patients; excluded terms against both, and against those of the patients;
- genotype: log of the mean, over the patient's genes, of P(gene | d) / P(gene), from training
  patients and gene-disease links (one gene in the list causes the disease, the others are chance);
- image: cosine to the mean image embedding of the training patients of d;
- a bilinear term <patient embedding, disease embedding> over all modalities, zero at the start.

At the start the score is that of prototypes and genes; training is kept only where it lowers the
validation loss. What it finds first is how to weigh the parts: the weight of excluded terms, which
starts as a penalty, tends to turn, since what an author found worth excluding tells the disease in mind.

Honesty: a training patient is scored against prototypes, profiles and gene counts without its own
publication (``References``), otherwise the model would learn to trust them too much. Out-of-fold
scores come from models for which the fold's publications do not exist at all.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix, vstack
from torch import Tensor, nn

from .errors import InputError
from .evidence import Evidence
from .features import Cohort, disease_codes, term_matrix, term_weights, unit_rows
from .knowledge import citation, profiles_without
from .scores import accuracy

log = logging.getLogger("mintflow")

# A big family study counts for more than a single case report, but not in proportion.
PUBLICATION_POWER = 0.5

# Share of diseases that are shown without their training patients in each training step, so that the
# model learns to rank diseases it has never met.
UNSEEN_SHARE = 0.1

# Pseudo-counts of the gene frequencies: known links, and the background.
LINK_COUNT, BACKGROUND_COUNT = 1.0, 0.5

# Learning rates relative to the configured one. The few mixing weights are what carries over to new
# publications; towers at the same rate would learn the training publications by heart.
MIXING_RATE, TOWER_RATE = 10.0, 0.01

# First scale of cosines on the logit scale: a lead of 0.1 is e times likelier.
COSINE_SCALE = 10.0


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
class References:
    """What each disease looks like: rows 0..D-1 in general, further rows without one publication.

    Attributes:
        prototypes: mean of the training patients; rows x terms, unit rows, empty for unseen diseases.
        looked_for: the same of their excluded terms: what one looks for in the disease and may not find.
        profiles: HPO profile; rows x terms, unit rows.
        genes: P(gene | disease) / P(gene); rows x genes.
        links: the same from gene-disease links alone; D x genes.
        images: mean image embedding; rows x width.
        directions: leading directions of prototypes and profiles, terms x at most dim; the bilinear
            term works on these, since single terms are too many for the patients there are.
        latent_prototypes, latent_profiles: rows x directions.
        seen: whether a row has training patients.
        rows_of: group of publications -> (disease code, row that takes the place of its general one).
    """

    prototypes: Tensor
    looked_for: Tensor
    profiles: Tensor
    genes: Tensor
    links: Tensor
    images: Tensor
    directions: Tensor
    latent_prototypes: Tensor
    latent_profiles: Tensor
    seen: Tensor
    rows_of: dict[str, list[tuple[int, int]]]

    @property
    def diseases(self) -> int:
        """D, the number of candidates."""
        return len(self.links)


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
        self.gene_ids = sorted(set(links["gene_symbol"]) | set(in_training))
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
        return References(
            prototypes=_dense(prototypes),
            looked_for=_dense(unit_rows(weighted @ patients.excluded[train])),
            profiles=_dense(profiles),
            genes=_gene_ratios(counts, links[general], background),
            links=_gene_ratios(np.zeros_like(links), links, background),
            images=torch.from_numpy(np.asarray(faces, np.float32)),
            directions=torch.from_numpy(directions),
            latent_prototypes=torch.from_numpy(prototypes @ directions),
            latent_profiles=torch.from_numpy(profiles @ directions),
            seen=torch.from_numpy(np.diff(members.indptr) > 0),
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


def _gene_ratios(counts: np.ndarray, links: np.ndarray, background: np.ndarray) -> Tensor:
    """P(gene | disease) / P(gene), positive everywhere; one row per disease."""
    total = counts.sum(axis=1) + LINK_COUNT * links.sum(axis=1) + BACKGROUND_COUNT
    share = (counts + LINK_COUNT * links + BACKGROUND_COUNT * background) / total[:, None]
    return torch.from_numpy((share / background).astype(np.float32))


def _codes(values: pd.Series) -> dict[str, int]:
    return {name: i for i, name in enumerate(sorted(set(values)))}


def _dense(matrix: csr_matrix) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(matrix.toarray(), dtype=np.float32))


@dataclass(frozen=True)
class Batch:
    """Dense inputs of B patients, and which reference rows replace which.

    ``own`` holds (position in the batch, disease, reference row) per replaced entry.
    """

    observed: Tensor
    excluded: Tensor
    genes: Tensor
    variants: Tensor
    offsets: Tensor
    images: Tensor
    own: Tensor


def collect(problem: Problem, rows: np.ndarray, *, leave_out: bool) -> Batch:
    """The batch of the cases ``rows``; with ``leave_out`` each is kept from its own publication."""
    patients, references = problem.patients, problem.references
    own = []
    if leave_out:
        for position, group in enumerate(problem.cohort.groups[rows]):
            own += [(position, code, at) for code, at in references.rows_of.get(group, [])]
    variants = [patients.variants[row] for row in rows]
    lengths = [0, *(len(entry) for entry in variants[:-1])]
    return Batch(
        observed=_dense(patients.observed[rows]),
        excluded=_dense(patients.excluded[rows]),
        genes=_dense(patients.genes[rows]),
        variants=torch.from_numpy(np.concatenate(variants)),
        offsets=torch.from_numpy(np.cumsum(lengths)),
        images=torch.from_numpy(np.nan_to_num(patients.images[rows])),
        own=torch.tensor(own, dtype=torch.long).reshape(-1, 3),
    )


class Encoder(nn.Module):
    """Logits of all diseases for a batch of patients; see the module's description.

    Args:
        problem: sizes of the inputs.
        settings: the slice ``rare.teacher``.
    """

    def __init__(self, problem: Problem, settings: Settings) -> None:
        super().__init__()
        latent = problem.references.directions.shape[1]
        genes = problem.patients.genes.shape[1]
        width = problem.patients.images.shape[1]
        dim = settings.dim
        self.settings = settings
        self.log_scale = nn.Parameter(torch.tensor(COSINE_SCALE).log())
        # weights of: profile of a seen disease; excluded against prototype, profile and looked_for
        self.profile = nn.Parameter(torch.tensor(0.0))
        self.excluded = nn.Parameter(torch.tensor([1.0, 1.0, 0.0]) * settings.excluded_weight)
        # an unseen disease: weight of its profile, and its handicap
        self.unseen = nn.Parameter(torch.tensor([1.0, 0.0]))
        self.genotype = nn.Parameter(torch.ones(2))
        self.image = nn.Parameter(torch.ones(1))
        self.observed_in = nn.Parameter(torch.randn(latent, dim) * dim**-0.5)
        self.excluded_in = nn.Parameter(torch.randn(latent, dim) * dim**-0.5)
        self.gene_in = nn.EmbeddingBag(genes, dim, mode="mean")
        self.zygosity_in = nn.EmbeddingBag(max(len(problem.zygosities), 1), dim, mode="mean")
        self.consequence_in = nn.EmbeddingBag(max(len(problem.consequences), 1), dim, mode="mean")
        self.image_in = nn.Linear(width, dim, bias=False) if width else None
        # the disease side starts at zero, so that training starts from the prototypes
        self.prototype_out = nn.Parameter(torch.zeros(latent, dim))
        self.profile_out = nn.Parameter(torch.zeros(latent, dim))
        self.disease_out = nn.Parameter(torch.zeros(len(problem.disease_ids), dim))
        for bag in (self.gene_in, self.zygosity_in, self.consequence_in):
            nn.init.normal_(bag.weight, std=dim**-0.5)

    def forward(self, batch: Batch, references: References, random: torch.Generator | None = None) -> Tensor:
        """Logits, B x D.

        Args:
            batch: the patients.
            references: the diseases.
            random: draws dropout, hidden modalities and hidden diseases; None to score.
        """
        position, disease, row = batch.own.T
        n = references.diseases
        hidden = torch.zeros(n, dtype=torch.bool)
        if random is not None:
            hidden = torch.rand(n, generator=random) < UNSEEN_SHARE
            batch = self._thinned(batch, random)
        rows = torch.cat([torch.arange(n), row])
        diseases = torch.cat([torch.arange(n), disease])
        seen = references.seen[rows] & ~hidden[diseases]

        observed = nn.functional.normalize(batch.observed, dim=1)
        excluded = nn.functional.normalize(batch.excluded, dim=1)
        patient = self._patient(batch, references.directions)
        target = references.latent_profiles[rows] @ self.profile_out + seen[:, None] * (
            references.latent_prototypes[rows] @ self.prototype_out + self.disease_out[diseases]
        )

        def match(left: Tensor, general: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
            """Products with all diseases, and with the rows that replace some."""
            return left @ general.T, (left[position] * own).sum(dim=1)

        parts = (
            match(observed, references.prototypes[:n], references.prototypes[row]),
            match(observed, references.profiles[:n], references.profiles[row]),
            match(excluded, references.prototypes[:n], references.prototypes[row]),
            match(excluded, references.profiles[:n], references.profiles[row]),
            match(excluded, references.looked_for[:n], references.looked_for[row]),
            match(batch.images, references.images[:n], references.images[row]),
            match(patient, target[:n], target[n:]),
            _log_ratio(batch, *match(batch.genes, references.genes[:n], references.genes[row])),
            _log_ratio(batch, *match(batch.genes, references.links, references.links[disease])),
        )
        logits = self._combine(seen[:n], *(part[0] for part in parts))
        replaced = self._combine(seen[n:], *(part[1] for part in parts))
        return logits.index_put((position, disease), replaced)

    def mixing(self) -> dict[str, list[float]]:
        """The learnt mixing weights, for the log."""
        names = ("log_scale", "profile", "excluded", "unseen", "genotype", "image")
        return {name: getattr(self, name).detach().reshape(-1).tolist() for name in names}

    def _combine(
        self,
        seen: Tensor,
        prototype: Tensor,
        profile: Tensor,
        against_prototype: Tensor,
        against_profile: Tensor,
        looked_for: Tensor,
        image: Tensor,
        learnt: Tensor,
        genes: Tensor,
        links: Tensor,
    ) -> Tensor:
        met = prototype + self.profile * profile + self.image * image
        met = met - self.excluded[0] * against_prototype - self.excluded[2] * looked_for
        new = self.unseen[0] * profile + self.unseen[1]
        cosines = torch.where(seen, met, new) - self.excluded[1] * against_profile
        ratio = torch.where(seen, self.genotype[0] * genes, self.genotype[1] * links)
        return self.log_scale.exp() * cosines + ratio + learnt

    def _patient(self, batch: Batch, directions: Tensor) -> Tensor:
        result = (batch.observed @ directions) @ self.observed_in
        result = result + (batch.excluded @ directions) @ self.excluded_in
        gene, zygosity, consequence = batch.variants.T
        bags = ((self.gene_in, gene), (self.zygosity_in, zygosity), (self.consequence_in, consequence))
        genotype = sum(bag(codes, batch.offsets) for bag, codes in bags)
        # also switches the tower off for patients whose genotype is hidden
        result = result + (batch.genes.sum(dim=1, keepdim=True) > 0) * genotype
        return result if self.image_in is None else result + self.image_in(batch.images)

    def _thinned(self, batch: Batch, random: torch.Generator) -> Batch:
        """Terms dropped one by one; genotype and image dropped whole."""

        def keep(shape: tuple[int, ...], rate: float) -> Tensor:
            return (torch.rand(shape, generator=random) >= rate).float()

        size = (len(batch.observed), 1)
        return Batch(
            observed=batch.observed * keep(tuple(batch.observed.shape), self.settings.dropout),
            excluded=batch.excluded * keep(tuple(batch.excluded.shape), self.settings.dropout),
            genes=batch.genes * keep(size, self.settings.modality_dropout),
            variants=batch.variants,
            offsets=batch.offsets,
            images=batch.images * keep(size, self.settings.modality_dropout),
            own=batch.own,
        )


@dataclass(frozen=True)
class Fit:
    """A trained model: its problem, the encoder, and one record per epoch (0 is the start)."""

    problem: Problem
    encoder: Encoder
    epochs: list[dict[str, float | int | None]]

    @property
    def best(self) -> dict[str, float | int | None]:
        """The record of the epoch that was kept."""
        return next(record for record in self.epochs if record["kept"])

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Log probabilities over the candidates, cases ``rows`` x diseases, float64."""
        return _score(self.encoder, self.problem, rows)


def _log_ratio(batch: Batch, general: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Logs of mean likelihood ratios over a patient's genes; 0 for a patient without any."""
    present = batch.genes.sum(dim=1) > 0
    general = torch.where(present[:, None], general, 1.0).log()
    return general, torch.where(present[batch.own[:, 0]], own, 1.0).log()


def fit(problem: Problem, settings: Settings, validation: np.ndarray) -> Fit:
    """Train with AdamW on cross-entropy; keep the epoch with the lowest validation loss.

    Without validation patients all epochs are run and the last is kept. The start itself (epoch 0)
    competes, so that the result is never worse, in validation loss, than the prototypes.

    Args:
        problem: the data.
        settings: the slice ``rare.teacher``.
        validation: mask of the validation patients; used for stopping and nothing else.
    """
    # the state outside is left alone
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        encoder = Encoder(problem, settings)
    random = torch.Generator().manual_seed(settings.seed)
    optimizer = torch.optim.AdamW(
        _parameter_groups(encoder, settings.learning_rate), weight_decay=settings.weight_decay
    )
    train, held = np.flatnonzero(problem.train), np.flatnonzero(validation)
    truth = torch.tensor(problem.codes)

    epochs: list[dict[str, float | int | None]] = []
    best: tuple[float, int, dict[str, Tensor]] | None = None
    for epoch in range(settings.epochs + 1):
        losses = []
        if epoch:
            encoder.train()
            order = train[torch.randperm(len(train), generator=random).numpy()]
            for start in range(0, len(order), settings.batch_size):
                rows = order[start : start + settings.batch_size]
                batch = collect(problem, rows, leave_out=True)
                loss = nn.functional.cross_entropy(encoder(batch, problem.references, random), truth[rows])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                losses.append(float(loss.detach()) * len(rows))
        scores = _score(encoder, problem, held)
        found = float(-scores[np.arange(len(held)), problem.codes[held]].mean()) if len(held) else None
        record = {
            "epoch": epoch,
            "loss": sum(losses) / len(train) if losses else None,
            "validation_loss": found,
            "validation_top1": accuracy(scores, problem.codes[held]),
        }
        epochs.append(record)
        if best is None or found is None or found < best[0]:
            state = {name: value.clone() for name, value in encoder.state_dict().items()}
            best = (found if found is not None else np.inf, epoch, state)
        elif epoch - best[1] >= settings.patience:
            break
    encoder.load_state_dict(best[2])
    for record in epochs:
        record["kept"] = record["epoch"] == best[1]
    return Fit(problem, encoder, epochs)


def _parameter_groups(encoder: Encoder, rate: float) -> list[dict[str, Any]]:
    """Towers and mixing weights, each with its rate."""
    towers = [p for p in encoder.parameters() if p.ndim == 2]
    mixing = [p for p in encoder.parameters() if p.ndim < 2]
    return [
        {"params": towers, "lr": rate * TOWER_RATE},
        {"params": mixing, "lr": rate * MIXING_RATE, "weight_decay": 0.0},
    ]


def prototype_scores(problem: Problem, settings: Settings, rows: np.ndarray) -> np.ndarray:
    """The untrained yardstick: cosine to the prototypes (observed terms), plus the gene ratio."""
    start = replace(settings, excluded_weight=0.0)
    with torch.random.fork_rng(devices=[]):
        return _score(Encoder(problem, start), problem, rows)


def _score(encoder: Encoder, problem: Problem, rows: np.ndarray, size: int = 512) -> np.ndarray:
    encoder.eval()
    parts = [np.empty((0, len(problem.disease_ids)))]
    with torch.inference_mode():
        for start in range(0, len(rows), size):
            batch = collect(problem, rows[start : start + size], leave_out=False)
            logits = encoder(batch, problem.references).double()
            # rounded, so that noise in the last bits of a sum cannot reorder equal diseases
            parts.append(logits.log_softmax(dim=1).numpy().round(6))
    return np.concatenate(parts)


def train_and_score(
    cohort: Cohort, disease_ids: Sequence[str], evidence: Evidence, settings: Settings
) -> tuple[np.ndarray, dict[str, Any]]:
    """Score all patients: training patients out of fold, the others by a model of all training patients.

    Args:
        cohort: the patients.
        disease_ids: candidates, among them those of all patients.
        evidence: knowledge without the publications outside the training split.
        settings: the slice ``rare.teacher``.

    Returns:
        Log probabilities, cases x diseases; and the training log: ``models`` (fold -1 is that of all
        training patients) with sizes, epochs and mixing weights, ``top1`` per split of the encoder
        and of the untrained prototypes.

    Raises:
        InputError: no training patient, or the image modality without any image.
    """
    train, validation = cohort.in_split("train"), cohort.in_split("validation")
    if not train.any():
        raise InputError("no training patient", field="split")
    if "image" in settings.modalities and (
        cohort.images is None or not np.isfinite(cohort.images[train]).all(axis=1).any()
    ):
        raise InputError(
            "the image modality needs embeddings of training patients",
            field="rare.cohort.image_embeddings",
        )
    folds = cohort.cases["fold"].to_numpy()
    held_out = cohort.publications(~train)
    codes = disease_codes(cohort, disease_ids)
    scores = np.empty((len(cohort), len(disease_ids)))
    models, top1 = [], {}
    for fold in [-1, *sorted(set(folds[train].tolist()))]:
        unseen = train & (folds == fold)
        kept = train & ~unseen
        if not kept.any():
            raise InputError(f"fold {fold} holds every training patient", field="rare.split.folds")
        hidden = held_out | cohort.publications(unseen)
        known = evidence if fold < 0 else evidence.without(hidden)
        problem = Problem(cohort, disease_ids, known, kept, hidden, settings)
        fitted = fit(problem, settings, validation)
        target = ~train if fold < 0 else unseen
        rows = np.flatnonzero(target)
        scores[target] = fitted.score(rows)
        models.append(
            {
                "fold": fold,
                "n_train": int(kept.sum()),
                "n_scored": int(target.sum()),
                "top1": accuracy(scores[target], codes[target]),
                "kept_epoch": fitted.best["epoch"],
                "weights": fitted.encoder.mixing(),
                "epochs": fitted.epochs,
            }
        )
        log.info(
            "teacher %s: kept epoch %s of %d, validation loss %s",
            "of all training patients" if fold < 0 else f"without fold {fold}",
            fitted.best["epoch"],
            len(fitted.epochs) - 1,
            fitted.best["validation_loss"],
        )
        if fold < 0:
            simple = np.full_like(scores, np.nan)
            simple[target] = prototype_scores(problem, settings, rows)
    for split in sorted(set(cohort.cases["split"])):
        mask = cohort.in_split(split)
        top1[split] = {
            "n": int(mask.sum()),
            "encoder": accuracy(scores[mask], codes[mask]),
            # out of fold, training patients have no prototypes in common with the others
            "prototype": None if split == "train" else accuracy(simple[mask], codes[mask]),
        }
    return scores, {"models": models, "top1": top1}
