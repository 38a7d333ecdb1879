"""Standardised disease results of PhEval 0.7, so that its ``benchmark`` scores arms beside other tools.

Layout (monarch-initiative/pheval, ``post_processing`` and ``analyse``): a folder
``pheval_disease_results`` per tool with one ``<phenopacket>-disease_result.parquet`` per patient, columns
``COLUMNS``. A true disease that the tool did not rank is a last row of rank 0 and score 0. Ties share the
worst rank. The score is descending; ``grouping_id`` belongs to results of genes and variants alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from .cohort import case_id, names_publication
from .mondo import Mondo

RESULTS = "pheval_disease_results"
PHENOPACKETS = "phenopackets"
COLUMNS = {
    "rank": "int64",
    "score": "float64",
    "disease_identifier": "str",
    "mondo_identifier": "str",
    "true_positive": "bool",
}
_SAFE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,199}$")


def file_name(name: str) -> str:
    """File of one patient's results."""
    return f"{name}-disease_result.parquet"


def names(cases: pd.DataFrame) -> list[str]:
    """What each patient's files are called: as the phenopacket's file, so that other tools' results match.

    A row of a sheet is called by its own id. The opaque case id serves where that is no safe file name, or
    not the only one of its kind.

    Args:
        cases: case_id, source_id, source_file.
    """
    stems = [
        PurePosixPath(file).stem if file.lower().endswith(".json") else source
        for file, source in zip(cases["source_file"], cases["source_id"], strict=True)
    ]
    folded = [stem.casefold() for stem in stems]
    return [
        stem if _SAFE.match(stem) and folded.count(stem.casefold()) == 1 else case
        for stem, case in zip(stems, cases["case_id"], strict=True)
    ]


def scored(ranking: pd.DataFrame) -> pd.DataFrame:
    """One patient's ranking (disease_id, score, rank) as disease_identifier, score, rank."""
    return ranking.rename(columns={"disease_id": "disease_identifier"})[
        ["disease_identifier", "score", "rank"]
    ]


def written(items: Iterable[str | None]) -> pd.DataFrame:
    """A written list as disease_identifier, score, rank.

    A language model that writes a list gives no score: it is 1 / rank. A line that names no known disease
    takes a place, one that repeats a disease takes none (as in metrics.csv), so ranks may have gaps.

    Args:
        items: disease id of each line in order, None where it names none.
    """
    found: dict[str, int] = {}
    place = 0
    for item in items:
        if item is not None and item in found:
            continue
        place += 1
        if item is not None:
            found[item] = place
    rows = [(disease, 1.0 / rank, rank) for disease, rank in found.items()]
    return pd.DataFrame(rows, columns=["disease_identifier", "score", "rank"])


def result(ranking: pd.DataFrame, truth: str, mondo: Mondo) -> pd.DataFrame:
    """The file of one patient: the ranking, with what is true marked, and the truth if it is missing.

    Args:
        ranking: disease_identifier, score, rank.
        truth: the disease id of the patient's record.
        mondo: gives ids of one disease one MONDO id.

    Returns:
        Columns ``COLUMNS``.
    """
    right = mondo.mondo_id(truth) or truth
    table = ranking.assign(
        mondo_identifier=[mondo.mondo_id(disease) or disease for disease in ranking["disease_identifier"]]
    )
    table["true_positive"] = table["mondo_identifier"] == right
    table = table.sort_values(["score", "disease_identifier"], ascending=[False, True])
    rows = table[list(COLUMNS)].values.tolist()
    if not table["true_positive"].any():
        rows.append([0, 0.0, truth, right, True])
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def phenopacket(case: Mapping[str, Any], terms: pd.DataFrame, genes: Sequence[str]) -> dict[str, Any]:
    """A minimal phenopacket v2 of a patient that was read from a table.

    Args:
        case: source_id, given_disease_id, disease_name, publications, sex, age_years.
        terms: hpo_id, name, excluded.
        genes: symbols; which of them is causative the table does not say, so they are candidates.
    """
    disease = {"id": case["given_disease_id"], "label": case["disease_name"]}
    features: list[dict[str, Any]] = []
    for term in terms.itertuples(index=False):
        feature: dict[str, Any] = {"type": {"id": term.hpo_id, "label": term.name}}
        features.append({**feature, "excluded": True} if term.excluded else feature)
    sex = "UNKNOWN_SEX" if case["sex"] == "UNKNOWN" else case["sex"]
    subject: dict[str, Any] = {"id": case_id(case["source_id"]), "sex": sex}
    if not pd.isna(case["age_years"]):
        months = int(case["age_years"] * 12)
        duration = f"P{months // 12}Y{months % 12}M"
        subject["timeAtLastEncounter"] = {"age": {"iso8601duration": duration}}
    genomic = [
        {"subjectOrBiosampleId": subject["id"], "interpretationStatus": "CANDIDATE", "gene": {"symbol": gene}}
        for gene in genes
    ]
    references = [name for name in case["publications"] if names_publication(name)]
    return {
        "id": case["source_id"],
        "subject": subject,
        "phenotypicFeatures": features,
        "interpretations": [
            {
                "id": subject["id"],
                "progressStatus": "SOLVED",
                "diagnosis": {"disease": disease, "genomicInterpretations": genomic},
            }
        ],
        "diseases": [{"term": disease}],
        "metaData": {
            "created": "1970-01-01T00:00:00Z",
            "createdBy": "mintflow",
            "phenopacketSchemaVersion": "2.0",
            "externalReferences": [{"id": name} for name in references],
        },
    }


def benchmark(name: str, folder: str, arms: Sequence[str]) -> dict[str, Any]:
    """What ``pheval-utils benchmark --run-yaml`` reads: one run per arm; add other tools' runs to it.

    Args:
        name: of the benchmark.
        folder: where the results lie, relative to the folder that PhEval is called in.
        arms: folders in it.
    """
    plain = {
        key: None for key in ("plot_type", "rank_plot_title", "roc_curve_title", "precision_recall_title")
    }
    return {
        "benchmark_name": name,
        "runs": [
            {
                "run_identifier": arm,
                "results_dir": f"{folder}/{arm}",
                "phenopacket_dir": f"{folder}/{PHENOPACKETS}",
                "gene_analysis": False,
                "variant_analysis": False,
                "disease_analysis": True,
                "threshold": None,
                "score_order": "descending",
            }
            for arm in arms
        ],
        "plot_customisation": {f"{kind}_plots": dict(plain) for kind in ("gene", "disease", "variant")},
    }
