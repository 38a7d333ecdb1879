"""Pairs of the tissue track: the teacher's lists, images by reference, no test tile."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import build_tile_preferences
import build_tile_prompts
from mintflow.errors import InputError
from mintflow.scores import rank_table

LABELS = ["gland", "muscle", "nerve", "tumor"]
TEMPLATE = {"system": "You answer.", "user": "List {k}."}


@pytest.fixture
def material(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(40):
        split = ("train", "train", "train", "validation", "test")[number % 5]
        source = "slide" if number < 30 else "extra"
        rows.append(
            (
                f"t{number:02d}",
                LABELS[number % 4],
                f"p{number // 5}",
                source,
                split,
                "tiles.parquet",
                number,
                True,
            )
        )
    columns = ["case_id", "label_id", "patient_id", "source", "split", "file", "row", "simulated"]
    cases = pd.DataFrame(rows, columns=columns)
    cases.to_parquet(tmp_path / "cases.parquet")
    pd.DataFrame({"label_id": LABELS, "name": LABELS}).to_parquet(tmp_path / "labels.parquet")
    scores = rng.normal(size=(40, 4))
    scores[3] = 1.0  # a validation tile without any preference
    rank_table(scores, cases["case_id"].tolist(), LABELS, "label_id").to_parquet(tmp_path / "scores.parquet")
    return tmp_path


def build(folder: Path, **changes: object) -> tuple[pd.DataFrame, pd.DataFrame, str, dict]:
    settings = {"k": 2, "q": 1, "rejected": "bottom", "max_pairs": None, "seed": 1} | changes
    tables = ["--cases", str(folder / "cases.parquet"), "--labels", str(folder / "labels.parquet")]
    asked = {"prompt": TEMPLATE, "k": settings["k"], "controls": ["blank", "shuffled"], "seed": 1}
    build_tile_prompts.main(
        build_tile_prompts.arguments().parse_args(
            ["--settings", json.dumps(asked), *tables, "--output", str(folder / "prompts.parquet")]
        )
    )
    names = ("train", "validation", "card", "summary")
    outputs = [word for name in names for word in (f"--output-{name}", str(folder / name))]
    given = ["--prompts", str(folder / "prompts.parquet"), "--scores", str(folder / "scores.parquet")]
    build_tile_preferences.main(
        build_tile_preferences.arguments().parse_args(
            ["--settings", json.dumps(settings), *given, *tables, *outputs]
        )
    )
    train, validation = (pd.read_parquet(folder / name) for name in ("train", "validation"))
    return train, validation, (folder / "card").read_text(), json.loads((folder / "summary").read_text())


def test_lists_are_the_teachers_and_images_are_referred_to(material: Path) -> None:
    train, validation, card, summary = build(material)
    assert train.columns.tolist() == build_tile_preferences.COLUMNS
    cases = pd.read_parquet(material / "cases.parquet").set_index("case_id")
    assert set(cases.loc[train["case_id"], "split"]) == {"train"} and len(train) == 24
    assert set(cases.loc[validation["case_id"], "split"]) == {"validation"} and len(validation) == 7
    scores = pd.read_parquet(material / "scores.parquet")
    for row in train.itertuples():
        ranked = scores[scores["case_id"] == row.case_id].sort_values("rank")["label_id"].tolist()
        assert list(row.chosen_ids) == ranked[:2] and list(row.rejected_ids) == ranked[-1:]
        assert row.chosen[0]["content"] == f"1. {ranked[0]}\n2. {ranked[1]}"
        assert (row.image, row.image_row) == (row.case_id, cases.loc[row.case_id, "row"])
    assert not [name for name in train if train[name].map(type).eq(bytes).any()]
    assert summary["splits"]["validation"]["dropped_without_preference"] == 1
    header = yaml.safe_load(card.split("---\n")[1])
    assert "synthetic" in header["tags"]
    assert "tile set extra" in card and "All tiles are synthetic" in card


def test_datasets_opens_them(material: Path) -> None:
    import datasets

    build(material)
    (material / "train").rename(material / "train.parquet")
    loaded = datasets.load_dataset("parquet", data_files=str(material / "train.parquet"), split="train")
    assert loaded[0]["prompt"][0]["role"] == "system"
    assert loaded[0]["image"] == loaded[0]["case_id"]


def test_a_maximum_is_spread_over_the_labels(material: Path) -> None:
    train, validation, _, summary = build(material, max_pairs=8)
    cases = pd.read_parquet(material / "cases.parquet").set_index("case_id")
    assert cases.loc[train["case_id"], "label_id"].value_counts().tolist() == [2, 2, 2, 2]
    assert len(validation) == 7 and summary["splits"]["train"]["left_out_by_max_pairs"] == 16


def test_same_seed_same_bytes(material: Path) -> None:
    build(material, max_pairs=10)
    first = [(material / name).read_bytes() for name in ("train", "validation", "card", "summary")]
    build(material, max_pairs=10)
    assert first == [(material / name).read_bytes() for name in ("train", "validation", "card", "summary")]


def test_lists_that_would_overlap_are_refused(material: Path) -> None:
    with pytest.raises(InputError, match=r"k \+ q = 3 \+ 2 = 5 is more than the 4 labels"):
        build(material, k=3, q=2)
