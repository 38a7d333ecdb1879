"""The raw tables of a cohort: columns, types and order, the same from every source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

TEXT, NUMBER, FLAG = "str", "float64", "bool"

# every key of the configuration rare.cohort
SETTINGS = (
    "source",
    "path",
    "url",
    "sha256",
    "max_file_mb",
    "max_total_mb",
    "vcf_folder",
    "min_terms",
    "min_publications",
    "max_diseases",
    "simulation",
)

# publications: everything the patient was reported in; publication is the first of them
CASES = {
    "case_id": TEXT,
    "source_id": TEXT,
    "source_file": TEXT,
    "publication": TEXT,
    "publications": "object",
    "disease_id": TEXT,
    "disease_name": TEXT,
    "sex": TEXT,
    "age_years": NUMBER,
    "simulated": FLAG,
}
PHENOTYPES = {"case_id": TEXT, "hpo_id": TEXT, "label": TEXT, "excluded": FLAG}
VARIANTS = {
    "case_id": TEXT,
    "gene_symbol": TEXT,
    "hgnc_id": TEXT,
    "hgvs_c": TEXT,
    "hgvs_g": TEXT,
    "hgvs_p": TEXT,
    "zygosity": TEXT,
    "structural_type": TEXT,
    "consequence": TEXT,
    "source": TEXT,
}
VCFS = {"case_id": TEXT, "vcf": TEXT, "sample": TEXT}


@dataclass(frozen=True)
class RawCohort:
    """Patients as read, before any choice: four tables with the columns above, sorted by case."""

    cases: pd.DataFrame
    phenotypes: pd.DataFrame
    variants: pd.DataFrame
    vcfs: pd.DataFrame


def case_id(source_id: str) -> str:
    """Opaque identifier of a patient: source ids hold the PMID and sometimes the gene or a name."""
    return "case-" + hashlib.sha256(source_id.encode("utf-8", "replace")).hexdigest()[:12]


def table(rows: Iterable[Sequence[object]], schema: Mapping[str, str], by: Sequence[str]) -> pd.DataFrame:
    """Rows as a table with the types of ``schema``, sorted by ``by`` (stable)."""
    frame = pd.DataFrame(list(rows), columns=list(schema)).astype(dict(schema))
    return frame.sort_values(list(by), kind="stable", ignore_index=True)


# and the case's id: what stands for the publication of a patient who names none, or one that cannot be read
NO_PUBLICATION, UNREAD = "none:", "unread:"


def names_publication(publication: str) -> bool:
    """Whether it is one, and no mark that there is none or that it was not read."""
    return not publication.startswith((NO_PUBLICATION, UNREAD))


def has_unread(publications: Iterable[str]) -> bool:
    """Whether a patient's publications hold the mark of one that was not read."""
    return any(name.startswith(UNREAD) for name in publications)


def cited_publications(cases: pd.DataFrame) -> list[list[str]]:
    """For each row of ``cases`` every publication that reports the patient, the main one first."""
    main = cases["publication"].tolist()
    if "publications" not in cases:
        return [[publication] for publication in main]
    return [
        [publication, *(other for other in others if other != publication)]
        for publication, others in zip(main, cases["publications"], strict=True)
    ]
