from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pandas as pd

from mintflow.workflow_plot import rule_table, workflow_figure

RULES = {
    "fetch_wheel": "models",
    "evaluate_arms": "rare_evaluation",
    "read_cohort": "rare_cohort",
    "tabulate_trainings": "rare_tables",
    "plot_metrics": "rare_figures",
    "screen_external": "external",
    "export_pheval": "external_evaluation",
    "tile_slides": "tissue_slides",
    "render_tissue": "tissue_report",
    "render_report": "report",
    "all": "Snakefile",
    "tissue": "targets",
}


def test_every_rule_has_its_track_and_stage() -> None:
    found = {row.rule: (row.track, row.stage) for row in rule_table(RULES).itertuples()}
    assert found == {
        "fetch_wheel": ("all", "models"),
        "read_cohort": ("rare", "cohort"),
        "evaluate_arms": ("rare", "evaluation"),
        "tabulate_trainings": ("rare", "figures"),
        "plot_metrics": ("rare", "figures"),
        "screen_external": ("all", "external"),
        "export_pheval": ("all", "external"),
        "tile_slides": ("tissue", "slides"),
        "render_tissue": ("tissue", "figures"),
        "render_report": ("all", "report"),
    }
    stages = rule_table(RULES)["stage"].tolist()
    assert stages.index("cohort") < stages.index("evaluation") < stages.index("report")


def test_every_rule_is_drawn_within_its_box() -> None:
    table = rule_table(RULES)
    figure = workflow_figure(table)
    (axes,) = figure.axes
    words = " ".join(text.get_text() for text in axes.texts)
    assert all(rule in words for rule in table["rule"])
    boxes = [patch.get_window_extent() for patch in axes.patches if hasattr(patch, "get_boxstyle")]
    inside = [t.get_window_extent() for t in axes.texts if any(rule in t.get_text() for rule in RULES)]
    assert inside
    for text in inside:
        assert any(
            box.x0 <= text.x0 and text.x1 <= box.x1 and box.y0 - 1 <= text.y0 and text.y1 <= box.y1
            for box in boxes
        )
    ends = sorted((box.y0, box.y1) for box in boxes if box.width > 300)
    assert all(lower[1] <= upper[0] for lower, upper in itertools.pairwise(ends))


def test_one_track_takes_the_whole_width() -> None:
    table = rule_table(RULES, ["rare"])
    assert set(rule_table(RULES, ["tissue"])["stage"]) == {"models", "slides", "figures", "report"}
    assert "Tissue" not in [text.get_text() for text in workflow_figure(table).axes[0].texts]


def test_program_writes_the_same_bytes_twice(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(root / "workflow/scripts/plot_workflow.py"), "--rules"]
    command += [f"{name}={file}" for name, file in RULES.items()]
    for name in ("a", "b"):
        outputs = (f"--output-table={name}.csv", f"--output-svg={name}.svg", f"--output-png={name}.png")
        subprocess.run([*command, *outputs], cwd=tmp_path, check=True)
    for kind in ("csv", "svg", "png"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    assert len(pd.read_csv(tmp_path / "a.csv")) == 10
