"""What is measured in a tile, and words that follow from it and name no tissue."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from skimage.draw import disk, ellipse

import describe_tiles
from mintflow import captions
from mintflow.errors import InputError
from mintflow.synthetic_tissue import TISSUES, draw_stain, draw_tissue

PINK, VIOLET, GLASS = (225, 160, 190), (90, 60, 140), (243, 242, 244)


def tile(nuclei: list[tuple[int, int, int]], *, stretch: float = 1.0, background: tuple = PINK) -> np.ndarray:
    """Nuclei (row, column, radius) on an even ground."""
    rgb = np.full((96, 96, 3), background, np.uint8)
    for row, column, radius in nuclei:
        rows, columns = (
            disk((row, column), radius, shape=(96, 96))
            if stretch == 1
            else ellipse(row, column, radius, radius * stretch, shape=(96, 96))
        )
        rgb[rows, columns] = VIOLET
    return rgb


def grid(step: int, radius: int) -> list[tuple[int, int, int]]:
    return [(row, column, radius) for row in range(8, 92, step) for column in range(8, 92, step)]


def test_nuclei_are_counted_and_sized() -> None:
    few, many = captions.measure(tile(grid(28, 5))), captions.measure(tile(grid(14, 3)))
    assert few["count"] == pytest.approx(1e4 * 9 / 96**2, rel=0.01)
    assert many["count"] == pytest.approx(1e4 * 36 / 96**2, rel=0.01)
    assert few["size"] > 2 * many["size"] > 0
    assert few["spread"] == pytest.approx(0, abs=0.1)
    assert captions.measure(tile([*grid(28, 5)[:5], *grid(28, 3)[5:]]))["spread"] > 0.5


def test_shape_and_direction() -> None:
    discs, spindles = (captions.measure(tile(grid(28, 4), stretch=stretch)) for stretch in (1.0, 2.5))
    assert discs["elongation"] < 1.3 < 1.8 < spindles["elongation"]
    assert spindles["direction"] > discs["direction"] + 0.2
    rows = np.full((96, 96, 3), PINK, np.uint8)
    rows[::6] = (170, 80, 130)
    assert captions.measure(rows)["direction"] > 0.9


def test_white_and_eosin() -> None:
    half = tile(grid(28, 5))
    half[:48] = GLASS
    assert captions.measure(half)["white"] == pytest.approx(0.5, abs=0.05)
    assert captions.measure(tile(grid(28, 5)))["white"] == 0
    pale, deep = (
        captions.measure(tile([], background=one))["eosin"] for one in ((240, 210, 225), (225, 110, 160))
    )
    assert deep > pale + 0.3


@pytest.mark.parametrize("level", [0, 127, 255])
def test_a_tile_of_one_colour_is_measured_too(level: int) -> None:
    found = captions.measure(np.full((64, 64, 3), level, np.uint8))
    assert set(found) == set(captions.MEASURES) and np.isfinite(list(found.values())).all()


def test_turning_a_tile_changes_little() -> None:
    rng = np.random.default_rng(0)
    rgb = draw_tissue("gland", 96, 96, 1.0, rng, draw_stain(rng))
    one, other = captions.measure(rgb), captions.measure(np.rot90(rgb).copy())
    for name in captions.MEASURES:
        assert other[name] == pytest.approx(one[name], rel=0.05, abs=0.02), name


@pytest.fixture(scope="module")
def described() -> pd.DataFrame:
    """Tiles of eight tissues from twelve patients, eight of them for training."""
    rows = []
    for patient in range(12):
        rng = np.random.default_rng(patient)
        stain = draw_stain(rng)
        for tissue in TISSUES:
            rgb = draw_tissue(tissue, 192, 96, 1.0, rng, stain)
            for part in (rgb[:96], rgb[96:]):
                rows.append({"patient": patient, "tissue": tissue, **captions.measure(part)})
    table = pd.DataFrame(rows)
    limits = captions.cuts(table[table["patient"] < 8])
    table["caption"] = [captions.caption(row, limits) for row in table.to_dict("records")]
    return table


def test_no_caption_names_a_tissue(described: pd.DataFrame) -> None:
    text = " ".join(described["caption"]).lower()
    names = {
        "adipo",
        "fat",
        "cartilage",
        "epithel",
        "gland",
        "lymph",
        "muscle",
        "nerve",
        "tumo",
        "mucosa",
        "debris",
    }
    assert not [name for name in {*TISSUES, *names} if name in text]
    assert described["caption"].str.split().str.len().between(8, 25).all()


def test_captions_tell_tissues_of_other_patients_apart(described: pd.DataFrame) -> None:
    """Or nothing could be learned from them; chance is one in eight."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_extraction.text import CountVectorizer

    words = CountVectorizer(ngram_range=(1, 2), token_pattern=r"[\w-]+").fit_transform(described["caption"])
    train = (described["patient"] < 8).to_numpy()
    model = RandomForestClassifier(100, random_state=0).fit(words[train], described.loc[train, "tissue"])
    assert model.score(words[~train], described.loc[~train, "tissue"]) > 0.6


def test_thirds_of_the_training_tiles_decide(described: pd.DataFrame) -> None:
    train = described[described["patient"] < 8]
    for word in captions.WORDS["count"]:
        assert train["caption"].str.startswith((word.capitalize(), "No nuclei")).mean() > 0.2


def test_program(tmp_path: Path) -> None:
    tiles, rows = [], []
    for number, step in enumerate((14, 20, 28, 14, 20, 28)):
        Image.fromarray(tile(grid(step, 4))).save(tmp_path / "t.png")
        tiles.append({"bytes": (tmp_path / "t.png").read_bytes(), "path": None})
        rows.append(
            (f"c{number}", str(tmp_path / "tiles.parquet"), number, "test" if number > 2 else "train")
        )
    pq.write_table(pa.table({"image": pa.array(tiles)}), tmp_path / "tiles.parquet")
    cases = pd.DataFrame(rows, columns=["case_id", "file", "row", "split"])
    cases.to_parquet(tmp_path / "cases.parquet")

    def describe() -> bytes:
        output = tmp_path / "out.parquet"
        given = ["--cases", str(tmp_path / "cases.parquet"), "--output", str(output)]
        describe_tiles.main(describe_tiles.arguments().parse_args(given))
        return output.read_bytes()

    assert describe() == describe()
    said = pd.read_parquet(tmp_path / "out.parquet").set_index("case_id")["caption"]
    assert said["c0"] == said["c3"] != said["c2"] and said["c0"].startswith("Many")
    assert json.dumps(said.tolist()).isascii()
    cases.assign(split="test").to_parquet(tmp_path / "cases.parquet")
    with pytest.raises(InputError, match="holds no training tile"):
        describe()
