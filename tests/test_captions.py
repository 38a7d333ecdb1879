"""What is measured on a tile, and the words for it."""

from __future__ import annotations

import re
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw
from sklearn.neighbors import KNeighborsClassifier

from mintflow import captions
from mintflow.errors import InputError
from mintflow.images import decode
from mintflow.synthetic_tissue import TISSUES, Stain, draw_stain, draw_tissue

PINK, PURPLE, GLASS = (225, 160, 200), (80, 50, 130), (243, 242, 244)


def drawn(
    nuclei: list[tuple[float, float, float, float]], side: int = 96, ground: tuple = PINK
) -> Image.Image:
    """A tile with elliptic nuclei: centre and half axes, as shares of the side."""
    image = Image.new("RGB", (side, side), ground)
    for x, y, a, b in nuclei:
        box = [(x - a) * side, (y - b) * side, (x + a) * side, (y + b) * side]
        ImageDraw.Draw(image).ellipse(box, PURPLE)
    return image


def grid(count: int, a: float, b: float) -> list[tuple[float, float, float, float]]:
    places = (np.arange(count) + 0.5) / count
    return [(float(x), float(y), a, b) for x in places for y in places]


@pytest.mark.parametrize("side", [64, 96, 128, 224, 600])
def test_nuclei_are_counted_and_measured_at_any_resolution(side: int) -> None:
    found = captions.measure(drawn(grid(5, 0.04, 0.04), side))
    assert found["nuclei"] == 25
    assert found["nuclear_area"] == pytest.approx(25 * np.pi * 0.04**2, rel=0.25)
    assert found["nuclear_width"] == pytest.approx(0.08, rel=0.25)
    assert found["nuclear_spread"] < 0.15 and found["white_share"] == 0 and found["white_width"] == 0


def test_touching_nuclei_are_told_apart() -> None:
    twins = [(x + shift, y, 0.04, 0.04) for x, y, _, _ in grid(4, 0, 0) for shift in (-0.035, 0.035)]
    assert captions.measure(drawn(twins, 128))["nuclei"] == pytest.approx(32, abs=3)


def test_size_shape_spread_and_grouping_go_the_right_way() -> None:
    small, large = captions.measure(drawn(grid(4, 0.03, 0.03))), captions.measure(drawn(grid(4, 0.08, 0.08)))
    assert large["nuclear_width"] > 2 * small["nuclear_width"]
    long = captions.measure(drawn(grid(4, 0.1, 0.025)))
    assert long["nuclear_length"] > 1.5 * small["nuclear_length"]
    mixed = grid(4, 0.03, 0.03)[::2] + grid(4, 0.09, 0.09)[1::2]
    assert captions.measure(drawn(mixed))["nuclear_spread"] > 2 * small["nuclear_spread"] + 0.1
    corner = [(x * 0.4, y * 0.4, a, b) for x, y, a, b in grid(4, 0.03, 0.03)]
    assert captions.measure(drawn(corner))["grouping"] > 2 * small["grouping"]


def test_ground_and_white() -> None:
    pink, blue = drawn(grid(4, 0.03, 0.03)), drawn(grid(4, 0.03, 0.03), ground=(160, 150, 205))
    assert captions.measure(blue)["ground_hue"] > 1.5 * captions.measure(pink)["ground_hue"]
    deep = drawn(grid(4, 0.03, 0.03), ground=(215, 110, 170))
    assert captions.measure(deep)["ground_strength"] > 1.2 * captions.measure(pink)["ground_strength"]
    image = drawn([], 128)
    ImageDraw.Draw(image).ellipse([32, 32, 95, 95], GLASS)
    found = captions.measure(image)
    assert found["white_share"] == pytest.approx(np.pi / 16, rel=0.1)
    assert found["white_width"] == pytest.approx(0.5, rel=0.1)


def test_lines_that_are_parallel_bent_or_not_there() -> None:
    at = np.arange(96)
    rng = np.random.default_rng(1)

    def lines(phase: np.ndarray) -> dict[str, float]:
        wave = 30 * np.sin(phase)[..., None] + np.array(PINK)
        return captions.measure(Image.fromarray(np.clip(wave, 0, 255).astype(np.uint8)))

    straight = lines(np.broadcast_to(at[:, None] / 1.5, (96, 96)))
    bent = lines((at[:, None] + 12 * np.sin(at[None, :] / 8)) / 1.5)
    noise = captions.measure(Image.fromarray(rng.integers(120, 220, (96, 96, 3)).astype(np.uint8)))
    assert straight["parallel"] > 0.9 and straight["streaky"] > 0.9
    assert bent["parallel"] < straight["parallel"] - 0.2 and bent["streaky"] > 0.7
    assert noise["parallel"] < 0.3 and noise["streaky"] < 0.5


@pytest.mark.parametrize("level", [0, 127, 255])
@pytest.mark.parametrize("side", [16, 96])
def test_an_empty_tile_is_no_error_and_has_no_nuclei(level: int, side: int) -> None:
    found = captions.measure(Image.new("RGB", (side, side), (level,) * 3))
    assert set(found) == set(captions.DESCRIPTORS)
    assert found["nuclei"] == 0 and np.isnan(found["nuclear_width"])
    assert found["white_share"] == (level == 255)
    limits = dict.fromkeys(captions.WORDS, (0.0, 1.0))
    words = captions.caption(found, limits)
    assert (
        words.startswith("no nuclei, no ground, " if level == 255 else "no nuclei, ") and "nan" not in words
    )


def table(**columns: list[float]) -> pd.DataFrame:
    rows = len(next(iter(columns.values())))
    return pd.DataFrame({name: columns.get(name, [1.0] * rows) for name in captions.DESCRIPTORS})


def test_words_are_thirds_of_the_training_tiles_alone() -> None:
    measured = table(nuclear_area=[1.0, 2.0, 3.0, 900.0, 800.0, 700.0])
    words = [text.split()[0] for text in captions.describe(measured, [True] * 3 + [False] * 3)]
    assert words == ["sparse", "spaced", "dense", "dense", "dense", "dense"]
    changed = table(nuclear_area=[1.0, 2.0, 3.0, 0.0, 0.0, 0.0])
    assert captions.thirds(measured[:3]) == captions.thirds(changed[:3])


def test_a_caption_in_full() -> None:
    limits = dict.fromkeys(captions.WORDS, (1.0, 2.0))
    values = dict.fromkeys(captions.DESCRIPTORS, 1.5)
    assert captions.caption(values, limits) == (
        "spaced medium oval nuclei, similar in size, loosely grouped, medium mauve ground, "
        "some white in medium spaces, some parallel lines, mixed texture"
    )
    assert "no white spaces" in captions.caption(values | {"white_share": 0.001}, limits)


def test_captions_are_short_and_of_few_words() -> None:
    rng = np.random.default_rng(0)
    measured = pd.DataFrame(rng.random((300, len(captions.DESCRIPTORS))), columns=list(captions.DESCRIPTORS))
    measured.loc[:50, "white_share"] = 0
    texts = captions.describe(measured, [True] * 300)
    assert texts.str.split().map(len).between(18, 23).all()
    assert len(set(re.findall(r"[a-z]+", " ".join(texts)))) < 50
    assert texts.nunique() > 250


# what the tissues of the default run, of the real tiles and of PanNuke are called, and words for them
NAMES = (
    "adipose fat fatty adipocyte cartilage chondrocyte epithelium epithelial squamous gland "
    "glandular crypt duct lymphoid lymphocyte lymphocytes lymph muscle muscular myocyte nerve "
    "neural tumor tumour cancer carcinoma malignant neoplastic stroma stromal connective "
    "fibrous fibres fibers collagen mucosa mucus debris necrosis complex empty background "
    "adrenal bile bladder breast cervix colon esophagus head neck kidney liver lung ovarian "
    "pancreatic prostate skin stomach testis thyroid uterus vessel blood bone tissue "
)


def test_no_caption_can_name_a_tissue() -> None:
    every = " ".join(word for words in captions.WORDS.values() for word in words)
    templates = " ".join([*captions._ABSENT, *captions._ABSENT.values(), captions._LINES])
    used = set(re.findall(r"[a-z]+", re.sub(r"\{.*?\}", " ", templates) + " " + every))
    assert "nuclei" in used
    assert used & set(TISSUES).union(NAMES.split(), NAMES.replace(" ", "s ").split()) == set()


def test_a_label_made_of_caption_words_is_refused() -> None:
    texts = ["sparse small round nuclei, pale pink ground"]
    captions.check_names(texts, ["tumor", "ground glass", "pal", "white matter"])
    with pytest.raises(InputError, match="'Pink ground'"):
        captions.check_names(texts, ["tumor", "Pink ground"])


def _tiles(patients: range) -> tuple[list[str], pd.DataFrame]:
    names, rows = [], []
    for patient in patients:
        rng = np.random.default_rng([7, patient])
        stain = draw_stain(rng)
        for tissue in TISSUES:
            tile = Image.fromarray(draw_tissue(tissue, 96, 96, 1.0, rng, stain))
            names.append(tissue)
            rows.append(captions.measure(tile))
    return names, pd.DataFrame(rows)


def test_words_tell_drawn_tissues_of_other_patients_apart() -> None:
    names, measured = _tiles(range(10))
    training = [place < 7 * len(TISSUES) for place in range(len(names))]
    limits = captions.thirds(measured[training])
    places = {word: i for words in captions.WORDS.values() for i, word in enumerate(words)}
    assert len(places) > 25
    codes = np.array(
        [
            [sum(row[name] > limit for limit in limits[name]) for name in captions.WORDS]
            for row in measured.to_dict("records")
        ]
    )
    train = np.array(training)
    truth = np.array(names)
    right = KNeighborsClassifier(5).fit(codes[train], truth[train]).predict(codes[~train]) == truth[~train]
    assert right.mean() > 0.75  # chance 0.125


def test_the_strength_of_the_stain_moves_few_measures() -> None:
    found = []
    for strength in (0.7, 1.4):
        stain = Stain(haematoxylin_strength=strength, eosin_strength=strength)
        rng = np.random.default_rng(3)
        found.append(captions.measure(Image.fromarray(draw_tissue("lymphoid", 96, 96, 1.0, rng, stain))))
    for name in ("nuclear_area", "nuclear_width", "ground_strength", "ground_hue"):
        assert found[0][name] == pytest.approx(found[1][name], rel=0.3), name


def test_speed() -> None:
    tile = Image.fromarray(draw_tissue("tumor", 96, 96, 1.0, np.random.default_rng(1), Stain()))
    captions.measure(tile)
    started = time.process_time()
    for _ in range(10):
        captions.measure(tile)
    assert (time.process_time() - started) / 10 < 1 / 40


def test_real_tiles(shared_data) -> None:  # type: ignore[no-untyped-def]
    folder = shared_data / "tiles" / "crc_val_he_7k"

    def mean(kind: str, name: str) -> float:
        files = sorted((folder / kind).iterdir())
        return float(np.mean([captions.measure(decode(path.read_bytes()))[name] for path in files]))

    assert mean("LYM", "nuclear_area") > 2 * mean("STR", "nuclear_area")
    assert mean("ADI", "white_width") > 3 * mean("TUM", "white_width")
    assert mean("MUS", "parallel") > 1.5 * mean("LYM", "parallel")
