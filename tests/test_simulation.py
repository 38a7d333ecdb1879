from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mini_ontology import (
    DOMINANT,
    FINGER,
    FOOT,
    HAND,
    HEART,
    INFANTILE,
    LIMB,
    RECESSIVE,
    SEPTUM,
    X_RECESSIVE,
    ontology,
)
from mintflow import cohort, hpoa, io, simulation
from mintflow.errors import InputError
from mintflow.ontology import Ontology
from mintflow.phenotypes import most_specific, normalize
from mintflow.quarantine import Quarantine

COLUMNS = hpoa.COLUMNS


def settings(**changes: Any) -> dict[str, Any]:
    inner = {
        "patients_per_publication": 4,
        "min_terms_per_publication": 2,
        "default_frequency": 0.5,
        "seed": 1,
    }
    outer = {"min_terms": 1, "min_publications": 2, "max_diseases": None}
    for key, value in changes.items():
        (inner if key in inner else outer)[key] = value
    return outer | {"simulation": inner, "source": "hpoa"}


def annotations(*rows: tuple[str, str, str, float | None]) -> pd.DataFrame:
    """Rows (disease, term, references, frequency); "!" before a term negates it, "I:" is inheritance."""
    result = []
    for number, (disease, term, references, frequency) in enumerate(rows):
        aspect = "I" if term.startswith("I:") else "P"
        negated, term = term.startswith("!"), term.removeprefix("!").removeprefix("I:")
        for reference in references.split(";"):
            entry = (number, disease, f"name of {disease}", negated, term, reference, "PCS", None, None)
            result.append((*entry, frequency, aspect))
    table = pd.DataFrame(result, columns=COLUMNS)
    return table.astype({"n": "Float64", "m": "Float64", "frequency": "Float64"})


TABLE = annotations(
    ("OMIM:1", HAND, "PMID:1", 1.0),
    ("OMIM:1", HEART, "PMID:1", None),
    ("OMIM:1", FOOT, "PMID:1", 0.0),
    ("OMIM:1", f"!{SEPTUM}", "PMID:1", None),
    ("OMIM:1", HAND, "PMID:2", 0.5),
    ("OMIM:1", "HP:0000901", "PMID:2", 0.5),
    ("OMIM:1", FINGER, "PMID:2;PMID:1", 1.0),
    ("OMIM:1", INFANTILE, "PMID:2", 1.0),
    ("OMIM:1", f"I:{RECESSIVE}", "PMID:1", None),
    ("OMIM:2", HAND, "PMID:3", 1.0),
    ("OMIM:2", HEART, "PMID:3", 1.0),
    ("OMIM:2", HAND, "OMIM:2", 1.0),
    ("OMIM:2", HEART, "OMIM:2", 1.0),
    ("ORPHA:3", HAND, "PMID:4", 1.0),
    ("ORPHA:3", HEART, "PMID:4", 1.0),
)
GENES = pd.DataFrame({"gene_symbol": ["B", "A"], "disease_id": ["OMIM:1", "OMIM:1"]})


def test_reports_keep_publications_apart() -> None:
    found = simulation.reports(TABLE, ontology(), 0.25)
    assert [(report.disease_id, report.publication) for report in found] == [
        ("OMIM:1", "PMID:1"),
        ("OMIM:1", "PMID:2"),
        ("OMIM:2", "PMID:3"),
    ]
    assert found[0].observed == {HAND: 1.0, HEART: 0.25}
    assert found[0].excluded == (FOOT, SEPTUM)
    # the row that cites both publications belongs to neither; old ids are mapped, onset is left out
    assert found[1].observed == {HAND: 0.5, SEPTUM: 0.5}


def test_asserted_and_negated_in_one_publication_counts_as_asserted() -> None:
    table = annotations(("OMIM:1", HAND, "PMID:1", 0.4), ("OMIM:1", f"!{HAND}", "PMID:1", None))
    (report,) = simulation.reports(table, ontology(), 0.5)
    assert (report.observed, report.excluded) == ({HAND: 0.4}, ())


def test_the_diseases_whose_publications_agree_most_are_kept() -> None:
    pictures = {
        "OMIM:1": [HAND, HEART],  # nothing but the root in common
        "OMIM:2": [HAND, HAND, HAND],  # the same picture
        "OMIM:3": [HAND, HAND, HEART],
        "OMIM:4": [HAND],  # one publication is not enough
    }
    every = [
        simulation.Report(disease, f"PMID:{disease}{number}", {term: 1.0}, ())
        for disease, terms in pictures.items()
        for number, term in enumerate(terms)
    ]

    def kept(**changes: Any) -> set[str]:
        chosen = simulation.Settings.from_config(settings(**{"min_terms_per_publication": 1} | changes))
        return {report.disease_id for report in simulation.choose_reports(every, chosen, ontology())}

    assert kept() == {"OMIM:1", "OMIM:2", "OMIM:3"}
    assert kept(max_diseases=1) == {"OMIM:2"}
    assert kept(max_diseases=2) == {"OMIM:2", "OMIM:3"}
    with pytest.raises(InputError, match="min_publications"):
        kept(min_publications=4)
    with pytest.raises(InputError, match="min_terms_per_publication"):
        kept(min_terms_per_publication=3)


def test_drawn_shares_follow_the_frequencies() -> None:
    random = np.random.default_rng(0)
    shares = np.array([0.9, 0.5, 0.1])
    counts = dict.fromkeys([FOOT, SEPTUM, FINGER], 0)
    for _ in range(2000):
        for term in simulation.draw_terms(shares, [FOOT, SEPTUM, FINGER], 0, ontology(), random):
            counts[term] += 1
    assert [counts[term] / 2000 for term in (FOOT, SEPTUM, FINGER)] == pytest.approx(
        [0.9, 0.5, 0.1], abs=0.03
    )


def test_too_few_terms_are_filled_up_with_ones_that_count() -> None:
    random = np.random.default_rng(0)
    terms = [LIMB, HAND, FINGER, FOOT]
    for _ in range(50):
        drawn = simulation.draw_terms(np.full(4, 0.01), terms, 2, ontology(), random)
        assert len(most_specific(drawn, ontology())) == 2
    # only one can ever remain of a chain
    assert simulation.draw_terms(np.full(2, 0.01), [LIMB, HAND], 2, ontology(), random) == [LIMB, HAND]


@pytest.mark.parametrize(
    ("mode", "sex", "expected"),
    [
        ("recessive", "FEMALE", {("homozygous",), ("heterozygous", "heterozygous")}),
        ("dominant", "MALE", {("heterozygous",)}),
        ("x_linked", "MALE", {("hemizygous",)}),
        ("x_linked_recessive", "FEMALE", {("heterozygous",)}),
        ("y_linked", "MALE", {("hemizygous",)}),
        ("mitochondrial", "MALE", {("unknown",)}),
    ],
)
def test_zygosity_fits_the_inheritance(mode: str, sex: str, expected: set[tuple[str, ...]]) -> None:
    random = np.random.default_rng(0)
    assert {tuple(simulation.draw_zygosities(mode, sex, random)) for _ in range(50)} == expected


def test_inheritance_modes() -> None:
    table = annotations(
        ("OMIM:1", f"I:{X_RECESSIVE}", "PMID:1", None),
        ("OMIM:1", "I:HP:0001417", "PMID:1", None),
        ("OMIM:2", f"I:{DOMINANT}", "PMID:1", None),
        ("OMIM:2", f"I:{RECESSIVE}", "PMID:2", None),
        ("OMIM:3", HAND, "PMID:1", None),
    )
    assert simulation.inheritance_modes(table, ontology()) == {
        "OMIM:1": ["x_linked", "x_linked_recessive"],
        "OMIM:2": ["dominant", "recessive"],
    }


def test_a_cohort() -> None:
    cases, phenotypes, variants = simulation.simulate(TABLE, GENES, ontology(), settings())
    assert list(cases) == list(cohort.CASES)
    assert list(phenotypes) == list(cohort.PHENOTYPES)
    assert list(variants) == list(cohort.VARIANTS)
    assert cases["case_id"].is_monotonic_increasing and cases["case_id"].is_unique
    assert cases["publication"].value_counts().to_dict() == {"PMID:1": 4, "PMID:2": 4}
    assert set(cases["disease_id"]) == {"OMIM:1"} and set(cases["disease_name"]) == {"name of OMIM:1"}
    assert cases["simulated"].all() and cases["age_years"].isna().all()
    assert not cases["case_id"].str.contains("PMID|OMIM").any()
    first = cases.loc[cases["publication"] == "PMID:1", "case_id"]
    absent = phenotypes[phenotypes["excluded"]]
    assert set(absent["case_id"]) == set(first) and set(absent["hpo_id"]) == {FOOT, SEPTUM}
    observed = phenotypes[~phenotypes["excluded"]]
    assert set(observed["case_id"]) == set(cases["case_id"])
    # frequency 1: everyone
    assert set(observed.loc[observed["hpo_id"] == HAND, "case_id"]) >= set(first)
    genes = variants.merge(cases, on="case_id").groupby("publication")["gene_symbol"].nunique()
    assert genes.tolist() == [1, 1]
    assert set(variants["case_id"]) == set(cases["case_id"])
    assert set(variants["consequence"]) <= set(simulation.CONSEQUENCES)
    assert set(variants["zygosity"]) <= {"homozygous", "heterozygous"}


def test_same_seed_same_patients_whatever_else_is_in_the_table() -> None:
    first = simulation.simulate(TABLE, GENES, ontology(), settings())
    again = simulation.simulate(TABLE.iloc[::-1], GENES.iloc[::-1], ontology(), settings())
    for one, other in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(one, other)
    more = annotations(*[("OMIM:9", term, f"PMID:{n}", 1.0) for term in (HAND, HEART) for n in (7, 8)])
    more["row_id"] += 1000
    wider = simulation.simulate(pd.concat([TABLE, more]), GENES, ontology(), settings())
    kept = wider[1][wider[1]["case_id"].isin(first[0]["case_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, first[1])
    other_seed = simulation.simulate(TABLE, GENES, ontology(), settings(seed=2))
    assert not other_seed[1].equals(first[1])


def test_a_disease_without_gene_gives_no_variant() -> None:
    _, _, variants = simulation.simulate(TABLE, GENES.iloc[:0], ontology(), settings())
    assert variants.empty and list(variants) == list(cohort.VARIANTS)


def test_a_missing_setting_is_named() -> None:
    broken = settings()
    del broken["simulation"]["seed"]
    with pytest.raises(InputError, match="field seed"):
        simulation.simulate(TABLE, GENES, ontology(), broken)


def test_consequence_shares_add_up() -> None:
    assert sum(simulation.CONSEQUENCES.values()) == pytest.approx(1.0)


def test_the_release_gives_a_usable_cohort(knowledge_dir: Path) -> None:
    hpo = Ontology.from_parquet(knowledge_dir / "terms.parquet")
    table = io.read_parquet(knowledge_dir / "hpoa.parquet")
    genes = io.read_parquet(knowledge_dir / "gene_disease.parquet")
    chosen = settings(min_terms=3, min_publications=3, max_diseases=10, min_terms_per_publication=5)
    cases, phenotypes, variants = simulation.simulate(table, genes, hpo, chosen)
    assert cases["disease_id"].nunique() == 10
    assert cases.groupby("disease_id")["publication"].nunique().min() >= 3
    kept, _ = normalize(phenotypes, hpo, Quarantine("phenotypes"))
    observed = kept[~kept["excluded"]].groupby("case_id").size()
    assert observed.reindex(cases["case_id"]).min() >= 3
    hemizygous = variants.loc[variants["zygosity"] == "hemizygous", "case_id"]
    assert set(cases.set_index("case_id").loc[hemizygous, "sex"]) <= {"MALE"}
