from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd

from mintflow.workflow_plot import rule_table, workflow_figure

FILES = {
    "models": 'rule fetch_wheel:\n    """A wheel; not a rule other:"""\n',
    "rare_cohort": "rule read_cohort:\n",
    "rare_evaluation": "rule evaluate_arms:\n",
    "rare_tables": "if VARIED:\n    pass\nrule tabulate_trainings:\n",
    "rare_figures": "rule plot_metrics:\n",
    "external": "use rule read_cohort as external_read_cohort with:\n    input: []\nrule screen_external:\n",
    "external_evaluation": "rule export_pheval:\n",
    "tissue_slides": "rule tile_slides:\n",
    "tissue_report": "rule render_tissue:\n",
    "report": "rule render_report:\n",
    "targets": "rule tissue:\n",
}


def test_every_rule_has_its_track_and_stage() -> None:
    found = {row.rule: (row.track, row.stage) for row in rule_table(FILES).itertuples()}
    assert found == {
        "fetch_wheel": ("all", "models"),
        "read_cohort": ("rare", "cohort"),
        "evaluate_arms": ("rare", "evaluation"),
        "tabulate_trainings": ("rare", "figures"),
        "plot_metrics": ("rare", "figures"),
        "external_read_cohort": ("all", "external"),
        "screen_external": ("all", "external"),
        "export_pheval": ("all", "external"),
        "tile_slides": ("tissue", "slides"),
        "render_tissue": ("tissue", "figures"),
        "render_report": ("all", "report"),
    }
    stages = rule_table(FILES)["stage"].tolist()
    assert stages.index("cohort") < stages.index("evaluation") < stages.index("report")


def test_every_rule_is_drawn_within_its_box() -> None:
    table = rule_table(FILES)
    figure = workflow_figure(table)
    (axes,) = figure.axes
    words = " ".join(text.get_text() for text in axes.texts)
    assert all(rule in words for rule in table["rule"])
    boxes = [patch.get_window_extent() for patch in axes.patches if hasattr(patch, "get_boxstyle")]
    inside = [t.get_window_extent() for t in axes.texts if "_" in t.get_text()]
    assert inside
    for text in inside:
        assert any(
            box.x0 <= text.x0 and text.x1 <= box.x1 and box.y0 - 1 <= text.y0 and text.y1 <= box.y1
            for box in boxes
        )
    ends = sorted((box.y0, box.y1) for box in boxes if box.width > 300)
    assert all(lower[1] <= upper[0] for lower, upper in itertools.pairwise(ends))


def test_one_track_takes_the_whole_width() -> None:
    table = rule_table({name: text for name, text in FILES.items() if not name.startswith("tissue")})
    assert "Tissue" not in [text.get_text() for text in workflow_figure(table).axes[0].texts]


def test_every_rule_of_this_workflow_is_drawn(root: Path) -> None:
    files = {path.stem: path.read_text(encoding="utf-8") for path in (root / "rules").glob("*.smk")}
    drawn = set(rule_table(files)["rule"])
    rules = {
        name
        for stem, text in files.items()
        for name in re.findall(r"^ *(?:rule|use rule \w+ as) (\w+)(?: with)?:", text, flags=re.M)
        if stem != "targets"
    }
    assert drawn == rules


def test_program_writes_the_same_bytes_twice(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(root / "workflow/scripts/plot_workflow.py"), "--rules"]
    command += map(str, sorted((root / "rules").glob("*.smk")))
    for name in ("a", "b"):
        outputs = (f"--output-table={name}.csv", f"--output-svg={name}.svg", f"--output-png={name}.png")
        subprocess.run([*command, *outputs], cwd=tmp_path, check=True)
    for kind in ("csv", "svg", "png"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    assert len(pd.read_csv(tmp_path / "a.csv")) > 80
