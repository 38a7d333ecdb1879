"""Tile sets: class folders, PanNuke folds, parquet; labels, patients, what is set aside."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mintflow.errors import InputError
from mintflow.quarantine import Quarantine
from mintflow.tile_sets import pixels_sha256, read_tile_set, write_tile_set

SIDE = 20


def picture(level: int, kind: str = "PNG", mode: str = "RGB", side: int = SIDE) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (level, 10, 200)).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def grey(kind: type, encoding: str = "TIFF") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.linspace(0, 4095, SIDE * SIDE).reshape(SIDE, SIDE).astype(kind)).save(buffer, encoding)
    return buffer.getvalue()


def entry(path: Path, kind: str = "folders", **more: Any) -> dict[str, Any]:
    return {
        "name": "mine",
        "kind": kind,
        "path": str(path),
        "labels": None,
        "patients": None,
        "split": "auto",
        "image_column": "image",
        "label_column": "label",
        **more,
    }


def read(path: Path, kind: str = "folders", **more: Any) -> tuple[list[dict[str, Any]], Quarantine]:
    quarantine = Quarantine("tile_set")
    return list(read_tile_set(entry(path, kind, **more), quarantine)), quarantine


def refused(path: Path, kind: str, **more: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(path, kind, **more)
    return str(caught.value)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    for name, content in {
        "b gland/P2_1.png": picture(1),
        "b gland/deep/P2_2.JPG": picture(2, "JPEG"),
        "a_fat/P1_1.tif": picture(3, "TIFF"),
        "a_fat/P1_2.png": picture(4, mode="P"),
        "a_fat/.hidden.png": b"",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def test_folders(folders: Path) -> None:
    rows, quarantine = read(folders)
    assert quarantine.rows == []
    assert [(row["tile_id"], row["label"]) for row in rows] == [
        ("mine@a_fat/P1_1.tif", "a_fat"),
        ("mine@a_fat/P1_2.png", "a_fat"),
        ("mine@b gland/P2_1.png", "b gland"),
        ("mine@b gland/deep/P2_2.JPG", "b gland"),
    ]
    assert {row["patient_id"] for row in rows} == {"set:mine"}
    assert {row["slide_id"] for row in rows} == {None}


def test_png_and_jpeg_keep_their_bytes_and_all_else_becomes_png(folders: Path) -> None:
    tif, palette, png, jpeg = (row["image"] for row in read(folders)[0])
    assert png["bytes"] == picture(1) and png["path"].endswith(".png")
    assert jpeg["bytes"] == picture(2, "JPEG") and jpeg["path"].endswith(".jpeg")
    for changed, level in ((tif, 3), (palette, 4)):
        image = Image.open(io.BytesIO(changed["bytes"]))
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert abs(int(np.asarray(image)[0, 0, 0]) - level) <= 4  # a palette rounds


def test_a_class_folder_may_be_a_link(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.png").write_bytes(picture(9))
    (folders / "linked").symlink_to(tmp_path / "elsewhere")
    assert read(folders)[0][-1]["tile_id"] == "mine@linked/x.png"


def test_labels_rename_merge_and_leave_out(folders: Path) -> None:
    (folders / "c").mkdir()
    (folders / "c" / "x.png").write_bytes(b"never looked at")
    rows, quarantine = read(folders, labels={"a_fat": "adipose  tissue", "b gland": "gland"})
    assert [row["label"] for row in rows] == ["adipose tissue"] * 2 + ["gland"] * 2
    assert quarantine.rows == []
    told = refused(folders, "folders", labels={"a fat": "adipose", "b gland": "gland"})
    assert "names 'a fat'; classes of the set: a_fat, b gland" in told
    assert "tissue.tile_sets.mine.labels" in told


def test_patients_by_regular_expression(folders: Path) -> None:
    (folders / "a_fat" / "nobody.png").write_bytes(picture(7))
    rows, quarantine = read(folders, patients="^(P[0-9]+)_")
    assert [row["patient_id"] for row in rows] == ["P1", "P1", "P2", "P2"]
    assert [row[2:] for row in quarantine.rows] == [("a_fat/nobody.png", "patients", "", "no patient found")]
    assert "needs one group" in refused(folders, "folders", patients="P[0-9]+")
    assert "no regular expression" in refused(folders, "folders", patients="(P")


def test_what_is_no_tile_is_set_aside(folders: Path) -> None:
    bad = {
        "top.png": picture(1),
        "a_fat/notes.txt": b"hello",
        "a_fat/empty.png": b"",
        "a_fat/text.png": b"hello",
        "a_fat/cut.png": picture(1)[:60],
        "a_fat/tiny.png": picture(1, side=8),
        "a_fat/deep.tif": grey(np.uint16),
        "a_fat/deep.png": grey(np.uint16, "PNG"),
        "a_fat/float.tif": grey(np.float32),
        "a_fat/new\nline.png": picture(1),
    }
    for name, content in bad.items():
        (folders / name).write_bytes(content)
    rows, quarantine = read(folders)
    assert len(rows) == 4
    table = quarantine.table()
    assert len(table) == len(bad)
    reasons = dict(zip(table["record"], table["reason"], strict=True))
    assert reasons["top.png"] == "in no class folder"
    assert reasons["a_fat/notes.txt"] == "no image file"
    assert reasons["a_fat/tiny.png"] == "a side below 16 pixels"
    deep = "16-bit or float grey, not an 8-bit tile"
    assert {reasons[f"a_fat/{name}"] for name in ("deep.tif", "deep.png", "float.tif")} == {deep}
    assert all("is no image" in reasons[f"a_fat/{name}.png"] for name in ("empty", "text", "cut"))


@pytest.mark.parametrize("kind", ["folders", "pannuke", "parquet"])
def test_nothing_there(tmp_path: Path, kind: str) -> None:
    assert "does not exist" in refused(tmp_path / "nowhere", kind)
    (tmp_path / "empty").mkdir()
    assert "field" in refused(tmp_path / "empty", kind)


def fold(root: Path, number: int, images: Any, types: Any) -> None:
    folder = root / f"Fold {number}" / "images" / f"fold{number}"
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", images)
    np.save(folder / "types.npy", types)


def pixels(*levels: float) -> np.ndarray:
    return np.stack([np.full((SIDE, SIDE, 3), level, np.float64) for level in levels])


def test_pannuke_as_numpy(tmp_path: Path) -> None:
    fold(tmp_path, 1, pixels(200, 12.0), np.array(["Breast", "Bile-duct"]))
    fold(tmp_path, 2, pixels(1000, 30).astype(np.uint16), np.array([b"Breast", b"Colon"]))
    rows, quarantine = read(tmp_path, "pannuke", patients="fold")
    assert [(row["tile_id"], row["patient_id"], row["label"]) for row in rows] == [
        ("mine@fold1/0", "mine:fold1", "Breast"),
        ("mine@fold1/1", "mine:fold1", "Bile-duct"),
        ("mine@fold2/1", "mine:fold2", "Colon"),
    ]
    assert np.asarray(Image.open(io.BytesIO(rows[1]["image"]["bytes"]))).max() == 12
    assert quarantine.table()[["record", "reason"]].to_numpy().tolist() == [
        ["fold2/0", "values from 1000 to 1000, expected 0 to 255"]
    ]
    assert {row["patient_id"] for row in read(tmp_path, "pannuke")[0]} == {"set:mine"}
    assert "expected fold or null" in refused(tmp_path, "pannuke", patients="case")


def test_pannuke_never_unpickles(tmp_path: Path) -> None:
    fold(tmp_path, 1, pixels(1, 2), np.array(["Breast", "Colon"], dtype=object))
    told = refused(tmp_path, "pannuke")
    assert "Fold 1/images/fold1/types.npy" in told and "astype(str)" in told


@pytest.mark.parametrize(
    ("images", "types", "what"),
    [
        (np.zeros((2, 9, 9), np.uint8), np.array(["a", "b"]), "expected numbers (n, side, side, 3)"),
        (pixels(1, 2), np.array(["a"]), "expected 2 texts"),
        (pixels(1, 2), np.array([1, 2]), "expected 2 texts"),
    ],
)
def test_pannuke_of_another_shape(tmp_path: Path, images: Any, types: Any, what: str) -> None:
    fold(tmp_path, 1, images, types)
    assert what in refused(tmp_path, "pannuke")


def test_damaged_arrays(tmp_path: Path) -> None:
    fold(tmp_path, 1, pixels(1, 2), np.array(["a", "b"]))
    file = tmp_path / "Fold 1" / "images" / "fold1" / "images.npy"
    whole = file.read_bytes()
    for content, what in (
        (whole[:-100], "is damaged"),
        (b"", "is no numpy array"),
        (b"PK\x03\x04junk", "no numpy"),
    ):
        file.write_bytes(content)
        told = refused(tmp_path, "pannuke")
        assert what in told and str(tmp_path) not in told
    (file.parent / "types.npy").unlink()
    assert "types.npy does not lie beside it" in refused(tmp_path, "pannuke")


def table(path: Path, names: list[str] | None = None, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = pa.table(columns)
    if names:
        features = {"tissue": {"names": names, "_type": "ClassLabel"}}
        made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(made, path)
    return path


def structs(*levels: int) -> list[dict[str, Any]]:
    return [{"bytes": picture(level), "path": f"{level}.png"} for level in levels]


def test_pannuke_as_parquet_with_class_numbers(tmp_path: Path) -> None:
    for number in (1, 2):
        path = tmp_path / "data" / f"fold{number}-00000-of-00001.parquet"
        table(path, ["Bile Duct", "Head & Neck"], image=structs(number, number + 9), tissue=[1, 0])
    rows, _ = read(tmp_path, "pannuke", patients="fold")
    assert [(row["tile_id"], row["patient_id"], row["label"]) for row in rows][1:3] == [
        ("mine@data/fold1-00000-of-00001/1", "mine:fold1", "Bile Duct"),
        ("mine@data/fold2-00000-of-00001/0", "mine:fold2", "Head & Neck"),
    ]


def test_pannuke_as_parquet_with_names_and_a_column_of_folds(tmp_path: Path) -> None:
    columns = {"tissue": [3, 4], "tissue_name": ["Breast", "Colon"], "fold": pa.array([1, 2], pa.int32())}
    table(tmp_path / "train.parquet", image=[picture(1), picture(2)], **columns)
    rows, _ = read(tmp_path, "pannuke", patients="fold")
    assert [(row["patient_id"], row["label"]) for row in rows] == [
        ("mine:fold1", "Breast"),
        ("mine:fold2", "Colon"),
    ]


def test_pannuke_without_folds(tmp_path: Path) -> None:
    table(tmp_path / "all.parquet", image=structs(1), tissue_name=["Colon"])
    assert "has no column 'fold'" in refused(tmp_path, "pannuke", patients="fold")


def test_parquet_with_a_column_of_patients(tmp_path: Path) -> None:
    columns = {"what": ["a", None, "b", "b"], "who": [7, 7, None, 8]}
    path = table(tmp_path / "x.parquet", picture=structs(1, 2, 3, 4), **columns)
    wanted = {"image_column": "picture", "label_column": "what", "patients": "who"}
    for place in (path, tmp_path):
        rows, quarantine = read(place, "parquet", **wanted)
        assert [(row["patient_id"], row["label"]) for row in rows] == [("7", "a"), ("7", None), ("8", "b")]
        assert quarantine.table()["reason"].tolist() == ["no patient found"]
    assert "has no column 'case', but picture, what, who" in refused(
        path, "parquet", **wanted | {"patients": "case"}
    )
    assert "expected encoded images" in refused(path, "parquet", **wanted | {"image_column": "who"})


def test_numbers_need_names(tmp_path: Path) -> None:
    path = table(tmp_path / "x.parquet", image=structs(1, 2), label=[0, 1])
    assert "the class is a number (0)" in refused(path, "parquet")
    assert [row["label"] for row in read(path, "parquet", labels={"0": "a", "1": "b"})[0]] == ["a", "b"]


def test_missing_bytes_and_files_that_are_no_parquet(tmp_path: Path) -> None:
    path = table(
        tmp_path / "x.parquet", image=[*structs(1), {"bytes": None, "path": "far.png"}], label=["a", "a"]
    )
    assert read(path, "parquet")[1].table()["reason"].tolist() == ["no image bytes"]
    path.write_bytes(b"PAR1 nothing")
    assert "cannot be read as parquet" in refused(path, "parquet")


def test_the_hash_is_of_the_picture_not_of_the_file(tmp_path: Path) -> None:
    for name, kind in (("a.png", "PNG"), ("b.tif", "TIFF"), ("c.bmp", "BMP")):
        (tmp_path / "class").mkdir(exist_ok=True)
        (tmp_path / "class" / name).write_bytes(picture(5, kind))
    assert len({row["pixels_sha256"] for row in read(tmp_path)[0]}) == 1
    wide, tall = Image.new("RGB", (4, 2)), Image.new("RGB", (2, 4))
    assert pixels_sha256(wide) != pixels_sha256(tall)


def test_datasets_opens_the_images(folders: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "out.parquet"
    counts = write_tile_set(read(folders)[0], path)
    assert counts == {("a_fat", "a_fat"): 2, ("b gland", "b gland"): 2}
    loaded = datasets.load_dataset(
        "parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert isinstance(loaded.features["image"], datasets.Image)
    assert np.asarray(loaded[2]["image"]).shape == (SIDE, SIDE, 3)
    assert loaded["label"][:2] == ["a_fat", "a_fat"]


def test_the_real_cohorts(shared_data: Path) -> None:
    rows, quarantine = read(shared_data / "tiles" / "crc_kather2016", labels={"01_TUMOR": "tumor"})
    assert len(rows) == 18 and quarantine.rows == []
    rows, quarantine = read(shared_data / "tiles" / "crc_val_he_7k")
    assert len(rows) == 101 and quarantine.rows == []
    assert {(row["width"], row["height"]) for row in rows} == {(224, 224)}
