"""How large a pixel of a slide is, from an ordered list of sources.

The first source that says anything wins and is recorded. When what it says cannot be, the slide is refused:
the next source is not asked, for a slide whose finest record is wrong needs a person to look at it (and to
write ``mpp`` into the sample sheet).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .tile_table import SlideFailure

# Usual pixel of a slide scanned with this objective (µm); 10/power, as most scanners have it.
OBJECTIVE_MPP = {1.25: 8.0, 2.0: 5.0, 2.5: 4.0, 4.0: 2.5, 5.0: 2.0, 10.0: 1.0, 20.0: 0.5, 40.0: 0.25}
OBJECTIVE_MPP |= {60.0: 1 / 6, 63.0: 10 / 63, 80.0: 0.125, 100.0: 0.1}

MAX_MISMATCH = 0.02  # between x and y
MAX_CONFLICT = 1.5  # factor between mpp and what the objective lets expect

_UM_PER_UNIT = {"inch": 25_400.0, "centimeter": 10_000.0}


@dataclass(frozen=True)
class Resolution:
    """µm per level-0 pixel, who said so, and what else is to be known."""

    mpp_x: float
    mpp_y: float
    source: str
    notes: tuple[str, ...] = ()

    @property
    def mpp(self) -> float:
        """Mean of both directions (they differ by at most ``MAX_MISMATCH``)."""
        return (self.mpp_x + self.mpp_y) / 2


@dataclass(frozen=True)
class _Claim:
    """What one source says; None for a direction that it leaves out."""

    x: float | None
    y: float | None
    source: str


def _number(text: object) -> float | None:
    """A number as vendors write it; None when there is none, NaN when it cannot be read."""
    cleaned = str(text if text is not None else "").strip().strip('"').replace(",", ".")
    if not cleaned:
        return None
    try:
        return float(cleaned)
    except ValueError:
        return math.nan


def _pair(properties: Mapping[str, str], x: str, y: str, factor: float = 1.0) -> tuple[float, float] | None:
    values = [_number(properties.get(x)), _number(properties.get(y))]
    if values == [None, None]:
        return None
    return tuple(None if value is None else value * factor for value in values)  # type: ignore[return-value]


def _openslide(properties: Mapping[str, str], size: tuple[int, int]) -> _Claim | None:
    found = _pair(properties, "openslide.mpp-x", "openslide.mpp-y")
    return _Claim(*found, "openslide") if found else None


def _vendor(properties: Mapping[str, str], size: tuple[int, int]) -> _Claim | None:
    """Keys of the formats that OpenSlide reads (openslide.org/formats); the first that is there."""
    mirax = "mirax.LAYER_0_LEVEL_0_SECTION.MICROMETER_PER_PIXEL_"
    dicom = "dicom.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing"
    for x, y, factor in (
        ("aperio.MPP", "aperio.MPP", 1.0),
        (f"{mirax}X", f"{mirax}Y", 1.0),
        ("ventana.ScanRes", "ventana.ScanRes", 1.0),
        (f"{dicom}[1]", f"{dicom}[0]", 1000.0),  # mm, rows first
    ):
        found = _pair(properties, x, y, factor)
        if found:
            return _Claim(*found, f"vendor:{x}")
    if properties.get("philips.DICOM_PIXEL_SPACING"):  # '"0.000227" "0.000227"', mm, rows first
        values = [_number(part) for part in properties["philips.DICOM_PIXEL_SPACING"].split()]
        y, x = (values * 2)[:2] if values else (math.nan, math.nan)
        return _Claim((x or 0) * 1000, (y or 0) * 1000, "vendor:philips.DICOM_PIXEL_SPACING")
    nm = [_number(properties.get(f"hamamatsu.Physical{side}")) for side in ("Width", "Height")]
    if None not in nm:  # nm, of the whole image
        return _Claim(nm[0] / 1000 / size[0], nm[1] / 1000 / size[1], "vendor:hamamatsu.PhysicalWidth")
    return None


def _tiff(properties: Mapping[str, str], size: tuple[int, int]) -> _Claim | None:
    """Resolution tags; without a unit they give an aspect ratio and no size."""
    unit = _UM_PER_UNIT.get(properties.get("tiff.ResolutionUnit", "").lower())
    found = _pair(properties, "tiff.XResolution", "tiff.YResolution")
    if unit is None or found is None:
        return None
    x, y = (None if per_unit is None else (unit / per_unit if per_unit else math.inf) for per_unit in found)
    return _Claim(x, y, "tiff")


def _power(properties: Mapping[str, str]) -> float | None:
    for key in ("openslide.objective-power", "aperio.AppMag", "hamamatsu.SourceLens"):
        power = _number(properties.get(key))
        if power is not None:
            return power
    return None


def _objective(properties: Mapping[str, str], size: tuple[int, int]) -> _Claim | None:
    mpp = OBJECTIVE_MPP.get(_power(properties) or 0.0)
    return _Claim(mpp, mpp, "objective") if mpp else None


_SOURCES: dict[str, Callable[[Mapping[str, str], tuple[int, int]], _Claim | None]] = {
    "openslide": _openslide,
    "vendor": _vendor,
    "tiff": _tiff,
    "objective": _objective,
}


def find_resolution(
    properties: Mapping[str, str],
    size: tuple[int, int],
    sheet_mpp: float | None,
    tiling: Mapping[str, Any],
) -> Resolution:
    """The resolution of a slide.

    Args:
        properties: of OpenSlide.
        size: width and height of level 0.
        sheet_mpp: what the sample sheet says, if anything.
        tiling: ``mpp_sources`` (asked in this order), ``mpp_min`` and ``mpp_max``.

    Raises:
        SlideFailure: ``no-mpp``, or ``implausible-mpp`` with the source and what it said.
    """
    claim = None
    for name in tiling["mpp_sources"]:
        if name == "sheet":
            claim = None if sheet_mpp is None else _Claim(sheet_mpp, sheet_mpp, "sheet")
        else:
            claim = _SOURCES[name](properties, size)
        if claim:
            break
    if claim is None:
        asked = ", ".join(tiling["mpp_sources"])
        raise SlideFailure("no-mpp", f"no resolution in {asked}; give mpp in the sample sheet")
    notes = []
    x, y = claim.x, claim.y
    if x is None or y is None:
        notes.append(f"{claim.source} gives one direction only, taken for both")
        x = y = y if x is None else x
    for value in (x, y):
        if not tiling["mpp_min"] <= value <= tiling["mpp_max"]:  # NaN too
            raise SlideFailure(
                "implausible-mpp",
                f"{claim.source} says {value:.6g} µm per pixel, outside "
                f"{tiling['mpp_min']:g} to {tiling['mpp_max']:g}; give mpp in the sample sheet",
            )
    if abs(x - y) > MAX_MISMATCH * min(x, y):
        raise SlideFailure(
            "implausible-mpp",
            f"{claim.source} says {x:.6g} µm per pixel in x and {y:.6g} in y; give mpp in the sample sheet",
        )
    power = _power(properties)
    expected = OBJECTIVE_MPP.get(power or 0.0)
    mean = (x + y) / 2
    if expected and not 1 / MAX_CONFLICT <= mean / expected <= MAX_CONFLICT:
        notes.append(
            f"{mean:.4g} µm per pixel ({claim.source}) and objective power {power:g} "
            f"(usually {expected:.4g}) disagree"
        )
    return Resolution(x, y, claim.source, tuple(notes))
