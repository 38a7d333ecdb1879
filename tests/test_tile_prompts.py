"""What the vision student is asked, and which image it is shown."""

from __future__ import annotations

import pandas as pd
import pytest

from mintflow.errors import InputError
from mintflow.tile_prompts import build_tile_prompts, choose_donors, question

TEMPLATE = {"system": "You answer.", "user": "Candidates: {labels}. List {k}."}
LABELS = pd.DataFrame({"label_id": ["tumor", "gland", "nerve"], "name": ["tumor", "gland", "nerve"]})


def cases() -> pd.DataFrame:
    rows = []
    for number in range(24):
        split = ("train", "validation", "test", "test", "unlabelled", "train")[number % 6]
        label = None if split == "unlabelled" else LABELS["label_id"][number // 6 % 3]
        rows.append((f"t{number:02d}", label, f"p{number // 3}", split))
    return pd.DataFrame(rows, columns=["case_id", "label_id", "patient_id", "split"])


def build(**changes: object) -> pd.DataFrame:
    given = {"template": TEMPLATE, "k": 2, "controls": ["shuffled", "blank"], "seed": 1} | changes
    return build_tile_prompts(cases(), LABELS, **given)


def test_every_tile_is_asked_the_same_and_shown_its_own_image() -> None:
    prompts = build()
    own = prompts[prompts["control"] == "none"]
    assert own["case_id"].tolist() == cases()["case_id"].tolist()
    assert (own["image"] == own["case_id"]).all()
    texts = {message["content"] for prompt in prompts["prompt"] for message in prompt}
    assert texts == {"You answer.", "Candidates: gland, nerve, tumor. List 2."}


def test_controls_are_for_test_tiles_and_take_the_image_away() -> None:
    prompts, known = build(), cases().set_index("case_id")
    controls = prompts[prompts["control"] != "none"]
    assert set(known.loc[controls["case_id"], "split"]) == {"test"}
    assert controls.loc[controls["control"] == "blank", "image"].isna().all()
    shuffled = controls[controls["control"] == "shuffled"]
    assert len(shuffled) == 8
    for case, image in zip(shuffled["case_id"], shuffled["image"], strict=True):
        for column in ("label_id", "patient_id"):
            assert known.loc[case, column] != known.loc[image, column]
        assert known.loc[image, "split"] == "test"


def test_the_draw_is_by_seed() -> None:
    assert build()["image"].equals(build()["image"])
    assert not build()["image"].equals(build(seed=2)["image"])


def test_no_control_no_donor() -> None:
    assert set(build(controls=[])["control"]) == {"none"}


@pytest.mark.parametrize(
    ("user", "problem"),
    [
        ("List {n}.", "unknown placeholder {n}"),
        ("List {k", "expected '}'"),
        (" ", "is empty"),
        ("{k:3}", "unknown"),
    ],
)
def test_a_wrong_template_is_named(user: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        question({"system": "", "user": user}, ["a"], 1)
    assert problem in str(caught.value) and "tissue.prompt.user" in str(caught.value)


def test_a_system_message_may_be_left_out() -> None:
    assert question({"system": "", "user": "What?"}, ["a"], 1) == [{"role": "user", "content": "What?"}]


def test_a_tile_without_a_stranger_to_swap_with() -> None:
    alone = cases().assign(patient_id="p")
    tested = alone[alone["split"] == "test"].set_index("case_id")["label_id"]
    # of one patient, or of who knows whom: a tile of another label
    donors = choose_donors(alone[alone["split"] == "test"], 1)
    assert all(tested[case] != tested[donor] for case, donor in donors.items())
    alone = alone.assign(label_id="x")
    with pytest.raises(InputError, match=r"tissue\.evaluation\.controls: no test tile of another label"):
        choose_donors(alone[alone["split"] == "test"], 1)
    with pytest.raises(InputError, match="unknown control"):
        build(controls=["dark"])
