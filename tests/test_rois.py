"""Regions of interest: what QuPath writes, what is broken, which label a tile gets."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from mintflow import rois
from mintflow.errors import InputError
from mintflow.rois import Roi, check_inside, label_of, read_rois


def square(left: float, top: float, side: float) -> list[list[float]]:
    right, bottom = left + side, top + side
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def feature(geometry: Any = None, properties: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": geometry or {"type": "Polygon", "coordinates": [square(0, 0, 10)]},
        "properties": {"classification": {"name": "Tumor"}} if properties is None else properties,
        **more,
    }


def write(folder: Path, content: Any) -> Path:
    path = folder / "slide.geojson"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "wrap",
    [lambda one: one, lambda one: [one], lambda one: {"type": "FeatureCollection", "features": [one]}],
)
def test_all_three_ways_to_write_a_feature(tmp_path: Path, wrap: Any) -> None:
    found = read_rois(write(tmp_path, wrap(feature())))
    assert [(roi.label, roi.polygon.area) for roi in found] == [("Tumor", 100)]


@pytest.mark.parametrize(
    ("properties", "label"),
    [
        ({"classification": {"name": " Tumor  bed "}, "name": "no. 7"}, "Tumor bed"),
        ({"classification": {"names": ["Tumor", "Positive"]}}, "Tumor: Positive"),
        ({"classification": None, "name": "Stroma"}, "Stroma"),
        ({"classification": "Stroma"}, "Stroma"),
    ],
)
def test_label(tmp_path: Path, properties: Any, label: str) -> None:
    assert [roi.label for roi in read_rois(write(tmp_path, feature(properties=properties)))] == [label]


def test_holes_parts_and_third_coordinates(tmp_path: Path) -> None:
    deep = [[*point, 3] for point in square(40, 0, 10)]
    geometry = {"type": "MultiPolygon", "coordinates": [[square(0, 0, 10), square(2, 2, 5)], [deep]]}
    (roi,) = read_rois(write(tmp_path, feature(geometry)))
    assert roi.polygon.area == 100 - 25 + 100


def test_crossing_outlines_are_repaired(tmp_path: Path) -> None:
    bow = [[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]
    (roi,) = read_rois(write(tmp_path, feature({"type": "Polygon", "coordinates": [bow]})))
    assert roi.polygon.is_valid and roi.polygon.area == 50
    spike = [[0, 0], [10, 0], [10, 10], [10, 30], [10, 10], [0, 10], [0, 0]]  # repairing leaves a line
    (roi,) = read_rois(write(tmp_path, feature({"type": "Polygon", "coordinates": [spike]})))
    assert roi.polygon.geom_type == "Polygon" and roi.polygon.area == 100


def test_an_outline_that_nobody_drew_is_set_aside_in_time(tmp_path: Path) -> None:
    """Random points cross each other a million times; repairing them takes minutes."""
    points = np.random.default_rng(0).integers(0, 10_000, (3000, 2)).tolist()
    tangled = feature({"type": "Polygon", "coordinates": [[*points, points[0]]]})
    sound = feature({"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 0]]]})
    started, notes = time.monotonic(), []
    (roi,) = read_rois(write(tmp_path, {"type": "FeatureCollection", "features": [tangled, sound]}), notes)
    assert roi.polygon.area == 40.5 and time.monotonic() - started < 20
    assert len(notes) == 1 and all(
        part in notes[0] for part in ("feature 1", "geometry.coordinates", "cross too often")
    )
    angle = np.linspace(0, 2 * np.pi, 20_000)
    drawn = np.stack([np.cos(angle), np.sin(angle)], 1) * 1000
    drawn[[500, 501]] = drawn[[501, 500]]  # a slip of the hand
    (roi,) = read_rois(write(tmp_path, feature({"type": "Polygon", "coordinates": [drawn.tolist()]})))
    assert roi.polygon.area == pytest.approx(np.pi * 1000**2, rel=1e-3)


def test_cells_are_passed_over(tmp_path: Path) -> None:
    cell = feature(properties={"objectType": "cell", "classification": {"name": "Tumor"}})
    notes: list[str] = []
    assert len(read_rois(write(tmp_path, [feature(), cell, feature(id="PathDetectionObject")]), notes)) == 1
    assert notes == []


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (feature(properties={}), "properties.classification.name: has no name"),
        (feature({"type": "LineString", "coordinates": [[0, 0], [1, 1]]}), "LineString has no area"),
        (feature({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}), "geometry.coordinates"),
        (feature({"type": "Polygon", "coordinates": [[[0, 0], [9, 9], [3, 3], [0, 0]]]}), "no area"),
        (feature({"type": "Polygon", "coordinates": [[["a", 0], [1, 1], [2, 0]]]}), "is no point"),
        (feature({"type": "Polygon", "coordinates": [[[None, 0], [1, 1], [2, 0]]]}), "geometry.coordinates"),
        (feature({"type": "Polygon", "coordinates": []}), "geometry.coordinates"),
        (feature({"type": "Polygon", "coordinates": {"x": 1}}), "geometry.coordinates"),
        (feature({"type": "Polygon", "coordinates": [square(0, 0, 10**400)]}), "geometry.coordinates"),
        ("no feature", "is no Feature"),
        (feature(properties=["x"]), "properties"),
    ],
)
def test_a_bad_feature_is_told_and_the_rest_stays(tmp_path: Path, bad: Any, what: str) -> None:
    notes: list[str] = []
    assert len(read_rois(write(tmp_path, [feature(), bad, feature()]), notes)) == 2
    assert len(notes) == 1 and notes[0].startswith("feature 2 left out") and what in notes[0]


def test_coordinates_that_are_no_numbers(tmp_path: Path) -> None:
    text = json.dumps(feature()).replace("[10, 0]", "[NaN, Infinity]")
    notes: list[str] = []
    assert read_rois(write(tmp_path, text), notes) == []
    assert "is no point of a slide" in notes[0]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "is no JSON"),
        ("[" * 200_000, "is no JSON"),
        ("1" * 10_000, "is no JSON"),
        ("\x00", "is no JSON"),
        ("{}", "field type"),
        ("7", "field type"),
        ('{"type": "FeatureCollection", "features": {}}', "field features"),
    ],
)
def test_what_is_no_geojson_is_one_clear_error(tmp_path: Path, content: str, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        read_rois(write(tmp_path, content))
    assert "slide.geojson" in str(caught.value) and str(tmp_path) not in str(caught.value)


def test_missing_and_huge_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_rois(tmp_path / "nowhere.geojson")
    monkeypatch.setattr(rois, "MAX_BYTES", 10)
    with pytest.raises(InputError, match="is larger"):
        read_rois(write(tmp_path, feature()))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "geometry", "coordinates", "properties", "classification", "name"]),
            inner,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(_JSON, _JSON)
def test_no_json_crashes_the_reader(tmp_path_factory: pytest.TempPathFactory, a: Any, b: Any) -> None:
    hostile = [a, feature({"type": "MultiPolygon", "coordinates": a}), feature(properties=b), feature(a)]
    path = write(tmp_path_factory.mktemp("hostile"), hostile)
    for roi in read_rois(path, []):
        assert roi.label and roi.polygon.is_valid and roi.polygon.area > 0


def test_the_label_that_covers_most_of_a_tile() -> None:
    regions = [Roi("a", box(0, 0, 100, 100)), Roi("b", box(70, 0, 300, 100))]
    assert label_of((0, 0, 50, 50), regions, 0.75) == ("a", 1.0)
    assert label_of((60, 0, 160, 100), regions, 0.75) == ("b", 0.9)
    assert label_of((40, 0, 140, 100), regions, 0.75) == (None, 0.7)
    assert label_of((25, 25, 125, 125), regions, 0.5625) == ("a", 0.5625)
    assert label_of((500, 500, 600, 600), regions, 0.75) == (None, 0.0)
    assert label_of((100, 200, 150, 250), regions, 0.75) == (None, 0.0)
    assert label_of((0, 0, 50, 50), [], 0.75) == (None, 0.0)


def test_regions_with_one_label_count_together_and_overlaps_once() -> None:
    halves = [Roi("a", box(0, 0, 50, 100)), Roi("a", box(40, 0, 100, 100)), Roi("b", box(0, 0, 100, 60))]
    assert label_of((0, 0, 100, 100), halves, 1.0) == ("a", 1.0)


def test_a_focus_within_a_larger_region_wins() -> None:
    nested = [Roi("a", box(0, 0, 1000, 1000)), Roi("z", box(0, 0, 100, 100))]
    assert label_of((0, 0, 50, 50), nested, 0.75) == ("z", 1.0)


def test_the_index_follows_the_list() -> None:
    regions = [Roi("a", box(0, 0, 10, 10))]
    assert label_of((0, 0, 10, 10), regions, 0.5)[0] == "a"
    regions.append(Roi("b", box(20, 0, 30, 10)))
    assert label_of((20, 0, 30, 10), regions, 0.5)[0] == "b"
    assert label_of((0, 0, 10, 10), [Roi("c", box(0, 0, 10, 10))], 0.5)[0] == "c"


def test_regions_outside_the_slide_are_told_and_left_out() -> None:
    inside, touching = Roi("a", box(-5, -5, 5, 5)), Roi("b", box(100, 0, 200, 50))
    assert check_inside([inside, touching], 100, 100) == (
        [inside],
        ["1 of 2 regions of interest lie outside the slide"],
    )
    assert check_inside([inside], 100, 100) == ([inside], [])
