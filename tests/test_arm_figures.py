"""Figures of arms, variants, calibration, patients, costs and a further cohort."""

from __future__ import annotations

import importlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import report_material
import test_case_view
from mintflow import case_view, external_evaluation, figure_style, io, tables
from mintflow.agreement_plot import agreement_figure
from mintflow.calibration import calibration_table
from mintflow.calibration_plot import calibration_figure
from mintflow.case_plot import case_figure
from mintflow.cost_plot import cost_figure
from mintflow.errors import InputError
from mintflow.external_plot import MOST, rank_figure
from mintflow.size_plot import count, size_figure
from mintflow.sweep_plot import sweep_figure
from mintflow.training_table import COLUMNS
from mintflow.variant_tables import size_table, sweep_table

ALL = [
    *(
        "base",
        "orpo",
        "sft",
        "sft-truth",
        "dpo",
        "listwise",
        "rag",
        "orpo+rag",
        "orpo-blank",
        "orpo-shuffled",
    ),
    *("teacher", "teacher-phenotype", "similarity", "likelihood-ratio", "nearest-patient"),
    *("retrieval", "gene-lookup", "prior"),
]
VARIANTS = [f"orpo-q{number}" for number in (1, 2, 10)]


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def metrics() -> pd.DataFrame:
    """Of every arm, and of three variants."""
    own = report_material.metrics()
    like = own[own["arm"] == "orpo"]
    further = [like.assign(arm=arm) for arm in (*ALL, *VARIANTS) if arm not in set(own["arm"])]
    return pd.concat([own, *further], ignore_index=True)


def sweeps() -> pd.DataFrame:
    varied = [
        {"key": "preferences.q", "parent": "orpo", "arm": arm, "value": value}
        for arm, value in zip(["orpo", *VARIANTS], (3, 1, 2, 10), strict=True)
    ]
    varied += [
        {"key": "preferences.rejected", "parent": parent, "arm": arm, "value": value}
        for parent, arm, value in (
            ("orpo", "orpo", "bottom"),
            ("orpo", "orpo-q1", "hard"),
            ("dpo", "orpo-q2", "random"),
        )
    ]
    varied.append({"key": "student.lora.r", "parent": "orpo", "arm": "orpo-q1", "value": 8})
    return sweep_table(metrics(), varied, {})


def sizes() -> pd.DataFrame:
    arms = [
        {"kind": kind, "arm": arm, "base": base}
        for kind, arm, base in (
            ("base", "base", "small"),
            ("orpo", "orpo", "small"),
            ("orpo", "orpo-q1", "large"),
            ("base", "orpo-q2", "large"),
        )
    ]
    return size_table(metrics(), arms, {"small": 134515008, "large": 1235814400})


def calibration(*arms: str) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    found = {}
    for arm in arms or ("teacher", "teacher-phenotype", "base", "orpo", "orpo-q1"):
        confidence = rng.beta(3, 2, 80)
        right = (rng.random(80) < confidence).astype(float)
        cases = [f"c{place}" for place in range(80)]
        found[arm] = pd.DataFrame({"case_id": cases, "confidence": confidence, "correct": right})
    return calibration_table(
        found, {f"c{place}": f"p{place // 4}" for place in range(80)}, samples=50, seed=1
    )


def training() -> pd.DataFrame:
    rows = [
        (name, name.partition(".")[0], "learning rate search" if ".lr" in name else "result", index + 1)
        for index, name in enumerate(("orpo", "orpo.seed7", "orpo.lr0.001", "sft", "orpo-q1"))
    ]
    table = pd.DataFrame(
        [
            {"training": name, "arm": arm, "purpose": purpose, "seconds": 60 * size}
            | dict.fromkeys(("peak_memory_mb", "tokens", "seconds_per_pair"), 1000 * size)
            for name, arm, purpose, size in rows
        ]
    )
    return table.reindex(columns=COLUMNS)


def ranks(diseases: int = 5, arms: tuple[str, ...] = ("base", "orpo", "teacher", "prior")) -> pd.DataFrame:
    rows = [
        (
            arm,
            f"OMIM:{disease:06}",
            f"A disease with a long name, type {disease}",
            bucket,
            (disease + place) % 7,
        )
        for arm in arms
        for disease in range(diseases)
        for place, bucket in enumerate(external_evaluation.BUCKETS)
    ]
    return pd.DataFrame(rows, columns=external_evaluation.BY_DISEASE)


def cases() -> pd.DataFrame:
    return test_case_view.table()


DRAWN: dict[str, tuple[Callable[..., Figure], Callable[[], pd.DataFrame]]] = {
    "agreement": (agreement_figure, metrics),
    "sweeps": (sweep_figure, sweeps),
    "sizes": (size_figure, sizes),
    "calibration": (calibration_figure, calibration),
    "costs": (cost_figure, training),
    "cases": (case_figure, cases),
    "disease_ranks": (rank_figure, ranks),
}


@pytest.mark.parametrize("name", DRAWN)
def test_same_numbers_same_bytes_at_column_width(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, table = DRAWN[name]

    def saved() -> tuple[bytes, bytes]:
        figure = draw(table(), simulated=True)
        assert figure.get_figwidth() == figure_style.WIDTH
        assert any("SIMULATED patients" in text for text in words(figure))
        figure_style.save(figure, tmp_path / "f.svg", tmp_path / "f.png")
        return (tmp_path / "f.svg").read_bytes(), (tmp_path / "f.png").read_bytes()

    first = saved()
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 20)
    assert saved() == first
    ElementTree.fromstring(first[0])
    assert not any("SIMULATED" in text for text in words(draw(table(), simulated=False)))


@pytest.mark.parametrize("name", DRAWN)
def test_text_is_at_least_six_points_and_inside_the_figure(name: str) -> None:
    draw, table = DRAWN[name]
    figure = draw(table(), simulated=True)
    renderer = figure.canvas.get_renderer()
    width, height = figure.canvas.get_width_height()
    ticks, hidden = set(), set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        drawn = axis._update_ticks() if axis.axes.axison and axis.axes.get_visible() else []
        ticks |= {id(tick.label1) for tick in drawn}
        # matplotlib keeps labels of ticks that it does not draw
        hidden |= {
            id(label) for tick in axis.majorTicks + axis.minorTicks for label in (tick.label1, tick.label2)
        }
    for text in figure.findobj(matplotlib.text.Text):
        if not text.get_text() or not text.get_visible() or id(text) in hidden - ticks:
            continue
        assert text.get_fontsize() >= 6, text
        box = text.get_window_extent(renderer)
        assert box.x0 > -1 and box.x1 < width + 1 and box.y0 > -1 and box.y1 < height + 1, text


# a further cohort may hold nobody whom the run can name
@pytest.mark.parametrize("name", [name for name in DRAWN if name != "disease_ranks"])
def test_an_empty_table_is_an_error_that_names_it(name: str) -> None:
    draw, table = DRAWN[name]
    with pytest.raises(InputError):
        draw(table().iloc[:0], simulated=True)


@pytest.mark.parametrize("name", DRAWN)
def test_programs_draw_from_the_written_table(name: str, tmp_path: Path) -> None:
    _, table = DRAWN[name]
    io.write_csv(table(), tmp_path / "table.csv")
    outputs = [str(tmp_path / "f.svg"), str(tmp_path / "f.png")]
    program = importlib.import_module(f"plot_{name}")
    arguments = ["--table", str(tmp_path / "table.csv"), "--simulated", "false"]
    program.main(
        program.arguments().parse_args([*arguments, "--output-svg", outputs[0], "--output-png", outputs[1]])
    )
    assert Path(outputs[0]).read_bytes().startswith(b"<?xml")
    assert Path(outputs[1]).read_bytes().startswith(b"\x89PNG")


def test_agreement_shows_every_arm_but_variants_on_a_page() -> None:
    figure = agreement_figure(metrics(), simulated=False)
    shown = words(figure)
    assert {"SFT on the truth", "Text retrieval", "ORPO student + retrieval"} <= set(shown)
    assert not set(VARIANTS) & set(shown)
    assert figure.get_figheight() < 9.5
    assert {"a Coverage", "b Avoidance", "c CAR"} <= set(shown)


def test_sweeps_have_a_row_a_thing_and_numbers_in_order() -> None:
    figure = sweep_figure(sweeps(), simulated=False)
    shown = words(figure)
    assert "a  Length of the rejected list (q)" in shown and "b  Rejected list taken from" in shown
    assert "c  student.lora.r" in shown  # a thing without words of its own keeps its key
    line = next(line for line in figure.axes[0].lines if len(line.get_xdata()) == 4)
    assert line.get_xdata().tolist() == [1, 2, 3, 10]
    assert line.get_ydata().tolist() == pytest.approx([47.5] * 4)
    assert figure.axes[0].get_xscale() == "log"
    assert {"ORPO student", "DPO student"} <= set(shown)  # two kinds, so a legend


def test_sizes_are_told_in_words() -> None:
    shown = words(size_figure(sizes(), simulated=False))
    assert any("135M: small" in text and "1.24B: large" in text for text in shown)
    assert [count(value) for value in (999, 1500, 134515008, 3.2e9)] == ["999", "1.5k", "135M", "3.2B"]


def test_calibration_writes_error_interval_and_number_of_every_arm() -> None:
    table = calibration()
    shown = " | ".join(words(calibration_figure(table, simulated=False)))
    for row in table[(table["bin"] == "ece") & (table["arm"] != "orpo-q1")].itertuples():
        value, low, high = (f"{100 * x:.1f}".removesuffix(".0") for x in (row.value, row.ci_low, row.ci_high))
        assert f"ECE {value} ({low}–{high})" in shown
    assert "orpo-q1" not in shown and shown.count("n = 80") == 4
    alone = words(calibration_figure(calibration("teacher"), simulated=True, track="tissue"))
    assert any("SIMULATED slides" in text for text in alone)


def test_costs_tell_trials_from_trainings() -> None:
    figure = cost_figure(training(), simulated=False)
    assert {"training", "learning rate on trial", "orpo-q1", "SFT student"} <= set(words(figure))
    marks = [line for line in figure.axes[0].lines if line.get_marker() == "o" and len(line.get_xdata())]
    hollow = [line for line in marks if line.get_markerfacecolor() == "white"]
    assert [line.get_xdata().tolist() for line in hollow] == [[3.0]]
    assert sorted(value for line in marks for value in line.get_xdata()) == [1, 2, 3, 4, 5]
    results = training()[lambda table: table["purpose"] == "result"]
    assert "learning rate on trial" not in words(cost_figure(results, simulated=False))


def test_costs_of_a_training_that_only_went_on_from_its_end() -> None:
    figure = cost_figure(training().assign(seconds_per_pair=float("nan")), simulated=False)
    assert figure.axes[3].get_xlim() == (0, 1)


def test_patients_are_numbered_and_marked() -> None:
    shown = words(case_figure(cases(), simulated=False))
    assert any(text.startswith("Patient 1: ") for text in shown)
    assert "no list" in shown and "2. Grumbling elbow ?" in shown and "3. the first ✓" in shown
    assert "1. two ≈" in shown and "4. Four ✓" in shown
    assert any("disease unseen in training" in text for text in shown)
    assert not any("case-" in text for text in shown)


def test_many_patients_stay_on_a_page() -> None:
    one = cases()
    many = pd.concat([one.assign(patient=one["patient"] + 2 * turn) for turn in range(20)])
    figure = case_figure(many, simulated=False)
    assert 7 < figure.get_figheight() < 9.5
    assert "Patient 40" not in " ".join(words(figure))


def test_diseases_beyond_those_that_fit_are_summed() -> None:
    table = ranks(MOST + 5)
    figure = rank_figure(table, simulated=False)
    shown = words(figure)
    assert "prior" not in shown and len([axes for axes in figure.axes if axes.images]) == 3
    base = table[table["arm"] == "base"].groupby("disease_id")["count"].sum().sort_values(ascending=False)
    assert f"6 further diseases ({base.iloc[MOST - 1 :].sum()})" in shown
    drawn = sum(int(text) for axes in figure.axes[:1] for text in (t.get_text() for t in axes.texts))
    assert drawn == base.sum()


def test_supervised_training_stands_beside_orpo_where_it_is_there() -> None:
    table = ranks(arms=("base", "orpo", "sft", "sft-truth", "teacher"))
    panels = [axes.get_title("left") for axes in rank_figure(table, simulated=False).axes]
    assert panels == ["ORPO", "SFT", "Teacher"]
    nobody = rank_figure(table[:0], simulated=True)
    assert "No patient has a disease that the run can name." in words(nobody)
    chosen = rank_figure(table, arms=["sft-truth", "base"], simulated=False)
    assert [axes.get_title("left") for axes in chosen.axes] == ["Base model", "SFT on the truth"]
    with pytest.raises(InputError, match="dpo"):
        rank_figure(table, arms=["dpo"], simulated=False)


def test_a_cohort_without_the_usual_arms_shows_those_it_has() -> None:
    shown = words(rank_figure(ranks(arms=("prior", "gene-lookup")), simulated=False))
    assert "Gene lookup" in shown


def test_case_table_survives_csv(tmp_path: Path) -> None:
    io.write_csv(cases(), tmp_path / "c.csv")
    read = tables.read_csv(tmp_path / "c.csv", case_view.COLUMNS)
    assert words(case_figure(read, simulated=True)) == words(case_figure(cases(), simulated=True))
