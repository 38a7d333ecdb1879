from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
from matplotlib.figure import Figure

import report_material
from mintflow import figure_style, io, labels, tables
from mintflow.cohort_plot import cohort_figure
from mintflow.errors import InputError
from mintflow.metrics_plot import metrics_figure, ranking_figure
from mintflow.training_plot import training_figure
from mintflow.training_table import curve_table


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


def curves(**logs: list[dict[str, float]]) -> pd.DataFrame:
    return curve_table(logs, dict.fromkeys(logs, 6))


def draw(name: str) -> Figure:
    cases = report_material.cases()
    return {
        "metrics": lambda: metrics_figure(report_material.metrics(), simulated=True),
        "training": lambda: training_figure(curves(orpo=report_material.log()), simulated=True),
        "cohort": lambda: cohort_figure(STEPS, cases, terms(cases), simulated=True),
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
    shown = words(metrics_figure(report_material.metrics(), simulated=False))
    assert "SIMULATED" not in shown
    for text in (
        "ORPO student",
        "ORPO, phenotypes hidden",
        "Gene lookup",
        "n = 120",
        *(words for group, words in labels.GROUPS.items() if group != labels.VARIANT),
    ):
        assert text in shown


def test_controls_are_hollow_and_dashed() -> None:
    figure = metrics_figure(report_material.metrics(), simulated=False)
    lines = [line for axes in figure.findobj(matplotlib.axes.Axes) for line in axes.lines]
    hollow = [line for line in lines if line.get_marker() != "None" and line.get_markerfacecolor() == "white"]
    # 2 controls, each with top1, top3, top10, ungrounded and CAR
    assert len(hollow) == 10
    assert sum(line.get_linestyle() == "--" for line in lines) == 10


def test_metrics_without_top_or_with_few_arms() -> None:
    metrics = report_material.metrics()
    with pytest.raises(InputError, match="top1"):
        metrics_figure(metrics[metrics["metric"] == "car"], simulated=False)
    alone = metrics[(metrics["arm"] == "prior") & (metrics["metric"] == "top1")]
    assert "Disease frequency alone" in words(metrics_figure(alone, simulated=False))


def test_variants_have_a_figure_of_their_own() -> None:
    metrics = report_material.metrics()
    variants = [metrics[metrics["arm"] == "orpo"].assign(arm=f"orpo-q{number:02}") for number in range(20)]
    table = pd.concat([metrics, *variants])
    main, further = (
        metrics_figure(table, simulated=False),
        metrics_figure(table, simulated=False, variants=True),
    )
    assert "orpo-q" not in words(main)
    assert main.get_figheight() == metrics_figure(metrics, simulated=False).get_figheight() < 9.5
    shown = words(further)
    assert all(f"orpo-q{number:02}" in shown for number in range(20))
    assert "ORPO student" in shown and "Gene lookup" not in shown


def test_rankings_stand_beside_those_who_rank_all() -> None:
    """All are drawn by ``rank_*`` rows, of the same patients, not by what a student wrote."""
    rows = [
        (arm, f"{prefix}top{first}{suffix}", value, value - 0.1, value + 0.1, 40 + 10 * bool(suffix))
        for arm, prefix, value in (
            ("orpo", "", 0.2),
            ("orpo", "rank_", 0.6),
            ("sft", "", 0.3),
            ("teacher", "", 0.8),
            ("teacher", "rank_", 0.9),
        )
        for first in (1, 3, 10)
        for suffix in ("", "_all")
    ]
    table = pd.DataFrame(rows, columns=tables.METRICS)
    figure = ranking_figure(table, simulated=False)
    shown = words(figure)
    assert "ORPO student" in shown and "Teacher" in shown and "SFT student" not in shown
    assert shown.count("60.0") == 2 and shown.count("90.0") == 2
    assert not {"20.0", "30.0", "80.0"} & set(shown)
    assert "n = 40" in shown and "n = 50" in shown
    with pytest.raises(InputError, match="no ranking of a student"):
        ranking_figure(table[~table["metric"].str.startswith("rank_")], simulated=False)


def test_training_of_several_arms_has_a_row_each_and_gaps_are_said() -> None:
    short = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "eval_loss": 3.0}]
    logs = {
        "orpo": report_material.log(),
        "orpo.seed7": report_material.log(),
        "sft": short,
        "orpo-q2": short,
    }
    table = curve_table(logs, {"orpo": 6, "orpo.seed7": 7, "sft": 6, "orpo-q2": 6})
    figure = training_figure(table, simulated=False)
    shown = words(figure)
    assert {"ORPO", "SFT", "seed 6", "seed 7"} <= set(shown.split(" | "))
    assert "orpo-q2" not in shown
    assert shown.count("not logged") == 2
    assert [len(axes.lines) for axes in figure.axes[:3]] == [
        4,
        4,
        5,
    ]  # 2 seeds x 2 kinds of pairs, and chance
    alone = training_figure(curves(sft=short), simulated=False)
    assert words(alone).count("not logged") == 3
    with pytest.raises(InputError, match="no training of an arm"):
        training_figure(table[table["arm"] == "orpo-q2"], simulated=False)


def test_cohort_counts_are_written_at_the_bars() -> None:
    cases = report_material.cases()
    shown = words(cohort_figure(STEPS, cases, terms(cases), simulated=False))
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
        cohort_figure(STEPS, cases[:0], terms(cases), simulated=False)
    with pytest.raises(InputError, match="holdout"):
        cohort_figure(STEPS, cases.assign(split="holdout"), terms(cases), simulated=False)


def test_programs_write_both_files(root: Path, tmp_path: Path) -> None:
    paths = report_material.write(tmp_path, root)
    io.write_csv(curves(orpo=report_material.log()), tmp_path / "curves.csv")
    io.write_parquet(terms(report_material.cases()), tmp_path / "phenotypes.parquet")
    flags = {
        "plot_metrics": ["--metrics", paths["metrics"], "--simulated", "true"],
        "plot_training": ["--table", str(tmp_path / "curves.csv"), "--simulated", "true"],
        "plot_cohort": [
            *(
                "--cohort",
                paths["cohort"],
                "--cases",
                paths["cases"],
                "--phenotypes",
                str(tmp_path / "phenotypes.parquet"),
            )
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
