"""One slide becomes tiles: tissue mask, positions, reading, quality, rows."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from . import quality, rois, stain
from .errors import InputError
from .grid import Grid, LevelChoice, choose_level, make_grid
from .overview import read_overview, save_overlay
from .resolution import Resolution, find_resolution
from .sampling import Canvas, SlidePixels
from .sheets import SlideRow
from .slides import Slide, compression
from .tile_table import QUALITY, REASONS, SCHEMA_VERSION, SlideFailure, TileWriter, manifest_row

_RUN_PIXELS = 4096  # level pixels side by side that are resampled at once
_STAIN_TILES, _STAIN_PIXELS = 24, 200_000  # what stain normalisation is fitted on

_MOST_NOTES = 3  # of the same kind

Row = dict[str, Any]


@dataclass
class _Plan:
    """All that is known before tiles are read."""

    slide_id: str
    tiling: Mapping[str, Any]
    resolution: Resolution
    choice: LevelChoice
    grid: Grid
    shares: np.ndarray
    rois: Sequence[Any]
    canvas: Canvas
    fold_density: float
    normalise: Callable[[np.ndarray], np.ndarray] = lambda rgb: rgb
    notes: list[str] = field(default_factory=list)

    def tile_id(self, row: int, column: int) -> str:
        """Slide and level-0 corner."""
        return f"{self.slide_id}@{round(self.grid.x(column))},{round(self.grid.y(row))}"

    def row(self, row: int, column: int, **more: Any) -> Row:
        """A row of the table, all but what the pixels say."""
        x, y, side = self.grid.x(column), self.grid.y(row), self.grid.footprint
        label, share = None, 0.0
        if self.rois:
            label, share = rois.label_of((x, y, x + side, y + side), self.rois, self.tiling["min_roi"])
        return {
            "tile_id": self.tile_id(row, column),
            "slide_id": self.slide_id,
            "x": round(x),
            "y": round(y),
            "footprint": side,
            "level": self.canvas.blocks.slide.levels[self.choice.level].index,
            "level_downsample": self.choice.downsample,
            "slide_mpp": self.resolution.mpp,
            "mpp_source": self.resolution.source,
            "mpp": self.choice.mpp,
            "tile_size": self.grid.tile_size,
            "tissue": float(self.shares[row, column]),
            "roi": label,
            "roi_share": float(share),
            **dict.fromkeys(QUALITY),
            "kept": False,
            "reason": "",
            "schema_version": SCHEMA_VERSION,
            "image": None,
            **more,
        }


def _read_tiles(plan: _Plan, positions: Sequence[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], Row]]:
    """Rows of ``positions`` (row, column; sorted), read in runs of neighbours."""
    grid, tiling = plan.grid, plan.tiling
    longest = max(1, int(_RUN_PIXELS / (grid.step * plan.choice.ratio)))
    for row, first, count in _runs(positions, longest):
        width = (count - 1) * grid.step + grid.tile_size
        strip = plan.canvas.read(first * grid.step, row * grid.step, width, grid.tile_size)
        for column in range(first, first + count):
            pixels = strip.crop((column - first) * grid.step, 0, grid.tile_size, grid.tile_size)
            if pixels.unreadable is not None and pixels.unreadable.any():
                yield (row, column), plan.row(row, column, reason="unreadable")
                continue
            rgb = np.ascontiguousarray(pixels.rgb)
            measures = quality.assess(rgb, plan.choice.mpp, plan.fold_density)
            values = {name: float(measures[name]) for name in QUALITY}
            reason = quality.reason(measures, tiling)
            result = plan.row(row, column, **values, reason=reason, kept=not reason)
            if not reason and tiling["format"] != "coordinates":
                name = f"{result['x']}_{result['y']}.{tiling['format']}"
                result["image"] = {"bytes": encode(plan.normalise(rgb), tiling), "path": name}
            yield (row, column), result


def _runs(positions: Iterable[tuple[int, int]], longest: int) -> Iterator[tuple[int, int, int]]:
    """Neighbouring columns of one row: (row, first column, count)."""
    run: list[tuple[int, int]] = []
    for position in positions:
        if run and (len(run) == longest or position != (run[-1][0], run[-1][1] + 1)):
            yield (*run[0], len(run))
            run = []
        run.append(position)
    if run:
        yield (*run[0], len(run))


def encode(rgb: np.ndarray, tiling: Mapping[str, Any]) -> bytes:
    """A tile as PNG or JPEG bytes."""
    if tiling["format"] == "png":
        import imagecodecs

        # one fixed filter and run lengths: on tissue as small as the best filter of each row, 3 times faster
        options = {"strategy": imagecodecs.PNG.STRATEGY.RLE, "filter": imagecodecs.PNG.FILTER.PAETH}
        return bytes(imagecodecs.png_encode(rgb, level=1, **options))
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=tiling["jpeg_quality"])
    return buffer.getvalue()


def _all(plan: _Plan, inside: list[tuple[int, int]], edge: list[tuple[int, int]]) -> Iterator[Row]:
    """Every row in order of position, streamed."""
    waiting = iter(sorted(edge))
    upcoming = next(waiting, None)
    last = -1
    for position, row in _read_tiles(plan, inside):
        while upcoming is not None and upcoming < position:
            yield plan.row(*upcoming, reason="edge")
            upcoming = next(waiting, None)
        yield row
        if position[0] != last:
            last = position[0]
            plan.canvas.forget_above(last * plan.grid.step)
    while upcoming is not None:
        yield plan.row(*upcoming, reason="edge")
        upcoming = next(waiting, None)


def _drawn(
    plan: _Plan, inside: list[tuple[int, int]], edge: list[tuple[int, int]], spool: IO[bytes]
) -> Iterator[Row]:
    """Every row in order of position, at most ``max_tiles`` of them kept.

    Positions are read in an order drawn by seed until enough are kept, so that a few tiles of a large slide
    cost little; the others are dropped unread. Images wait in ``spool``, a file.
    """
    limit, seed = plan.tiling["max_tiles"], plan.tiling["seed"]
    order = sorted(inside, key=lambda p: hashlib.sha256(f"{seed}/{plan.tile_id(*p)}".encode()).digest())
    rows: dict[tuple[int, int], Row] = {position: plan.row(*position, reason="edge") for position in edge}
    places: dict[tuple[int, int], tuple[int, int, str]] = {}
    kept = start = 0
    while kept < limit and start < len(order):
        chunk = order[start : start + max(16, 2 * (limit - kept))]
        start += len(chunk)
        for position, row in _read_tiles(plan, sorted(chunk)):
            if row["image"]:
                size = len(row["image"]["bytes"])
                places[position] = (spool.tell(), size, row["image"]["path"])
                spool.write(row["image"]["bytes"])
                row["image"] = None
            rows[position] = row
        for position in chunk:
            kept += rows[position]["kept"]
            if rows[position]["kept"] and kept > limit:
                rows[position] |= {"kept": False, "reason": "limit"}
    for position in order[start:]:
        rows[position] = plan.row(*position, reason="limit")
    for position in sorted(rows):
        row = rows[position]
        if row["kept"] and position in places:
            offset, size, name = places[position]
            spool.seek(offset)
            row["image"] = {"bytes": spool.read(size), "path": name}
        yield row


def _read_rois(path: str | None, slide: Slide, notes: list[str]) -> list[Any]:
    """Regions of interest that share an area with the slide; what is wrong with the file becomes a note."""
    if not path:
        return []
    left_out: list[str] = []
    try:
        found = rois.read_rois(path, left_out)
    except InputError as error:
        notes.append(f"regions of interest not used: {error}")
        return []
    inside, outside = rois.check_inside(found, *slide.size)
    if len(left_out) > _MOST_NOTES:
        left_out[_MOST_NOTES:] = [f"{len(left_out) - _MOST_NOTES} more features left out"]
    notes.extend([*left_out, *outside])
    return inside


def _normaliser(plan: _Plan, inside: Sequence[tuple[int, int]]) -> Callable[[np.ndarray], np.ndarray]:
    """Stain normalisation fitted on some tiles of the slide, drawn by seed."""
    method = plan.tiling["stain"]
    if method == "none" or not inside:
        return lambda rgb: rgb
    rng = np.random.default_rng(plan.tiling["seed"])
    chosen = sorted(rng.choice(len(inside), min(_STAIN_TILES, len(inside)), replace=False).tolist())
    grid = plan.grid
    samples = []
    for row, column in (inside[i] for i in chosen):
        pixels = plan.canvas.read(column * grid.step, row * grid.step, grid.tile_size, grid.tile_size)
        good = pixels.rgb[~pixels.unreadable] if pixels.unreadable is not None else pixels.rgb.reshape(-1, 3)
        samples.append(good)
    sample = np.concatenate(samples)
    normaliser = stain.normaliser(method, sample[:: max(1, len(sample) // _STAIN_PIXELS)])
    plan.notes.extend([normaliser.note] if normaliser.note else [])
    return normaliser


def tile_slide(row: SlideRow, tiling: Mapping[str, Any], output: Path, sha256: str | None = None) -> Row:
    """Cut one slide into tiles.

    Args:
        row: of the sample sheet.
        tiling: ``tissue.tiling`` of the configuration.
        output: folder, gets ``tiles.parquet`` and ``overlay.png``.
        sha256: of the slide, for the manifest.

    Returns:
        The slide's row of the manifest.

    Raises:
        SlideFailure: nothing could be cut; ``known`` holds what is known of the slide.
    """
    known: Row = {"sha256": sha256}
    try:
        with Slide(row.path) as slide:
            return _tile_open_slide(row, tiling, output, slide, known)
    except SlideFailure as failure:
        known.setdefault("compression", compression(row.path))
        failure.known = known
        raise


def _tile_open_slide(row: SlideRow, tiling: Mapping[str, Any], output: Path, slide: Slide, known: Row) -> Row:
    width, height = slide.size
    known |= {"vendor": slide.vendor, "compression": compression(row.path, slide.properties)}
    known |= {"width": width, "height": height, "levels": len(slide.levels)}
    resolution = find_resolution(slide.properties, slide.size, row.mpp, tiling)
    known |= {"mpp_x": resolution.mpp_x, "mpp_y": resolution.mpp_y, "mpp_source": resolution.source}
    notes = [*slide.notes, *resolution.notes]
    choice = choose_level(
        [level.downsample for level in slide.levels],
        resolution.mpp,
        tiling["mpp"],
        tiling["level_tolerance"],
        tiling["upsample"],
    )
    known["level"] = slide.levels[choice.level].index
    grid = make_grid(slide.area, choice, tiling["tile_size"], tiling["overlap"])
    source = SlidePixels(slide)
    overview = read_overview(source, resolution.mpp, tiling)
    shares = overview.shares(grid)
    canvas = source.canvas(grid.left, grid.top, choice, Image.Resampling.LANCZOS)
    plan = _Plan(
        slide_id=row.slide,
        tiling=tiling,
        resolution=resolution,
        choice=choice,
        grid=grid,
        shares=shares,
        rois=_read_rois(row.roi, slide, notes),
        canvas=canvas,
        fold_density=overview.fold_density,
        notes=notes,
    )
    positions = [(int(r), int(c)) for r, c in np.argwhere(shares >= tiling["min_tissue"] - 1e-9)]
    edge = [] if tiling["edges"] == "pad" else [p for p in positions if not grid.inside(p[1], p[0])]
    outside = set(edge)
    inside = [position for position in positions if position not in outside]
    plan.normalise = _normaliser(plan, inside)
    counts: Counter[str] = Counter()
    drawn: list[tuple[float, float, float, str]] = []
    with TileWriter(output / "tiles.parquet") as writer, tempfile.TemporaryFile(dir=output) as spool:
        rows = _all(plan, inside, edge) if tiling["max_tiles"] is None else _drawn(plan, inside, edge, spool)
        for tile in rows:
            writer.add(tile)
            counts[tile["reason"]] += 1
            drawn.append((tile["x"], tile["y"], tile["footprint"], tile["reason"]))
    status = "unreadable-region" if counts["unreadable"] else "ok" if counts[""] else "empty"
    if source.mended:
        notes.append(f"{source.mended} native tiles cannot be decoded and were made from a finer level")
    if counts["unreadable"]:
        notes.append(f"{counts['unreadable']} tiles with tissue cannot be read")
    elif not positions:
        notes.append("no tissue found")
    elif not counts[""]:
        dropped = ", ".join(f"{reason} {n}" for reason, n in sorted(counts.items()) if n)
        notes.append(f"every tile with tissue was dropped: {dropped}")
    save_overlay(overview, drawn, f"{row.slide}: {status}", tiling, output / "overlay.png")
    return manifest_row(
        row.slide,
        row.path,
        status,
        "; ".join(notes),
        **known,
        positions=shares.size,
        background=shares.size - len(positions),
        kept=counts[""],
        **{f"dropped_{reason}": counts[reason] for reason in REASONS},
    )
