"""Who ranks labels: out of fold by patient, scores from elsewhere, the prior, and the small CLIP itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import score_tile_prior
import train_tile_teacher
from mintflow import tile_teacher
from mintflow.errors import InputError

LABELS = ["blue", "green", "red"]
SETTINGS = {
    "kind": "clip",
    "scores": None,
    "id": None,
    "revision": None,
    "head": "zero-shot",
    "prompts": ["an image of {label}", "{label}"],
    "image_size": 24,
    "dim": 16,
    "learning_rate": 0.003,
    "weight_decay": 0.01,
    "batch_size": 16,
    "epochs": 12,
    "device": "cpu",
    "seed": 1,
}


def cases(number: int = 72) -> pd.DataFrame:
    rows = []
    for index in range(number):
        patient = index // 6
        split = "test" if patient >= 9 else "validation" if patient == 8 else "train"
        fold = patient % 2 if split == "train" else -1
        rows.append((f"t{index:03d}", LABELS[index % 3], f"p{patient}", split, fold, "", index))
    columns = ["case_id", "label_id", "patient_id", "split", "fold", "file", "row"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coloured tiles with captions that do not name the colour."""
    folder, rng = tmp_path_factory.mktemp("teacher"), np.random.default_rng(0)
    table, tiles = cases(), []
    for label in table["label_id"]:
        pixels = rng.integers(0, 80, (24, 24, 3), dtype=np.uint8)
        pixels[..., {"red": 0, "green": 1, "blue": 2}[label]] += 170
        Image.fromarray(pixels).save(folder / "tile.png")
        tiles.append({"bytes": (folder / "tile.png").read_bytes(), "path": None})
    pq.write_table(pa.table({"image": pa.array(tiles)}), folder / "tiles.parquet")
    table["file"] = str(folder / "tiles.parquet")
    unlabelled = table.tail(1).assign(case_id="u", label_id=None, split="unlabelled")
    pd.concat([table, unlabelled]).to_parquet(folder / "cases.parquet")
    pd.DataFrame({"label_id": LABELS, "name": LABELS}).to_parquet(folder / "labels.parquet")
    said = pd.DataFrame({"case_id": [*table["case_id"], "u"], "caption": "Some grain."})
    said.to_parquet(folder / "descriptions.parquet")
    return folder


def train(folder: Path, out: Path, threads: int = 1, **changes: object) -> tuple[pd.DataFrame, dict]:
    flags = {
        "settings": json.dumps(SETTINGS | changes),
        "cases": folder / "cases.parquet",
        "labels": folder / "labels.parquet",
        "descriptions": folder / "descriptions.parquet",
        "threads": threads,
        "output-scores": out / "scores.parquet",
        "output-summary": out / "summary.json",
    }
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    train_tile_teacher.main(train_tile_teacher.arguments().parse_args(words))
    return pd.read_parquet(out / "scores.parquet"), json.loads((out / "summary.json").read_text())


def test_the_small_clip_learns_and_scores_everyone(material: Path, tmp_path: Path) -> None:
    scores, summary = train(material, tmp_path)
    assert scores.columns.tolist() == ["case_id", "label_id", "score", "rank"]
    assert len(scores) == 73 * 3 and set(scores.groupby("case_id")["rank"].max()) == {3}
    assert summary["accuracy"]["test"]["top1"] > 0.9 and summary["accuracy"]["test"]["n"] == 18
    assert summary["accuracy"]["train"]["top1"] > 0.9  # out of fold
    assert "unlabelled" not in summary["accuracy"]
    assert [model["tiles"] for model in summary["models"]] == [48, 24, 24]


def test_same_seed_same_bytes_whatever_the_number_of_threads(material: Path, tmp_path: Path) -> None:
    for name, threads in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        train(material, tmp_path / name, epochs=2, threads=threads)
    for file in ("scores.parquet", "summary.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_no_tile_is_scored_by_a_model_that_saw_its_fold() -> None:
    table, seen = cases(), []

    def fit(learn: np.ndarray, stop: np.ndarray, score: np.ndarray) -> np.ndarray:
        seen.append((learn, stop, score))
        return np.zeros((int(score.sum()), 3))

    tile_teacher.out_of_fold(table, LABELS, fit)
    patients = table["patient_id"].to_numpy()
    assert len(seen) == 3 and sum(score.sum() for *_, score in seen) == len(table)
    for learn, stop, score in seen:
        assert set(table.loc[learn, "split"]) == {"train"}
        assert set(table.loc[stop, "split"]) == {"validation"}
        assert not set(patients[learn]) & set(patients[score])


def test_a_model_without_tiles_to_learn_from_and_a_tile_without_fold_are_refused() -> None:
    table = cases()
    training = table["split"] == "train"
    for changed, problem in (
        (table.assign(fold=table["fold"].where(~training, 0)), "fold 0 holds every training tile"),
        (table[~training], "no training tile"),
        (table.assign(fold=-1), "record t000, field fold: a training tile without a fold"),
    ):
        with pytest.raises(InputError, match=problem):
            tile_teacher.rounds(changed)


def test_prompts_and_widths_that_cannot_work_are_named(material: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tissue\.teacher\.prompts: 'tissue' lacks \{label\}"):
        train(material, tmp_path, prompts=["{label}", "tissue"])
    with pytest.raises(InputError, match=r"tissue\.teacher\.dim: must be a multiple of 4"):
        train(material, tmp_path, dim=10)


def test_scores_made_elsewhere(material: Path, tmp_path: Path) -> None:
    table = pd.read_parquet(material / "cases.parquet")
    path = tmp_path / "scores.tsv"
    labelled = table.loc[table["split"] != "unlabelled", "case_id"]
    rows = [(case, label, 1.0) for case in labelled for label in ("red", "green")]
    rows += [("t001", "blue", 0.5), ("t000", "red", 5.0), ("stranger", "red", 1.0), ("t000", "purple", 9.0)]
    pd.DataFrame(rows, columns=["case_id", "label_id", "score"]).to_csv(path, sep="\t", index=False)
    scores, summary = train(material, tmp_path, kind="scores", scores=str(path))
    first = scores[scores["case_id"] == "t000"].set_index("label_id")
    assert first.loc["red", "score"] == 5.0 and first.loc["blue", "rank"] == 3
    assert summary["kind"] == "scores"
    assert set(scores["case_id"]) == set(labelled)  # an unlabelled tile need not be scored


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([("t000", "red", "high")], "record t000, red, field score: 'high' is no finite number"),
        ([("t000", "red", "1")], "71 tile\\(s\\) without a score of any label"),
        (
            [(f"t{n:03d}", label, "1") for n in range(72) for label in ("red", "Blue")],
            "field label_id: no tile has a score of blue, green",
        ),
    ],
)
def test_unusable_scores_are_named(material: Path, tmp_path: Path, rows: list, problem: str) -> None:
    path = tmp_path / "scores.tsv"
    pd.DataFrame(rows, columns=["case_id", "label_id", "score"]).to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match=problem):
        train(material, tmp_path, kind="scores", scores=str(path))
    with pytest.raises(InputError, match=r"tissue\.teacher\.scores: kind scores needs a file"):
        train(material, tmp_path, kind="scores", scores=None)


def test_prior_is_the_share_of_training_tiles(material: Path, tmp_path: Path) -> None:
    table = cases().query("label_id != 'red' or split != 'train' or row % 2")
    found = tile_teacher.prior(table, LABELS)
    assert np.ptp(found, axis=0).max() == 0 and found[0].sum() == pytest.approx(1)
    assert found[0].argmin() == LABELS.index("red")
    words = [
        "--seed",
        "3",
        "--cases",
        str(material / "cases.parquet"),
        "--labels",
        str(material / "labels.parquet"),
    ]
    words += ["--output-scores", str(tmp_path / "p.parquet"), "--output-summary", str(tmp_path / "p.json")]
    score_tile_prior.main(score_tile_prior.arguments().parse_args(words))
    ranks = pd.read_parquet(tmp_path / "p.parquet").groupby("case_id")["rank"].apply(sorted)
    assert all(values == [1, 2, 3] for values in ranks)  # guesses, no ties


def test_a_tile_without_caption_is_named(material: Path, tmp_path: Path) -> None:
    said = pd.read_parquet(material / "descriptions.parquet").iloc[1:]
    for name in ("cases", "labels"):
        (tmp_path / f"{name}.parquet").write_bytes((material / f"{name}.parquet").read_bytes())
    said.to_parquet(tmp_path / "descriptions.parquet")
    with pytest.raises(InputError, match="record t000: has no caption"):
        train(tmp_path, tmp_path)
