from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
from matplotlib.figure import Figure

import report_material
from mintflow import figure_style, io, labels, plotting
from mintflow.errors import InputError


def words(figure: Figure) -> str:
    """Every text that the figure shows, its panels' included."""
    return " | ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text())


def saved(figure: Figure, folder: Path) -> tuple[bytes, bytes]:
    svg, png = folder / "f.svg", folder / "f.png"
    figure_style.save(figure, svg, png)
    return svg.read_bytes(), png.read_bytes()


STEPS = [("Read", 500), ("Used", 384)]


def terms(cases: pd.DataFrame) -> pd.DataFrame:
    """Two observed terms and an excluded one for every patient."""
    repeated = cases["case_id"].repeat(3)
    return pd.DataFrame({"case_id": repeated, "excluded": [False, False, True] * len(cases)})


def draw(name: str) -> Figure:
    cases = report_material.cases()
    return {
        "metrics": lambda: plotting.metrics_figure(report_material.metrics(), simulated=True),
        "training": lambda: plotting.training_figure({"orpo": report_material.log()}, simulated=True),
        "cohort": lambda: plotting.cohort_figure(STEPS, cases, terms(cases), simulated=True),
    }[name]()


@pytest.mark.parametrize("name", ["metrics", "training", "cohort"])
def test_same_numbers_same_bytes_at_column_width(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = saved(draw(name), tmp_path)
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 20)  # a user's own matplotlibrc
    monkeypatch.setitem(matplotlib.rcParams, "svg.hashsalt", "other")
    figure = draw(name)
    assert saved(figure, tmp_path) == first
    assert matplotlib.rcParams["font.size"] == 20
    ElementTree.fromstring(first[0])
    for found in first:
        assert str(tmp_path).encode() not in found
        assert b"matplotlib.org" not in found
    assert b"<dc:date" not in first[0]
    assert figure.get_figwidth() == figure_style.WIDTH
    assert "SIMULATED patients" in words(figure)


def test_metrics_are_labelled_in_words_and_by_group() -> None:
    shown = words(plotting.metrics_figure(report_material.metrics(), simulated=False))
    assert "SIMULATED" not in shown
    for text in (
        "ORPO student",
        "ORPO, phenotypes hidden",
        "Gene lookup",
        "n = 120",
        *labels.GROUPS.values(),
    ):
        assert text in shown


def test_controls_are_hollow_and_dashed() -> None:
    figure = plotting.metrics_figure(report_material.metrics(), simulated=False)
    lines = [line for axes in figure.findobj(matplotlib.axes.Axes) for line in axes.lines]
    hollow = [line for line in lines if line.get_marker() != "None" and line.get_markerfacecolor() == "white"]
    # 2 controls, each with top1, top3, top10, ungrounded and CAR
    assert len(hollow) == 10
    assert sum(line.get_linestyle() == "--" for line in lines) == 10


def test_metrics_without_top_or_with_few_arms() -> None:
    metrics = report_material.metrics()
    with pytest.raises(InputError, match="top1"):
        plotting.metrics_figure(metrics[metrics["metric"] == "car"], simulated=False)
    alone = metrics[(metrics["arm"] == "prior") & (metrics["metric"] == "top1")]
    assert "Disease frequency alone" in words(plotting.metrics_figure(alone, simulated=False))


def test_series_keeps_the_later_of_repeated_steps_and_drops_what_is_not_finite() -> None:
    events = [
        {"step": 10, "loss": 3.0},
        {"step": 20, "loss": float("nan")},
        {"step": 10, "loss": 2.0},
        {"step": 10, "eval_loss": 9.0},
        {"loss": 1.0},
    ]
    assert plotting.series(events, "loss") == ([10], [2.0])
    assert plotting.series(events, "loss", held_out=True) == ([10], [9.0])
    assert plotting.series(events, "nll") == ([], [])


def test_training_of_several_arms_is_told_apart_and_gaps_are_said() -> None:
    short = [{"step": 1, "loss": 2.0}]
    shown = words(plotting.training_figure({"orpo": report_material.log(), "sft": short}, simulated=False))
    assert "ORPO student" in shown
    assert "sft" in shown
    assert words(plotting.training_figure({"sft": short}, simulated=False)).count("not logged") == 3
    with pytest.raises(InputError, match="sft"):
        plotting.training_figure({"sft": [{"step": 1}]}, simulated=False)


def test_cohort_counts_are_written_at_the_bars() -> None:
    cases = report_material.cases()
    shown = words(plotting.cohort_figure(STEPS, cases, terms(cases), simulated=False))
    train = cases[cases["split"] == "train"]
    for text in (
        "500",
        f"{len(train)} patients",
        f"{train['publication'].nunique()} publications",
        "median 2",
    ):
        assert text in shown
    assert "12 diseases" in shown


def test_bad_cohorts() -> None:
    cases = report_material.cases()
    with pytest.raises(InputError, match="no patients"):
        plotting.cohort_figure(STEPS, cases[:0], terms(cases), simulated=False)
    with pytest.raises(InputError, match="holdout"):
        plotting.cohort_figure(STEPS, cases.assign(split="holdout"), terms(cases), simulated=False)


def test_programs_write_both_files(root: Path, tmp_path: Path) -> None:
    paths = report_material.write(tmp_path, root)
    events = tmp_path / "log.jsonl"
    events.write_text("".join(json.dumps(event) + "\n" for event in report_material.log()))
    flags = {
        "plot_metrics": ["--metrics", paths["metrics"], "--simulated", "true"],
        "plot_training": ["--log", f"orpo={events}", "--simulated", "true"],
        "plot_cohort": [
            *("--cohort", paths["cohort"], "--cases", paths["cases"], "--phenotypes", paths["phenotypes"])
        ],
    }
    for name, inputs in flags.items():
        outputs = [tmp_path / f"{name}.svg", tmp_path / f"{name}.png"]
        script = str(root / "workflow" / "scripts" / f"{name}.py")
        subprocess.run(
            [
                sys.executable,
                script,
                *inputs,
                "--output-svg",
                str(outputs[0]),
                "--output-png",
                str(outputs[1]),
            ],
            check=True,
        )
        assert outputs[0].read_bytes().startswith(b"<?xml")
        assert outputs[1].read_bytes().startswith(b"\x89PNG")
    broken = tmp_path / "broken.csv"
    io.write_text("arm\n", broken)
    done = subprocess.run(
        [
            *(sys.executable, str(root / "workflow/scripts/plot_metrics.py"), "--metrics", str(broken)),
            *(
                "--simulated",
                "true",
                "--output-svg",
                str(tmp_path / "x"),
                "--output-png",
                str(tmp_path / "y"),
            ),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "lacks column(s)" in done.stderr
