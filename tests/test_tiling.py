"""One slide becomes tiles: places, levels and resolutions, checked by hand and pixel by pixel."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mintflow import overview
from mintflow.sheets import SlideRow
from mintflow.slides import Slide
from mintflow.tile_table import SlideFailure
from mintflow.tiling import tile_slide
from slide_material import coded, damage, decode, ramp, shrink, tiling_settings, tissue, write_slide

# no tile is dropped for its looks
LENIENT = {"min_sharpness": 0.0, "max_pen": 1.0, "max_fold": 1.0, "max_blood": 1.0, "max_black": 1.0}


def cut(
    path: Path, folder: Path, *, slide_mpp: float | None = None, roi: Path | None = None, **changes: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The manifest row and the tiles."""
    folder.mkdir()
    row = SlideRow("s", "p", str(path), None, str(roi) if roi else None, slide_mpp)
    result = tile_slide(row, tiling_settings(**LENIENT | changes), folder)
    tiles = pq.read_table(folder / "tiles.parquet").to_pylist()
    return result, tiles


def pixels(tile: dict[str, Any]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(tile["image"]["bytes"])))


@pytest.fixture
def all_tissue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "tissue_mask", lambda rgb, mpp, tiling: np.ones(rgb.shape[:2], bool))


def test_the_real_slide_at_its_own_resolution(shared_data: Path, tmp_path: Path) -> None:
    # CMU-1-Small-Region.svs: 2220 x 2967 pixels, one level, aperio.MPP 0.4990.
    # Wanted 0.5 µm per pixel: 0.5 / 0.499 = 1.0020 level-0 pixels per tile pixel. Level 0 has 1, which is
    # 0.2 % off and within 2 %: taken as it is, so tiles have 0.499 µm and 256 tile pixels are 256 level-0
    # pixels. Columns: 2220 / 256 = 8.67, so 9; rows: 2967 / 256 = 11.59, so 12: 108 positions.
    path = shared_data / "slides" / "CMU-1-Small-Region.svs"
    result, tiles = cut(path, tmp_path / "a", mpp=0.5, tile_size=256)
    assert (result["status"], result["level"], result["positions"]) == ("ok", 0, 108)
    assert (result["mpp_x"], result["mpp_y"], result["mpp_source"]) == (0.499, 0.499, "openslide")
    assert result["background"] + len(tiles) == 108
    assert 25 <= result["kept"] <= 40  # tissue covers about a third
    with Slide(path) as slide:
        for tile in tiles:
            assert (tile["x"] % 256, tile["y"] % 256, tile["footprint"]) == (0, 0, 256.0)
            assert (tile["mpp"], tile["slide_mpp"], tile["level"], tile["level_downsample"]) == (
                0.499,
                0.499,
                0,
                1.0,
            )
            assert tile["tile_id"] == f"s@{tile['x']},{tile['y']}"
            assert tile["tissue"] >= 0.6
            if tile["kept"]:
                assert (pixels(tile) == slide.read(0, tile["x"], tile["y"], 256, 256)[0]).all()


def test_the_real_slide_at_another_resolution(shared_data: Path, tmp_path: Path) -> None:
    # Wanted 1.0 µm: 1 / 0.499 = 2.004008 level-0 pixels per tile pixel. The only level has 1: 50 % off, so it
    # is shrunk by 2.004008 and tiles have exactly 1.0 µm. 96 tile pixels are 96 x 2.004008 = 192.3848 level-0
    # pixels. Columns: 2220 / 192.3848 = 11.54, so 12; rows: 2967 / 192.3848 = 15.42, so 16: 192 positions.
    # Overlap 32: steps of 64 x 2.004008 = 128.2565; the last column must show something new beyond the 32:
    # (2220 - 64.13) / 128.2565 = 16.81, so 17; rows (2967 - 64.13) / 128.2565 = 22.63, so 23: 391.
    path = shared_data / "slides" / "CMU-1-Small-Region.svs"
    result, tiles = cut(path, tmp_path / "a", mpp=1.0, tile_size=96)
    assert (result["status"], result["level"], result["positions"]) == ("ok", 0, 192)
    overlapping, more = cut(path, tmp_path / "b", mpp=1.0, tile_size=96, overlap=32)
    assert overlapping["positions"] == 391
    pixel = 1 / 0.499
    with Slide(path) as slide:
        for step, rows in ((96, tiles), (64, more)):
            for tile in rows:
                column, row = (round(tile[side] / (step * pixel)) for side in ("x", "y"))
                assert tile["x"] == round(column * step * pixel)
                assert tile["y"] == round(row * step * pixel)
                assert tile["footprint"] == pytest.approx(192.3848, abs=1e-4)
                assert (tile["mpp"], tile["level"]) == (1.0, 0)
            # the same pixels worked out from one large read, at the exact place
            tile = next(tile for tile in rows if tile["kept"] and tile["x"] > 500 and tile["y"] > 500)
            column, row = (round(tile[side] / (step * pixel)) for side in ("x", "y"))
            left, top = column * step * pixel, row * step * pixel
            x, y = math.floor(left) - 20, math.floor(top) - 20
            around = Image.fromarray(slide.read(0, x, y, 240, 240)[0])
            box = (left - x, top - y, left - x + 96 * pixel, top - y + 96 * pixel)
            expected = np.asarray(around.resize((96, 96), Image.Resampling.LANCZOS, box=box))
            assert np.abs(pixels(tile).astype(int) - expected.astype(int)).max() <= 1


def test_pixels_tell_where_they_are(tmp_path: Path, all_tissue: None) -> None:
    """There and back: the level-0 pixel at (x + i, y + j) is pixel (i, j) of the tile."""
    path = write_slide(tmp_path / "a.tiff", [coded(700, 900)], mpp=0.5)
    result, tiles = cut(path, tmp_path / "a", mpp=0.5, tile_size=128, overlap=32)
    # steps of 96: columns (900 - 32) / 96 = 9.04, so 10; rows (700 - 32) / 96 = 6.96, so 7
    # the last column (864 to 992) has 28 % of its area on the slide and counts as background, the last row
    # (576 to 704) 97 %
    assert (result["positions"], result["background"], len(tiles)) == (70, 7, 63)
    assert (result["kept"], result["dropped_edge"]) == (9 * 6, 9)
    for tile in tiles:
        inside = tile["x"] + 128 <= 900 and tile["y"] + 128 <= 700
        assert (tile["kept"], tile["reason"]) == ((True, "") if inside else (False, "edge"))
        if inside:
            columns, rows = decode(pixels(tile))
            assert (columns == tile["x"] + np.arange(128)).all()
            assert (rows == tile["y"] + np.arange(128)[:, None]).all()
    assert [(t["y"], t["x"]) for t in tiles] == sorted((t["y"], t["x"]) for t in tiles)


def test_padded_edges(tmp_path: Path, all_tissue: None) -> None:
    path = write_slide(tmp_path / "a.tiff", [coded(300, 300)], mpp=0.5)
    result, tiles = cut(path, tmp_path / "a", mpp=0.5, tile_size=128, edges="pad", min_tissue=0.1)
    assert (result["kept"], result["dropped_edge"]) == (9, 0)
    last = tiles[-1]
    assert (last["x"], last["y"]) == (256, 256)
    assert last["tissue"] == pytest.approx((44 / 128) ** 2, rel=1e-6)
    assert (decode(pixels(last)[:44, :44])[0] == 256 + np.arange(44)).all()
    assert (pixels(last)[44:] == 255).all()
    assert (pixels(last)[:, 44:] == 255).all()


def test_a_level_4_0002_is_read_as_4(tmp_path: Path, all_tissue: None) -> None:
    # 1600 x 1602: level 1 has 400 x 400 pixels, 1602 / 400 = 4.005, mean 4.0025
    image = ramp(1602, 1600)
    path = write_slide(tmp_path / "a.tiff", [image, coded(400, 400)], mpp=0.25)
    with Slide(path) as slide:
        assert slide.levels[1].reported == pytest.approx(4.0025)
    result, tiles = cut(path, tmp_path / "a", mpp=1.0, tile_size=100, level_tolerance=0.0)
    assert (result["level"], result["kept"]) == (1, 16)
    for tile in tiles:
        assert (tile["mpp"], tile["level_downsample"], tile["footprint"]) == (1.0, 4.0, 400.0)
        columns, rows = decode(pixels(tile))
        # x / 4 is the level's own pixel
        inner = slice(10, 20)
        assert (columns[inner, inner] == tile["x"] // 4 + np.arange(10, 20)).all()
        assert (rows[inner, inner] == tile["y"] // 4 + np.arange(10, 20)[:, None]).all()


def test_tiles_from_the_next_finer_level(tmp_path: Path, all_tissue: None) -> None:
    """The ramp tells level-0 positions: red is column / 4."""
    image = ramp(1000, 1000)
    path = write_slide(tmp_path / "a.tiff", [image, shrink(image, 2)], mpp=0.25)
    # wanted 0.8 / 0.25 = 3.2 level-0 pixels: level 1 (2) shrunk by 1.6
    result, tiles = cut(path, tmp_path / "a", mpp=0.8, tile_size=64)
    assert result["level"] == 1
    for tile in tiles:
        if tile["kept"]:
            centres = tile["x"] + (np.arange(64) + 0.5) * 3.2 - 0.5
            assert np.abs(pixels(tile)[..., 0] - centres / 4).max() < 1.1
            assert pixels(tile)[..., 0].mean() == pytest.approx(centres.mean() / 4, abs=0.25)


def test_the_grid_begins_at_the_bounds(
    tmp_path: Path, all_tissue: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Slide, "area", property(lambda self: (103, 50, 400, 300)))
    path = write_slide(tmp_path / "a.tiff", [coded(700, 900)], mpp=0.5)
    result, tiles = cut(path, tmp_path / "a", mpp=0.5, tile_size=100)
    assert (result["positions"], result["kept"]) == (12, 12)
    assert (tiles[0]["x"], tiles[0]["y"]) == (103, 50)
    assert decode(pixels(tiles[0]))[0][0, 0] == 103


def test_background_is_counted_and_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tissue(2048, 2048, blank=768)
    path = write_slide(tmp_path / "a.tiff", [image, shrink(image, 8)], tile=256, mpp=0.5)
    read: list[tuple[int, ...]] = []
    real = Slide.read

    def recorded(self: Slide, level: int, x: int, y: int, width: int, height: int):
        read.append((level, x, y, width, height))
        return real(self, level, x, y, width, height)

    monkeypatch.setattr(Slide, "read", recorded)
    result, tiles = cut(path, tmp_path / "a", mpp=0.5, tile_size=256)
    assert (result["kept"], result["positions"], result["background"]) == (4, 64, 60)
    assert {(tile["x"], tile["y"]) for tile in tiles} == {(x, y) for x in (768, 1024) for y in (768, 1024)}
    fine = [place[1:] for place in read if place[0] == 0]
    assert sorted(fine) == [(x, y, 256, 256) for x in (768, 1024) for y in (768, 1024)]  # each once


def test_glass_alone_is_empty(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tiff", [np.full((600, 600, 3), 243, dtype=np.uint8)])
    result, tiles = cut(path, tmp_path / "a", mpp=0.5)
    assert (result["status"], result["message"], result["kept"], tiles) == ("empty", "no tissue found", 0, [])
    assert (tmp_path / "a" / "overlay.png").exists()


def test_a_slide_smaller_than_a_tile_is_empty_and_says_why(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tiff", [tissue(200, 200)])
    result, tiles = cut(path, tmp_path / "a", mpp=0.5, tile_size=220)
    assert (result["status"], [tile["reason"] for tile in tiles]) == ("empty", ["edge"])
    assert "dropped: edge 1" in result["message"]


def test_an_unreadable_region_is_marked_and_dropped(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tiff", [tissue(1024, 1024)], tile=256, compression="jpeg")
    damage(path, 0, 1, 2)
    result, tiles = cut(path, tmp_path / "a", mpp=0.5, tile_size=256)
    assert (result["status"], result["kept"], result["dropped_unreadable"]) == ("unreadable-region", 15, 1)
    assert "1 tiles with tissue cannot be read" in result["message"]
    lost = [tile for tile in tiles if tile["reason"] == "unreadable"]
    assert [(tile["x"], tile["y"], tile["image"]) for tile in lost] == [(256, 512, None)]
    assert all(tile["image"] for tile in tiles if tile["kept"])


def test_a_truncated_slide(shared_data: Path, tmp_path: Path) -> None:
    """The TIFF directory of this SVS stands at its end, so a copy cut short has none."""
    content = (shared_data / "slides" / "CMU-1-Small-Region.svs").read_bytes()
    for name, length in (("half", len(content) // 2), ("head", 1000)):
        path = tmp_path / f"{name}.svs"
        path.write_bytes(content[:length])
        with pytest.raises(SlideFailure) as caught:
            cut(path, tmp_path / name)
        assert caught.value.status == "unreadable-file"


@pytest.mark.parametrize(
    ("name", "status", "known"),
    [
        ("CMU-1-Small-Region.jpeg.tiff", "implausible-mpp", {"width": 2220, "compression": "jpeg"}),
        ("boxes.tiff", "implausible-mpp", {"width": 300, "levels": 4}),
        ("unreadable.svs", "unreadable-file", {"vendor": "aperio", "mpp_x": 0.499}),
        ("unopenable.tiff", "unreadable-file", {}),
        ("CMU-1-Small-Region.jp2.tiff", "unreadable-file", {"compression": "jpeg2000"}),
        ("CMU-1-Small-Region.webp.tiff", "unreadable-file", {"compression": "webp"}),
        ("XYC-half-mpp.tiff", "unreadable-file", {"compression": "none"}),
    ],
)
def test_slides_that_cannot_be_tiled(
    shared_data: Path, tmp_path: Path, name: str, status: str, known: dict[str, Any]
) -> None:
    with pytest.raises(SlideFailure) as caught:
        cut(shared_data / "slides" / name, tmp_path / "a", mpp=0.5)
    assert caught.value.status == status
    assert known.items() <= caught.value.known.items()


def test_a_wrong_resolution_is_mended_in_the_sheet(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "slides" / "CMU-1-Small-Region.jpeg.tiff"
    result, _ = cut(path, tmp_path / "a", slide_mpp=0.499, mpp=1.0)
    assert (result["status"], result["mpp_source"]) == ("ok", "sheet")


def test_small_svs_is_too_small(shared_data: Path, tmp_path: Path) -> None:
    result, _ = cut(shared_data / "slides" / "small.svs", tmp_path / "a", mpp=0.5)
    assert (result["status"], result["kept"]) == ("empty", 0)


def test_a_coarse_slide_is_refused(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tiff", [tissue(300, 300)], mpp=2.0)
    with pytest.raises(SlideFailure, match=r"implausible-mpp.*too coarse"):
        cut(path, tmp_path / "a", mpp=0.5)


def test_at_most_so_many_tiles_drawn_by_seed(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tiff", [tissue(1024, 1024)], mpp=0.5)
    every, all_tiles = cut(path, tmp_path / "all", mpp=0.5, tile_size=64)
    some, tiles = cut(path, tmp_path / "some", mpp=0.5, tile_size=64, max_tiles=7)
    assert every["kept"] == 256
    assert (some["status"], some["kept"], some["dropped_limit"]) == ("ok", 7, 249)
    kept = [tile["tile_id"] for tile in tiles if tile["kept"]]
    assert [tile["tile_id"] for tile in tiles] == [tile["tile_id"] for tile in all_tiles]
    images = {tile["tile_id"]: tile["image"] for tile in all_tiles}
    assert all(tile["image"] == images[tile["tile_id"]] for tile in tiles if tile["kept"])
    assert all(tile["image"] is None for tile in tiles if not tile["kept"])
    # more tiles of the same draw contain the fewer ones; another seed draws others
    _, more = cut(path, tmp_path / "more", mpp=0.5, tile_size=64, max_tiles=20)
    assert set(kept) < {tile["tile_id"] for tile in more if tile["kept"]}
    _, other = cut(path, tmp_path / "other", mpp=0.5, tile_size=64, max_tiles=7, seed=99)
    assert set(kept) != {tile["tile_id"] for tile in other if tile["kept"]}


def test_quality_is_measured_and_drops(tmp_path: Path) -> None:
    image = tissue(512, 1024)
    image[:, :256] = 0
    path = write_slide(tmp_path / "a.tiff", [image], mpp=0.5)
    result, tiles = cut(path, tmp_path / "a", mpp=0.5, tile_size=256, max_black=0.2, min_tissue=0.01)
    for tile in tiles:
        assert tile["sharpness"] is not None
        assert (tile["reason"] == "black") == (tile["black"] > 0.2)
    assert result["kept"] >= 6
    assert not any(tile["kept"] for tile in tiles if tile["x"] < 256)


@pytest.mark.parametrize("method", ["reinhard", "macenko"])
def test_stain_normalisation_changes_kept_tiles_and_not_their_quality(tmp_path: Path, method: str) -> None:
    path = write_slide(tmp_path / "a.tiff", [tissue(512, 512)], mpp=0.5)
    _, plain = cut(path, tmp_path / "plain", mpp=0.5, tile_size=256)
    _, stained = cut(path, tmp_path / "stained", mpp=0.5, tile_size=256, stain=method)
    for before, after in zip(plain, stained, strict=True):
        assert before["sharpness"] == after["sharpness"]
        assert (pixels(before) != pixels(after)).mean() > 0.5


def test_coordinates_alone(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tiff", [tissue(512, 512)], mpp=0.5)
    _, with_images = cut(path, tmp_path / "a", mpp=0.5, tile_size=256)
    result, tiles = cut(path, tmp_path / "b", mpp=0.5, tile_size=256, format="coordinates")
    assert result["kept"] == 4
    assert tiles == [{**tile, "image": None} for tile in with_images]


def test_jpeg_tiles(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tiff", [tissue(512, 512)], mpp=0.5)
    _, tiles = cut(path, tmp_path / "a", mpp=0.5, tile_size=256, format="jpeg")
    assert tiles[0]["image"]["path"] == "0_0.jpeg"
    assert Image.open(io.BytesIO(tiles[0]["image"]["bytes"])).format == "JPEG"


def test_the_same_slide_gives_the_same_bytes(tmp_path: Path) -> None:
    image = tissue(1000, 1000, blank=100)
    path = write_slide(tmp_path / "a.tiff", [image, shrink(image, 4)], mpp=0.5)
    for name in ("a", "b"):
        cut(path, tmp_path / name, mpp=0.8, tile_size=96, overlap=16, stain="macenko", max_tiles=30)
    for file in ("tiles.parquet", "overlay.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def regions(path: Path, *named: tuple[str, tuple[int, int, int, int]]) -> Path:
    """A QuPath GeoJSON of rectangles (left, top, right, bottom)."""
    features = []
    for label, (left, top, right, bottom) in named:
        ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {"objectType": "annotation", "classification": {"name": label}},
            }
        )
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_labels_of_regions(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tiff", [tissue(512, 512)], mpp=0.5)
    # the second region covers a quarter of the tile at (256, 256)
    roi = regions(tmp_path / "r.geojson", ("tumor", (0, 0, 300, 256)), ("muscle", (384, 384, 512, 512)))
    result, tiles = cut(path, tmp_path / "a", roi=roi, mpp=0.5, tile_size=256)
    assert (result["status"], result["message"]) == ("ok", "")
    assert {(tile["x"], tile["y"]): tile["roi"] for tile in tiles} == {
        (0, 0): "tumor",
        (256, 0): None,
        (0, 256): None,
        (256, 256): None,
    }
    assert tiles[0]["roi_share"] == pytest.approx(1.0)


def test_regions_outside_the_slide_label_nothing(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tiff", [tissue(512, 512)], mpp=0.5)
    roi = regions(tmp_path / "r.geojson", ("tumor", (9000, 9000, 9900, 9900)), ("muscle", (0, 0, 256, 512)))
    result, tiles = cut(path, tmp_path / "a", roi=roi, mpp=0.5, tile_size=256)
    assert (result["status"], result["kept"]) == ("ok", 4)
    assert "1 of 2 regions of interest lie outside the slide" in result["message"]
    assert sorted(tile["roi"] or "" for tile in tiles) == ["", "", "muscle", "muscle"]


@pytest.mark.parametrize("content", [None, "", "no json", '{"type": "FeatureCollection"}'])
def test_unreadable_regions_are_a_message_and_the_slide_is_tiled(tmp_path: Path, content: str | None) -> None:
    path = write_slide(tmp_path / "a.tiff", [tissue(512, 512)], mpp=0.5)
    roi = tmp_path / "r.geojson"
    if content is not None:
        roi.write_text(content)
    result, tiles = cut(path, tmp_path / "a", roi=roi, mpp=0.5, tile_size=256)
    assert (result["status"], result["kept"]) == ("ok", 4)
    assert "regions of interest not used" in result["message"]
    assert str(tmp_path) not in result["message"]
    assert {tile["roi"] for tile in tiles} == {None}
