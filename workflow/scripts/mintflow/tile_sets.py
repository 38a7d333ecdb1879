"""Ready-made tile sets in the form of extracted tiles: judged, labelled, with the patient as far as known."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .errors import InputError
from .images import decode
from .io import whole_file
from .quarantine import Quarantine
from .tile_set_readers import FOLD, RawTile, read_raw

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1
SETTINGS = ("name", "kind", "path", "labels", "patients", "split", "image_column", "label_column")
MIN_SIDE = 16  # pixels; less shows no tissue
UNKNOWN = "set:"  # begins the unit of a set whose patients are unknown
MAX_LABEL = 200

_COLUMNS = {
    "tile_id": "string",
    "slide_id": "string",  # null
    "patient_id": "string",
    "label": "string",
    "class": "string",  # as in the set
    "source": "string",  # name of the set
    "set_split": "string",  # auto, train, test
    "width": "int64",
    "height": "int64",
    "pixels_sha256": "string",
    "kept": "bool",
    "reason": "string",
    "schema_version": "int64",
    "image": "image",
}
_ROWS_PER_GROUP, _BYTES_PER_GROUP = 500, 32 << 20


def read_tile_set(entry: Mapping[str, Any], quarantine: Quarantine) -> Iterator[dict[str, Any]]:
    """Rows of one set, in the order of its files; what is no tile goes to ``quarantine``.

    The label is what ``labels`` makes of the class, or the class itself; other classes are left out. The
    patient is as in the set, the set's name before a fold, and ``set:<name>`` where patients are unknown.
    PNG and JPEG in colour keep their bytes, all else becomes PNG.

    Args:
        entry: ``SETTINGS``, one entry of tissue.tile_sets.
        quarantine: gets what cannot be used.

    Raises:
        InputError: the set is not as described, or nothing of it can be used.
    """
    labels = entry["labels"]
    seen: Counter[str] = Counter()
    written: set[str] = set()
    kept = 0
    for raw in read_raw(entry, quarantine):
        if raw.kind is not None:
            seen[raw.kind] += 1
        if raw.kind is not None and labels is not None and raw.kind not in labels:
            continue
        row = _row(raw, entry, quarantine)
        if row is None:
            continue
        if row["tile_id"] in written:
            quarantine.add(file=raw.file, record=raw.name, field="name", value="", reason="name used twice")
            continue
        written.add(row["tile_id"])
        kept += 1
        yield row
    known = ", ".join(sorted(seen)[:30]) or "none"
    if unknown := sorted(set(labels or ()) - set(seen)):
        problem = f"names {', '.join(map(repr, unknown))}; classes of the set: {known}"
        raise InputError(problem, file=entry["path"], field=f"tissue.tile_sets.{entry['name']}.labels")
    if not kept:
        first = quarantine.table().head(1)
        why = "".join(f", the first, {row.record}: {row.reason}" for row in first.itertuples())
        raise InputError(
            f"no tile can be used ({len(quarantine.rows)} in quarantine{why}; classes: {known})",
            file=entry["path"],
            field=f"tissue.tile_sets.{entry['name']}",
        )


def _row(raw: RawTile, entry: Mapping[str, Any], quarantine: Quarantine) -> dict[str, Any] | None:
    def refuse(field: str, value: object, reason: str) -> None:
        quarantine.add(file=raw.file, record=raw.name, field=field, value=value, reason=reason)

    if raw.unit == "":
        return refuse("patients", "", "no patient found")
    label = raw.kind if entry["labels"] is None or raw.kind is None else entry["labels"][raw.kind]
    label = " ".join(label.split()) if label else None
    if label and entry["labels"] is None and label.isdigit():
        raise InputError(
            f"the class is a number ({label}); say in labels what it means",
            file=raw.file,
            field=f"tissue.tile_sets.{entry['name']}.labels",
        )
    if label and (len(label) > MAX_LABEL or not label.isprintable()):
        return refuse("class", label, "no name of a class")
    if raw.content is None:
        return refuse("image", "", "no image bytes")
    try:
        image, content, kind = _encoded(raw.content, raw)
    except InputError as error:
        return refuse("image", "", error.problem)
    if min(image.size) < MIN_SIDE:
        return refuse("image", f"{image.width} x {image.height}", f"a side below {MIN_SIDE} pixels")
    if raw.unit is None:
        patient = f"{UNKNOWN}{entry['name']}"
    elif entry["kind"] == "pannuke" and entry["patients"] == FOLD:
        patient = f"{entry['name']}:{raw.unit}"
    else:
        patient = raw.unit
    return {
        "tile_id": f"{entry['name']}@{raw.name}",
        "slide_id": None,
        "patient_id": patient,
        "label": label,
        "class": raw.kind,
        "source": entry["name"],
        "set_split": entry["split"],
        "width": image.width,
        "height": image.height,
        "pixels_sha256": pixels_sha256(image),
        "kept": True,
        "reason": "",
        "schema_version": SCHEMA_VERSION,
        "image": {"bytes": content, "path": f"{raw.name.replace('/', '_').rsplit('.', 1)[0]}.{kind}"},
    }


def pixels_sha256(image: Image.Image) -> str:
    """Hash of an RGB image's size and pixels: the same for the same picture in another format."""
    return hashlib.sha256(f"{image.width}x{image.height};".encode() + image.tobytes()).hexdigest()


def _encoded(content: bytes | np.ndarray, raw: RawTile) -> tuple[Image.Image, bytes, str]:
    """The picture (RGB), its bytes, and png or jpeg."""
    if isinstance(content, bytes):
        image = decode(content, file=raw.file, record=raw.name)
        with Image.open(io.BytesIO(content)) as original:
            if original.format in ("PNG", "JPEG") and original.mode == "RGB":
                return image, content, original.format.lower()
    else:
        image = Image.fromarray(_bytes_of(content))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return image, buffer.getvalue(), "png"


def _bytes_of(pixels: np.ndarray) -> np.ndarray:
    """Pixels of any number type as uint8.

    Raises:
        InputError: values are not 0 to 255.
    """
    if pixels.dtype != np.uint8:
        low, high = pixels.min(), pixels.max()
        if not (low >= 0 and 1 < high <= 255):  # also what is no number
            raise InputError(f"values from {low:g} to {high:g}, expected 0 to 255")
    return np.ascontiguousarray(np.rint(pixels) if pixels.dtype.kind == "f" else pixels).astype(np.uint8)


def schema() -> pa.Schema:
    """Arrow schema of a set; its metadata tells ``datasets`` that ``image`` is an image."""
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "int64": pa.int64(),
        "bool": pa.bool_(),
        "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    }
    features = {
        name: {"_type": "Image"} if kind == "image" else {"dtype": kind, "_type": "Value"}
        for name, kind in _COLUMNS.items()
    }
    return pa.schema(
        [(name, types[kind]) for name, kind in _COLUMNS.items()],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )


def write_tile_set(rows: Iterable[Mapping[str, Any]], path: str | Path) -> Counter[tuple[str, str | None]]:
    """Write rows in groups, whole or not at all; memory does not grow with the set.

    Returns:
        Tiles by (class, label), for the log.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    counts: Counter[tuple[str, str | None]] = Counter()
    compression = {name: "ZSTD" for name, kind in _COLUMNS.items() if kind != "image"}
    compression |= {"image.bytes": "NONE", "image.path": "ZSTD"}
    with (
        whole_file(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema(),
            compression=compression,
            use_dictionary=[name for name, kind in _COLUMNS.items() if kind == "string"],
            write_statistics=False,
        ) as writer,
    ):
        waiting: list[Mapping[str, Any]] = []
        size = 0
        for row in rows:
            waiting.append(row)
            size += len(row["image"]["bytes"])
            counts[row["class"] or "", row["label"]] += 1
            if len(waiting) >= _ROWS_PER_GROUP or size >= _BYTES_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(waiting, schema=schema()))
                waiting, size = [], 0
        if waiting:
            writer.write_table(pa.Table.from_pylist(waiting, schema=schema()))
    return counts
