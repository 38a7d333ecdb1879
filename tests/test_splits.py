from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mintflow.errors import InputError
from mintflow.splits import check, split, summary
from patients import A1, A2, cases, series

SETTINGS: dict[str, Any] = {
    "test_fraction": 0.25,
    "validation_fraction": 0.1,
    "unseen_disease_fraction": 0.1,
    "stratified": True,
    "folds": 3,
    "max_train_cases_per_disease": None,
    "max_test_cases_per_disease": None,
    "seed": 3,
}


def cohort(diseases: int = 12, publications: int = 8, seed: int = 0, shared: float = 0.1) -> pd.DataFrame:
    """Diseases with series of 1 to 6 patients; some publications report a second disease."""
    rng = np.random.default_rng(seed)
    rows = []
    for d in range(diseases):
        for p in range(publications):
            name = f"PMID:{d * 100 + p + 1}"
            rows += series({name: int(rng.integers(1, 7))}, f"OMIM:{100000 + d}")
            if rng.random() < shared:
                rows += series({name: 1}, f"OMIM:{100000 + int(rng.integers(diseases))}")
    return cases(rows).drop_duplicates("case_id", ignore_index=True)


@pytest.mark.parametrize("seed", range(8))
def test_no_publication_and_no_unseen_disease_crosses(seed: int) -> None:
    table = cohort(seed=seed, shared=0.2)
    result = split(table, {**SETTINGS, "seed": seed})
    assert len(result) == len(table)
    side = result["split"].str.removesuffix("_unseen")
    assert (side.groupby(result["publication"]).nunique() == 1).all()
    folds = result.groupby("publication")["fold"].nunique()
    assert (folds == 1).all()
    unseen = set(result.loc[result["split"] == "test_unseen", "disease_id"])
    assert len(unseen) == 1
    assert set(result.loc[result["disease_id"].isin(unseen), "split"]) == {"test_unseen"}
    # every other disease is trained on, and tested
    parts = result.groupby(["disease_id", "split"])["publication"].nunique().unstack(fill_value=0)
    seen = parts.drop(index=list(unseen))
    assert (seen["train"] >= 2).all() and (seen["test"] >= 1).all()
    assert result.loc[result["split"] == "validation", "publication"].nunique() >= 1


@pytest.mark.parametrize("seed", range(4))
def test_publications_as_they_come(seed: int) -> None:
    single = [
        row for d in range(40) for row in series({f"PMID:9{d:03}": 2}, f"OMIM:2000{d:02}")
    ]  # diseases of one publication: in training or never seen
    table = pd.concat([cohort(seed=seed, shared=0.2), cases(single)], ignore_index=True)
    settings = {**SETTINGS, "stratified": False, "unseen_disease_fraction": 0, "seed": seed}
    result = split(table, settings)
    side = result.drop_duplicates("publication").set_index("publication")["split"]
    groups = 12 * 8 + 40
    # publications that share patients' diseases with others are joined, so a few fewer groups are drawn
    assert 0.8 * 0.25 * groups <= side.str.startswith("test").sum() <= 1.5 * 0.25 * groups
    trained = set(result.loc[result["split"] == "train", "disease_id"])
    assert set(result.loc[result["split"].isin(["test", "validation"]), "disease_id"]) <= trained
    assert not set(result.loc[result["split"] == "test_unseen", "disease_id"]) & trained
    # about a quarter of the diseases of one publication, nothing else
    fell = result.loc[result["split"] == "test_unseen", "disease_id"]
    assert fell.str.startswith("OMIM:2").all() and 3 <= fell.nunique() <= 20
    # only patients of validation whose disease nobody is trained on are left out
    left = table[~table["case_id"].isin(result["case_id"])]
    assert set(left["disease_id"]) & (trained | set(fell)) == set()
    pd.testing.assert_frame_equal(result, split(table.sample(frac=1, random_state=1), settings))


def test_publications_as_they_come_must_leave_some_to_train_on() -> None:
    few = cases([row for d in range(3) for row in series({f"PMID:{d}": 2}, f"OMIM:20000{d}")])
    settings = {**SETTINGS, "stratified": False, "unseen_disease_fraction": 0, "test_fraction": 0.9}
    with pytest.raises(InputError, match="test_fraction"):
        split(few, settings)


def test_a_test_of_unseen_diseases_alone_is_refused() -> None:
    """It would fail only after everything is trained."""
    single = cases([row for d in range(10) for row in series({f"PMID:{d}": 2}, f"OMIM:2000{d:02}")])
    settings = {**SETTINGS, "stratified": False, "unseen_disease_fraction": 0, "validation_fraction": 0}
    with pytest.raises(InputError, match=r"rare\.split: no test patient has a disease that is trained on"):
        split(single, settings)


def test_shares_are_those_asked_for() -> None:
    result = split(cohort(diseases=20, publications=12, shared=0), SETTINGS)
    counts = result.drop_duplicates("publication")["split"].value_counts()
    assert counts["test_unseen"] == 2 * 12
    assert counts["test"] == 18 * 3
    assert counts["validation"] == round(0.1 * (18 * 9))
    # large series stay in training where another publication can be tested
    for _, group in result[result["split"] != "test_unseen"].groupby("disease_id"):
        assert (group["split"] == "train").mean() >= 0.5


def test_the_largest_series_stays_in_training() -> None:
    sizes = {1: 9, 2: 1, 3: 2, 4: 1, 5: 2}
    rows = [
        row
        for d in range(5)
        for row in series({f"PMID:{d}{p}": size for p, size in sizes.items()}, f"OMIM:10000{d}")
    ]
    for seed in range(8):
        result = split(cases(rows), {**SETTINGS, "seed": seed, "unseen_disease_fraction": 0})
        assert set(result.loc[result["publication"].str.endswith("1"), "split"]) == {"train"}


def test_two_of_three_publications_stay_in_training() -> None:
    rows = [row for d in range(4) for row in series({f"PMID:{d}{p}": 1 for p in range(3)}, f"OMIM:10000{d}")]
    off = {"unseen_disease_fraction": 0, "validation_fraction": 0}
    result = split(cases(rows), {**SETTINGS, **off, "test_fraction": 0.7})
    assert result["split"].value_counts().to_dict() == {"train": 8, "test": 4}


def test_publications_tied_by_a_patient_stay_together() -> None:
    table = cohort(shared=0)
    first, second = table.index[table["publication"] == "PMID:1"][0], "PMID:203"
    table.at[first, "publications"] = ["PMID:1", second]
    for seed in range(6):
        result = split(table, {**SETTINGS, "seed": seed, "unseen_disease_fraction": 0})
        tied = result[result["publication"].isin(["PMID:1", second])]
        assert tied["split"].nunique() == 1 and tied["fold"].nunique() == 1


def test_seed_decides_and_row_order_does_not() -> None:
    table = cohort()
    first = split(table, SETTINGS)
    pd.testing.assert_frame_equal(first, split(table.sample(frac=1, random_state=5), SETTINGS))
    assert not first["split"].equals(split(table, {**SETTINGS, "seed": 4})["split"])


def test_caps_spread_over_publications() -> None:
    caps = {"max_train_cases_per_disease": 5, "max_test_cases_per_disease": 2}
    whole = split(cohort(shared=0), SETTINGS)
    result = split(cohort(shared=0), {**SETTINGS, **caps})
    sizes = result.groupby(["disease_id", "split"]).size()
    for (disease, part), size in sizes.items():
        available = whole[(whole["disease_id"] == disease) & (whole["split"] == part)]
        cap = 5 if part == "train" else 2
        assert size == min(cap, len(available))
        taken = result[(result["disease_id"] == disease) & (result["split"] == part)]
        assert taken["publication"].nunique() == min(cap, available["publication"].nunique())


def test_folds_divide_training_and_scatter_a_disease() -> None:
    result = split(cohort(shared=0), SETTINGS)
    train = result[result["split"] == "train"]
    assert set(train["fold"]) == {0, 1, 2}
    assert set(result.loc[result["split"] != "train", "fold"]) == {-1}
    groups = train.groupby(["disease_id", "fold"])["publication"].nunique().unstack(fill_value=0)
    assert ((groups.max(axis=1) - groups.min(axis=1)) <= 1).all()
    sizes = train["fold"].value_counts()
    assert sizes.max() < 1.5 * sizes.min()


def test_arms_can_be_switched_off() -> None:
    result = split(cohort(), {**SETTINGS, "unseen_disease_fraction": 0, "validation_fraction": 0})
    assert set(result["split"]) == {"train", "test"}


def test_smallest_cohort() -> None:
    rows = [
        *series({"PMID:1": 1, "PMID:2": 1}, "OMIM:100001"),
        *series({"PMID:3": 1, "PMID:4": 1}, "OMIM:100002"),
    ]
    off = {"unseen_disease_fraction": 0, "validation_fraction": 0, "folds": 2}
    result = split(cases(rows), {**SETTINGS, **off})
    assert sorted(result["split"]) == ["test", "test", "train", "train"]
    with pytest.raises(InputError, match=r"rare\.split\.validation_fraction"):
        split(cases(rows), {**SETTINGS, **off, "validation_fraction": 0.1})
    with pytest.raises(InputError, match=r"rare\.split\.folds"):
        split(cases(rows), {**SETTINGS, **off, "folds": 3})
    with pytest.raises(InputError, match=r"rare\.split\.unseen_disease_fraction"):
        split(cases(rows), {**SETTINGS, **off, "unseen_disease_fraction": 0.1})


def test_nothing_to_test() -> None:
    rows = [*series({"PMID:1": 3}, "OMIM:100001"), *series({"PMID:2": 3}, "OMIM:100002")]
    off = {"unseen_disease_fraction": 0, "validation_fraction": 0, "folds": 2}
    with pytest.raises(InputError, match=r"rare\.split\.test_fraction"):
        split(cases(rows), {**SETTINGS, **off})


def test_unseen_disease_never_empties_another() -> None:
    # every publication of disease 1 also reports disease 2, so disease 2's go when disease 1's do
    shared = {f"PMID:{i}": 1 for i in range(1, 4)}
    rows = [
        *series(shared, "OMIM:100001"),
        *series({**shared, "PMID:9": 1}, "OMIM:100002"),
        *series({f"PMID:{i}": 1 for i in range(20, 26)}, "OMIM:100003"),
    ]
    for seed in range(6):
        settings = {**SETTINGS, "seed": seed, "validation_fraction": 0, "folds": 2}
        result = split(cases(rows), settings)
        assert set(result.loc[result["split"] == "test_unseen", "disease_id"]) == {"OMIM:100003"}


def test_patients_of_other_diseases_in_an_unseen_publication_are_test() -> None:
    table = cohort(diseases=4, publications=6, shared=0)
    extra = cases(
        [(f"case-extra-{d}", f"PMID:{d * 100 + 1}", f"OMIM:{100000 + (d + 1) % 4}") for d in range(4)]
    )
    result = split(pd.concat([table, extra], ignore_index=True), SETTINGS)
    unseen = set(result.loc[result["split"] == "test_unseen", "disease_id"])
    publications = set(result.loc[result["split"] == "test_unseen", "publication"])
    others = result[result["publication"].isin(publications) & ~result["disease_id"].isin(unseen)]
    assert len(others) and set(others["split"]) == {"test"}


@pytest.mark.parametrize("damage", ["publication", "fold", "disease", "reference"])
def test_check_finds_a_broken_split(damage: str) -> None:
    result = split(cohort(shared=0), SETTINGS)
    check(result)
    train = result.index[result["split"] == "train"]
    test = result.index[result["split"] == "test"][0]
    if damage == "publication":
        result.at[train[0], "publication"] = result.at[test, "publication"]
    elif damage == "reference":
        result.at[test, "publications"] = [result.at[test, "publication"], result.at[train[0], "publication"]]
    elif damage == "fold":
        rows = result.index[result["publication"] == result.at[train[0], "publication"]]
        result.at[train[0], "fold"] = (result.at[train[0], "fold"] + 1) % 3
        assert len(rows) > 1
    else:
        result.at[train[0], "disease_id"] = result.loc[result["split"] == "test_unseen", "disease_id"].iloc[0]
    with pytest.raises(ValueError, match=r"split|folds"):
        check(result)


def test_summary_counts_parts_and_repeated_patients() -> None:
    table = cases(
        [("a", "PMID:1", "X"), ("b", "PMID:2", "X"), ("c", "PMID:3", "X")],
        split=["train", "test", "test"],
        fold=[0, -1, -1],
    )
    terms = pd.DataFrame(
        [("a", A1, False), ("b", A1, False), ("b", A2, True), ("c", A2, False)],
        columns=["case_id", "hpo_id", "excluded"],
    )
    found = summary(table, terms)
    assert found["splits"]["train"] == {"cases": 1, "diseases": 1, "publications": 1}
    expected = {"cases": 2, "diseases": 1, "publications": 2, "repeated_in_training": 1}
    assert found["splits"]["test"] == expected
    assert found["diseases"]["X"]["test"] == 2 and found["folds"] == {"0": 1}
