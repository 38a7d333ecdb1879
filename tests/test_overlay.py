"""The overlay picture."""

from __future__ import annotations

import numpy as np
import pytest

from mintflow import overlay

THUMBNAIL = np.full((200, 300, 3), 240, np.uint8)


def _mask() -> np.ndarray:
    mask = np.zeros((40, 60), bool)
    mask[10:30, 10:50] = True
    return mask


def test_same_input_same_picture() -> None:
    tiles = [(50, 50, 30, ""), (80, 50, 30, "pen"), (110, 50, 30, "blur")]
    first, again = (overlay.draw_overlay(THUMBNAIL, _mask(), tiles, "slide-1") for _ in range(2))
    assert first.mode == "RGB" and first.width == 300 and first.height > 200
    assert first.tobytes() == again.tobytes()


def test_kept_and_dropped_tiles_have_their_colours() -> None:
    page = overlay.draw_overlay(THUMBNAIL, _mask(), [(100, 100, 40, ""), (200, 100, 40, "fold")], "s")
    pixels = np.asarray(page).astype(int)
    green = (np.abs(pixels - (0, 158, 115)).max(axis=2) < 3)[:, 90:150]
    orange = (np.abs(pixels - (213, 94, 0)).max(axis=2) < 3)[:, 190:250]
    for found in (green, orange):
        assert found.any()
    rows = np.flatnonzero(green[:, 10])  # left side of the kept tile
    assert len(rows) == pytest.approx(40, abs=1)
    inside = pixels[rows[0] + 10, 130], pixels[rows[0] + 10, 215]
    assert inside[0].tolist() == [240, 240, 240]  # the tissue of a kept tile stays as it is
    assert inside[1].tolist() != [240, 240, 240]


def test_the_mask_is_outlined_where_it_lies() -> None:
    page = np.asarray(overlay.draw_overlay(THUMBNAIL, _mask(), [], "s")).astype(int)
    plain = np.asarray(overlay.draw_overlay(THUMBNAIL, np.zeros((40, 60), bool), [], "s")).astype(int)
    rows, columns = np.nonzero(np.abs(page - plain).max(axis=2))
    assert (columns.min(), columns.max()) == (50, 250)  # mask 10 to 50, five times as large
    assert rows.max() - rows.min() == 100


def test_every_reason_looks_different() -> None:
    looks = {(colour, mark) for colour, mark, _ in overlay._LOOK.values()}
    assert len(looks) == len(overlay._LOOK)
    drawn = set()
    for why in [*overlay._LOOK, "something new"]:
        page = overlay.draw_overlay(THUMBNAIL, _mask()[:0], [(100, 100, 40, why)], "s")
        drawn.add(np.asarray(page)[:200].tobytes())
    assert len(drawn) == len(overlay._LOOK) + 1


def test_legend_counts_each_reason() -> None:
    tiles = [(0, 0, 9, ""), (9, 0, 9, ""), (18, 0, 9, "pen"), (27, 0, 9, "new")]
    assert overlay._entries(tiles) == [("", "kept: 2"), ("pen", "pen ink: 1"), ("new", "new: 1")]
    assert overlay._entries([]) == [("", "kept: 0")]


@pytest.mark.parametrize("size", [(40, 30), (1200, 900), (30, 1200)])
def test_any_size_with_every_reason_and_a_long_title(size: tuple[int, int]) -> None:
    thumbnail = np.full((size[1], size[0], 3), 200, np.uint8)
    tiles = [(-5.5, 3.2, 2.0 + number, why) for number, why in enumerate(overlay._LOOK)]
    page = overlay.draw_overlay(thumbnail, np.ones((3, 4), bool), tiles, "x" * 500)
    assert page.width == size[0] and page.height > size[1]
