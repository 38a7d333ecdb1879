"""Regions of interest from QuPath: GeoJSON polygons with a class, in pixels of the slide's finest level."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from .errors import InputError

MAX_BYTES = 256 << 20
MAX_LABEL = 200
# lines that meet or come near each other, per line, in a ring that crosses itself
MAX_NEAR = 10
# the column of the slide sheet that names these files
_FIELD = "roi"
# what QuPath calls single cells, in new files and in old ones: too small to label a tile
_CELLS = {"detection", "cell", "PathDetectionObject", "PathCellObject"}

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Roi:
    """A labelled region; ``polygon`` is a valid Polygon or MultiPolygon in level-0 pixels."""

    label: str
    polygon: BaseGeometry


def read_rois(path: str | Path, notes: list[str] | None = None) -> list[Roi]:
    """Regions of a GeoJSON file: a FeatureCollection, a list of features, or one feature.

    The label is properties.classification.name (or .names, joined), else properties.name. Holes are kept,
    outlines that cross themselves are repaired. Cells and detections are passed over. A feature without a
    name, without an area or with damaged coordinates is left out and told in ``notes``.

    Raises:
        InputError: the file cannot be read, is too large, or is no GeoJSON; names file and field.
    """
    rois = []
    for record, feature in enumerate(_features(_parse(path), path), start=1):
        try:
            roi = _roi(feature)
        except InputError as error:
            if notes is not None:
                notes.append(f"feature {record} left out: {error}")
            continue
        if roi is not None:
            rois.append(roi)
    return rois


def check_inside(rois: Sequence[Roi], width: int, height: int) -> tuple[list[Roi], list[str]]:
    """Regions that share an area with a slide of ``width`` x ``height`` pixels; a note if some do not."""
    slide = shapely.box(0, 0, width, height)
    inside = [roi for roi in rois if roi.polygon.intersection(slide).area > 0]
    outside = len(rois) - len(inside)
    notes = [f"{outside} of {len(rois)} regions of interest lie outside the slide"] if outside else []
    return inside, notes


def label_of(box: Box, rois: Sequence[Roi], min_roi: float) -> tuple[str | None, float]:
    """The label that covers most of a tile.

    Regions with one label count together, overlaps once. Of two labels that cover the same share, the one
    with the smaller region wins (a focus drawn within a larger area), then the first in the alphabet.

    Args:
        box: left, top, right, bottom of the tile (level-0 pixels).
        rois: regions; the index over them is kept as long as the same object is passed.
        min_roi: share that a label must cover.

    Returns:
        The label, None if no label covers ``min_roi``; and the largest share, 0 to 1.
    """
    if not rois:
        return None, 0.0
    tile = shapely.box(*box)
    parts: dict[str, list[BaseGeometry]] = {}
    size: dict[str, float] = {}
    for number in sorted(_tree(rois).query(tile, predicate="intersects").tolist()):
        roi = rois[number]
        part = roi.polygon.intersection(tile)
        if part.area > 0:
            parts.setdefault(roi.label, []).append(part)
            size[roi.label] = min(size.get(roi.label, math.inf), roi.polygon.area)
    if not parts or tile.area <= 0:
        return None, 0.0
    shares = {
        # rounding lets a tile that lies wholly within count as such
        label: min(round(shapely.union_all(found).area / tile.area, 9), 1.0)
        for label, found in parts.items()
    }
    best = min(shares, key=lambda label: (-shares[label], size[label], label))
    return (best if shares[best] >= min_roi - 1e-9 else None), shares[best]


_last: tuple[Sequence[Roi], int, shapely.STRtree] | None = None


def _tree(rois: Sequence[Roi]) -> shapely.STRtree:
    """Index over ``rois``, remembered for the list that was asked last."""
    global _last
    found = _last
    if found is None or found[0] is not rois or found[1] != len(rois):
        found = _last = (rois, len(rois), shapely.STRtree([roi.polygon for roi in rois]))
    return found[2]


def _parse(path: str | Path) -> Any:
    name = Path(path).name
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise InputError(f"is larger than {MAX_BYTES >> 20} MiB", file=name, field=_FIELD)
        return json.loads(Path(path).read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=name, field=_FIELD) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"is no JSON: {error}", file=name, field=_FIELD) from error


def _features(content: Any, path: str | Path) -> Iterator[Any]:
    """Features of whatever QuPath and its scripts write."""
    name = Path(path).name
    if isinstance(content, list):
        yield from content
    elif isinstance(content, dict) and content.get("type") == "FeatureCollection":
        features = content.get("features")
        if not isinstance(features, list):
            raise InputError("expected a list of features", file=name, field="features")
        yield from features
    elif isinstance(content, dict) and content.get("type") == "Feature":
        yield content
    else:
        raise InputError(
            "expected a FeatureCollection, a Feature or a list of features", file=name, field="type"
        )


def _roi(feature: Any) -> Roi | None:
    """One region; None for a cell.

    Raises:
        InputError: it cannot be used; names the field.
    """
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise InputError("is no Feature", field="type")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise InputError("is no object", field="properties")
    kind = properties.get("objectType", properties.get("object_type", feature.get("id")))
    if isinstance(kind, str) and kind in _CELLS:
        return None
    return Roi(_label(properties), _polygon(feature.get("geometry")))


def _label(properties: dict[str, Any]) -> str:
    classification = properties.get("classification")
    if isinstance(classification, dict):
        names = classification.get("names")
        joined = ": ".join(map(str, names)) if isinstance(names, list) else None
        candidates = [classification.get("name"), joined, properties.get("name")]
    else:
        candidates = [classification, properties.get("name")]
    for name in candidates:
        if isinstance(name, str) and name.strip():
            label = " ".join(name.split())
            if len(label) > MAX_LABEL or not label.isprintable():
                raise InputError(f"is no name: {label[:40]!r}", field="properties.classification.name")
            return label
    raise InputError("has no name", field="properties.classification.name")


def _polygon(geometry: Any) -> BaseGeometry:
    if not isinstance(geometry, dict):
        raise InputError("is no object", field="geometry")
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        raise InputError(f"{str(kind)[:40]} has no area", field="geometry.type")
    try:
        shapes = coordinates if kind == "MultiPolygon" else [coordinates]
        polygons = [Polygon(_ring(rings[0]), [_ring(ring) for ring in rings[1:]]) for rings in shapes]
        # GEOS raises its own errors, shapely ValueErrors
        found = polygons[0] if len(polygons) == 1 else MultiPolygon(polygons)
        area = _areas(found if found.is_valid else _repaired(found))
    except (TypeError, ValueError, IndexError, KeyError, OverflowError, shapely.errors.ShapelyError) as error:
        raise InputError(f"no polygon: {error}"[:200], field="geometry.coordinates") from error
    if area.is_empty or not area.area > 0:
        raise InputError("no area", field="geometry.coordinates")
    return area


def _ring(points: Any) -> list[tuple[float, float]]:
    ring = []
    for point in points:
        x, y = point[0], point[1]
        if isinstance(x, (bool, str)) or isinstance(y, (bool, str)):
            raise TypeError(f"{x!r}, {y!r} is no point")
        if not (math.isfinite(x) and math.isfinite(y)) or max(abs(x), abs(y)) > 1e9:
            raise ValueError(f"{x!r}, {y!r} is no point of a slide")
        ring.append((float(x), float(y)))
    return ring


def _repaired(geometry: BaseGeometry) -> BaseGeometry:
    """What lies inside of rings that cross themselves.

    Raises:
        ValueError: they cross too often to be drawn by anybody, and repairing takes minutes.
    """
    corners = shapely.get_coordinates(geometry)
    segments = shapely.linestrings(np.stack([corners[:-1], corners[1:]], axis=1))
    tree, near = shapely.STRtree(segments), 0
    step = max(1, 2_000_000 // len(segments))
    for start in range(0, len(segments), step):
        near += tree.query(segments[start : start + step]).shape[1]
        if near > MAX_NEAR * len(segments) + 50_000:
            raise ValueError("its lines cross too often")
    return shapely.make_valid(geometry, method="structure", keep_collapsed=False)


def _areas(geometry: BaseGeometry) -> BaseGeometry:
    """The polygons of a repaired geometry, without the lines and points that repairing may leave."""
    parts = [part for part in getattr(geometry, "geoms", [geometry]) if part.area > 0]
    polygons = [polygon for part in parts for polygon in getattr(part, "geoms", [part])]
    return shapely.union_all(polygons) if len(polygons) != 1 else polygons[0]
