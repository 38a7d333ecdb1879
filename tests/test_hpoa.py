from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from mini_ontology import BOTH, FINGER, FOOT, HAND, HEART, LIMB, ontology
from mintflow import hpoa
from mintflow.errors import InputError

HEADER = (
    "#description: test\n#version: 2025-01-16\n"
    "database_id\tdisease_name\tqualifier\thpo_id\treference\tevidence\tonset\tfrequency\tsex\tmodifier\t"
    "aspect\tbiocuration\n"
)


def line(disease: str, hpo_id: str, reference: str, frequency: str = "", **more: str) -> str:
    name, qualifier, aspect = more.get("name", "A"), more.get("qualifier", ""), more.get("aspect", "P")
    fields = [disease, name, qualifier, hpo_id, reference, "PCS", "", frequency, "", "", aspect, "x"]
    return "\t".join(fields) + "\n"


def parse(tmp_path: Path, *lines: str) -> pd.DataFrame:
    file = tmp_path / "phenotype.hpoa"
    file.write_text(HEADER + "".join(lines), encoding="utf-8")
    return hpoa.parse_hpoa(file)


def test_rows_with_several_references_are_exploded(tmp_path: Path) -> None:
    table = parse(
        tmp_path,
        line("OMIM:1", HAND, "PMID:1;PMID:2; PMID:2", "1/2"),
        line("OMIM:1", FOOT, "OMIM:1", "", qualifier="NOT"),
    )
    assert list(table.columns) == hpoa.COLUMNS
    assert table["row_id"].tolist() == [0, 0, 1]
    assert table["reference"].tolist() == ["PMID:1", "PMID:2", "OMIM:1"]
    assert table["negated"].tolist() == [False, False, True]
    assert table["frequency"].tolist()[:2] == [0.5, 0.5]
    assert (table.loc[0, "n"], table.loc[0, "m"]) == (1, 2)
    assert table.loc[2, ["n", "m", "frequency"]].isna().all()


def test_quotes_in_a_name_do_not_swallow_lines(tmp_path: Path) -> None:
    table = parse(
        tmp_path, line("OMIM:1", HAND, "PMID:1", name='"X'), line("OMIM:1", FOOT, "PMID:1", name='Y"')
    )
    assert table["disease_name"].tolist() == ['"X', 'Y"']


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3/4", 0.75), ("0/7", 0.0), ("12.5%", 0.125), ("HP:0040282", 0.545), ("HP:0040285", 0.0), ("", None)],
)
def test_frequency_forms(text: str, expected: float | None) -> None:
    value = hpoa.parse_frequencies(pd.Series([text]))[2].iloc[0]
    assert value is pd.NA if expected is None else value == pytest.approx(expected)


@pytest.mark.parametrize("text", ["often", "3/0", "5/4", "140%", "HP:0000118", "1/2/3", "-1/2"])
def test_impossible_frequencies_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"row 1, field frequency.*is no frequency"):
        hpoa.parse_frequencies(pd.Series(["1/2", text]))


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.hpoa"):
        hpoa.parse_hpoa(tmp_path / "absent.hpoa")
    (tmp_path / "other.hpoa").write_text("a\tb\n1\t2\n")
    with pytest.raises(InputError, match=r"other\.hpoa.*lacks.*database_id"):
        hpoa.parse_hpoa(tmp_path / "other.hpoa")
    with pytest.raises(InputError, match=r"other\.hpoa"):
        hpoa.parse_gene_disease(tmp_path / "other.hpoa")


def test_genes_keep_only_the_link(tmp_path: Path) -> None:
    file = tmp_path / "genes.txt"
    head = "ncbi_gene_id\tgene_symbol\thpo_id\thpo_name\tfrequency\tdisease_id\n"
    rows = [("2", "B", "OMIM:1"), ("1", "A", "OMIM:2"), ("2", "B", "OMIM:1"), ("0", "-", "OMIM:3")]
    file.write_text(head + "".join(f"{n}\t{s}\tHP:0000011\tHand\t-\t{d}\n" for n, s, d in rows))
    table = hpoa.parse_gene_disease(file)
    assert table.to_dict("list") == {
        "gene_symbol": ["A", "B"],
        "ncbi_gene_id": ["1", "2"],
        "disease_id": ["OMIM:2", "OMIM:1"],
    }


def test_a_row_that_cites_a_dropped_publication_goes_whole(tmp_path: Path) -> None:
    table = parse(
        tmp_path,
        line("OMIM:1", HAND, "PMID:1;PMID:2"),
        line("OMIM:1", FOOT, "PMID:2"),
        line("OMIM:1", HEART, "PMID:22"),
    )
    left = hpoa.drop_publications(table, ["PMID:1"])
    assert left["row_id"].tolist() == [1, 2]
    assert hpoa.drop_publications(table, []).equals(table)
    assert hpoa.drop_publications(table, ["PMID:2"])["reference"].tolist() == ["PMID:22"]


def test_profiles_pool_counts_and_fall_back(tmp_path: Path) -> None:
    table = parse(
        tmp_path,
        line("OMIM:1", HAND, "PMID:1", "1/2"),
        line("OMIM:1", HAND, "PMID:2;PMID:3", "8/8"),
        line("OMIM:1", HAND, "PMID:4", "HP:0040284"),
        line("OMIM:1", FOOT, "PMID:1", "20%"),
        line("OMIM:1", FOOT, "PMID:2", "40%"),
        line("OMIM:1", HEART, "PMID:1"),
        line("OMIM:1", FINGER, "PMID:1", "0/9"),
        line("OMIM:1", BOTH, "PMID:1", "", qualifier="NOT"),
        line("OMIM:1", "HP:0000007", "PMID:1", "", aspect="I"),
    )
    profiles = hpoa.disease_profiles(table, unstated=0.25).set_index("hpo_id")
    assert profiles["frequency"].to_dict() == pytest.approx({HAND: 0.9, FOOT: 0.3, HEART: 0.25})
    assert profiles["n_rows"].to_dict() == {HAND: 3, FOOT: 2, HEART: 1}


def test_information_content_is_closed_over_ancestors() -> None:
    profiles = pd.DataFrame(
        [
            ("OMIM:1", HAND),
            ("OMIM:1", FINGER),
            ("OMIM:2", FOOT),
            ("OMIM:3", HEART),
            ("OMIM:4", HEART),
            ("ORPHA:1", BOTH),
            ("OMIM:4", "HP:9999999"),
        ],
        columns=["disease_id", "hpo_id"],
    )
    ic = hpoa.information_content(profiles, ontology()).set_index("hpo_id")["ic"]
    assert ic.index.tolist() == ontology().ids
    assert ic["HP:0000001"] == ic["HP:0000118"] == 0.0
    assert ic[LIMB] == ic[HEART] == pytest.approx(math.log(2))
    assert ic[HAND] == ic[FINGER] == pytest.approx(math.log(4))
    # annotated nowhere (Orphanet does not count): the maximum
    assert ic[BOTH] == pytest.approx(math.log(4))
    assert not (ic.to_numpy() < 0).any()


def test_information_content_needs_profiles() -> None:
    empty = pd.DataFrame({"disease_id": ["ORPHA:1"], "hpo_id": [HAND]})
    with pytest.raises(InputError, match="OMIM:"):
        hpoa.information_content(empty, ontology())


def test_disease_names_take_the_majority(tmp_path: Path) -> None:
    table = parse(
        tmp_path,
        line("OMIM:1", HAND, "PMID:1;PMID:2;PMID:3", name="Rare spelling"),
        line("OMIM:1", FOOT, "PMID:1", name="Usual"),
        line("OMIM:1", HEART, "PMID:1", name="Usual"),
        line("OMIM:2", HEART, "PMID:1", name="b"),
        line("OMIM:2", HAND, "PMID:1", name="a"),
    )
    assert hpoa.disease_names(table).to_dict() == {"OMIM:1": "Usual", "OMIM:2": "a"}


def test_the_compiled_release(knowledge_dir: Path) -> None:
    from mintflow import io

    versions = io.read_json(knowledge_dir / "versions.json")
    assert versions["hpo"] == versions["hpoa"] == "2025-01-16"
    table = io.read_parquet(knowledge_dir / "hpoa.parquet", hpoa.COLUMNS)
    assert table["row_id"].nunique() == versions["hpoa_rows"] > 250_000
    assert table["disease_id"].nunique() == versions["diseases"]
    terms = set(io.read_parquet(knowledge_dir / "terms.parquet", ["hpo_id"])["hpo_id"])
    assert set(table["hpo_id"]) <= terms
    assert io.read_parquet(knowledge_dir / "gene_disease.parquet")["disease_id"].str.contains(":").all()
