"""Tiles as their publishers lay them out: class folders, PanNuke folds, parquet files.

Each reader yields tiles in the order of their names; nothing is decoded or judged here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError
from .quarantine import Quarantine

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}
FOLD = "fold"  # the value of patients that makes every fold one unit
_FOLD_NAME = re.compile(r"fold[ _-]?(\d+)", re.IGNORECASE)
_CLASS_COLUMNS = ("tissue_name", "tissue")  # of PanNuke as parquet, the first that there is


@dataclass(frozen=True)
class RawTile:
    """A tile before it is looked at.

    Attributes:
        name: unique within the set.
        file: where it lies, relative to the set.
        kind: its class, None if it has none.
        unit: the patient, or the fold with patients: fold; None if that is not asked, "" if not found.
        content: encoded bytes, pixels (height, width, 3) of any number type, or None.
    """

    name: str
    file: str
    kind: str | None
    unit: str | None
    content: bytes | np.ndarray | None


def read_raw(entry: Mapping[str, Any], quarantine: Quarantine) -> Iterator[RawTile]:
    """Tiles of one entry of tissue.tile_sets.

    Args:
        entry: kind, path, patients, image_column, label_column.
        quarantine: gets files that are no tiles.

    Raises:
        InputError: nothing there, or not as ``kind`` says; names file and field.
    """
    root = Path(entry["path"])
    if not root.exists():
        raise InputError("does not exist", file=entry["path"], field="path")
    if entry["kind"] == "folders":
        yield from _folders(root, entry["patients"], quarantine)
        return
    tables = [root] if root.is_file() else sorted(root.rglob("*.parquet"))
    arrays = [] if root.is_file() or entry["kind"] != "pannuke" else sorted(root.rglob("images.npy"))
    if not tables and not arrays:
        wanted = "a parquet file" if entry["kind"] == "parquet" else "images.npy or a parquet file"
        raise InputError(f"holds no {wanted}", file=entry["path"], field="path")
    for path in arrays:
        yield from _numpy_fold(path, root, entry["patients"])
    for path in tables:
        yield from _parquet(path, root, entry)


def _relative(path: Path, root: Path) -> str:
    return path.name if path == root else path.relative_to(root).as_posix()


def _folders(root: Path, patients: str | None, quarantine: Quarantine) -> Iterator[RawTile]:
    if not root.is_dir():
        raise InputError("is no folder", file=str(root), field="path")
    pattern = None
    if patients is not None:
        try:
            pattern = re.compile(patients)
        except re.error as error:
            raise InputError(f"no regular expression: {error}", field="patients") from error
        if pattern.groups != 1:
            raise InputError(f"needs one group, has {pattern.groups}", field="patients")
    found = [below for top in root.iterdir() for below in (top, *top.rglob("*"))]  # a class may be a link
    for path in sorted(found, key=lambda path: path.relative_to(root).parts):
        parts = path.relative_to(root).parts
        if path.is_dir() or any(part.startswith(".") for part in parts):
            continue
        name = "/".join(parts)
        if not name.isprintable():  # also what is no UTF-8
            quarantine.add(
                file=root.name, record=ascii(name), field="name", value="", reason="unprintable name"
            )
        elif path.suffix.lower() not in SUFFIXES:
            quarantine.add(
                file=root.name, record=name, field="name", value=path.suffix, reason="no image file"
            )
        elif len(parts) < 2:
            quarantine.add(file=root.name, record=name, field="class", value="", reason="in no class folder")
        else:
            unit = None
            if pattern is not None:
                match = pattern.search(path.name)
                unit = (match[1] or "") if match else ""
            yield RawTile(name, name, parts[0], unit, _bytes(path))


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _array(path: Path, root: Path) -> np.ndarray:
    name = _relative(path, root)
    try:
        with open(path, "rb") as file:
            if file.read(6) != b"\x93NUMPY":
                raise InputError("is no numpy array", file=name)
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=name) from error
    except ValueError as error:
        if "allow_pickle" in str(error) or "object" in str(error):
            raise InputError(
                "holds Python objects, which may run any code when read; if you trust its origin, "
                'convert it once: np.save("types.npy", np.load("types.npy", allow_pickle=True).astype(str))',
                file=name,
            ) from error
        raise InputError(f"is damaged: {error}".replace(str(path), "it"), file=name) from error


def _numpy_fold(path: Path, root: Path, patients: str | None) -> Iterator[RawTile]:
    if patients not in (None, FOLD):
        raise InputError(f"numpy folds know no patients: expected {FOLD} or null", field="patients")
    name, beside = _relative(path, root), path.with_name("types.npy")
    if not beside.is_file():
        raise InputError("types.npy does not lie beside it", file=name)
    images, types = _array(path, root), _array(beside, root)
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype.kind not in "uif":
        raise InputError(f"is {images.dtype} {images.shape}, expected numbers (n, side, side, 3)", file=name)
    if types.shape != images.shape[:1] or types.dtype.kind not in "US":
        problem = f"is {types.dtype} {types.shape}, expected {len(images)} texts"
        raise InputError(problem, file=_relative(beside, root))
    fold = _fold(path, root) or _relative(path.parent, root)
    unit = fold if patients == FOLD else None
    width = len(str(len(images) - 1))
    for number, kind in enumerate(types):
        text = kind.decode("utf-8", "replace") if isinstance(kind, bytes) else str(kind)
        yield RawTile(
            f"{fold}/{number:0{width}d}", f"{name}#{number}", text, unit, np.asarray(images[number])
        )


def _fold(path: Path, root: Path) -> str | None:
    found = _FOLD_NAME.findall(f"{root.name}/{_relative(path, root)}")
    return f"fold{found[-1]}" if found else None


def _parquet(path: Path, root: Path, entry: Mapping[str, Any]) -> Iterator[RawTile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = _relative(path, root)
    try:
        with pq.ParquetFile(path) as table:
            yield from _table_rows(table, path, root, entry)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot be read as parquet: {error}".replace(str(path), "it"), file=name) from error


def _table_rows(table: pq.ParquetFile, path: Path, root: Path, entry: Mapping[str, Any]) -> Iterator[RawTile]:
    schema, name = table.schema_arrow, _relative(path, root)
    image, kind, unit = entry["image_column"], entry["label_column"], entry["patients"]
    if entry["kind"] == "pannuke" and kind not in schema.names:
        kind = next((column for column in _CLASS_COLUMNS if column in schema.names), kind)
    fold = _fold(path, root) if entry["kind"] == "pannuke" and unit == FOLD else None
    constant = fold if unit is not None and unit not in schema.names else None
    columns = {"image_column": image, "label_column": kind}
    if unit is not None and constant is None:
        columns["patients"] = unit
    for field, column in columns.items():
        if column not in schema.names:
            found = ", ".join(schema.names[:20])
            raise InputError(f"has no column {column!r}, but {found}", file=name, field=field)
    _check_image(schema.field(image).type, name)
    names = _class_names(schema, kind)
    stem, width = name.removesuffix(".parquet"), len(str(max(table.metadata.num_rows - 1, 0)))
    number = 0
    for batch in table.iter_batches(batch_size=64, columns=sorted(set(columns.values()))):
        kinds = batch.column(kind).to_pylist()
        units = batch.column(unit).to_pylist() if "patients" in columns else [constant] * len(kinds)
        for content, one, who in zip(batch.column(image).to_pylist(), kinds, units, strict=True):
            if isinstance(content, dict):
                content = content.get("bytes")
            if unit == FOLD and entry["kind"] == "pannuke" and isinstance(who, int):
                who = f"fold{who}"
            yield RawTile(
                f"{stem}/{number:0{width}d}",
                f"{name}#{number}",
                _text(one, names),
                (_text(who) or "") if unit is not None else None,
                content,
            )
            number += 1


def _check_image(kind: pa.DataType, name: str) -> None:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        kind = next(
            (kind.field(i).type for i in range(kind.num_fields) if kind.field(i).name == "bytes"), kind
        )
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        problem = f"is {kind}, expected encoded images (binary, or a struct with bytes)"
        raise InputError(problem, file=name, field="image_column")


def _class_names(schema: pa.Schema, column: str) -> list[str] | None:
    """Names behind the numbers of a ClassLabel, which ``datasets`` keeps in the file's metadata."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        names = features[column]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _text(value: Any, names: list[str] | None = None) -> str | None:
    """A cell as text: a class number by its name, 3.0 as 3; None if there is nothing."""
    if value is None or value != value:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if names is not None and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else None
    return " ".join(str(value).split()) or None
