from __future__ import annotations

import pandas as pd
import pytest

from mintflow.mondo import COLUMNS, Mondo
from mintflow.names import (
    Grounder,
    base_name,
    build_vocabulary,
    name_stems,
    normalize_name,
    phenotypic_series,
)

MONDO = Mondo(
    pd.DataFrame(
        [
            ("MONDO:1", "Usher syndrome type 1", "OMIM:276900", "Usher syndrome, type I"),
            ("MONDO:1", "Usher syndrome type 1", "ORPHA:231169", "Usher syndrome type 1 (disorder)"),
            ("MONDO:2", "Usher syndrome", "OMIMPS:276900", "Usher syndrome"),
            ("MONDO:3", "dilated cardiomyopathy", "OMIMPS:115200", "Cardiomyopathy, familial dilated"),
            ("MONDO:4", "dilated cardiomyopathy 1A", "OMIM:115200", "Cardiomyopathy, dilated, 1A"),
            ("MONDO:5", "dilated cardiomyopathy 1B", "OMIM:600884", "Cardiomyopathy, dilated, 1B"),
            ("MONDO:6", "odd one", "OMIM:600001", "Monilethrix 1"),
            ("MONDO:7", "only in Orphanet", "ORPHA:7", "only in Orphanet"),
        ],
        columns=COLUMNS,
    )
)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Marfan syndrome; MFS", "marfan syndrome"),
        ("MARFAN   SYNDROME", "marfan syndrome"),
        ("Sjögren–Larsson syndrome", "sjogren larsson syndrome"),
        ("β-Thalassemia", "beta thalassemia"),
        ("Alzheimer’s disease", "alzheimers disease"),
        (
            "Developmental and epileptic encephalopathy 4; DEE4",
            "developmental and epileptic encephalopathy 4",
        ),
        ("Usher syndrome, type IB", "usher syndrome type ib"),
        ("Cardiomyopathy, dilated, 1A", "cardiomyopathy dilated 1a"),
        ("Disease; with a long tail", "disease with a long tail"),
        ("Disease; Mild", "disease mild"),
        ("  ", ""),
        ("?!", ""),
    ],
)
def test_normalize_name(text: str, key: str) -> None:
    assert normalize_name(text) == key


def test_different_subtypes_stay_different() -> None:
    names = ["Usher syndrome 1", "Usher syndrome I", "Usher syndrome 1B", "Usher syndrome"]
    assert len({normalize_name(name) for name in names}) == 4


def vocabulary() -> pd.DataFrame:
    names = pd.DataFrame(
        [
            ("OMIM:276900", "Usher syndrome, type I"),
            ("OMIM:276900", "Usher syndrome, type 1"),
            ("OMIM:1", "Twin disease"),
            ("OMIM:2", "Twin disease; TD"),
            ("ORPHA:99", "Not used"),
        ],
        columns=["disease_id", "disease_name"],
    )
    labels = pd.DataFrame(
        [("ORPHA:231169", "Usher 1"), ("MONDO:9999999", "New disease"), ("OMIM:1", "twin disease")],
        columns=["disease_id", "disease_name"],
    )
    return build_vocabulary(names, labels, MONDO)


def test_vocabulary() -> None:
    assert vocabulary().to_numpy().tolist() == [
        ["new disease", "MONDO:9999999", "label"],
        ["twin disease", "OMIM:1", "name"],
        ["twin disease", "OMIM:2", "name"],
        ["usher 1", "OMIM:276900", "label"],
        ["usher syndrome type 1", "OMIM:276900", "name"],
        ["usher syndrome type 1 disorder", "OMIM:276900", "synonym"],
        ["usher syndrome type i", "OMIM:276900", "name"],
    ]


def test_grounding_is_exact_and_prefers_candidates() -> None:
    grounder = Grounder(vocabulary(), ["OMIM:2", "OMIM:276900"])
    assert grounder.ground("USHER SYNDROME TYPE 1") == "OMIM:276900"
    assert grounder.ground("Usher syndrome") is None
    assert grounder.ground("Ushers syndrome type 1") is None
    assert grounder.ground("") is None
    assert grounder.ambiguous == 0
    # one candidate among the two: no ambiguity
    assert grounder.ground("Twin disease; TD") == "OMIM:2"
    assert grounder.ambiguous == 0
    other = Grounder(vocabulary(), [])
    assert other.ground("twin disease") == "OMIM:1"
    assert other.ambiguous == 1


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("Noonan syndrome 2", "Noonan syndrome"),
        ("Noonan syndrome-11", "Noonan syndrome"),
        ("Charcot-Marie-Tooth disease, type 1C", "Charcot-Marie-Tooth disease"),
        ("Fanconi anemia, complementation group I", "Fanconi anemia, complementation"),
        ("Osteogenesis imperfecta, type XV", "Osteogenesis imperfecta"),
        ("Marfan syndrome; MFS", "Marfan syndrome"),
        ("Marfan syndrome", "Marfan syndrome"),
        ("Congenital disorder of glycosylation, type 1DD", "Congenital disorder of glycosylation"),
        ("Niemann-Pick disease, type C1", "Niemann-Pick disease"),
        ("Nemaline myopathy 7", "Nemaline myopathy"),
        ("7", "7"),
    ],
)
def test_base_name(name: str, base: str) -> None:
    assert base_name(name) == base


def test_name_stems_end() -> None:
    assert name_stems("Ehlers-Danlos syndrome, classic type, 1") == [
        "ehlers danlos syndrome classic type 1",
        "ehlers danlos syndrome classic",
        "ehlers danlos syndrome",
    ]
    assert name_stems("") == []
    assert name_stems(", , 1") == ["1"]


def test_phenotypic_series() -> None:
    series = phenotypic_series
    # by its own name, by a MONDO name, by its siblings, by base name alone
    assert series("OMIM:0", "Usher syndrome, type 2A", MONDO) == "OMIMPS:276900"
    assert series("OMIM:115200", "CMD1A", MONDO) == "OMIMPS:115200"
    assert series("OMIM:0", "Cardiomyopathy, dilated, 2K", MONDO) == "OMIMPS:115200"
    assert (
        series("OMIM:0", "Monilethrix 2", MONDO)
        == series("OMIM:1", "Monilethrix", MONDO)
        == "name:monilethrix"
    )
    assert series("OMIM:0", "Usherette syndrome 1", MONDO) == "name:usherette syndrome"
    assert series("OMIM:0", "", MONDO) is None
