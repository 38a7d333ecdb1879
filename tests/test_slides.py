"""Opening and reading slides: real ones, damaged ones, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mintflow import slides
from mintflow.slides import Slide, UnreadableRegion, compression, read_levels, slide_digest, slide_files
from mintflow.tile_table import SlideFailure
from slide_material import coded, damage, decode, shrink, tissue, write_slide


def test_a_real_aperio_slide(shared_data: Path) -> None:
    path = shared_data / "slides" / "CMU-1-Small-Region.svs"
    with Slide(path) as slide:
        assert (slide.vendor, slide.size, len(slide.levels)) == ("aperio", (2220, 2967), 1)
        assert slide.area == (0, 0, 2220, 2967)
        assert (slide.levels[0].tile_width, slide.levels[0].tile_height) == (240, 240)
        assert slide.background == (255, 255, 255)
        rgb, scanned = slide.read(0, 2200, 2960, 20, 7)
    assert rgb.shape == (7, 20, 3)
    assert scanned is None
    assert compression(path) == "jpeg"


@pytest.mark.parametrize(
    "name",
    ["CMU-1-Small-Region.jp2.tiff", "CMU-1-Small-Region.webp.tiff", "unopenable.tiff", "XYC-half-mpp.tiff"],
)
def test_what_openslide_refuses_is_an_unreadable_file(shared_data: Path, name: str) -> None:
    with pytest.raises(SlideFailure) as caught:
        Slide(shared_data / "slides" / name)
    assert caught.value.status == "unreadable-file"
    assert str(shared_data) not in caught.value.message


def test_files_that_are_no_slides(tmp_path: Path) -> None:
    (tmp_path / "empty.svs").write_bytes(b"")
    (tmp_path / "text.svs").write_text("not a slide\n" * 100)
    Image.fromarray(tissue(64, 64)).save(tmp_path / "photo.tiff")  # not tiled
    Image.fromarray(tissue(64, 64)).save(tmp_path / "picture.png")
    (tmp_path / "folder.mrxs").mkdir()
    for name in ("empty.svs", "text.svs", "photo.tiff", "picture.png", "folder.mrxs", "missing.svs"):
        with pytest.raises(SlideFailure) as caught:
            Slide(tmp_path / name)
        assert caught.value.status == "unreadable-file", name
        assert str(tmp_path) not in caught.value.message


def test_a_wrong_extension_does_not_matter(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "slide.jpg", [coded(300, 400)])
    with Slide(path) as slide:
        assert slide.size == (400, 300)


def test_level_pixels_are_exact_whatever_the_rounding(tmp_path: Path) -> None:
    # 1030 // 4 = 257 rows of 257.5: OpenSlide reports 4.0078, and 4 is meant
    level0 = coded(1030, 1026)
    level1 = coded(257, 256)
    path = write_slide(tmp_path / "a.tiff", [level0, level1])
    with Slide(path) as slide:
        assert slide.levels[1].reported == pytest.approx(4.0078, abs=1e-4)
        assert slide.levels[1].downsample == 4.0
        for x, y, width, height in ((0, 0, 8, 8), (101, 37, 90, 80), (180, 150, 76, 107)):
            columns, rows = decode(slide.read(1, x, y, width, height)[0])
            wanted_columns, wanted_rows = np.meshgrid(x + np.arange(width), y + np.arange(height))
            # where native tiles meet, OpenSlide mixes neighbours by the eighth of a pixel it is off by
            inner = ~(np.isin(wanted_columns % 128, (127, 0)) | np.isin(wanted_rows % 128, (127, 0)))
            inner &= (wanted_columns < 255) & (wanted_rows < 256)
            assert (columns[inner] == wanted_columns[inner]).all()
            assert (rows[inner] == wanted_rows[inner]).all()


def test_an_unreadable_region_does_not_spoil_the_slide(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tiff", [tissue(512, 512)], compression="jpeg")
    damage(path, 0, 1, 1)
    with Slide(path) as slide:
        for _ in range(2):  # OpenSlide itself would answer nothing after the first error
            with pytest.raises(UnreadableRegion):
                slide.read(0, 130, 130, 10, 10)
            assert slide.read(0, 0, 0, 128, 128)[0].shape == (128, 128, 3)


def test_real_unreadable_tiles(shared_data: Path) -> None:
    with Slide(shared_data / "slides" / "unreadable.svs") as slide, pytest.raises(UnreadableRegion):
        slide.read(0, 0, 0, 16, 16)


def test_levels_without_pixels() -> None:
    levels, notes = read_levels(((100, 80), (0, 20), (25, 20)), (1.0, 4.0, 4.0), {})
    assert [level.index for level in levels] == [0, 2]
    assert "level 1 has no pixels" in notes[0]
    for sizes in (((0, 80),), ((100, 0),), ()):
        with pytest.raises(SlideFailure, match="unreadable-file"):
            read_levels(sizes, (1.0,) * len(sizes), {})


def test_a_level_behind_one_without_pixels_is_read_by_its_own_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = coded(512, 512)
    path = write_slide(tmp_path / "a.tiff", [image, shrink(image, 2), coded(128, 128)])
    real = read_levels

    def with_an_empty_level(sizes, downsamples, properties):
        return real((sizes[0], (0, 0), sizes[2]), downsamples, properties)

    monkeypatch.setattr(slides, "read_levels", with_an_empty_level)
    with Slide(path) as slide:
        columns, rows = decode(slide.read(1, 7, 9, 3, 2)[0])
    assert (columns[0].tolist(), rows[:, 0].tolist()) == ([7, 8, 9], [9, 10])


class _Fixed(Slide):
    """A slide with given properties and no file."""

    def __init__(self, properties: dict[str, str]) -> None:
        self.properties = properties
        self.levels, self.notes = read_levels(((1000, 800),), (1.0,), {})


def test_bounds_and_background() -> None:
    bounds = {"x": "100", "y": "50", "width": "300", "height": "5000"}
    slide = _Fixed({f"openslide.bounds-{key}": value for key, value in bounds.items()})
    assert slide.area == (100, 50, 300, 750)  # cut to the slide
    assert _Fixed({"openslide.bounds-x": "100"}).area == (0, 0, 1000, 800)
    assert _Fixed({"openslide.background-color": "F0E0D0"}).background == (240, 224, 208)
    assert _Fixed({"openslide.background-color": "F0E0"}).background == (255, 255, 255)


def test_transparency_is_laid_over_the_background() -> None:
    rgba = np.zeros((1, 3, 4), dtype=np.uint8)
    rgba[0] = [(200, 100, 0, 255), (9, 9, 9, 0), (100, 100, 100, 51)]
    rgb, scanned = slides.over_background(Image.fromarray(rgba), (255, 240, 230))
    # 51 / 255 = 1/5: 100/5 + 4/5 of the background
    assert rgb[0].tolist() == [[200, 100, 0], [255, 240, 230], [224, 212, 204]]
    assert scanned.tolist() == [[True, False, True]]
    opaque, scanned = slides.over_background(Image.fromarray(rgba[:, :1]), (0, 0, 0))
    assert (opaque.tolist(), scanned) == ([[[200, 100, 0]]], None)


def test_digest_covers_every_file_of_a_slide(tmp_path: Path) -> None:
    (tmp_path / "a.mrxs").write_bytes(b"index")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"pixels")
    before = slide_digest(tmp_path / "a.mrxs")
    assert [file.name for file in slide_files(tmp_path / "a.mrxs")] == ["a.mrxs", "Data0000.dat"]
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"other!")
    assert slide_digest(tmp_path / "a.mrxs") != before
    (tmp_path / "one.svs").write_bytes(b"index")
    (tmp_path / "two.svs").write_bytes(b"index")
    assert slide_digest(tmp_path / "one.svs") == slide_digest(tmp_path / "two.svs")
    with pytest.raises(SlideFailure, match="unreadable-file"):
        slide_digest(tmp_path / "none.svs")


def test_compression_of_a_broken_file_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_bytes(b"II*\0" + b"\xff" * 40)
    assert compression(tmp_path / "a.svs") is None
    assert compression(tmp_path / "a.svs", {"dicom.TransferSyntaxUID": "1.2"}) == "1.2"
