"""Drawn whole slides, clearly named as such: several tissues on glass, and what goes wrong with real ones.

A slide is planned first (which tissues, where, which dyes, which artefacts), then drawn from top to bottom
in strips, so that memory depends on the width of a slide and not on its area.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .pyramid import TILE, write_pyramid
from .settings import exact
from .synthetic_tissue import Stain, draw_stain, draw_tissue

KEYS = ("patients", "tissues", "regions", "region_um", "mpp", "artefacts", "seed")
_BLOCK = 1536  # larger regions are drawn in pieces of this side (pixels)
_KINDS = ("pen", "fold", "blur")
_INKS = {"blue": (0.16, 0.26, 0.66), "green": (0.10, 0.52, 0.34), "black": (0.09, 0.09, 0.11)}


@dataclass(frozen=True)
class Region:
    """A piece of one tissue.

    Attributes:
        tissue: its type.
        outline: corners of its border (x, y in level-0 pixels), not closed.
        fold: angle (radians), offset from the centre and width (pixels) of a folded band, or None.
        blur: centre (x, y), radius and standard deviation (pixels) of an area out of focus, or None.
    """

    tissue: str
    outline: np.ndarray
    fold: tuple[float, float, float] | None = None
    blur: tuple[float, float, float, float] | None = None

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom (pixels)."""
        low, high = np.floor(self.outline.min(axis=0)), np.ceil(self.outline.max(axis=0))
        return int(low[0]), int(low[1]), int(high[0]) + 1, int(high[1]) + 1


@dataclass(frozen=True)
class Stroke:
    """A pen mark: name of the ink, points (x, y) and width in level-0 pixels."""

    ink: str
    points: np.ndarray
    width: float


@dataclass(frozen=True)
class Slide:
    """The plan of a slide; the same plan gives the same pixels.

    Attributes:
        number: from 0; with ``seed`` the source of everything random.
        seed: seed of the whole set.
        width, height: size (pixels), multiples of 16.
        mpp: resolution of the finest level (µm per pixel).
        stain: the patient's dyes.
        regions: tissue on the glass.
        strokes: pen marks.
    """

    number: int
    seed: int
    width: int
    height: int
    mpp: float
    stain: Stain
    regions: tuple[Region, ...]
    strokes: tuple[Stroke, ...] = field(default=())

    @property
    def artefacts(self) -> tuple[str, ...]:
        """Which of pen, fold and blur the slide has."""
        found = (bool(self.strokes), any(r.fold for r in self.regions), any(r.blur for r in self.regions))
        return tuple(kind for kind, there in zip(_KINDS, found, strict=True) if there)


def plan_slides(settings: Mapping[str, Any]) -> list[Slide]:
    """Plans of all slides, one a patient.

    Every patient has different tissues, as far as there are enough types, and over the patients every type
    occurs equally often (give or take one), in an order drawn by seed: no tissue belongs to one patient.

    Args:
        settings: tissue.slides.synthetic.

    Raises:
        InputError: keys are missing or unknown.
    """
    wanted = exact(settings, KEYS, "tissue.slides.synthetic")
    rng = np.random.default_rng([wanted["seed"], 0])
    patients, count = wanted["patients"], round(wanted["artefacts"] * wanted["patients"])
    order = np.random.default_rng([wanted["seed"], 4]).permutation(patients)
    marked = {int(number): turn for turn, number in enumerate(order[:count])}
    used = dict.fromkeys(sorted(wanted["tissues"]), 0)
    slides = []
    for number in range(patients):
        tissues: list[str] = []
        for _ in range(wanted["regions"]):
            names = rng.permutation(list(used)).tolist()
            tissues.append(min(names, key=lambda name: (tissues.count(name), used[name])))
            used[tissues[-1]] += 1
        tissues = rng.permutation(tissues).tolist()
        slides.append(_plan(number, tissues, marked.get(number), wanted))
    return slides


def _plan(number: int, tissues: list[str], marked: int | None, wanted: Mapping[str, Any]) -> Slide:
    rng = np.random.default_rng([wanted["seed"], 1, number])
    stain = draw_stain(rng)
    size = wanted["region_um"] / wanted["mpp"]
    cell = size * 1.28
    columns = int(np.ceil(np.sqrt(len(tissues))))
    rows = -(-len(tissues) // columns)
    margin = 0.12 * size
    width, height = (int(np.ceil((n * cell + 2 * margin) / 16)) * 16 for n in (columns, rows))
    regions = []
    for place, tissue in enumerate(tissues):
        row, column = divmod(place, columns)
        centre = margin + (np.array([column, row]) + 0.5) * cell + rng.uniform(-0.03, 0.03, 2) * size
        regions.append(Region(tissue, centre + _outline(rng, size)))
    if marked is None:
        return Slide(number, wanted["seed"], width, height, wanted["mpp"], stain, tuple(regions))
    kinds = {_KINDS[marked % len(_KINDS)]}
    if rng.random() < 0.3:
        kinds.add(str(rng.choice(_KINDS)))
    strokes: list[Stroke] = []
    for kind in sorted(kinds):
        place = int(rng.integers(len(regions)))
        region = regions[place]
        centre = region.outline.mean(axis=0)
        if kind == "pen":
            strokes = _strokes(rng, centre, size)
            continue
        if kind == "fold":
            fold = (rng.uniform(0, np.pi), rng.uniform(-0.2, 0.2) * size, rng.uniform(0.1, 0.16) * size)
            changed = Region(region.tissue, region.outline, fold, region.blur)
        else:
            away, turn = rng.uniform(0, 0.25) * size, rng.uniform(0, 2 * np.pi)
            x, y = centre + away * np.array([np.cos(turn), np.sin(turn)])
            radius, sigma = rng.uniform(0.22, 0.36) * size, rng.uniform(3.5, 6) / wanted["mpp"]
            blur = (float(x), float(y), float(radius), float(sigma))
            changed = Region(region.tissue, region.outline, region.fold, blur)
        regions[place] = changed
    return Slide(number, wanted["seed"], width, height, wanted["mpp"], stain, tuple(regions), tuple(strokes))


def _outline(rng: np.random.Generator, size: float) -> np.ndarray:
    """Corners of a round-ish irregular shape of about diameter ``size`` around (0, 0)."""
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    turn = rng.uniform(0, np.pi / 2)
    # between a circle and a square, as blocks of tissue are
    radius = (np.abs(np.cos(angle - turn)) ** 3 + np.abs(np.sin(angle - turn)) ** 3) ** (-1 / 3)
    for lobes in range(2, 10):
        radius += 0.05 / lobes**0.7 * rng.normal() * np.cos(lobes * angle + rng.uniform(0, 2 * np.pi))
    radius *= 1.05 * size / 2 / radius.mean()
    np.clip(radius, 0.35 * size, 0.62 * size, out=radius)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


def _strokes(rng: np.random.Generator, centre: np.ndarray, size: float) -> list[Stroke]:
    """One or two curved pen marks of one ink that run partly over a region."""
    ink = str(rng.choice(sorted(_INKS)))
    start, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.6)
    strokes = []
    for _ in range(int(rng.integers(1, 3))):
        angle = start + np.linspace(0, length, 24)
        radius = size * (rng.uniform(0.3, 0.48) + 0.03 * np.sin(angle * rng.uniform(1, 3)))
        points = centre + radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
        strokes.append(Stroke(ink, points, float(size * rng.uniform(0.09, 0.15))))
        start += rng.uniform(2.0, 4.0)
    return strokes


def geojson(slide: Slide) -> dict[str, Any]:
    """The regions as QuPath writes annotations: polygons in level-0 pixels, classified by tissue."""
    features = []
    for number, region in enumerate(slide.regions, 1):
        ring = [[round(float(x), 1), round(float(y), 1)] for x, y in region.outline]
        features.append(
            {
                "type": "Feature",
                "id": f"region-{number}",
                "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
                "properties": {"objectType": "annotation", "classification": {"name": region.tissue}},
            }
        )
    return {"type": "FeatureCollection", "features": features}


def strips(slide: Slide) -> Iterator[np.ndarray]:
    """The slide from top to bottom: uint8 (TILE rows or fewer, width, 3)."""
    rng = np.random.default_rng([slide.seed, 2, slide.number])
    dust = rng.normal(0, 0.9, (TILE, TILE, 1)).astype(np.float32)
    glass = np.float32(255) * np.array(slide.stain.glass, np.float32)
    empty = np.rint(np.clip(glass + dust, 0, 255)).astype(np.uint8)
    empty = np.tile(empty, (1, -(-slide.width // TILE), 1))[:, : slide.width]
    blocks: dict[tuple[int, int, int], tuple[np.ndarray, np.ndarray]] = {}
    for top in range(0, slide.height, TILE):
        strip = empty[: min(TILE, slide.height - top)].copy()
        for key, (left, first, right, last) in _blocks_in(slide, top, top + len(strip)).items():
            if key not in blocks:
                blocks[key] = _draw_block(slide, key, (left, first, right, last))
            pixels, mask = blocks[key]
            low, high = max(first, top), min(last, top + len(strip))
            target = strip[low - top : high - top, left:right]
            covered = mask[low - first : high - first]
            # only the soft border of a region is mixed with glass
            np.copyto(target, pixels[low - first : high - first], where=covered[..., None] == 255)
            border = (covered > 0) & (covered < 255)
            share = covered[border][:, None].astype(np.float32) / 255
            mixed = share * pixels[low - first : high - first][border] + (1 - share) * target[border]
            target[border] = np.rint(mixed).astype(np.uint8)
        for key in [key for key in blocks if _block_box(slide, key)[3] <= top + TILE]:
            del blocks[key]
        for stroke in slide.strokes:
            _ink(strip, top, stroke)
        yield strip


def _block_box(slide: Slide, key: tuple[int, int, int]) -> tuple[int, int, int, int]:
    region, row, column = key
    left, top, right, bottom = slide.regions[region].box
    left, top = left + column * _BLOCK, top + row * _BLOCK
    return left, top, min(left + _BLOCK, right), min(top + _BLOCK, bottom)


def _blocks_in(slide: Slide, top: int, bottom: int) -> dict[tuple[int, int, int], tuple[int, int, int, int]]:
    """Blocks of regions that reach into rows ``top`` to ``bottom``, with their boxes."""
    found = {}
    for number, region in enumerate(slide.regions):
        left, first, right, last = region.box
        for row in range(-(-(last - first) // _BLOCK)):
            for column in range(-(-(right - left) // _BLOCK)):
                box = _block_box(slide, (number, row, column))
                if box[1] < bottom and box[3] > top:
                    found[number, row, column] = box
    return found


def _draw_block(
    slide: Slide, key: tuple[int, int, int], box: tuple[int, int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of a block and how far tissue covers them (0 to 255)."""
    region = slide.regions[key[0]]
    left, top, right, bottom = box
    rng = np.random.default_rng([slide.seed, 3, slide.number, *key])
    pixels = draw_tissue(region.tissue, bottom - top, right - left, slide.mpp, rng, slide.stain)
    # drawn a little larger, so that the soft border does not end at the block's
    pad = 8
    canvas = Image.new("L", (right - left + 2 * pad, bottom - top + 2 * pad))
    corners = [(x - left + pad, y - top + pad) for x, y in region.outline.tolist()]
    ImageDraw.Draw(canvas).polygon(corners, fill=255)
    mask = np.asarray(canvas.filter(ImageFilter.GaussianBlur(1.2)))[pad:-pad, pad:-pad]
    y = np.arange(top, bottom, dtype=np.float32)[:, None]
    x = np.arange(left, right, dtype=np.float32)[None, :]
    if region.fold is not None:
        angle, offset, width = region.fold
        middle = region.outline.mean(axis=0)
        normal = np.array([-np.sin(angle), np.cos(angle)])
        away = (x - middle[0]) * np.float32(normal[0]) + (y - middle[1]) * np.float32(normal[1]) - offset
        along = (x - middle[0]) * np.float32(np.cos(angle)) + (y - middle[1]) * np.float32(np.sin(angle))
        away += np.float32(0.6 * width) * np.sin(along / np.float32(1.8 * width))
        inside = np.clip((width / 2 - np.abs(away)) / 4, 0, 1)[..., None]
        shift = np.rint(normal * width).astype(int)
        light = np.float32(255) * np.array(slide.stain.glass, np.float32)
        through = np.ones_like(pixels, np.float32)
        for layer in (1, -1):  # a pleat: two more layers lie on the first
            other = np.roll(pixels, (int(layer * shift[1]), int(layer * shift[0])), (0, 1))
            through *= np.minimum(other / light, 1)
        pixels = np.rint(pixels * (1 - inside + inside * through)).astype(np.uint8)
    if region.blur is not None:
        centre_x, centre_y, radius, sigma = region.blur
        soft = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma)))
        share = np.clip((radius - np.hypot(x - centre_x, y - centre_y)) / (0.15 * radius), 0, 1)[..., None]
        pixels = np.rint(pixels * (1 - share) + soft * share).astype(np.uint8)
    return pixels, mask


def _ink(strip: np.ndarray, top: int, stroke: Stroke) -> None:
    """Lay ``stroke`` over a strip that starts at row ``top``."""
    reach = stroke.width / 2 + 4
    low, high = stroke.points.min(axis=0) - reach, stroke.points.max(axis=0) + reach
    left, right = max(int(low[0]), 0), min(int(high[0]) + 1, strip.shape[1])
    if high[1] < top or low[1] > top + len(strip) or left >= right:
        return
    pad = 6  # the soft edge must not end at the strip's
    canvas = Image.new("L", (right - left, len(strip) + 2 * pad))
    draw = ImageDraw.Draw(canvas)
    points = [(x - left, y - top + pad) for x, y in stroke.points.tolist()]
    draw.line(points, fill=255, width=round(stroke.width), joint="curve")
    for x, y in (points[0], points[-1]):
        half = stroke.width / 2
        draw.ellipse((x - half, y - half, x + half, y + half), fill=255)
    covered = np.asarray(canvas.filter(ImageFilter.GaussianBlur(1.5)))[pad:-pad]
    share = covered[..., None].astype(np.float32) / 255
    ink = np.array(_INKS[stroke.ink], np.float32)
    part = strip[:, left:right]
    part[:] = np.rint(part * (1 - share + share * ink)).astype(np.uint8)


def write_slide(slide: Slide, path: Path, title: str) -> None:
    """Draw ``slide`` into a pyramidal TIFF at ``path``; ``title`` (ASCII) is its image description."""
    write_pyramid(strips(slide), slide.width, slide.height, slide.mpp, path, title)
