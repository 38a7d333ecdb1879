"""Images by reference, and what is no image."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile
from PIL import Image

from mintflow import images
from mintflow.errors import InputError


def encoded(level: int, mode: str = "RGB", kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (8, 6), (level,) * len(Image.new(mode, (1, 1)).getbands())).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    for name, levels in (("a", range(0, 50, 10)), ("b", range(100, 150, 10))):
        column = pa.array([{"bytes": encoded(level), "path": None} for level in levels])
        pq.write_table(pa.table({"image": column}), tmp_path / f"{name}.parquet", row_group_size=2)
    return tmp_path


def cases(folder: Path, *rows: tuple[str, str, int]) -> pd.DataFrame:
    return pd.DataFrame(
        [(case, str(folder / f"{name}.parquet"), row) for case, name, row in rows], columns=images.REFERENCE
    )


def test_every_case_gets_its_own_image(tables: Path) -> None:
    table = cases(tables, ("x", "b", 3), ("y", "a", 4), ("z", "a", 0), ("twin", "a", 4))
    found = {case: np.asarray(image)[0, 0, 0] for case, image in images.load_images(table)}
    assert found == {"x": 130, "y": 40, "z": 0, "twin": 40}


@pytest.mark.parametrize(
    ("row", "name", "what"), [(7, "a", "has no row 7"), (0, "nowhere", "cannot be read")]
)
def test_a_dangling_reference_names_file_and_case(tables: Path, row: int, name: str, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        list(images.load_images(cases(tables, ("x", name, row))))
    assert f"{name}.parquet" in str(caught.value)
    assert str(tables) not in str(caught.value)


def test_a_dropped_tile_has_no_image(tmp_path: Path) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array([None], kind)}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet, record x: holds no image"):
        list(images.load_images(cases(tmp_path, ("x", "a", 0))))


def test_transparent_pixels_are_white_and_grey_is_colour() -> None:
    assert np.asarray(images.decode(encoded(0, "RGBA"))).tolist() == np.full((6, 8, 3), 255).tolist()
    assert np.asarray(images.decode(encoded(90, "L"))).shape == (6, 8, 3)


@pytest.mark.parametrize("content", [b"", b"GIF89a", encoded(5)[:45], b"<svg/>"])
def test_no_image_is_a_clear_error(content: bytes) -> None:
    with pytest.raises(InputError, match="file tiles, record case, field image: is no image"):
        images.decode(content, file="tiles", record="case")


@pytest.mark.parametrize("kind", [np.uint16, ">u2", np.int32, np.float32])
def test_grey_of_more_than_8_bits_is_refused(kind: str) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.linspace(0, 4095, 48).reshape(6, 8).astype(kind))
    with pytest.raises(InputError) as caught:
        images.decode(buffer.getvalue(), file="tiles", record="case")
    assert str(caught.value) == (
        "file tiles, record case, field image: 16-bit or float grey, not an 8-bit tile"
    )


def test_too_many_pixels_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 40)
    with pytest.raises(InputError, match="8 x 6 pixels are no tile"):
        images.decode(encoded(1))


def test_blank_is_mid_grey() -> None:
    assert np.unique(np.asarray(images.blank_image(4))).tolist() == [127]
