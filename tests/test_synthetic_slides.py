"""Plans and pixels of drawn slides."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from shapely.geometry import Point, Polygon, box, shape

from mintflow import synthetic_slides
from mintflow.errors import InputError
from mintflow.synthetic_tissue import TISSUES

DEFAULT = {
    "patients": 24,
    "tissues": list(TISSUES),
    "regions": 4,
    "region_um": 600,
    "mpp": 0.5,
    "artefacts": 0.5,
    "seed": 11,
}


def _plans(**changes: Any) -> list[synthetic_slides.Slide]:
    return synthetic_slides.plan_slides({**DEFAULT, **changes})


def _pixels(slide: synthetic_slides.Slide) -> np.ndarray:
    return np.concatenate(list(synthetic_slides.strips(slide)))


def test_no_tissue_belongs_to_one_patient() -> None:
    plans = _plans()
    assert Counter(region.tissue for plan in plans for region in plan.regions) == dict.fromkeys(TISSUES, 12)
    for plan in plans:
        assert len({region.tissue for region in plan.regions}) == 4
    together = Counter(
        frozenset((one.tissue, other.tissue))
        for plan in plans
        for one in plan.regions
        for other in plan.regions
    )
    assert max(together[pair] for pair in together if len(pair) == 2) < 2 * 12  # never always the same two


@pytest.mark.parametrize(("patients", "regions", "types"), [(3, 1, 2), (7, 3, 5), (5, 9, 4)])
def test_tissues_stay_balanced(patients: int, regions: int, types: int) -> None:
    plans = _plans(patients=patients, regions=regions, tissues=list(TISSUES[:types]))
    counts = Counter(region.tissue for plan in plans for region in plan.regions)
    assert max(counts.values()) - min(counts[name] for name in TISSUES[:types]) <= 1


def test_more_patients_do_not_change_the_first() -> None:
    few, many = _plans(patients=4, artefacts=0), _plans(patients=9, artefacts=0)
    for one, other in zip(few, many, strict=False):
        assert synthetic_slides.geojson(one) == synthetic_slides.geojson(other)
        assert one.stain == other.stain


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_of_slides_with_artefacts(share: float) -> None:
    plans = _plans(artefacts=share)
    assert sum(bool(plan.artefacts) for plan in plans) == round(24 * share)
    if share:
        assert {kind for plan in plans for kind in plan.artefacts} == {"pen", "fold", "blur"}


def test_regions_lie_apart_on_the_slide_and_hold_25_tiles() -> None:
    for plan in _plans(seed=3):
        regions = [Polygon(region.outline) for region in plan.regions]
        for number, region in enumerate(regions):
            assert region.is_valid and box(0, 0, plan.width, plan.height).contains(region)
            assert all(region.distance(other) > 20 for other in regions[:number])
            left, top, right, bottom = plan.regions[number].box
            tiles = [
                box(x, y, x + 192, y + 192)
                for x in range(left // 192 * 192, right, 192)
                for y in range(top // 192 * 192, bottom, 192)
            ]
            assert sum(region.intersection(tile).area >= 0.75 * 192**2 for tile in tiles) >= 25


def test_pixels_are_glass_outside_and_tissue_inside() -> None:
    plan = _plans(patients=3, region_um=150, mpp=1.0, artefacts=0, tissues=["lymphoid", "muscle"])[0]
    pixels = _pixels(plan)
    assert pixels.shape == (plan.height, plan.width, 3)
    regions = [Polygon(region.outline) for region in plan.regions]
    glass = 255 * np.array(plan.stain.glass)
    rng = np.random.default_rng(0)
    for x, y in rng.integers(3, [plan.width - 3, plan.height - 3], (300, 2)).tolist():
        away = min(region.distance(Point(x, y)) for region in regions)
        seen = pixels[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(axis=0)
        if away > 5:
            assert np.abs(seen - glass).max() < 4
    for region in regions:
        x, y = (round(value) for value in region.centroid.coords[0])
        assert pixels[y - 10 : y + 10, x - 10 : x + 10].mean() < glass.mean() - 30


def test_large_regions_are_drawn_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic_slides, "_BLOCK", 300)
    plan = _plans(patients=3, regions=1, region_um=600, mpp=1.0, artefacts=0, tissues=["muscle", "tumor"])[0]
    pixels = _pixels(plan)
    x, y = (round(value) for value in Polygon(plan.regions[0].outline).centroid.coords[0])
    inside = pixels[y - 200 : y + 200, x - 200 : x + 200].mean(axis=2)
    assert (inside.reshape(10, 40, 10, 40).mean(axis=(1, 3)) < 225).all()  # no block is missing


def test_artefacts_change_pixels_where_they_are_planned() -> None:
    seen = set()
    for plan in _plans(patients=6, region_um=300, mpp=1.0, artefacts=1.0):
        marked = _pixels(plan).astype(int)
        bare = tuple(synthetic_slides.Region(one.tissue, one.outline) for one in plan.regions)
        clean = synthetic_slides.Slide(
            plan.number, plan.seed, plan.width, plan.height, plan.mpp, plan.stain, bare, ()
        )
        changed = np.abs(marked - _pixels(clean)).max(axis=2) > 8
        assert 0.002 < changed.mean() < 0.2
        for stroke in plan.strokes:
            x, y = np.rint(stroke.points[len(stroke.points) // 2]).astype(int)
            assert changed[y - 3 : y + 4, x - 3 : x + 4].all()
        for region in plan.regions:
            left, top, right, bottom = region.box
            if region.fold:
                part = (slice(top, bottom), slice(left, right))
                darker = marked[part][changed[part]].mean()
                assert darker < _pixels(clean)[part][changed[part]].mean() - 20
            if region.blur:
                x, y, radius, _ = region.blur
                part = (
                    slice(round(y - radius / 2), round(y + radius / 2)),
                    slice(round(x - radius / 2), round(x + radius / 2)),
                )
                assert np.abs(np.diff(marked[part], axis=0)).mean() < 4
        seen |= set(plan.artefacts)
    assert seen == {"pen", "fold", "blur"}


def test_regions_as_geojson() -> None:
    plan = _plans()[0]
    content = synthetic_slides.geojson(plan)
    assert content["type"] == "FeatureCollection" and len(content["features"]) == 4
    for feature, region in zip(content["features"], plan.regions, strict=True):
        assert feature["properties"]["classification"]["name"] == region.tissue
        ring = feature["geometry"]["coordinates"][0]
        assert ring[0] == ring[-1]
        assert shape(feature["geometry"]).area == pytest.approx(Polygon(region.outline).area, rel=1e-3)


def test_settings_are_checked() -> None:
    with pytest.raises(InputError, match="missing seed"):
        synthetic_slides.plan_slides({key: value for key, value in DEFAULT.items() if key != "seed"})
