"""The resolution of a slide: the first source wins, is recorded, and is refused when it cannot be."""

from __future__ import annotations

import pytest

from mintflow.resolution import find_resolution
from mintflow.tile_table import SlideFailure
from slide_material import tiling_settings

SIZE = (2220, 2967)
APERIO = {
    "openslide.mpp-x": "0.499",
    "openslide.mpp-y": "0.499",
    "aperio.MPP": "0.4990",
    "openslide.objective-power": "20",
}


def find(properties: dict[str, str], sheet: float | None = None, **tiling: object):
    return find_resolution(properties, SIZE, sheet, tiling_settings(**tiling))


def failure(properties: dict[str, str], sheet: float | None = None, **tiling: object) -> SlideFailure:
    with pytest.raises(SlideFailure) as caught:
        find(properties, sheet, **tiling)
    return caught.value


def test_the_first_source_wins_and_is_recorded() -> None:
    assert (find(APERIO, 0.25).mpp, find(APERIO, 0.25).source) == (0.25, "sheet")
    assert (find(APERIO).mpp, find(APERIO).source) == (0.499, "openslide")
    assert find(APERIO, mpp_sources=["vendor", "openslide"]).source == "vendor:aperio.MPP"
    assert find(APERIO, mpp_sources=["objective"]).mpp == 0.5
    assert not find(APERIO).notes


@pytest.mark.parametrize(
    ("properties", "x", "y", "source"),
    [
        ({"aperio.MPP": "0,2527"}, 0.2527, 0.2527, "vendor:aperio.MPP"),
        (
            {
                "mirax.LAYER_0_LEVEL_0_SECTION.MICROMETER_PER_PIXEL_X": "0.2325",
                "mirax.LAYER_0_LEVEL_0_SECTION.MICROMETER_PER_PIXEL_Y": "0.2326",
            },
            0.2325,
            0.2326,
            "vendor:mirax.LAYER_0_LEVEL_0_SECTION.MICROMETER_PER_PIXEL_X",
        ),
        # mm, rows (y) first
        (
            {"philips.DICOM_PIXEL_SPACING": '"0.000226891" "0.000226907"'},
            0.226907,
            0.226891,
            "vendor:philips.DICOM_PIXEL_SPACING",
        ),
        # 1 021 200 nm over 2220 columns = 460 nm each
        (
            {"hamamatsu.PhysicalWidth": "1021200", "hamamatsu.PhysicalHeight": "1364820"},
            0.46,
            0.46,
            "vendor:hamamatsu.PhysicalWidth",
        ),
        ({"ventana.ScanRes": "0.25"}, 0.25, 0.25, "vendor:ventana.ScanRes"),
        # 50 800 pixels per inch of 25 400 µm
        (
            {"tiff.ResolutionUnit": "inch", "tiff.XResolution": "50800", "tiff.YResolution": "50800"},
            0.5,
            0.5,
            "tiff",
        ),
        (
            {"tiff.ResolutionUnit": "centimeter", "tiff.XResolution": "40000", "tiff.YResolution": "40000"},
            0.25,
            0.25,
            "tiff",
        ),
        ({"openslide.objective-power": "40"}, 0.25, 0.25, "objective"),
        ({"aperio.AppMag": "10"}, 1.0, 1.0, "objective"),
    ],
)
def test_every_source(properties: dict[str, str], x: float, y: float, source: str) -> None:
    found = find(properties)
    assert (found.mpp_x, found.mpp_y) == pytest.approx((x, y))
    assert found.source == source


def test_no_source_is_no_mpp() -> None:
    assert failure({}).status == "no-mpp"
    # resolution without a unit is an aspect ratio; an objective that no table knows is nothing
    assert failure({"tiff.XResolution": "1", "tiff.YResolution": "1"}).status == "no-mpp"
    assert failure({"openslide.objective-power": "7"}).status == "no-mpp"
    assert failure(APERIO, mpp_sources=["sheet", "tiff"]).status == "no-mpp"


@pytest.mark.parametrize("value", ["0.00499", "352.8", "0", "-0.5", "nan", "inf", "about half"])
def test_an_implausible_winner_is_refused_and_no_other_source_is_asked(value: str) -> None:
    found = failure({**APERIO, "openslide.mpp-x": value, "openslide.mpp-y": value})
    assert found.status == "implausible-mpp"
    assert "openslide says" in found.message


def test_the_sheet_overrides_an_implausible_slide_and_is_checked_itself() -> None:
    wrong = {"openslide.mpp-x": "352.8", "openslide.mpp-y": "352.8"}
    assert find(wrong, 0.5).mpp == 0.5
    assert failure(APERIO, 50.0).status == "implausible-mpp"


def test_72_dpi_is_no_resolution() -> None:
    found = failure({"tiff.ResolutionUnit": "inch", "tiff.XResolution": "72", "tiff.YResolution": "72"})
    assert found.status == "implausible-mpp"
    assert "352.778" in found.message


def test_mismatch_of_directions() -> None:
    near = find({"openslide.mpp-x": "0.500", "openslide.mpp-y": "0.509"})
    assert near.mpp == pytest.approx(0.5045)
    assert failure({"openslide.mpp-x": "0.500", "openslide.mpp-y": "0.511"}).status == "implausible-mpp"


def test_one_direction_is_taken_for_both_and_said() -> None:
    found = find({"openslide.mpp-y": "0.25"})
    assert (found.mpp_x, found.mpp_y) == (0.25, 0.25)
    assert "one direction" in found.notes[0]


def test_a_conflict_with_the_objective_is_noted() -> None:
    found = find({**APERIO, "openslide.objective-power": "40"})
    assert found.mpp == 0.499
    assert "objective power 40" in found.notes[0]
