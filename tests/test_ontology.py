from __future__ import annotations

import numpy as np
import pytest

from mini_ontology import (
    BOTH,
    FINGER,
    FOOT,
    HAND,
    HEART,
    INFANTILE,
    LIMB,
    RECORDS,
    SEPTUM,
    ontology,
    record,
    terms,
)
from mintflow import io
from mintflow.errors import InputError
from mintflow.ontology import COLUMNS, Ontology, compile_terms


def test_compiled_table_is_closed_and_sorted() -> None:
    table = terms()
    assert list(table.columns) == COLUMNS
    assert table["hpo_id"].is_monotonic_increasing
    rows = table.set_index("hpo_id")
    assert rows.loc[BOTH, "ancestors"] == sorted(
        ["HP:0000001", "HP:0000118", LIMB, HAND, FINGER, HEART, SEPTUM, BOTH]
    )
    assert rows.loc[BOTH, "parents"] == [FINGER, SEPTUM]
    # the shorter way, over the heart
    assert rows.loc[BOTH, "depth"] == 4
    assert rows.loc["HP:0000001", "depth"] == 0
    assert rows.loc[HAND, "synonyms"] == ["Manus"]
    assert rows.loc["HP:0000901", ["branch", "depth", "replaced_by"]].tolist() == ["other", -1, SEPTUM]
    assert rows.loc["HP:0000901", "ancestors"] == []


def test_same_terms_in_another_order_give_the_same_table() -> None:
    assert compile_terms(reversed(RECORDS)).equals(terms())


def test_branches() -> None:
    hpo = ontology()
    expected = {
        HAND: "phenotype",
        "HP:0000118": "phenotype",
        "HP:0000007": "inheritance",
        INFANTILE: "onset",
        "HP:0031797": "course",
        "HP:0012823": "modifier",
        "HP:0020228": "other",
        "HP:0000001": "other",
    }
    assert {term: hpo.branch(term) for term in expected} == expected
    assert [hpo.is_phenotype(term) for term in (HAND, INFANTILE, "HP:0000901", "HP:9999999")] == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (HAND, (HAND, "current")),
        ("HP:0000911", (HAND, "alt")),
        ("HP:0000901", (SEPTUM, "obsolete")),
        ("HP:0000902", (FOOT, "obsolete")),
        ("HP:0000903", (None, "obsolete")),
        ("HP:0000904", (SEPTUM, "obsolete")),
        ("HP:0000905", (None, "obsolete")),
        ("HP:9999999", (None, "unknown")),
        ("", (None, "unknown")),
    ],
)
def test_resolve(given: str, expected: tuple[str | None, str]) -> None:
    assert ontology().resolve(given) == expected


def test_suggestions_are_only_hints() -> None:
    assert ontology().suggestions("HP:0000903") == [HEART]
    assert ontology().suggestions(HAND) == []


def test_closure_matches_ancestors() -> None:
    hpo = ontology()
    indptr, indices = hpo.closure
    for term, position in hpo.index.items():
        row = indices[indptr[position] : indptr[position + 1]]
        assert {hpo.ids[column] for column in row} == set(hpo.ancestors(term))
        assert np.all(np.diff(row) > 0)


def test_parquet_round_trip(tmp_path) -> None:
    io.write_parquet(terms(), tmp_path / "terms.parquet")
    hpo = Ontology.from_parquet(tmp_path / "terms.parquet")
    assert hpo.ids == ontology().ids
    assert hpo.ancestors(BOTH) == ontology().ancestors(BOTH)
    assert hpo.resolve("HP:0000904") == (SEPTUM, "obsolete")
    assert hpo.resolve("HP:0000903") == (None, "obsolete")
    assert HAND in hpo and "HP:0000901" not in hpo
    assert (hpo.name(LIMB), hpo.depth(LIMB)) == ("Limb", 2)


def test_broken_ontologies_are_refused() -> None:
    with pytest.raises(InputError, match="no current term: HP:0000404"):
        compile_terms([record("HP:0000001"), record("HP:0000002", "HP:0000404")])
    with pytest.raises(InputError, match="no current term: HP:0000901"):
        compile_terms([*RECORDS, record("HP:0000002", "HP:0000901")])
    with pytest.raises(InputError, match="cycle"):
        compile_terms([record("HP:0000002", "HP:0000003"), record("HP:0000003", "HP:0000002")])


def test_wrong_file_is_named(tmp_path) -> None:
    io.write_parquet(terms().drop(columns="branch"), tmp_path / "terms.parquet")
    with pytest.raises(InputError, match=r"terms\.parquet.*branch"):
        Ontology.from_parquet(tmp_path / "terms.parquet")
