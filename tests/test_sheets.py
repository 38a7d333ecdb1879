"""The sample sheet: rows, problems with their place, batches that do not move."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintflow.errors import InputError
from mintflow.sheets import SlideRow, batch_names, batch_of, file_name, read_sheet, synthetic_rows


def sheet(folder: Path, *lines: str, head: str = "slide\tpatient\tpath\tlabel\troi\tmpp") -> Path:
    path = folder / "slides.tsv"
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return path


def test_rows_are_sorted_and_empty_cells_are_unknown(tmp_path: Path) -> None:
    rows, problems = read_sheet(
        sheet(tmp_path, "b\tp1\tb 1.svs\tgland\tb.geojson\t0.25", "a\tp1\ta.svs\t\t\t", "\t\t\t\t\t")
    )
    assert problems == []
    assert rows == [
        SlideRow("a", "p1", "a.svs"),
        SlideRow("b", "p1", "b 1.svs", "gland", "b.geojson", 0.25),
    ]


def test_optional_columns_may_be_missing_and_windows_made_it(tmp_path: Path) -> None:
    path = tmp_path / "slides.tsv"
    path.write_bytes('\ufeffslide\tpath\tpatient\r\nä "1"\tä.svs\tp\r\n'.encode())
    assert read_sheet(path) == ([SlideRow('ä "1"', "p", "ä.svs")], [])


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        ("\tp\ta.svs\t\t\t", "slide", "is empty"),
        ("a\t \ta.svs\t\t\t", "patient", "is empty"),
        ("a\tp\t\t\t\t", "path", "is empty"),
        ("a\tp\ta.svs\t\t\t0,25", "mpp", "is no positive number"),
        ("a\tp\ta.svs\t\t\t-1", "mpp", "is no positive number"),
        ("a\tp\ta.svs\t\t\tinf", "mpp", "is no positive number"),
        ("a\tp\ta.svs", "", "another number of fields"),
        ("a\tp\ta.svs\t\t\t1\tmore", "", "another number of fields"),
    ],
)
def test_a_bad_row_is_a_problem_and_the_rest_stays(
    tmp_path: Path, line: str, field: str, reason: str
) -> None:
    rows, problems = read_sheet(sheet(tmp_path, "good\tp\tg.svs\t\t\t", line))
    assert [row.slide for row in rows] == ["good"]
    assert [(one.record, one.field) for one in problems] == [("line 3", field)]
    assert reason in problems[0].reason


def test_two_rows_for_one_slide(tmp_path: Path) -> None:
    lines = ("a\tp\ta.svs\t\t\t", "b\tp\tb.svs\t\t\t", "a\tp\ta.svs\t\t\t", "b\tq\tb.svs\t\t\t")
    rows, problems = read_sheet(sheet(tmp_path, *lines))
    assert [row.slide for row in rows] == ["a"]
    assert [(one.record, one.field) for one in problems] == [("a", "slide"), ("b", "patient")]
    assert "they differ" in problems[1].reason


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("slide\tpatient", "lacks column(s) 'path'"),
        ("slide,patient,path", "lacks"),
        ("slide\tpatient\tpath\tlable", "has unknown column(s) 'lable'"),
        ("slide\tslide\tpatient\tpath", "repeats column(s) 'slide'"),
        ("", "lacks"),
    ],
)
def test_a_wrong_header_names_the_columns(tmp_path: Path, head: str, found: str) -> None:
    with pytest.raises(InputError) as caught:
        read_sheet(sheet(tmp_path, head=head))
    assert found in str(caught.value)
    assert "slides.tsv" in str(caught.value)


def test_what_is_no_text_is_no_sheet(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_bytes(b"slide\tpatient\tpath\n\xff\xfe\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_sheet(tmp_path / "x.tsv")
    with pytest.raises(InputError, match="cannot be read"):
        read_sheet(tmp_path / "nowhere.tsv")


def test_batches_do_not_move_and_are_all_used() -> None:
    names = batch_names(12)
    assert names[0] == "00" and names[-1] == "11" and batch_names(1) == ["0"]
    placed = [batch_of(f"slide {number}", 12) for number in range(500)]
    assert set(placed) == set(names)
    # fixed for good: another function would cut every slide of every user again
    assert [batch_of(name, 4) for name in ("a", "b", "patient-001")] == BATCHES_OF_FOUR


BATCHES_OF_FOUR = ["2", "2", "3"]


@given(st.lists(st.text(min_size=1, max_size=300), unique=True, max_size=30))
def test_file_names_are_safe_and_tell_slides_apart(slides: list[str]) -> None:
    try:
        names = [file_name(slide) for slide in slides]
    except UnicodeEncodeError:  # lone surrogates, which no UTF-8 sheet can hold
        return
    assert len(set(names)) == len(slides)
    for name in names:
        assert 0 < len(name) <= 120
        assert not set(name) & set("/\\ '\"$&|;<>*?\n\t\0")
        assert not name.startswith(".")


def test_patient_and_label_are_no_matter_of_tiling() -> None:
    row = SlideRow("a", "p", "a.svs", "gland", "a.geojson", 0.5)
    assert row.tiling == {"slide": "a", "path": "a.svs", "roi": "a.geojson", "mpp": 0.5}


def test_synthetic_slides_are_known_before_they_are_drawn() -> None:
    rows = synthetic_rows({"patients": 2}, "out")
    assert rows[1] == SlideRow(
        "patient-002", "patient-002", "out/patient-002.tiff", None, "out/patient-002.geojson"
    )
