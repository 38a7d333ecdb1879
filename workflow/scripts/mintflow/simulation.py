"""Simulated patients, so that the workflow runs end to end where there are no real ones.

Each patient belongs to one publication and one disease. Its terms are drawn, independently of each
other, by the frequencies that this publication reports for this disease in HPO's annotations; real
patients' terms depend on each other, so results on simulated patients say nothing about real ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from . import cohort
from .errors import InputError
from .hpoa import disease_names, pooled_frequencies
from .ontology import Ontology
from .phenotypes import most_specific

SOURCE_FILE = "phenotype.hpoa"

# Rounded shares among the 10,125 causative variants of 9,227 published patients (Phenopacket Store,
# release 2026-06-25). The same for every disease, so that they do not reveal it.
CONSEQUENCES = {
    "missense": 0.48,
    "frameshift": 0.17,
    "nonsense": 0.13,
    "splice": 0.08,
    "unknown": 0.05,
    "structural": 0.04,
    "inframe": 0.03,
    "deletion": 0.02,
}
_STRUCTURAL_TYPES = {"structural": "chromosome_structure_variation", "deletion": "chromosomal_deletion"}

# Same source: 2,220 patients with one homozygous variant, 896 with two heterozygous ones.
HOMOZYGOUS_SHARE = 0.7
# Most patients of an X-linked recessive disease are male; the store has too few to measure a share.
MALE_SHARE = {"x_linked_recessive": 0.9, "y_linked": 1.0}

# The first of these among an inheritance term's ancestors decides; any other mode counts as dominant.
_INHERITANCE = {
    "HP:0000007": "recessive",
    "HP:0001419": "x_linked_recessive",
    "HP:0001417": "x_linked",
    "HP:0001450": "y_linked",
    "HP:0001427": "mitochondrial",
}


@dataclass(frozen=True)
class Settings:
    """What ``simulate`` takes from the configuration ``rare.cohort``."""

    min_terms: int
    min_publications: int
    max_diseases: int | None
    patients_per_publication: int
    min_terms_per_publication: int
    default_frequency: float
    seed: int

    @classmethod
    def from_config(cls, cohort_settings: Mapping[str, Any]) -> Settings:
        """Pick the keys out of ``rare.cohort``.

        Raises:
            InputError: a key is missing.
        """
        try:
            simulation = cohort_settings["simulation"]
            return cls(
                min_terms=cohort_settings["min_terms"],
                min_publications=cohort_settings["min_publications"],
                max_diseases=cohort_settings["max_diseases"],
                patients_per_publication=simulation["patients_per_publication"],
                min_terms_per_publication=simulation["min_terms_per_publication"],
                default_frequency=simulation["default_frequency"],
                seed=simulation["seed"],
            )
        except KeyError as error:
            raise InputError(
                "missing from rare.cohort (or its simulation)", file="configuration", field=error.args[0]
            ) from error


@dataclass(frozen=True)
class Report:
    """What one publication reports about one disease.

    ``observed`` maps each term to the share of patients that have it (above 0); ``excluded`` are the
    terms that were looked for and found in none.
    """

    disease_id: str
    publication: str
    observed: Mapping[str, float]
    excluded: tuple[str, ...]


def reports(hpoa: pd.DataFrame, ontology: Ontology, default_frequency: float) -> list[Report]:
    """All publications with a PMID that report phenotypes of an OMIM disease, sorted by disease and PMID.

    Rows that cite several references are left out: their frequencies mix patients of several
    publications, and every simulated patient has to belong to one. Only current phenotype terms count.
    """
    single = ~hpoa["row_id"].duplicated(keep=False)
    chosen = (
        single
        & (hpoa["aspect"] == "P")
        & hpoa["disease_id"].str.startswith("OMIM:")
        & hpoa["reference"].str.startswith("PMID:")
    )
    rows = hpoa[chosen].assign(
        hpo_id=lambda table: table["hpo_id"].map(lambda term: ontology.resolve(term)[0])
    )
    rows = rows[
        rows["hpo_id"].map(lambda term: term is not None and ontology.is_phenotype(term)).astype(bool)
    ]
    by = ["disease_id", "reference", "hpo_id"]
    negated = rows["negated"].astype(bool)
    stated = pooled_frequencies(rows[~negated], by, default_frequency)
    absent = rows.loc[negated, by].drop_duplicates().assign(frequency=0.0)
    # a term that the publication both asserts and negates (in different patients) counts as asserted
    every = pd.concat([stated, absent]).drop_duplicates(by).sort_values(by)
    result = []
    for (disease_id, publication), group in every.groupby(by[:2], sort=True):
        shares = dict(zip(group["hpo_id"], group["frequency"], strict=True))
        observed = {term: float(share) for term, share in shares.items() if share > 0}
        excluded = tuple(term for term in shares if term not in observed)
        result.append(Report(disease_id, publication, observed, excluded))
    return result


def agreement(reports_of_a_disease: list[Report], ontology: Ontology) -> float:
    """How much the publications of a disease describe the same picture, 0 to 1.

    The mean, over all pairs, of the overlap coefficient of their observed terms with all ancestors.
    """
    closed = [
        frozenset().union(*(ontology.ancestors(term) for term in report.observed))
        for report in reports_of_a_disease
    ]
    shares = [len(one & other) / min(len(one), len(other)) for one, other in combinations(closed, 2)]
    return sum(shares) / len(shares) if shares else 1.0


def choose_reports(every: list[Report], settings: Settings, ontology: Ontology) -> list[Report]:
    """Reports with enough terms, of diseases with enough such reports.

    At most ``max_diseases`` diseases are kept: those whose publications agree most, ties by id. HPO's
    annotations tend to cite one publication for each term, so the publications of a disease complement
    more than repeat each other, and patients drawn from them differ more than real ones do.

    Raises:
        InputError: nothing is left.
    """
    of_disease: dict[str, list[Report]] = {}
    for report in every:
        if len(report.observed) >= settings.min_terms_per_publication:
            of_disease.setdefault(report.disease_id, []).append(report)
    agreeing = sorted(
        (-agreement(found, ontology), disease_id)
        for disease_id, found in of_disease.items()
        if len(found) >= settings.min_publications
    )
    kept = sorted(disease_id for _, disease_id in agreeing[: settings.max_diseases])
    if not kept:
        raise InputError(
            f"no disease has {settings.min_publications} publications (rare.cohort.min_publications) with "
            f"{settings.min_terms_per_publication} terms each "
            "(rare.cohort.simulation.min_terms_per_publication)",
            file="configuration",
        )
    return [report for disease_id in kept for report in of_disease[disease_id]]


def draw_terms(
    shares: np.ndarray, terms: list[str], least: int, ontology: Ontology, random: np.random.Generator
) -> list[str]:
    """Draw each term with its own probability; add more until ``least`` distinct ones remain.

    Terms added are drawn without replacement, weighted by their share (Efraimidis and Spirakis 2006);
    a term that another one implies does not count. With too few terms to choose from, all are taken.

    Args:
        shares: probabilities in (0, 1], one per term.
        terms: ids, in a fixed order.
        least: how many terms the patient should have after normalisation.
        ontology: tells which terms imply which.
        random: the source of randomness; exactly two numbers per term are taken.

    Returns:
        The terms drawn, sorted.
    """
    drawn = random.random(len(terms)) < shares
    # log(u)/share orders like u ** (1/share) without underflow
    order = np.argsort(-np.log1p(-random.random(len(terms))) / shares, kind="stable")
    chosen = [term for term, hit in zip(terms, drawn, strict=True) if hit]
    for position in order:
        if len(most_specific(chosen, ontology)) >= least:
            break
        if not drawn[position]:
            chosen.append(terms[position])
    return sorted(chosen)


def inheritance_modes(hpoa: pd.DataFrame, ontology: Ontology) -> dict[str, list[str]]:
    """The annotated modes of inheritance of each disease, sorted; diseases without one are absent."""
    rows = hpoa[(hpoa["aspect"] == "I") & ~hpoa["negated"].astype(bool)]
    modes: dict[str, set[str]] = {}
    for disease_id, term in zip(rows["disease_id"], rows["hpo_id"], strict=True):
        found, _ = ontology.resolve(term)
        above = ontology.ancestors(found) if found else frozenset()
        mode = next((name for root, name in _INHERITANCE.items() if root in above), "dominant")
        modes.setdefault(disease_id, set()).add(mode)
    return {disease_id: sorted(found) for disease_id, found in modes.items()}


def draw_zygosities(mode: str, sex: str, random: np.random.Generator) -> list[str]:
    """The zygosity of each causative variant of a patient: two for a compound heterozygote, else one."""
    if mode == "recessive":
        homozygous = random.random() < HOMOZYGOUS_SHARE
        return ["homozygous"] if homozygous else ["heterozygous", "heterozygous"]
    if mode in ("x_linked", "x_linked_recessive", "y_linked"):
        return ["hemizygous" if sex == "MALE" else "heterozygous"]
    return ["unknown" if mode == "mitochondrial" else "heterozygous"]


def simulate(
    hpoa: pd.DataFrame, gene_disease: pd.DataFrame, ontology: Ontology, settings: Mapping[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Simulate a cohort from the publications that HPO's annotations cite.

    Sex is drawn evenly except where the inheritance forbids; the gene is one of the disease's, the same
    for all patients of a publication; zygosity follows the annotated inheritance; consequences are
    drawn from ``CONSEQUENCES``. Ages and HGVS names are left empty. A publication's patients do not depend on
    which other publications are used.

    Args:
        hpoa: the annotation table.
        gene_disease: gene_symbol, disease_id.
        ontology: the release.
        settings: ``rare.cohort`` of the configuration.

    Returns:
        Raw cases, phenotypes and variants with the columns of ``cohort.CASES``, ``PHENOTYPES`` and
        ``VARIANTS``. A disease without a known gene gives patients without a variant.

    Raises:
        InputError: a setting is missing, or no publication qualifies.
    """
    chosen = Settings.from_config(settings)
    names = disease_names(hpoa)
    modes = inheritance_modes(hpoa, ontology)
    genes = gene_disease.groupby("disease_id")["gene_symbol"].agg(lambda symbols: sorted(set(symbols)))
    cases: list[tuple[Any, ...]] = []
    phenotypes: list[tuple[Any, ...]] = []
    variants: list[tuple[Any, ...]] = []
    every = reports(hpoa, ontology, chosen.default_frequency)
    for report in choose_reports(every, chosen, ontology):
        random = _generator(chosen.seed, report)
        known = genes.get(report.disease_id, [])
        gene = known[random.integers(len(known))] if known else None
        for number in range(1, chosen.patients_per_publication + 1):
            source_id = f"simulated:{report.disease_id}:{report.publication}:{number}"
            case_id = cohort.case_id(source_id)
            mode = str(random.choice(modes.get(report.disease_id, ["dominant"])))
            sex = "MALE" if random.random() < MALE_SHARE.get(mode, 0.5) else "FEMALE"
            found = [report.publication, [report.publication], report.disease_id, names[report.disease_id]]
            cases.append((case_id, source_id, SOURCE_FILE, *found, sex, None, True))
            phenotypes += _phenotypes(case_id, report, chosen.min_terms, ontology, random)
            if gene is not None:
                variants += variants_of(case_id, gene, draw_zygosities(mode, sex, random), random)
    return (
        cohort.table(cases, cohort.CASES, ["case_id"]),
        cohort.table(phenotypes, cohort.PHENOTYPES, ["case_id", "excluded", "hpo_id"]),
        cohort.table(variants, cohort.VARIANTS, ["case_id"]),
    )


def _generator(seed: int, report: Report) -> np.random.Generator:
    digest = hashlib.sha256(f"{report.disease_id} {report.publication}".encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def _phenotypes(
    case_id: str, report: Report, least: int, ontology: Ontology, random: np.random.Generator
) -> Iterator[tuple[str, str, str, bool]]:
    terms = list(report.observed)
    shares = np.array([report.observed[term] for term in terms])
    for term in draw_terms(shares, terms, least, ontology, random):
        yield case_id, term, ontology.name(term), False
    for term in report.excluded:
        yield case_id, term, ontology.name(term), True


def variants_of(
    case_id: str, gene: str, zygosities: list[str], random: np.random.Generator
) -> Iterator[tuple[Any, ...]]:
    """Rows of ``cohort.VARIANTS`` of a patient's causative variants, consequences from ``CONSEQUENCES``."""
    for zygosity in zygosities:
        consequence = str(random.choice(list(CONSEQUENCES), p=list(CONSEQUENCES.values())))
        unnamed = (None,) * 4  # hgnc_id, hgvs_c, hgvs_g, hgvs_p
        structural_type = _STRUCTURAL_TYPES.get(consequence)
        yield (case_id, gene, *unnamed, zygosity, structural_type, consequence, "simulated")
