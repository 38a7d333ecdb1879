"""The tissue section, and a page that holds two tracks."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

import report_material
import test_report
import tissue_material
from mintflow import io, report_page
from mintflow.errors import InputError


def program(name: str, arguments: list[str]) -> None:
    found = importlib.import_module(name)
    found.main(found.arguments().parse_args(arguments))


def flags(paths: dict[str, Any]) -> list[str]:
    words = []
    for name, value in paths.items():
        words += [f"--{name}", *(value if isinstance(value, list) else [value])]
    return words


def section(root: Path, folder: Path, **changes: Any) -> Path:
    """section.html and section.json of a made-up run, in ``folder``."""
    paths = tissue_material.write(folder, root, **changes)
    figures = [folder / "confusion.svg", folder / "tiles_per_slide.svg"]
    for path in figures:
        path.write_bytes(b"<svg/>")
    output = folder / "section.html"
    template = ["--template", str(root / "workflow/report/tissue.html.j2")]
    made = ["--output", str(output), "--output-summary", str(output.with_suffix(".json"))]
    program(
        "render_tissue",
        [*flags(paths), "--figures", *(str(path) for path in figures), *template, *made],
    )
    return output


def page_of(root: Path, output: Path, **sections: Path) -> str:
    named = [f"{track}={path}" for track, path in sections.items()]
    template = str(root / "workflow/report/page.html.j2")
    arguments = ["--run", "made-up", "--template", template, "--sections", *named, "--output", str(output)]
    program("render_report", arguments)
    return output.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return section(root, tmp_path_factory.mktemp("tissue"))


@pytest.fixture(scope="module")
def page(root: Path, made: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Both tracks on one page."""
    folder = tmp_path_factory.mktemp("rare")
    paths = report_material.write(folder, root)
    figure = folder / "metrics_by_arm.svg"
    figure.write_bytes(b"<svg/>")
    rare = folder / "section.html"
    template = ["--template", str(root / "workflow/report/rare.html.j2"), "--figures", str(figure)]
    written = ["--output", str(rare), "--output-summary", str(rare.with_suffix(".json"))]
    program("render_rare", [*flags(paths), *template, *written])
    return page_of(root, folder / "report.html", rare=rare, tissue=made)


def test_both_tracks_are_one_well_formed_offline_page(page: str) -> None:
    checked = test_report.Checker(page)
    assert not checked.wrong
    assert len(checked.ids) == len(set(checked.ids))
    assert not checked.tags & {"script", "link", "iframe", "object", "embed"}
    assert checked.loaded and all(address.startswith("data:image/") for address in checked.loaded)
    for target in re.findall(r'href="#([^"]+)"', page):
        assert target in checked.ids


def test_headlines_of_both_tracks_stand_on_top(page: str) -> None:
    top = page[: page.index('class="track"')].replace("\u00a0", " ")
    assert "not for clinical use" in top
    assert "SIMULATED data" in top and "tissue track" in top and "rare-disease track" in top
    assert "is better than the untuned base model, and it uses the patient&#39;s phenotypes" in top
    assert "is better than the base model, and uses the image; it stays below its teacher" in top
    assert "2 of 12 slides could not be used as meant." in top


def test_a_track_alone_makes_a_page(root: Path, made: Path, tmp_path: Path) -> None:
    page = page_of(root, tmp_path / "report.html", tissue=made)
    assert not test_report.Checker(page).wrong
    assert "patients of the rare" not in page


def test_the_answer_on_the_image_is_told_in_words(made: Path, root: Path, tmp_path: Path) -> None:
    assert "The ORPO student uses the image: it beats itself without it" in made.read_text()
    blind = section(root, tmp_path, looks=False).read_text()
    assert "is not shown to use the image" in blind
    assert "uses the image:" not in blind


def test_every_section_is_filled(made: Path) -> None:
    text = made.read_text(encoding="utf-8")
    for words in (
        "SYNTHETIC slides",
        "10 ok",
        "1 unreadable-file",
        "pen 7, blur 3",
        "ORPO, other tile&#39;s image",
        "Macro F1",
        "0.410 with the right image, 0.930 with another tile",
        "student better",
        "tissue.student.lora",
        "Tiles without a label",
        "Drawn at random (seed 19)",
        "2 records could not be used",
        "kept",
        "a note",
    ):
        assert words in text, words
    table = text[text.index('id="tissue-data"') : text.index("Splits, by whole patients")]
    shown = re.findall(r'<th scope="row"><code>(slide-\d+)', table)
    assert shown[:2] == ["slide-10", "slide-11"]  # what failed stands first
    assert len(shown) == 12


def test_images_are_embedded_and_as_many_as_asked(made: Path, root: Path, tmp_path: Path) -> None:
    text = made.read_text(encoding="utf-8")
    assert text.count('alt="Test tile') == 12
    assert text.count("data:image/jpeg") == 2  # the overlays
    assert len(text) < 2_000_000
    few = section(root, tmp_path, evaluation={"report_cases": 0, "report_slides": 1}).read_text()
    assert few.count('alt="Test tile') == 0 and few.count("data:image/jpeg") == 1
    assert "None asked for." in few


def test_nothing_private_and_everything_escaped(made: Path) -> None:
    text = made.read_text(encoding="utf-8") + made.with_suffix(".json").read_text(encoding="utf-8")
    for private in ("/home/", "/tmp", "<script>"):
        assert private not in text, private
    assert "&lt;script&gt;alert(1)" in text


def test_same_input_same_bytes(root: Path, made: Path, tmp_path: Path) -> None:
    again = section(root, tmp_path)
    assert again.read_bytes() == made.read_bytes()
    assert again.with_suffix(".json").read_bytes() == made.with_suffix(".json").read_bytes()


def test_a_summary_that_lacks_something_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"third/section\.json: lacks lines"):
        report_page.assemble(
            "r",
            [("third", "<p></p>", {"title": "T", "headline": "H", "simulated": None})],
            root / "workflow/report/page.html.j2",
        )


def test_a_third_track_needs_no_change_of_the_page(root: Path, tmp_path: Path) -> None:
    for name in ("tissue", "third"):
        io.write_text(f"<p>{name} section</p>", tmp_path / name / "section.html")
        summary = {"title": f"Title of {name}", "headline": "<b>", "lines": ["x"], "simulated": None}
        io.write_json(summary, tmp_path / name / "section.json")
    sections = {name: tmp_path / name / "section.html" for name in ("tissue", "third")}
    page = page_of(root, tmp_path / "report.html", **sections)
    assert "third section" in page and "Title of third" in page and "&lt;b&gt;" in page
    assert "SIMULATED" not in page
