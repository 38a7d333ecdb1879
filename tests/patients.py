"""Small hand-made inputs that several tests share: annotations, phenopackets, cohorts."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mini_ontology import FOOT, HAND, HEART, LIMB, SEPTUM

# A > A1, A2; B > B1
A, A1, A2, B, B1 = LIMB, HAND, FOOT, HEART, SEPTUM


def annotation(row_id: int, disease: str, term: str, reference: str, **other: Any) -> dict[str, Any]:
    """One row of hpoa.parquet."""
    row = {
        "row_id": row_id,
        "disease_id": disease,
        "disease_name": f"disease {disease[-1]}",
        "negated": False,
        "hpo_id": term,
        "reference": reference,
        "evidence": "PCS",
        "n": None,
        "m": None,
        "frequency": None,
        "aspect": "P",
    }
    return {**row, **other}


def annotations(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """hpoa.parquet of such rows."""
    types = {"n": "Int64", "m": "Int64", "frequency": "Float64"}
    return pd.DataFrame(rows).astype(types)


def packet(identifier: str = "PMID_1_a", **changes: Any) -> dict[str, Any]:
    """A complete phenopacket; ``changes`` replace top-level fields."""
    content = {
        "id": identifier,
        "subject": {
            "id": "person 1",
            "sex": "FEMALE",
            "timeAtLastEncounter": {"age": {"iso8601duration": "P3Y6M"}},
        },
        "phenotypicFeatures": [
            {"type": {"id": A1, "label": "one"}},
            {"type": {"id": B, "label": "two"}, "excluded": True},
        ],
        "interpretations": [{"diagnosis": diagnosis("OMIM:100001")}],
        "diseases": [{"term": {"id": "OMIM:100001", "label": "disease 1"}}],
        "metaData": {
            "phenopacketSchemaVersion": "2.0.2",
            "externalReferences": [{"id": "PMID:1", "description": "GENE1 in disease 1"}],
        },
    }
    return {**content, **changes}


def diagnosis(disease: str, gene: str = "GENE1", p: str = "NP_1.1:p.(Arg97Ter)") -> dict[str, Any]:
    """A diagnosis with one heterozygous variant."""
    descriptor = {
        "geneContext": {"valueId": "HGNC:1", "symbol": gene},
        "expressions": [{"syntax": "hgvs.c", "value": "NM_1.1:c.289C>T"}, {"syntax": "hgvs.p", "value": p}],
        "allelicState": {"id": "GENO:0000135", "label": "heterozygous"},
    }
    return {
        "disease": {"id": disease, "label": f"disease {disease[-1]}"},
        "genomicInterpretations": [
            {
                "interpretationStatus": "CAUSATIVE",
                "variantInterpretation": {"variationDescriptor": descriptor},
            }
        ],
    }


def cases(rows: list[tuple[str, str, str]], **columns: Any) -> pd.DataFrame:
    """Raw cases of (case_id, publication, disease_id)."""
    table = pd.DataFrame(rows, columns=["case_id", "publication", "disease_id"])
    table = table.assign(
        publications=[[publication] for publication in table["publication"]],
        disease_name="disease " + table["disease_id"].str[-1],
        sex="UNKNOWN",
        age_years=float("nan"),
        simulated=False,
    )
    return table.assign(**columns)


def series(publications: dict[str, int], disease: str) -> list[tuple[str, str, str]]:
    """So many patients of a disease from each publication."""
    return [
        (f"case-{disease[-6:]}-{publication}-{i}", publication, disease)
        for publication, count in publications.items()
        for i in range(count)
    ]
