from __future__ import annotations

import base64
import getpass
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import report_material
from mintflow import report_page
from mintflow.errors import InputError

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Checker(HTMLParser):
    """Collects tags, ids and addresses; notes tags that do not close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.loaded: list[str] = []
        self.wrong: list[str] = []
        self.feed(page)
        self.wrong += self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attributes)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        self.loaded += [str(found[name]) for name in ("src", "srcset", "data", "poster") if found.get(name)]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


PRIVATE = {"source": "phenopackets", "path": "/home/ann/all.zip", "sample_sheet": "/home/ann/sheet.tsv"}


def render(root: Path, folder: Path, *, figures: list[Path] | None = None, **rare: Any) -> str:
    folder.mkdir(exist_ok=True)
    paths = report_material.write(folder, root, **rare)
    if figures is None:
        figures = [folder / "metrics_by_arm.svg", folder / "training_curves.png"]
        for path in figures:
            path.write_bytes(b"<svg/>")
    section, output = folder / "section.html", folder / "report.html"
    command = ["--template", str(root / "workflow/report/rare.html.j2"), "--output", str(section)]
    command += ["--output-summary", str(section.with_suffix(".json"))]
    for name, path in paths.items():
        command += [f"--{name}", path]
    run(root, "render_rare", [*command, "--figures", *map(str, figures)])
    frame = ["--run", "made-up", "--template", str(root / "workflow/report/page.html.j2")]
    run(root, "render_report", [*frame, "--sections", f"rare={section}", "--output", str(output)])
    return output.read_text(encoding="utf-8")


def run(root: Path, program: str, arguments: list[str]) -> None:
    command = [sys.executable, str(root / f"workflow/scripts/{program}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)


@pytest.fixture(scope="module")
def page(root: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return render(root, tmp_path_factory.mktemp("report"), cohort=PRIVATE)


def test_page_is_well_formed_and_needs_nothing_else(page: str) -> None:
    checked = Checker(page)
    assert not checked.wrong
    assert len(checked.ids) == len(set(checked.ids))
    assert not checked.tags & {"script", "link", "iframe", "object", "embed"}
    assert all(address.startswith("data:image/") for address in checked.loaded)
    assert len(checked.loaded) == 2
    assert "default-src 'none'" in page
    assert "url(" not in page
    assert "@import" not in page
    for target in re.findall(r'href="#([^"]+)"', page):
        assert target in checked.ids


def test_result_stands_on_top_with_its_warnings(page: str) -> None:
    top = page[: page.index('id="rare-data"')].replace("\u00a0", " ")
    assert "SIMULATED patients." in top
    assert "not for clinical use" in top
    assert "it stays below the teacher that sees phenotypes alone" in top
    assert "47.5 % (95 % interval 38.6 to 56.4 %)" in top
    assert "SmolLM2-135M-Instruct" in top


def test_every_section_is_filled(page: str) -> None:
    for text in (
        "5,683",
        "All 1,204 of 270,123 annotation rows",
        "ORPO, other patient&#39;s input",
        "not distinguishable",
        "Hollow marks with dashed bars are controls",
        "arXiv 2505.05736",
        "arXiv 2403.07691",
        "release 2025-01-16",
        "rare.student.lora.alpha",
        "best_eval_loss",
        "Drawn at random (seed 7)",
    ):
        assert text in page, text


@pytest.mark.parametrize(
    "kind, said, unsaid",
    [
        ("encoder", "a teacher was trained to rank", "read from a file"),
        ("scores", "what the teacher has seen is not known here", "a teacher was trained"),
        ("likelihood-ratio", "by likelihood ratios of the phenotypes", "a teacher was trained"),
    ],
)
def test_only_what_this_kind_of_teacher_did_is_told(
    root: Path, tmp_path: Path, kind: str, said: str, unsaid: str
) -> None:
    page = render(
        root, tmp_path, teacher={"kind": kind, "scores": "scores.tsv" if kind == "scores" else None}
    )
    assert said in page and unsaid not in page
    assert ("ranks each training patient by a model" in page) == (kind == "encoder")
    assert "those were kept whose publications agree most" in page


def test_everything_is_escaped(page: str) -> None:
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;friends&#34;" in page


def test_nothing_private_is_in_it(page: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    patients = report_material.cases()["case_id"]
    for private in ("/home/", "/tmp", str(tmp_path_factory.getbasetemp()), "Ann", "PMID", *patients):
        assert private not in page, private
    assert "…/sheet.tsv" in page
    if getpass.getuser() != "root":
        assert getpass.getuser() not in page


def test_quarantine_is_counted_and_shown(page: str) -> None:
    part = page[page.index('id="rare-quarantine"') : page.index('id="rare-training"')]
    assert "3 records or fields" in part
    assert "(name): no diagnosis" in part
    assert "case-0123456789ab" in part
    assert "HP:9999999" in part
    assert "the patient has the same term already" in part


def test_same_input_same_bytes(root: Path, tmp_path: Path, page: str) -> None:
    assert render(root, tmp_path, cohort=PRIVATE) == page


def test_number_of_examples_and_their_draw(root: Path, tmp_path: Path) -> None:
    shown = [
        re.findall(
            r"<h3>Patient \d.*?</article>",
            render(root, tmp_path / str(seed), evaluation=evaluation),
            flags=re.S,
        )
        for seed, evaluation in enumerate(
            [{"report_cases": 2}, {"report_cases": 2, "seed": 8}, {"report_cases": 0}]
        )
    ]
    assert [len(cases) for cases in shown] == [2, 2, 0]
    assert shown[0] != shown[1]  # other patients, if perhaps of the same diseases


def test_named_examples_are_not_called_drawn(root: Path, tmp_path: Path) -> None:
    for named in ([], ["case-00000000abcd"]):
        evaluation = {"report_cases": 2, "report_case_ids": named}
        page = render(root, tmp_path / str(len(named)), evaluation=evaluation)
        assert "case-00000000abcd" not in page
        assert ("Named in the configuration" in page) == bool(named)
        assert ("before looking at any answer" in page) == (not named)


def test_figures_that_cannot_be_embedded(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"f\.gif.*\.svg or \.png"):
        report_page.figure(tmp_path / "f.gif", tmp_path)
    with pytest.raises(InputError, match=r"f\.svg: cannot be read"):
        report_page.figure(tmp_path / "f.svg", tmp_path)
    (tmp_path / "f.svg").write_bytes(b"<svg>1</svg>")
    made = report_page.figure(tmp_path / "f.svg", tmp_path)
    assert base64.b64decode(made["uri"].rpartition(",")[2]) == b"<svg>1</svg>"
    assert made["caption"] == ""


def test_every_item_of_the_shown_lists_is_marked(root: Path, tmp_path: Path) -> None:
    page = render(root, tmp_path)
    part = page[page.index('id="rare-examples"') : page.index('id="rare-quarantine"')]
    assert part.count("No numbered list in its answer.") == 6  # the base model's
    students = part.split("<strong>ORPO student</strong>")[1:]
    assert len(students) == 6
    for shown in students:
        items = shown[: shown.index("</ol>")]
        assert items.count("✓ correct") == 1
        assert items.count("? no known disease") == 1


def test_flatten() -> None:
    content = {"b": {"y": 1200, "x": [1, 2]}, "a": None, "c": True, "d": 0.123456789, "e": [[1]], "f": []}
    assert list(report_page.flatten(content)) == [
        ("a", "–"),
        ("b.x", "1, 2"),
        ("b.y", "1,200"),
        ("c", "yes"),
        ("d", "0.123457"),
        ("e", "1 entries"),
        ("f", ""),
    ]


def test_missing_setting_is_named() -> None:
    with pytest.raises(InputError, match=r"rare\.evaluation\.seed"):
        report_page.setting({"rare": {"evaluation": {}}}, "rare.evaluation.seed")


def test_captions_are_plain_text(root: Path) -> None:
    captions = sorted((root / "workflow" / "report").glob("*.rst"))
    assert {"workflow", "metrics_by_arm", "training_curves", "cohort_overview", "metrics"} <= {
        path.stem for path in captions
    }
    for path in captions:  # they serve Snakemake's report as reStructuredText, and this one as text
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"[`*<>{}|\\]|\w_(?!\w)|::", text), path.name
