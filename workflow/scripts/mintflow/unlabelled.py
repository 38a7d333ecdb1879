"""Patients whom nobody has labelled, for the teacher to rank: drawn from leak-free disease profiles.

A teacher needs no diagnosis to rank a patient, so its lists can be had for any number of patients; these are
drawn from the profiles that the run computed without its held-out publications, also of diseases without a
training patient. How many terms a patient has is drawn from the training patients; a term may be given less
precisely, or be none of the disease's. That the disease of such a patient is known is used by nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from . import cohort
from .errors import InputError
from .ontology import Ontology
from .simulation import draw_zygosities, inheritance_modes, variants_of

SPLIT = "unlabelled"
SOURCE_FILE = "disease profiles of the run"
NEVER = "unlabelled"  # stands for a publication; no annotation cites it


@dataclass(frozen=True)
class Settings:
    """The slice ``rare.unlabelled``."""

    per_disease: int
    imprecision: float
    noise: float
    seed: int

    @classmethod
    def from_config(cls, settings: Mapping[str, Any]) -> Settings:
        """Take exactly the keys of the class.

        Raises:
            InputError: one is missing or unknown.
        """
        wrong = set(settings) ^ set(cls.__dataclass_fields__)
        if wrong:
            problem = f"missing or unknown key(s): {', '.join(sorted(wrong))}"
            raise InputError(problem, record="rare.unlabelled")
        return cls(**settings)


def draw(
    profiles: pd.DataFrame,
    candidates: pd.DataFrame,
    training_terms: pd.DataFrame,
    hpoa: pd.DataFrame,
    gene_disease: pd.DataFrame,
    ontology: Ontology,
    settings: Settings,
) -> cohort.RawCohort:
    """Draw ``per_disease`` patients of every candidate disease that has a profile.

    Args:
        profiles: disease_id, hpo_id, frequency, without what held-out publications reported.
        candidates: disease_id, name.
        training_terms: case_id, hpo_id of the training patients' observed phenotypes.
        hpoa: the annotation table without held-out publications, for modes of inheritance alone.
        gene_disease: gene_symbol, disease_id.
        ontology: the release.
        settings: how many, and how unlike the profile.

    Returns:
        Raw tables; a disease without a known gene gives patients without a variant.

    Raises:
        InputError: there is no training patient with a term, or no candidate has a profile.
    """
    counts = training_terms.groupby("case_id").size().sort_index().to_numpy()
    pool = np.array(sorted(set(training_terms["hpo_id"])), dtype=object)
    if not len(counts):
        raise InputError("no training patient has a phenotype", field="rare.unlabelled.per_disease")
    of_disease = {disease: rows for disease, rows in profiles.groupby("disease_id", sort=True)}
    modes = inheritance_modes(hpoa, ontology)
    genes = gene_disease.groupby("disease_id")["gene_symbol"].agg(lambda symbols: sorted(set(symbols)))
    cases: list[tuple[Any, ...]] = []
    phenotypes: list[tuple[Any, ...]] = []
    variants: list[tuple[Any, ...]] = []
    for disease, name in candidates.sort_values("disease_id")[["disease_id", "name"]].itertuples(index=False):
        if disease not in of_disease:
            continue
        rows = of_disease[disease].sort_values("hpo_id")
        for number in range(1, settings.per_disease + 1):
            source_id = f"unlabelled:{disease}:{number}"
            case, random = cohort.case_id(source_id), _generator(settings.seed, source_id)
            mode = str(random.choice(modes.get(disease, ["dominant"])))
            sex = "MALE" if random.random() < 0.5 else "FEMALE"
            cases.append((case, source_id, SOURCE_FILE, NEVER, [NEVER], disease, name, sex, None, True))
            terms = draw_terms(
                rows["hpo_id"].tolist(),
                rows["frequency"].to_numpy(float),
                int(random.choice(counts)),
                pool,
                ontology,
                settings,
                random,
            )
            phenotypes += [(case, term, ontology.name(term), False) for term in terms]
            known = genes.get(disease, [])
            if len(known):
                gene = str(random.choice(known))
                variants += variants_of(case, gene, draw_zygosities(mode, sex, random), random)
    if not cases:
        raise InputError("no candidate has a profile", file="profiles")
    return cohort.RawCohort(
        cohort.table(cases, cohort.CASES, ["case_id"]),
        cohort.table(phenotypes, cohort.PHENOTYPES, ["case_id", "hpo_id"]),
        cohort.table(variants, cohort.VARIANTS, ["case_id"]),
        cohort.table([], cohort.VCFS, ["case_id"]),
    )


def draw_terms(
    terms: list[str],
    shares: np.ndarray,
    count: int,
    pool: np.ndarray,
    ontology: Ontology,
    settings: Settings,
    random: np.random.Generator,
) -> list[str]:
    """``count`` terms of a profile without replacement, weighted by frequency, then made imprecise.

    Each drawn term is with probability ``imprecision`` replaced by its deepest ancestor that is a
    phenotype, and with probability ``noise`` by any term of the training patients.

    Returns:
        Distinct terms, sorted; fewer than ``count`` where the profile is shorter or terms meet.
    """
    # the smallest of log(1/u) / share are a weighted draw without replacement (Efraimidis and Spirakis 2006)
    keys = -np.log1p(-random.random(len(terms))) / shares
    chosen = np.argsort(keys, kind="stable")[:count]
    found = set()
    for place in sorted(chosen.tolist()):
        term = terms[place]
        less_precise, unrelated = random.random(2) < (settings.imprecision, settings.noise)
        if unrelated:
            term = str(random.choice(pool))
        elif less_precise:
            above = [up for up in ontology.ancestors(term) if up != term and ontology.is_phenotype(up)]
            term = max(above, key=lambda up: (ontology.depth(up), up), default=term)
        found.add(term)
    return sorted(found)


def together(run: pd.DataFrame, drawn: pd.DataFrame) -> pd.DataFrame:
    """The run's patients, then the drawn ones with split ``unlabelled`` and no fold."""
    new = drawn.assign(split=SPLIT, fold=-1)
    return pd.concat([run, new.reindex(columns=run.columns)], ignore_index=True).astype(
        {"fold": run["fold"].dtype}
    )


def _generator(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
