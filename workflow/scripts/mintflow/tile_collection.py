"""All tiles in one table, whether cut from slides or read from sets; images stay where they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from .errors import InputError
from .io import read_parquet
from .quarantine import Quarantine
from .sheets import Problem, SlideRow, file_name
from .tile_table import FAILED, MANIFEST_COLUMNS, QUALITY, manifest_row

SLIDES = "slides"  # source of tiles that were cut from slides
COLUMNS = {
    "case_id": "str",
    "slide_id": "str",
    "patient_id": "str",
    "label": "str",
    "source": "str",
    "set_split": "str",  # auto, train, test
    "file": "str",
    "row": "int64",
    "kept": "bool",
    "reason": "str",
    "simulated": "bool",
    "content": "str",  # hash that tells equal images; empty for dropped tiles
    **dict.fromkeys(QUALITY, "float64"),
}


def read_manifests(paths: Sequence[str | Path]) -> pd.DataFrame:
    """One row a slide, sorted by slide, columns as in ``tile_table.MANIFEST_COLUMNS``.

    Raises:
        InputError: a slide is in two manifests.
    """
    parts = [read_parquet(path, list(MANIFEST_COLUMNS)) for path in sorted(map(str, paths))]
    parts = [part for part in parts if len(part)]
    kinds = {"int64": "Int64", "float64": "float64"}  # counts stay whole numbers beside unknown ones
    types = {name: kinds.get(kind, "str") for name, kind in MANIFEST_COLUMNS.items()}
    table = pd.concat(parts) if parts else pd.DataFrame(columns=list(MANIFEST_COLUMNS))
    table = table.astype(types).sort_values("slide_id", ignore_index=True)
    if (twice := table["slide_id"].duplicated()).any():
        raise InputError("in two manifests", record=table.loc[twice, "slide_id"].iloc[0], field="slide_id")
    return table


def with_bad_rows(manifest: pd.DataFrame, problems: Iterable[Problem]) -> pd.DataFrame:
    """The manifest and a row for each slide that the sheet lost, named by its line where no name is free."""
    taken, lost = set(manifest["slide_id"]), []
    for problem in problems:
        if problem.slide is None:
            continue
        name = problem.slide if problem.slide and problem.slide not in taken else problem.record
        if name not in taken:
            taken.add(name)
            message = f"{problem.field} {problem.reason}".strip()
            lost.append(manifest_row(name, problem.path, "bad-row", message))
    table = pd.DataFrame(lost, columns=list(MANIFEST_COLUMNS)).astype(manifest.dtypes.to_dict())
    return pd.concat([manifest, table]).sort_values("slide_id", ignore_index=True) if lost else manifest


def set_aside(problems: Iterable[Problem], manifest: pd.DataFrame, sheet: str | Path) -> Quarantine:
    """What of the sheet cannot be used, then every slide that failed."""
    quarantine = Quarantine("slides")
    for problem in problems:
        quarantine.add(
            file=sheet, record=problem.record, field=problem.field, value=problem.value, reason=problem.reason
        )
    for slide in manifest[manifest["status"].isin(FAILED)].itertuples():
        quarantine.add(
            file=slide.path, record=slide.slide_id, field="status", value=slide.status, reason=slide.message
        )
    return quarantine


def slide_tiles(
    rows: Sequence[SlideRow], manifest: pd.DataFrame, folders: Sequence[str | Path], *, simulated: bool
) -> list[pd.DataFrame]:
    """Tiles of the sheet's slides: the label of the region, else of the slide, else none.

    Args:
        rows: usable rows of the sheet.
        manifest: of all slides; slides that the sheet no longer names are left out.
        folders: where ``<slide>.parquet`` may lie.
        simulated: whether the slides were drawn.

    Raises:
        InputError: a slide was never tiled, or its tiles are gone.
    """
    kept = dict(zip(manifest["slide_id"], manifest["kept"], strict=True))
    tables = []
    for row in rows:
        if row.slide not in kept:
            raise InputError("is in no manifest: tile it first", record=row.slide, field="slide")
        found = [
            path for folder in folders if (path := Path(folder) / f"{file_name(row.slide)}.parquet").is_file()
        ]
        if not found:
            if kept[row.slide]:
                raise InputError(
                    f"{kept[row.slide]} tiles are gone", record=row.slide, file=f"{row.slide}.parquet"
                )
            continue
        tables.append(_of_slide(row, found[0], simulated))
    return tables


def _of_slide(row: SlideRow, path: Path, simulated: bool) -> pd.DataFrame:
    tiles = read_parquet(path, ["tile_id", "slide_id", "roi", "kept", "reason", *QUALITY])
    if len(tiles) and set(tiles["slide_id"]) != {row.slide}:
        raise InputError("holds tiles of another slide", file=path.name, record=row.slide, field="slide_id")
    label = tiles["roi"].astype("str")
    return _table(
        tiles.rename(columns={"tile_id": "case_id"}).assign(
            patient_id=row.patient,
            label=label.where(label.notna(), row.label),
            source=SLIDES,
            set_split="auto",
            file=str(path),
            row=range(len(tiles)),
            simulated=simulated,
            content=_content(path),
        )
    )


def _content(path: Path) -> pd.Series:
    """Hash of every image's bytes, "" where there is none; one row group in memory at a time."""
    import pyarrow.parquet as pq

    hashes: list[str] = []
    with pq.ParquetFile(path) as table:
        for group in range(table.num_row_groups):
            for image in table.read_row_group(group, columns=["image"]).column("image"):
                content = image["bytes"].as_buffer() if image.is_valid else None
                hashes.append(hashlib.sha256(content).hexdigest() if content else "")
    return pd.Series(hashes, dtype="str")


def require_images(tiles: pd.DataFrame) -> None:
    """Check that kept tiles have an image, as a student needs.

    Raises:
        InputError: one has none.
    """
    if (missing := tiles["kept"] & (tiles["content"] == "")).any():
        first = tiles[missing].iloc[0]
        raise InputError(
            "kept without its image: tissue.tiling.format coordinates cannot feed a student",
            file=Path(first["file"]).name,
            record=first["case_id"],
            field="image",
        )


def set_tiles(path: str | Path) -> pd.DataFrame:
    """Tiles of one ready-made set, as ``tile_sets`` wrote it."""
    columns = ["tile_id", "slide_id", "patient_id", "label", "source", "set_split", "pixels_sha256"]
    tiles = read_parquet(path, [*columns, "kept", "reason"])
    return _table(
        tiles.rename(columns={"tile_id": "case_id", "pixels_sha256": "content"}).assign(
            file=str(path), row=range(len(tiles)), simulated=False, **dict.fromkeys(QUALITY, float("nan"))
        )
    )


def _table(tiles: pd.DataFrame) -> pd.DataFrame:
    return tiles[list(COLUMNS)].astype(COLUMNS)


def collect(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table with ``COLUMNS``, sorted by case.

    Raises:
        InputError: two tiles have one id.
    """
    parts = [table for table in tables if len(table)]
    tiles = pd.concat(parts) if parts else pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)
    tiles = tiles.sort_values("case_id", ignore_index=True)
    if (twice := tiles["case_id"].duplicated()).any():
        problem = "two tiles have one id: a tile set has the name of a slide"
        raise InputError(problem, record=tiles.loc[twice, "case_id"].iloc[0], field="case_id")
    return tiles
