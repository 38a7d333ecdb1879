"""Which tiles are used and who is tested: whole patients, labels on both sides, caps, folds."""

from __future__ import annotations

import hashlib
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mintflow.errors import InputError
from mintflow.tile_cohort import Cohort, check, choose, label_id, summary
from mintflow.tile_collection import COLUMNS
from mintflow.tile_split import deal, hold_out, in_order

COHORT = {"labels": None, "max_train_tiles_per_label": None, "max_test_tiles_per_label": None, "seed": 1}
SPLIT = {"test_fraction": 0.3, "validation_fraction": 0.12, "folds": 3, "seed": 2}


def rows(patient: str, label: str | None, count: int = 3, **more: Any) -> list[dict[str, Any]]:
    slide = more.pop("slide", f"slide of {patient}")
    source = more.get("source", "slides")
    start = f"{slide or source + patient}@{label}"
    return [
        {
            "case_id": f"{start},{number}",
            "slide_id": slide,
            "patient_id": patient,
            "label": label,
            "source": source,
            "set_split": "auto",
            "file": "tiles.parquet",
            "row": number,
            "kept": True,
            "reason": "",
            "simulated": False,
            "content": hashlib.sha256(f"{start},{number}".encode()).hexdigest(),
            "sharpness": 5.0,
            "pen": 0.0,
            "fold": 0.0,
            "blood": 0.0,
            "black": 0.0,
            **more,
        }
        for number in range(count)
    ]


def table(*parts: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([row for part in parts for row in part])[list(COLUMNS)].astype(COLUMNS)


def patients(count: int, *labels: str, per: int = 3) -> list[list[dict[str, Any]]]:
    return [rows(f"p{number:02d}", label, per) for number in range(count) for label in labels]


def unknown_set(name: str, split: str, count: int, *labels: str) -> list[list[dict[str, Any]]]:
    more = {"slide": None, "source": name, "set_split": split}
    return [rows(f"set:{name}", label, count, **more) for label in labels]


def decide(tiles: pd.DataFrame, **more: Any) -> Cohort:
    cohort = {**COHORT, **{key: value for key, value in more.items() if key in COHORT and key != "seed"}}
    return choose(tiles, cohort, {**SPLIT, **{key: value for key, value in more.items() if key in SPLIT}})


def test_whole_patients_by_fraction() -> None:
    cohort = decide(table(*patients(20, "a", "b")))
    cases = cohort.cases
    sides = cases.groupby("patient_id")["split"].agg(set)
    assert (sides.map(len) == 1).all()
    assert cases.groupby("split")["patient_id"].nunique().to_dict() == {
        "test": 6,
        "train": 12,
        "validation": 2,
    }
    assert cohort.labels.to_numpy().tolist() == [["a", "a"], ["b", "b"]]
    assert cases["case_id"].is_monotonic_increasing
    assert cohort.notes == [] and cohort.patients_unknown == []


def test_same_seed_same_cohort_whatever_the_order_of_the_rows() -> None:
    tiles = table(*patients(12, "a", "b", "c"))
    first, again = decide(tiles), decide(tiles.sample(frac=1, random_state=3, ignore_index=True))
    pd.testing.assert_frame_equal(first.cases, again.cases)
    other = decide(tiles, seed=99)
    assert not first.cases["split"].equals(other.cases["split"])


@st.composite
def _material(draw: st.DrawFn) -> pd.DataFrame:
    names = ["a", "b", "c", "d"]
    parts = []
    for number in range(draw(st.integers(2, 9))):
        for label in draw(st.lists(st.sampled_from([*names, None]), min_size=1, max_size=3, unique=True)):
            slide = f"s{draw(st.integers(1, 2))} of {number}"
            content = draw(st.sampled_from([None, "same picture"]))
            more = {"slide": slide} | ({"content": content} if content else {})
            parts.append(rows(f"p{number}", label, draw(st.integers(1, 4)), **more))
    for name in draw(st.lists(st.sampled_from(["x", "y"]), unique=True)):
        parts.extend(unknown_set(name, draw(st.sampled_from(["auto", "train", "test"])), 4, "a", "b"))
    return table(*parts)


@settings(max_examples=30, deadline=None)
@given(_material(), st.integers(0, 50), st.sampled_from([None, 2]))
def test_no_patient_on_two_sides_and_no_picture_on_two_sides(
    tiles: pd.DataFrame, seed: int, cap: int | None
) -> None:
    try:
        cohort = decide(tiles, seed=seed, max_train_tiles_per_label=cap, max_test_tiles_per_label=cap)
    except InputError:
        return
    used = cohort.cases[cohort.cases["split"] != "unlabelled"]
    for patient, part in used.groupby("patient_id"):
        allowed = {"train", "validation"} if str(patient).startswith("set:") else set()
        assert part["split"].nunique() == 1 or set(part["split"]) <= allowed
        assert part["fold"].nunique() == 1 or str(patient).startswith("set:")
    content = used["case_id"].map(tiles.set_index("case_id")["content"])
    assert (used.groupby(content)["split"].nunique() == 1).all()
    closed = set(cohort.labels["label_id"])
    assert set(used["label_id"]) <= closed
    assert set(used.loc[used["split"] == "train", "label_id"]) == closed
    assert cohort.cases["case_id"].is_unique
    assert ((used["split"] == "train") == (used["fold"] >= 0)).all()
    if cap:
        assert used.groupby(["split", "label_id"]).size().max() <= cap


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text("pqrst", min_size=1, max_size=3),
        st.frozensets(st.sampled_from("abcde"), min_size=1),
        min_size=2,
        max_size=12,
    ),
    st.integers(0, 9),
)
def test_holding_out_never_takes_the_last_patient_of_a_label(
    units: dict[str, frozenset[str]], seed: int
) -> None:
    out = hold_out(units, max(1, len(units) // 3), seed=seed, salt="test", exceed=True)
    trained = {label for unit in units.keys() - out for label in units[unit]}
    assert trained == {label for labels in units.values() for label in labels}


def test_every_label_is_trained_and_tested_where_two_patients_have_it() -> None:
    parts = patients(10, "common")
    for number in range(0, 10, 2):  # five rare labels, two patients each
        parts += [rows(f"p{number + more:02d}", f"rare{number}") for more in (0, 1)]
    for seed in range(5):
        cases = decide(table(*parts), seed=seed, test_fraction=0.1).cases
        for side in ("train", "test"):
            assert cases.loc[cases["split"] == side, "label_id"].nunique() == 6


def test_validation_leaves_a_label_its_second_training_patient() -> None:
    units = {f"p{number}": frozenset({"a", "b"}) for number in range(6)}
    units |= {"p0": frozenset({"a", "rare"}), "p1": frozenset({"b", "rare"})}
    for seed in range(10):
        assert not hold_out(units, 2, seed=seed, salt="validation", spare=True) & {"p0", "p1"}
    few = {"p0": frozenset({"a"}), "p1": frozenset({"a"})}
    assert len(hold_out(few, 1, seed=1, salt="validation", spare=True)) == 1  # rather than no validation


def test_a_label_of_one_patient_is_trained_and_said_to_be_untested() -> None:
    cohort = decide(table(*patients(8, "a", "b"), rows("p00", "lonely")))
    assert "lonely" in set(cohort.labels["name"])
    assert "no test tile: lonely" in cohort.notes
    assert "trained on one patient, so scored by a teacher that never saw it: lonely" in cohort.notes


def test_sets_with_a_split_go_there_wholly() -> None:
    tiles = table(*unknown_set("one", "train", 30, "a", "b"), *unknown_set("two", "test", 5, "a", "b", "c"))
    cohort = decide(tiles)
    cases = cohort.cases
    assert set(cases.loc[cases["source"] == "two", "split"]) == {"test", "unlabelled"}
    one = cases[cases["source"] == "one"]
    assert one["split"].value_counts().to_dict() == {"train": 53, "validation": 7}
    assert one.groupby(["fold", "label_id"]).size()[0].min() >= 8
    assert cohort.patients_unknown == ["one", "two"]
    assert set(summary(cohort)["patients"].values()) == {0}  # none is known
    assert any(
        "set one are unknown: validation and folds divide its pictures" in note for note in cohort.notes
    )
    assert "no training tile, so not in the closed set: c" in cohort.notes
    assert cases.loc[cases["split"] == "unlabelled", "case_id"].str.contains("@c").all()


def test_a_small_set_of_unknown_patients_stays_whole() -> None:
    cohort = decide(table(*patients(12, "a", "b"), *unknown_set("one", "train", 4, "a")))
    part = cohort.cases[cohort.cases["source"] == "one"]
    assert part["split"].nunique() == 1 and part["fold"].nunique() == 1
    assert not any("pictures" in note for note in cohort.notes)


def test_equal_pictures_of_a_divided_set_stay_together() -> None:
    parts = unknown_set("one", "train", 20, "a", "b")
    for part in parts:
        for row in part:
            row["content"] = f"{row['label']} {row['row'] // 4}"
    cases = decide(table(*parts, *unknown_set("two", "test", 5, "a", "b"))).cases
    one = cases[cases["source"] == "one"]
    place = one["split"] + one["fold"].astype(str)
    assert (place.groupby(one["label_id"] + (one["row"] // 4).astype(str)).nunique() == 1).all()


def test_one_undivided_set_alone_cannot_be_split() -> None:
    with pytest.raises(InputError, match="give tile sets of unknown patients a split") as caught:
        decide(table(*unknown_set("one", "auto", 30, "a", "b")))
    assert "tissue.split.test_fraction" in str(caught.value)
    with pytest.raises(InputError, match="none is left for train"):
        decide(table(*unknown_set("one", "test", 30, "a", "b")))


def test_a_patient_in_a_training_set_and_in_a_test_set_is_tested() -> None:
    more = {"slide": None, "source": "one", "set_split": "train"}
    test = {"slide": None, "source": "two", "set_split": "test"}
    tiles = table(
        *[rows(f"q{number}", label, **more) for number in range(5) for label in "ab"],
        rows("both", "a", 4, **{**more, "source": "three"}),
        rows("both", "b", 4, **test),
        rows("other", "a", 4, **test),
    )
    cohort = decide(tiles)
    assert set(cohort.cases.loc[cohort.cases["patient_id"] == "both", "split"]) == {"test"}
    assert any("4 tiles left out of training" in note for note in cohort.notes)


def test_held_out_pictures_leave_training() -> None:
    tiles = table(*patients(10, "a", "b"))
    test = decide(tiles).cases.set_index("case_id")["split"]
    tested, trained = test.index[test == "test"][0], test.index[test == "train"][:2]
    content = tiles.set_index("case_id")["content"]
    tiles["content"] = tiles["content"].where(~tiles["case_id"].isin(trained), content[tested])
    cohort = decide(tiles)
    assert cohort.duplicates == 2
    assert tested in set(cohort.cases["case_id"]) and not set(trained) & set(cohort.cases["case_id"])


def test_caps_are_spread_over_patients() -> None:
    tiles = table(*patients(10, "b", per=1), *[rows(f"p{n:02d}", "a", 3 if n else 400) for n in range(10)])
    cases = decide(tiles, max_train_tiles_per_label=10, max_test_tiles_per_label=3).cases
    counts = cases.groupby(["split", "label_id"]).size()
    assert counts["train"].max() <= 10 and counts["test"].max() <= 3
    per_patient = cases[(cases["split"] == "train") & (cases["label_id"] == "a")].groupby("patient_id").size()
    assert len(per_patient) == 6 and per_patient.max() <= 2


def test_tiles_between_regions_are_left_out_and_those_of_unlabelled_slides_are_not() -> None:
    tiles = table(
        *patients(8, "a", "b"),
        rows("p01", None, 9),
        rows("new", None, 70),
        rows("p02", None, 5, slide="second"),
    )
    cases = decide(tiles).cases
    part = cases[cases["split"] == "unlabelled"]
    assert part.groupby("slide_id").size().to_dict() == {"slide of new": 50, "second": 5}
    assert part["label_id"].isna().all() and (part["fold"] == -1).all()


def test_closed_set_of_the_configuration() -> None:
    cohort = decide(table(*patients(8, "a", "Bile  duct", "other")), labels=["bile duct", "A", "missing"])
    assert cohort.labels.to_numpy().tolist() == [["a", "A"], ["bile-duct", "bile duct"]]
    other = cohort.cases[cohort.cases["case_id"].str.contains("other")]
    assert set(other["split"]) == {"unlabelled"}
    assert any("missing" in note for note in cohort.notes)
    with pytest.raises(InputError, match="differ in nothing but"):
        decide(table(*patients(8, "a", "b")), labels=["Bile duct", "bile-duct"])


def test_spellings_of_one_label_count_together() -> None:
    cohort = decide(table(*patients(8, "tumor"), *patients(8, "b"), rows("p01", "Tumor", 2)))
    assert cohort.labels["name"].tolist() == ["b", "tumor"]
    assert "counted as one label: tumor, Tumor" in cohort.notes


@pytest.mark.parametrize(
    ("name", "wanted"), [("Bile duct", "bile-duct"), ("Head & Neck", "head-neck"), ("Ödem_2", "ödem-2")]
)
def test_label_ids(name: str, wanted: str) -> None:
    assert label_id(name) == wanted
    assert label_id("±").startswith("label-") and label_id("±") != label_id("?")


def test_dropped_tiles_do_not_come_back() -> None:
    cohort = decide(table(*patients(8, "a", "b"), rows("p01", "c", 3, kept=False, reason="pen")))
    assert not cohort.cases["case_id"].str.contains("@c").any()
    assert [step["cases"] for step in cohort.steps[:2]] == [51, 48]


def test_too_little_is_a_clear_error() -> None:
    with pytest.raises(InputError, match="no tile has a label"):
        decide(table(rows("p", None)))
    with pytest.raises(InputError, match="2 are needed"):
        decide(table(*patients(5, "a")))
    with pytest.raises(InputError, match="all training tiles are of one patient"):
        decide(table(*patients(2, "a", "b")), validation_fraction=0.0)
    with pytest.raises(InputError, match="no test tile has a label that is trained"):
        decide(table(*unknown_set("x", "train", 9, "a", "b"), *unknown_set("y", "test", 9, "c")))


def test_fewer_patients_than_folds() -> None:
    cohort = decide(table(*patients(3, "a", "b")), validation_fraction=0.0)
    assert cohort.cases["fold"].max() == 1
    assert "2 folds instead of 3: there are 2 training patients" in cohort.notes


def test_folds_are_even_and_part_the_patients_of_a_label() -> None:
    sizes = {f"u{number}": {"a": 3} if number % 2 else {"b": 3} for number in range(12)}
    fold_of = deal(sizes, 3, seed=1)
    for parity in (0, 1):
        folds = [fold_of[f"u{number}"] for number in range(parity, 12, 2)]
        assert sorted(folds) == [0, 0, 1, 1, 2, 2]


def test_a_new_patient_moves_few_others() -> None:
    names = [f"patient {number}" for number in range(50)]
    before, after = in_order(names, 3), in_order([*names, "new"], 3)
    assert [name for name in after if name != "new"] == before


def test_check_finds_what_is_broken() -> None:
    cases = decide(table(*patients(10, "a", "b"))).cases
    check(cases)
    patient = cases.loc[cases["split"] == "test", "patient_id"].iloc[0]
    broken = cases.copy()
    broken.loc[broken["split"] == "train", "patient_id"] = patient
    with pytest.raises(ValueError, match="sides of the split"):
        check(broken)
    broken = cases.assign(fold=-1)
    with pytest.raises(ValueError, match="folds are not"):
        check(broken)


def test_summary_counts() -> None:
    cohort = decide(table(*patients(10, "a", "b"), rows("new", None, 4)))
    counts = summary(cohort)
    assert counts["splits"]["test"] == {"cases": 18, "labels": 2, "patients": 3, "slides": 3}
    assert counts["labels"]["a"] == {"name": "a", "train": 18, "validation": 3, "test": 9}
    assert counts["patients"] == {"train": 6, "validation": 1, "test": 3, "unlabelled": 1}
    assert sum(counts["folds"].values()) == 36
    assert counts["steps"][0] == {"step": "read", "cases": 64, "labels": 2, "patients": 11}
