"""The numbered list: what is written is read back, and what models really write is read too."""

from __future__ import annotations

import pytest

from mintflow.lists import format_list, parse_list, without_gloss

NAMES = [
    "3-Methylglutaconic aciduria, type III",
    "17q21.31 microdeletion syndrome",
    "Ehlers-Danlos syndrome, classic type, 1",
    "CHARGE syndrome; CHRGS",
    "Alzheimer's disease 3",
    "(R)-2-hydroxyglutaric aciduria",
    "46,XY sex reversal 1",
]


def test_format_is_numbered_from_one_without_final_newline() -> None:
    assert format_list(["B", "A"]) == "1. B\n2. A"


def test_round_trip_keeps_names_with_digits_commas_and_apostrophes() -> None:
    assert parse_list(format_list(NAMES), limit=len(NAMES)) == NAMES


@pytest.mark.parametrize("names", [[], [""], ["  "], ["two\nlines"], ["A", "b\u2028c"]])
def test_names_that_could_not_be_read_back_are_refused(names: list[str]) -> None:
    with pytest.raises(ValueError, match="name"):
        format_list(names)


@pytest.mark.parametrize(
    "text",
    [
        "1. Marfan syndrome\n2. Noonan syndrome 1",
        "1) Marfan syndrome\n2) Noonan syndrome 1",
        "(1) Marfan syndrome\n(2) Noonan syndrome 1",
        "1: Marfan syndrome\n2: Noonan syndrome 1",
        "1.Marfan syndrome\n2.Noonan syndrome 1",
        "  1.  Marfan   syndrome\r\n\r\n  2.  Noonan syndrome 1.  ",
        "1. 'Marfan syndrome'\n2. \"Noonan syndrome 1\",",
        "1. “Marfan syndrome”\n2. `Noonan syndrome 1`",
        "1. **Marfan syndrome**: tall, lens dislocation\n2. __Noonan syndrome 1__ (RASopathy)",
        "**1. Marfan syndrome**\n**2. Noonan syndrome 1**",
        "**1.** Marfan syndrome\n**2.** Noonan syndrome 1",
        "- Marfan syndrome\n- Noonan syndrome 1",
        "* **Marfan syndrome**\n• Noonan syndrome 1",
        "Most likely:\n1. Marfan syndrome\n   - tall stature\n2. Noonan syndrome 1\nGood luck!",
        "POTENTIAL_DISEASES:\n1. Marfan syndrome\n2. Noonan syndrome 1\n3.",
    ],
)
def test_common_variants_read_the_same(text: str) -> None:
    assert parse_list(text, limit=5) == ["Marfan syndrome", "Noonan syndrome 1"]


@pytest.mark.parametrize(
    "text", ["", "I cannot tell.", "Marfan syndrome, Noonan syndrome", "1.5 Mb deletion", "12 patients", "1."]
)
def test_no_list_is_a_parse_failure(text: str) -> None:
    assert parse_list(text, limit=3) == []


def test_limit_and_repeats() -> None:
    text = "1. A\n2. A\n3. B\n4. C"
    assert parse_list(text, limit=3) == ["A", "A", "B"]
    with pytest.raises(ValueError, match="limit is 0"):
        parse_list(text, limit=0)


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ("Cystic Fibrosis (CF) - Cystic Fibrosis is a disease", "Cystic Fibrosis"),
        ("Marfan syndrome: a disorder with tall stature", "Marfan syndrome"),
        ("Marfan syndrome – this is a disorder of connective tissue", "Marfan syndrome"),
        ("Cornelia de Lange syndrome (CdLS)", "Cornelia de Lange syndrome"),
        ("Multiple acyl-CoA dehydrogenase deficiency (MACDD)", "Multiple acyl-CoA dehydrogenase deficiency"),
        ("Duchenne muscular dystrophy (DMD)", "Duchenne muscular dystrophy"),
        ("Kabuki syndrome 1. Phenotypes: Cleft palate, Short stature", "Kabuki syndrome 1"),
        # subtypes, genes, ways of inheritance, doubts, parts of names
        *(
            (name, name)
            for name in (
                "Noonan syndrome - type 5",
                "Ehlers-Danlos syndrome: classic type 2",
                "Ehlers-Danlos syndrome: the classic type with 2 genes",
                "Mucopolysaccharidosis (II)",
                "Noonan syndrome (NS5)",
                "DiGeorge syndrome (rarely)",
                "Oculodentodigital dysplasia (AR)",
                "Galactosemia (GALE)",
                "Leigh syndrome (LSFC)",
                "Rett syndrome (congenital variant, FOXG1 related)",
                "Metachromatic leukodystrophy: the adult-onset form with normal arylsulfatase A",
                "Noonan syndrome 2. Polycystic kidney disease (PKD)",
                "Marfan syndrome - unlikely, as no lens dislocation",
                "X-linked intellectual disability (Snyder-Robinson type)",
            )
        ),
        *((name, name) for name in NAMES),
    ],
)
def test_a_gloss_is_what_explains_a_name_and_not_what_tells_subtypes_apart(item: str, name: str) -> None:
    assert without_gloss(item) == name
