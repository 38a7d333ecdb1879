from __future__ import annotations

import pytest

from mintflow.variants import CONSEQUENCES, consequence, most_severe, structural_class, zygosity


@pytest.mark.parametrize(
    ("protein", "expected"),
    [
        ("NP_1.1:p.(Arg97Gly)", "missense"),
        ("p.R97G", "missense"),
        ("p.(Arg97Arg)", "synonymous"),
        ("p.(Leu5=)", "synonymous"),
        ("p.(Arg97Ter)", "nonsense"),
        ("p.Arg97*", "nonsense"),
        ("p.R97X", "nonsense"),
        ("p.(Lys2_Met3insGlnSerTer)", "nonsense"),
        ("p.(Gln8delinsTer)", "nonsense"),
        ("p.(Lys23SerfsTer8)", "frameshift"),
        ("p.(Met1?)", "start_lost"),
        ("p.Met1Val", "start_lost"),
        ("p.Met10Val", "missense"),
        ("p.(Ter110GlnextTer17)", "stop_lost"),
        ("p.(*110Gln)", "stop_lost"),
        ("p.(Lys2del)", "inframe"),
        ("p.(Gly4_Gln6dup)", "inframe"),
        ("p.(Lys2_Met3delinsGlnSer)", "inframe"),
        ("p.?", "unknown"),
        ("p.(Leu5?)", "unknown"),
        ("nonsense text", "unknown"),
    ],
)
def test_protein_change(protein: str, expected: str) -> None:
    assert consequence(protein) == expected


@pytest.mark.parametrize(
    ("coding", "expected"),
    [
        ("NM_1.1:c.100+1G>A", "splice"),
        ("c.100-8T>A", "splice"),
        ("c.100-9T>A", "unknown"),
        ("c.-32-13T>G", "unknown"),
        ("c.20_25+3del", "splice"),
        ("c.5-100_20+30del", "deletion"),
        ("c.5-100_20+30dup", "duplication"),
        ("c.(?_5)_(20_?)del", "deletion"),
        ("c.5_7del", "inframe"),
        ("c.5_8del", "frameshift"),
        ("c.5del", "frameshift"),
        ("c.5_7dup", "inframe"),
        ("c.5_6insACG", "inframe"),
        ("c.5_6insAC", "frameshift"),
        ("c.5_8delinsA", "inframe"),
        ("c.5_8delinsAC", "frameshift"),
        ("c.2T>C", "start_lost"),
        ("c.-10A>G", "regulatory"),
        ("c.*10A>G", "regulatory"),
        ("c.20T>C", "unknown"),
        ("NR_3.1:n.64_65insT", "unknown"),
        ("c.", "unknown"),
    ],
)
def test_transcript_change(coding: str, expected: str) -> None:
    assert consequence(None, coding) == expected


def test_protein_comes_before_transcript_and_structure() -> None:
    assert consequence("p.Arg97Gly", "c.100+1G>A", "chromosomal_deletion") == "missense"
    assert consequence("p.?", "c.100+1G>A", "chromosomal_deletion") == "splice"
    assert consequence("p.?", "c.100T>A", "chromosomal_deletion") == "deletion"
    assert consequence() == "unknown"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chromosomal_deletion", "deletion"),
        ("Type-1 microdeletion", "deletion"),
        ("DEL423kb", "deletion"),
        ("Ex8-9del", "deletion"),
        ("chromosomal_duplication", "duplication"),
        ("deletion and duplication", "structural"),
        ("chromosome_structure_variation", "structural"),
        ("delta", "structural"),
    ],
)
def test_structural_class(text: str, expected: str) -> None:
    assert structural_class(text) == expected


def test_zygosity() -> None:
    assert [zygosity(f"GENO:000013{i}") for i in (5, 6, 4)] == ["heterozygous", "homozygous", "hemizygous"]
    assert zygosity("GENO:0000402") == "heterozygous"
    assert zygosity(None) == zygosity("heterozygous") == "unknown"


def test_most_severe_sequence_ontology_term() -> None:
    assert most_severe(["splice_region_variant", "missense_variant"]) == "missense"
    assert most_severe(["synonymous_variant", "splice_region_variant"]) == "splice"
    assert most_severe(["intron_variant"]) is None
    assert most_severe(["stop_gained"]) in CONSEQUENCES
