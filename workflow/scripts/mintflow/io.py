"""Files that appear whole or not at all, with the same bytes for the same content."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError

if TYPE_CHECKING:  # pandas costs half a second; scripts that need no table do not pay it
    import pandas as pd


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there only on success."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_directory(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it replaces ``path`` only on success."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_leftovers(path: Path) -> None:
    """Half-written files of an earlier attempt that was killed; the workflow has one writer per file."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def write_parquet(table: pd.DataFrame, path: str | Path, **metadata: str) -> None:
    """Write ``table`` without its index; ``metadata`` goes into the file's key-value metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.Table.from_pandas(table, preserve_index=False)
    # the pandas metadata records library versions, which would change the bytes
    arrow = arrow.replace_schema_metadata(dict(sorted(metadata.items())) or None)
    with whole_file(path) as temporary:
        pq.write_table(arrow, temporary, compression="zstd")


def read_parquet(
    path: str | Path, columns: list[str] | None = None, *, optional: Sequence[str] = ()
) -> pd.DataFrame:
    """Read a parquet table; list columns come back as Python lists.

    Args:
        path: the file.
        columns: which must be there; all by default.
        optional: further ones, read where they are there.

    Raises:
        InputError: the file is missing, is no parquet, or lacks one of ``columns``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            missing = [name for name in columns or [] if name not in file.schema_arrow.names]
            if missing:
                raise InputError(f"lacks column(s) {', '.join(missing)}", file=path)
            also = [name for name in optional if name in file.schema_arrow.names]
            table = file.read(columns=None if columns is None else [*columns, *also])
    except (OSError, pa.ArrowInvalid) as error:
        reason = str(error).replace(str(path), "it")
        raise InputError(f"cannot be read as parquet: {reason}", file=path) from error
    frame = table.to_pandas()
    for field in table.schema:
        if pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
            frame[field.name] = table.column(field.name).to_pylist()
    return frame


def write_tsv(table: pd.DataFrame, path: str | Path, separator: str = "\t") -> None:
    """Write a text table with a fixed float format."""
    with whole_file(path) as temporary:
        table.to_csv(temporary, sep=separator, index=False, float_format="%.6g", lineterminator="\n")


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a comma-separated table with a fixed float format."""
    write_tsv(table, path, separator=",")


def write_text(text: str, path: str | Path) -> None:
    """Write UTF-8 text."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(content: Any, path: str | Path) -> None:
    """Write JSON with sorted keys."""
    write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", path)


def read_json(path: str | Path) -> Any:
    """Read JSON.

    Raises:
        InputError: the file is missing or is no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as JSON: {error}", file=path) from error


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(content: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON-able mapping, the same whatever the key order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
