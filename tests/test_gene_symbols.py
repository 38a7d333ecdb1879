from __future__ import annotations

import pytest

from mintflow.gene_symbols import GeneSymbols

KNOWN = ("FBN1", "C9orf72", "NUTM2B-AS1", "ODD_1")


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("FBN1", "FBN1"),
        (" fbn1 ", "FBN1"),
        ("C9ORF72", "C9orf72"),
        ("c9orf72", "C9orf72"),
        ("nutm2b-as1", "NUTM2B-AS1"),
        ("odd_1", "ODD_1"),  # in the list, so it is one, whatever it looks like
        ("New2", "NEW2"),
        ("hla-drb1", "HLA-DRB1"),
        ("cxorf56", "CXorf56"),
        ("C10ORF71-as1", "C10orf71-AS1"),
    ],
)
def test_case_does_not_matter(text: str, symbol: str) -> None:
    assert GeneSymbols(KNOWN).find(text) == (symbol, "")


def test_without_a_list_the_spelling_alone_is_mended() -> None:
    genes = GeneSymbols()
    assert genes.find("fbn1") == ("FBN1", "") and genes.find("C9ORF72") == ("C9orf72", "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("HGNC:3603", "an HGNC id"),
        ("hgnc 3603", "an HGNC id"),
        ("HGNC3603", "an HGNC id"),
        ("ENSG00000166147", "an identifier"),
        ("NCBIGene:2200", "an identifier"),
        ("2200", "no gene symbol"),
        ("FBN1 c.1A>G", "no gene symbol"),
        ("NM_000138.5", "no gene symbol"),
        ("-", "no gene symbol"),
        ("", "no gene symbol"),
        ("unknown", "no gene symbol"),
        ("N/A", "no gene symbol"),
        ("na", "no gene symbol"),
        ("F\ufffdBN1", "no gene symbol"),
        ("ß", "no gene symbol"),
        ("A" * 40, "no gene symbol"),
        ("1-Mar", "a date"),
        ("Sep-02", "a date"),
    ],
)
def test_what_cannot_be_a_symbol_is_told(text: str, reason: str) -> None:
    found, told = GeneSymbols(KNOWN).find(text)
    assert found is None and told.startswith(reason) and "such as FBN1" in told
