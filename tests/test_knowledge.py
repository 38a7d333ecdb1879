"""No knowledge table may depend on a publication that a held-out patient is from."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mini_ontology import ontology
from mintflow import io
from mintflow.knowledge import (
    Knowledge,
    assert_leak_free,
    build,
    held_out_publications,
    leak_free,
    profiles_without,
)
from mintflow.mondo import COLUMNS, Mondo
from mintflow.publications import citation, publications_in
from patients import A1, A2, B1, A, B, annotation, annotations, cases

ON, OFF = {"drop_held_out_publications": True}, {"drop_held_out_publications": False}
TRAIN, VALIDATION, TEST, UNSEEN = "PMID:1", "PMID:2", "PMID:3", "PMID:4"
SEEN, NEW, OTHER = "OMIM:100001", "OMIM:100002", "OMIM:100003"


def patients() -> pd.DataFrame:
    """One patient a publication: disease 1 in three splits, disease 2 unseen."""
    rows = [("a", TRAIN, SEEN), ("b", VALIDATION, SEEN), ("c", TEST, SEEN), ("d", UNSEEN, NEW)]
    return cases(rows, split=["train", "validation", "test", "test_unseen"])


def knowledge_rows() -> list[dict[str, Any]]:
    """Annotations that a held-out publication has no part in."""
    return [
        annotation(0, SEEN, A1, TRAIN, n=1, m=4, frequency=0.25),
        annotation(1, SEEN, B, "OMIM:100001"),
        annotation(2, NEW, B1, "PMID:99", n=3, m=3, frequency=1.0),
        annotation(3, OTHER, A2, "PMID:98"),
    ]


def planted() -> list[dict[str, Any]]:
    """Rows that cite held-out publications: new terms, other frequencies, names, aspects and diseases."""
    return [
        annotation(10, SEEN, A2, TEST, n=9, m=9, frequency=1.0),
        annotation(11, SEEN, A1, VALIDATION, n=9, m=9, frequency=1.0),
        annotation(12, NEW, A1, UNSEEN, disease_name="another name"),
        annotation(13, "OMIM:100009", B1, TEST, disease_name="a disease of the test paper alone"),
        annotation(14, OTHER, B1, "PMID:97"),  # row 14 cites a clean publication as well
        annotation(14, OTHER, B1, TEST),
        annotation(15, OTHER, B1, "PMID:03"),
        annotation(16, OTHER, A1, "PMID:3P"),
        annotation(17, SEEN, A1, TEST, negated=True),
        annotation(18, SEEN, "HP:0000007", TEST, aspect="I"),
    ]


def genes() -> pd.DataFrame:
    rows = [("G1", SEEN), ("G2", NEW), ("G9", "OMIM:100009")]
    return pd.DataFrame(rows, columns=["gene_symbol", "disease_id"])


def mondo() -> Mondo:
    return Mondo(pd.DataFrame([("MONDO:0000001", "first disease", SEEN, "Disease 1")], columns=COLUMNS))


def make(
    rows: list[dict[str, Any]], settings: dict[str, bool], table: pd.DataFrame | None = None
) -> Knowledge:
    table = patients() if table is None else table
    return build(table, annotations(rows), genes(), ontology(), mondo(), settings)


def written(knowledge: Knowledge, folder: Path) -> dict[str, bytes]:
    """The bytes of every table."""
    names = ("profiles", "information_content", "candidates", "vocabulary")
    folder.mkdir()
    for name in names:
        io.write_parquet(getattr(knowledge, name), folder / name)
    return {name: (folder / name).read_bytes() for name in names}


def test_planted_rows_change_not_a_byte(tmp_path: Path) -> None:
    clean = written(make(knowledge_rows(), ON), tmp_path / "clean")
    assert written(make(knowledge_rows() + planted(), ON), tmp_path / "planted") == clean


@pytest.mark.parametrize("position", range(8))
def test_each_planted_row_matters_without_control(tmp_path: Path, position: int) -> None:
    rows = [row for row in planted() if not row["negated"] and row["aspect"] == "P"]
    clean = written(make(knowledge_rows(), OFF), tmp_path / "clean")
    row = rows[position]
    leaky = written(make([*knowledge_rows(), row], OFF), tmp_path / "leaky")
    assert leaky["profiles"] != clean["profiles"]
    assert leaky["information_content"] != clean["information_content"] or row["row_id"] == 11


@pytest.mark.parametrize("publication", [VALIDATION, TEST, UNSEEN])
def test_every_held_out_split_is_controlled(publication: str) -> None:
    rows = [*knowledge_rows(), annotation(20, SEEN, A2, publication)]
    assert A2 not in profile(make(rows, ON), SEEN)
    assert A2 in profile(make(rows, OFF), SEEN)
    training = [*knowledge_rows(), annotation(20, SEEN, A2, TRAIN)]
    assert A2 in profile(make(training, ON), SEEN)


def profile(knowledge: Knowledge, disease: str) -> dict[str, float]:
    rows = knowledge.profiles[knowledge.profiles["disease_id"] == disease]
    return dict(zip(rows["hpo_id"], rows["frequency"], strict=True))


def test_second_publication_of_a_held_out_patient_is_controlled_too() -> None:
    table = patients()
    table.at[2, "publications"] = [TEST, "PMID:77"]
    assert held_out_publications(table) == [VALIDATION, TEST, UNSEEN, "PMID:77"]
    rows = [*knowledge_rows(), annotation(20, SEEN, A2, "PMID:77")]
    assert A2 not in profile(make(rows, ON, table), SEEN)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://pubmed.ncbi.nlm.nih.gov/?term=12", ["PMID:12"]),
        ("https://www.ncbi.nlm.nih.gov/pubmed/?term=12", ["PMID:12"]),
        ("https://europepmc.org/article/MED/12", ["PMID:12"]),
        ("https://identifiers.org/pubmed:12", ["PMID:12"]),
        ("MED:12", ["PMID:12"]),
        ("doi:10.1000/X.1; PMID: 012.", ["DOI:10.1000/x.1", "PMID:12"]),
        ("(DOI: 10.1016/j.x.01).", ["DOI:10.1016/j.x.01"]),
        ("https://europepmc.org/article/PMC/PMC12", ["PMC:pmc12"]),
        ("PMID_12_family2", ["PMID:12"]),
        ("PMID:12.0", ["PMID:12"]),
        # a reference must not swallow the next, nor lose the numbers behind it
        ("DOI:10.1000/abc;PMID:10", ["DOI:10.1000/abc", "PMID:10"]),
        ("https://doi.org/10.1/x;PMID:2", ["DOI:10.1/x", "PMID:2"]),
        ("PMID:7, 10.1000/x", ["PMID:7", "DOI:10.1000/x"]),
        ("DOI:10.1136/jmg.2004.012345;PMID12345678", ["DOI:10.1136/jmg.2004.012345", "PMID:12345678"]),
        ("DOI:10.1136/x/PMID:12345678", ["DOI:10.1136/x", "PMID:12345678"]),
        ("PMCID:PMC1234;PMID12345678", ["PMC:pmc1234", "PMID:12345678"]),
        ("https://doi.org/10.1000/x&https://doi.org/10.1000/y", ["DOI:10.1000/x", "DOI:10.1000/y"]),
        ("PMID:12345, 45678", ["PMID:12345", "PMID:45678"]),
        ("PMID 12345 and 45678", ["PMID:12345", "PMID:45678"]),
        ("PMID:12345and45678", ["PMID:12345", "PMID:45678"]),
        ("PMID:123 (Smith 2004), 45678 (Jones 2005)", ["PMID:123", "PMID:45678"]),
        ("https://pubmed.ncbi.nlm.nih.gov/?term=123+45678", ["PMID:123", "PMID:45678"]),
        ("PMID:12,345,678", ["PMID:12345678"]),
        # one publication, one name
        ("DOI:10.1136/x.", ["DOI:10.1136/x"]),
        ("DOI:https://doi.org/10.1136/x", ["DOI:10.1136/x"]),
        ("DOI:10.1136%2Fx", ["DOI:10.1136/x"]),
        ("PMC:12", ["PMC:pmc12"]),
        ("https://pmc.ncbi.nlm.nih.gov/articles/PMC12/pdf/main.pdf", ["PMC:pmc12"]),
        ("https://www.ncbi.nlm.nih.gov/pmc/articles/pmid/12345678/", ["PMID:12345678"]),
        ("10.1043/0003(2001)125<0001:ABC>2.0.CO;2", ["DOI:10.1043/0003(2001)125<0001:abc>2.0.co;2"]),
        # numbers that are none
        ("PMID:20014132, 1st patient", ["PMID:20014132"]),
        ("Nat Med:12(3):45", []),
        ("https://pubmed.ncbi.nlm.nih.gov/123?x=1;PMID:4", ["PMID:123", "PMID:4"]),
        ("PMID:15220921 J Med Genet 2004;41:123-5", ["PMID:15220921"]),
        ("Smith 2004 (PMID:5)", ["PMID:5"]),
        (
            "10.1002/(SICI)1096(1999)83:2<100::AID>3.0.CO;2-K",
            ["DOI:10.1002/(sici)1096(1999)83:2<100::aid>3.0.co;2-k"],
        ),
        # neither is one
        ("J Med 12:345", []),
        ("OMIM:123456", []),
        ("12", []),
        ("Smith 2004", []),
    ],
)
def test_publications_within_a_text(text: str, expected: list[str]) -> None:
    assert publications_in(text) == (expected, False)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("pmid: twelve", []),
        ("10.1000/", []),
        ("PMID:99 10", ["PMID:99"]),
        ("PMID:1/2", ["PMID:1"]),
        ("PMC12 and 12345678", ["PMC:pmc12"]),
        ("PMID:12345678, 2004", ["PMID:12345678"]),
        ("PMID:1.2345678E7", []),
        ("PMID:12345678; https://doi.org/10/abcd", ["PMID:12345678"]),
        ("PMID:12345678; PMID=NA", ["PMID:12345678"]),
    ],
)
def test_what_seems_to_name_one_more_publication_is_told(text: str, names: list[str]) -> None:
    assert publications_in(text) == (names, True)


def test_strange_texts_are_read_in_time() -> None:
    started = time.monotonic()
    for text in (
        "PMID:" + " " * 100_000 + "1",
        "PMID:" + "1," * 50_000,
        "10.1000/" + "(;" * 50_000,
        "doi:" * 25_000,
    ):
        publications_in(text, numbers=True)
    assert time.monotonic() - started < 10
    assert publications_in("PMID:" + "12345," * 1000).unread  # not read to its end


def test_spellings_of_one_citation() -> None:
    address = "https://pubmed.ncbi.nlm.nih.gov/70547/?format=abstract"
    assert citation(address) == "PMID:70547" and citation("OMIM:1") == "omim:1"
    assert citation("PMID:070547") == citation("pmid: 70547") == citation("PMID:70547P") == "PMID:70547"
    assert citation("PMID:7") != citation("PMID:70")
    assert citation("DOI:10.1/X") == citation("doi:10.1/x")


def test_rows_are_dropped_whole_and_proven() -> None:
    table = annotations(knowledge_rows() + planted())
    clean = leak_free(table, [TEST])
    assert not set(clean["row_id"]) & {10, 13, 14, 15, 16, 17, 18}
    assert {11, 12} <= set(clean["row_id"])
    assert_leak_free(clean, [TEST])
    for row in planted():
        if citation(row["reference"]) == TEST:
            with pytest.raises(ValueError, match="held-out"):
                assert_leak_free(annotations([*knowledge_rows(), row]), [TEST])


def test_what_is_built() -> None:
    knowledge = make(knowledge_rows() + planted(), ON)
    assert profile(knowledge, SEEN) == {A1: 0.25, B: 0.6}
    candidates = knowledge.candidates.set_index("disease_id")
    assert candidates.index.tolist() == [SEEN, NEW]
    assert candidates.loc[SEEN, ["name", "mondo_id", "n_train", "seen", "has_profile"]].tolist() == [
        "disease 1",
        "MONDO:0000001",
        1,
        True,
        True,
    ]
    assert candidates["genes"].tolist() == [["G1"], ["G2"]]
    assert not candidates.loc[NEW, "seen"] and candidates.loc[NEW, "n_train"] == 0
    ic = knowledge.information_content.set_index("hpo_id")["ic"]
    # three diseases: A (by A1 and A2) in two, B (by B and B1) in two, B1 in one
    assert ic[A] == pytest.approx(0.405465, abs=1e-6) == ic[B]
    assert ic[B1] == pytest.approx(1.098612, abs=1e-6)
    assert set(knowledge.vocabulary["key"]) >= {"disease 1", "disease 2", "first disease"}


def test_what_is_told() -> None:
    leakage = make(knowledge_rows() + planted(), ON).leakage
    assert leakage == {
        "controlled": True,
        "held_out_publications": 3,
        "citing_publications": 3,
        "held_out_cases": 3,
        "held_out_cases_cited_for_their_disease": 3,
        "hpoa_rows": 13,
        "hpoa_rows_dropped": 9,
        "gene_links_dropped": 1,
        "diseases_without_profile": [],
    }
    leakage = make(knowledge_rows() + planted(), OFF).leakage
    assert leakage["hpoa_rows_dropped"] == leakage["gene_links_dropped"] == 0 and not leakage["controlled"]
    assert leakage["citing_publications"] == 3


def test_disease_known_from_held_out_publications_alone() -> None:
    rows = [row for row in knowledge_rows() if row["disease_id"] != NEW]
    knowledge = make([*rows, annotation(12, NEW, A1, UNSEEN)], ON)
    new = knowledge.candidates.set_index("disease_id").loc[NEW]
    assert not new["has_profile"] and new["genes"] == []
    assert knowledge.leakage["diseases_without_profile"] == [NEW]


def test_the_training_name_wins() -> None:
    table = patients()
    table["disease_name"] = ["used", "other", "other", "unseen"]
    names = make(knowledge_rows(), ON, table).candidates["name"].tolist()
    assert names == ["used", "unseen"]


def test_profiles_without_a_fold() -> None:
    table = annotations(knowledge_rows() + planted())
    found = profiles_without(table, [VALIDATION, TEST, UNSEEN, TRAIN], ontology())
    assert found[found["disease_id"] == SEEN]["hpo_id"].tolist() == [B]
    # stacked copies of a disease under other names are profiles of their own
    stacked = pd.concat([table, table.assign(disease_id=table["disease_id"] + " again")])
    found = profiles_without(stacked, [TEST], ontology())
    assert found["disease_id"].str.endswith(" again").sum() * 2 == len(found)


def test_terms_are_current_phenotypes() -> None:
    rows = [
        *knowledge_rows(),
        annotation(30, OTHER, "HP:0000911", "PMID:50"),  # alternative id of A1
        annotation(31, OTHER, A1, "PMID:51", n=1, m=1, frequency=1.0),
        annotation(32, OTHER, "HP:9999999", "PMID:50"),
        annotation(33, OTHER, "HP:0000006", "PMID:50"),
    ]
    found = make(rows, ON).profiles
    other = found[found["disease_id"] == OTHER]
    assert other["hpo_id"].tolist() == [A1, A2]
    assert other["n_rows"].tolist() == [2, 1]
