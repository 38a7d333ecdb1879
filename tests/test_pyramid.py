"""Pyramidal TIFF from strips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from mintflow import pyramid


def _strips(height: int, width: int) -> Iterator[np.ndarray]:
    """A smooth picture that codes the position."""
    x = np.linspace(0, 255, width)[None, :].repeat(pyramid.TILE, 0)
    for top in range(0, height, pyramid.TILE):
        rows = min(pyramid.TILE, height - top)
        y = (255 * (top + np.arange(rows)) / height)[:, None].repeat(width, 1)
        yield np.stack([x[:rows], y, np.full((rows, width), 128.0)], axis=2).astype(np.uint8)


@pytest.mark.parametrize("mpp", [0.5, 0.2527, 0.123])
def test_openslide_reads_levels_and_mpp(tmp_path: Path, mpp: float) -> None:
    path = tmp_path / "a.tiff"
    pyramid.write_pyramid(_strips(1100, 1350), 1350, 1100, mpp, path, "Synthetic mintflow slide: a test")
    with openslide.OpenSlide(path) as slide:
        assert slide.level_dimensions == ((1350, 1100), (337, 275))
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(mpp, rel=1e-3)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(mpp, rel=1e-3)
        assert slide.properties["openslide.comment"].startswith("Synthetic mintflow")
        expected = np.concatenate(list(_strips(1100, 1350))).astype(int)
        for level, step in ((0, 1), (1, 4)):
            width, height = slide.level_dimensions[level]
            seen = np.asarray(slide.read_region((0, 0), level, (width, height)).convert("RGB")).astype(int)
            centre = expected[step // 2 :: step, step // 2 :: step][:height, :width]
            assert np.abs(seen - centre).mean() < 1.5
    assert [one.name for one in tmp_path.iterdir()] == ["a.tiff"]  # no left-over levels


def test_tags_tell_that_it_is_synthetic(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    pyramid.write_pyramid(_strips(300, 300), 300, 300, 0.5, path, "Synthetic mintflow slide")
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        assert page.tags["Software"].value == pyramid.SOFTWARE and "synthetic" in pyramid.SOFTWARE
        assert page.description == "Synthetic mintflow slide"
        assert page.is_tiled and page.compression == tifffile.COMPRESSION.JPEG
        assert "DateTime" not in page.tags


def test_small_slides_have_one_level() -> None:
    assert pyramid.level_sizes(400, 300) == [(400, 300)]
    assert pyramid.level_sizes(3216, 3216) == [(3216, 3216), (804, 804), (201, 201)]
    assert pyramid.level_sizes(5000, 60) == [(5000, 60)]  # never a level of a few rows
