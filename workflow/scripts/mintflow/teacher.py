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
publication (``teacher_inputs.References``), otherwise the model would learn to trust them too much.
Out-of-fold scores come from models for which the fold's publications do not exist at all.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .errors import InputError
from .evidence import Evidence
from .features import Cohort, disease_codes
from .scores import accuracy
from .teacher_inputs import COMPARISONS, Batch, Problem, References, Settings, collect

log = logging.getLogger("mintflow")

# Share of diseases that are shown without their training patients in each training step, so that the
# model learns to rank diseases it has never met.
UNSEEN_SHARE = 0.1

# Learning rates relative to the configured one. The few mixing weights are what carries over to new
# publications; towers at the same rate would learn the training publications by heart.
MIXING_RATE, TOWER_RATE = 10.0, 0.01

# A validation loss must fall by this much to count as better: late gains are not worth their epochs.
LEAST_GAIN = 0.001

# First scale of cosines on the logit scale: a lead of 0.1 is e times likelier.
COSINE_SCALE = 10.0


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

    def forward(self, batch: Batch, references: References, hidden: np.ndarray | None = None) -> Tensor:
        """Logits, B x D.

        Args:
            batch: the patients.
            references: the diseases.
            hidden: mask of diseases to be ranked as if they had no training patients.
        """
        position, disease, _ = torch.from_numpy(batch.replaced).T
        n = batch.general.shape[2]
        rows = np.concatenate([np.arange(n), batch.replaced[:, 2]])
        diseases = np.concatenate([np.arange(n), batch.replaced[:, 1]])
        seen = references.seen[rows] & ~(np.zeros(n, bool) if hidden is None else hidden)[diseases]
        met = torch.from_numpy(seen)

        target = torch.from_numpy(references.latent_profiles[rows]) @ self.profile_out + met[:, None] * (
            torch.from_numpy(references.latent_prototypes[rows]) @ self.prototype_out
            + self.disease_out[diseases]
        )
        patient = self._patient(batch)
        logits = self._combine(torch.from_numpy(batch.general), met[:n]) + patient @ target[:n].T
        replaced = self._combine(torch.from_numpy(batch.own), met[n:])
        replaced = replaced + (patient[position] * target[n:]).sum(dim=1)
        return logits.index_put((position, disease), replaced)

    def mixing(self) -> dict[str, list[float]]:
        """The learnt mixing weights, for the log."""
        names = ("log_scale", "profile", "excluded", "unseen", "genotype", "image")
        return {name: getattr(self, name).detach().reshape(-1).tolist() for name in names}

    def _combine(self, comparisons: Tensor, seen: Tensor) -> Tensor:
        part = dict(zip(COMPARISONS, comparisons, strict=True))
        met = part["prototype"] + self.profile * part["profile"] + self.image * part["image"]
        met = met - self.excluded[0] * part["excluded_prototype"] - self.excluded[2] * part["looked_for"]
        new = self.unseen[0] * part["profile"] + self.unseen[1]
        cosines = torch.where(seen, met, new) - self.excluded[1] * part["excluded_profile"]
        ratio = torch.where(seen, self.genotype[0] * part["genes"], self.genotype[1] * part["links"])
        return self.log_scale.exp() * cosines + ratio

    def _patient(self, batch: Batch) -> Tensor:
        result = torch.from_numpy(batch.observed) @ self.observed_in
        result = result + torch.from_numpy(batch.excluded) @ self.excluded_in
        codes, starts = torch.from_numpy(batch.variants), torch.from_numpy(batch.starts)
        bags = (self.gene_in, self.zygosity_in, self.consequence_in)
        genotype = sum(bag(column, starts) for bag, column in zip(bags, codes.T, strict=True))
        result = result + torch.from_numpy(batch.genotyped)[:, None] * genotype
        return result if self.image_in is None else result + self.image_in(torch.from_numpy(batch.images))


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
    random = np.random.default_rng(settings.seed)
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
            order = random.permutation(train)
            for start in range(0, len(order), settings.batch_size):
                rows = order[start : start + settings.batch_size]
                batch = collect(problem, rows, leave_out=True, random=random)
                hidden = random.random(len(problem.disease_ids)) < UNSEEN_SHARE
                loss = nn.functional.cross_entropy(encoder(batch, problem.references, hidden), truth[rows])
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
        if best is None or found is None or found < best[0] - LEAST_GAIN:
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
    held_out = evidence.held_out(cohort)
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
