"""Decoy genes look like the real one and never belong to the patient's own disease."""

from __future__ import annotations

import pandas as pd
import pytest

from mintflow.decoys import add_decoys
from mintflow.errors import InputError

CASES = pd.DataFrame(
    {
        "case_id": [f"case-{n}" for n in range(4)],
        "disease_id": [f"OMIM:{n}" for n in range(4)],
        "split": "train",
    }
)
LINKS = pd.DataFrame(
    {
        "gene_symbol": ["G0", "G0B", "G1", "G2", "G3", "FAR"],
        "disease_id": ["OMIM:0", "OMIM:0", "OMIM:1", "OMIM:2", "OMIM:3", "OMIM:9"],
    }
)
REAL = pd.DataFrame(
    {
        "case_id": CASES["case_id"],
        "gene_symbol": ["G0", "G1", "G2", "G3"],
        "zygosity": ["heterozygous", "homozygous", "heterozygous", "hemizygous"],
        "structural_type": None,
        "consequence": ["missense", "nonsense", "splice", "frameshift"],
        "hgvs_c": [f"NM_{n}:c.1A>G" for n in range(4)],
        "source": "phenopacket",
    }
).astype({"structural_type": "str"})


def decoys(count: int, source: str = "candidates", seed: int = 1) -> pd.DataFrame:
    return add_decoys(REAL, CASES, LINKS, {"decoys": count, "decoy_source": source, "seed": seed})


def test_every_patient_gets_as_many_and_none_of_its_own_disease() -> None:
    rows = decoys(2)
    drawn = rows[rows["is_decoy"]]
    assert drawn.groupby("case_id").size().tolist() == [2, 2, 2, 2]
    assert len(rows) == len(REAL) + 8
    own = set(zip(drawn["case_id"], drawn["gene_symbol"], strict=True))
    assert not own & {("case-0", "G0"), ("case-0", "G0B"), ("case-1", "G1"), ("case-2", "G2")}
    assert "FAR" not in set(drawn["gene_symbol"])


def test_a_decoy_copies_the_looks_of_a_real_patient_with_that_gene() -> None:
    looks = REAL.set_index("gene_symbol")[["zygosity", "consequence"]]
    drawn = decoys(2).query("is_decoy and gene_symbol in @looks.index")
    assert len(drawn) > 0
    for row in drawn.itertuples():
        assert (row.zygosity, row.consequence) == tuple(looks.loc[row.gene_symbol])


def test_seeded_and_independent_of_other_patients() -> None:
    pd.testing.assert_frame_equal(decoys(2), decoys(2))
    assert not decoys(2).equals(decoys(2, seed=2))


def test_a_further_patient_without_a_gene_gets_no_decoys() -> None:
    """A patient of the run does: an empty list would tell which diseases have no gene."""
    real = REAL[REAL["case_id"].isin(["case-0", "case-1"])]
    settings = {"decoys": 2, "decoy_source": "candidates", "seed": 1}
    before = add_decoys(real, CASES, LINKS, settings)
    assert set(before["case_id"]) == set(CASES["case_id"])
    cases = CASES.assign(further=[False, True, True, False])
    after = add_decoys(real, cases, LINKS, settings)
    assert after["case_id"].value_counts().to_dict() == {"case-0": 3, "case-1": 3, "case-3": 2}
    rest = before[before["case_id"] != "case-2"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, after)


def test_no_decoys_and_too_many() -> None:
    assert not decoys(0)["is_decoy"].any()
    with pytest.raises(InputError, match=r"rare\.genotypes\.decoys"):
        decoys(5)
    assert decoys(4, source="hpo")["is_decoy"].sum() == 16
