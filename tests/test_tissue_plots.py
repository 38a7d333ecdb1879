"""Figures of the tissue track: at column width, the same bytes, nothing hidden."""

from __future__ import annotations

import importlib
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
from matplotlib.figure import Figure

import tissue_material
from mintflow import figure_style, io, labels, metrics_plot, tissue_plots
from mintflow.errors import InputError

EXAMPLES = [
    {
        "image": tissue_material.tile(seed),
        "truth": name,
        "teacher": [name, "nerve", "gland", "muscle"],
        "student": [] if seed == 1 else ["Muscle", name.upper(), "sinew"],
    }
    for seed, name in enumerate(("adipose", "cartilage", "nerve"))
]


def words(figure: Figure) -> str:
    return " | ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text())


def draw(name: str, simulated: bool = True) -> Figure:
    names = {label: label for label in tissue_material.LABELS}
    confusion = tissue_material.confusion()
    losses = tissue_material.LOSSES
    return {
        "tiles": lambda: tissue_plots.tiles_figure(tissue_material.manifest(), simulated=simulated),
        "confusion": lambda: tissue_plots.confusion_figure(
            confusion, names, ["teacher", "orpo"], simulated=simulated
        ),
        "examples": lambda: tissue_plots.examples_figure(EXAMPLES, simulated=simulated),
        "alignment": lambda: tissue_plots.alignment_figure(
            tissue_material.alignment_log(), losses, simulated=simulated
        ),
    }[name]()


@pytest.mark.parametrize("name", ["tiles", "confusion", "examples", "alignment"])
def test_same_numbers_same_bytes_at_column_width(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def saved() -> tuple[bytes, bytes]:
        figure = draw(name)
        assert figure.get_figwidth() == figure_style.WIDTH
        figure_style.save(figure, tmp_path / "f.svg", tmp_path / "f.png")
        return (tmp_path / "f.svg").read_bytes(), (tmp_path / "f.png").read_bytes()

    first = saved()
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 20)  # a user's own matplotlibrc
    assert saved() == first
    ElementTree.fromstring(first[0])
    assert "SIMULATED slides" in words(draw(name))
    assert "SIMULATED" not in words(draw(name, simulated=False))


def test_no_text_leaves_the_page() -> None:
    for name in ("tiles", "confusion", "alignment"):
        figure = draw(name)
        with figure_style.style():
            figure.draw_without_rendering()
            width = figure.bbox.width
            for axes in figure.axes:
                texts = [*axes.texts, *axes.get_yticklabels(), axes.yaxis.label, axes.xaxis.label]
                if name == "confusion":  # elsewhere there are ticks beyond the limits, which are not drawn
                    texts += axes.get_xticklabels()
                for text in (text for text in texts if text.get_text()):
                    box = text.get_window_extent()
                    assert box.x0 > -0.5 and box.x1 < width + 0.5, (name, text.get_text())


def test_slides_that_failed_show_their_status_and_reasons_their_hatch() -> None:
    figure = draw("tiles")
    shown = words(figure)
    assert "unreadable-file" in shown and "no-mpp" in shown
    assert "dropped: pen" in shown and "dropped: blur" in shown
    assert "dropped: fold" not in shown  # no tile was dropped for it
    hatches = {patch.get_hatch() for axes in figure.axes for patch in axes.patches}
    assert len(hatches) == 3  # kept, pen and blur stay apart without colour


def test_of_many_slides_the_failed_ones_are_drawn_and_the_rest_summed() -> None:
    one = tissue_material.manifest()
    many = pd.concat([one.assign(slide_id=one["slide_id"] + f"-{n}") for n in range(6)], ignore_index=True)
    figure = tissue_plots.tiles_figure(many, simulated=False)
    shown = words(figure)
    assert shown.count("unreadable-file") == 6 and shown.count("no-mpp") == 6
    rest = len(many) - tissue_plots.MOST_SLIDES + 1
    assert f"{rest} more slides" in shown
    drawn = [text.get_text() for text in figure.axes[0].get_yticklabels()][:-1]
    left = many[~many["slide_id"].isin(drawn)]
    assert len(left) == rest
    dropped = left.filter(like="dropped_").sum().sum()
    assert f"{left['kept'].sum():,} kept, {dropped:,} dropped" in shown


def test_no_slide_no_figure() -> None:
    with pytest.raises(InputError, match="no slide"):
        tissue_plots.tiles_figure(tissue_material.manifest()[:0], simulated=False)


def test_confusion_holds_every_count_and_names_arms_in_words() -> None:
    figure = draw("confusion")
    panels = figure.axes
    assert [axes.get_title(loc="left") for axes in panels] == ["a  Teacher", "b  ORPO student"]
    table = tissue_material.confusion().query("arm == 'orpo' and count > 0")
    written = sorted(int(text.get_text()) for text in panels[1].texts)
    assert written == sorted(table["count"])
    assert "no label" in words(figure)
    with pytest.raises(InputError, match="sft"):
        tissue_plots.confusion_figure(tissue_material.confusion(), {"a": "a"}, ["sft"], simulated=False)


def test_right_names_are_ticked_whatever_their_case() -> None:
    shown = words(draw("examples"))
    assert "✓ ADIPOSE" in shown and "– Muscle" in shown and "no list" in shown
    assert "– sinew" in shown
    with pytest.raises(InputError, match="no tile"):
        tissue_plots.examples_figure([], simulated=False)


def test_alignment_without_held_out_tiles_says_so() -> None:
    log = tissue_material.alignment_log()
    assert "not measured" in words(tissue_plots.alignment_figure(log, {}, simulated=False))
    assert "0.93" in words(draw("alignment"))
    with pytest.raises(InputError, match="step and loss"):
        tissue_plots.alignment_figure([{"step": 1}], {}, simulated=False)


def metrics() -> pd.DataFrame:
    rows = [
        (arm, name, 0.5, 0.4, 0.6, 160)
        for arm in ("base", "orpo", "orpo-blank", "orpo-shuffled", "teacher", "prior")
        for name in ("top1", "top3", "top5", "ungrounded", "car")
    ]
    return pd.DataFrame(rows, columns=["arm", "metric", "value", "ci_low", "ci_high", "n"])


def test_metrics_figure_in_the_words_of_the_track() -> None:
    shown = words(metrics_plot.metrics_figure(metrics(), simulated=True, track="tissue"))
    for text in ("Right tissue within", "ORPO, image blanked", "test tiles (n = 160)", "SIMULATED slides"):
        assert text in shown
    assert "patients" not in shown and "phenotype" not in shown.lower()
    for group, heading in labels.TISSUE.groups.items():
        assert (heading in shown) == (group != labels.VARIANT)


def test_programs_write_both_files(root: Path, tmp_path: Path) -> None:
    paths = tissue_material.write(tmp_path / "run", root)
    io.write_text(
        "".join(json.dumps(event) + "\n" for event in tissue_material.alignment_log()), tmp_path / "a.jsonl"
    )
    confusion = str(tmp_path / "run" / "confusion.csv")
    programs = {
        "plot_tiles": ["--manifest", paths["manifest"]],
        "plot_confusion": ["--confusion", confusion, "--labels", paths["labels"]],
        "plot_alignment": ["--log", str(tmp_path / "a.jsonl"), "--summary", paths["alignment"]],
        "plot_tile_examples": [
            *("--settings", '{"k": 3, "report_cases": 4, "seed": 1}', "--cases", paths["cases"]),
            *("--labels", paths["labels"], "--grounded", paths["grounded"], "--teacher", paths["scores"]),
        ],
        "plot_metrics": ["--metrics", paths["metrics"], "--track", "tissue"],
    }
    for name, inputs in programs.items():
        svg, png = tmp_path / f"{name}.svg", tmp_path / f"{name}.png"
        program = importlib.import_module(name)
        outputs = ["--output-svg", str(svg), "--output-png", str(png)]
        program.main(program.arguments().parse_args([*inputs, "--simulated", "true", *outputs]))
        assert svg.read_bytes().startswith(b"<?xml") and png.read_bytes().startswith(b"\x89PNG")
