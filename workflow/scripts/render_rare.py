"""Write the rare track's section of the report, and its summary."""

from __future__ import annotations

import argparse
from pathlib import Path

from mintflow import case_view, cli, io, labels, quarantine, report, tables

CASES = ["case_id", "publication", "disease_id", "simulated", "split", "n_observed", "n_excluded"]
FIGURE_ORDER = [
    *("metrics_by_arm", "ranking_by_arm", "agreement", "sweeps", "sizes", "metrics_by_variant"),
    *("calibration", "case_view", "training_curves", "training_costs", "cohort_overview"),
]


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = cli.parser(__doc__)
    parser.add_argument("--template", required=True, help="rare.html.j2; captions are the .rst beside it")
    parser.add_argument("--metrics", required=True, help="metrics.csv")
    parser.add_argument("--comparisons", required=True, help="comparisons.csv")
    parser.add_argument("--cases", required=True, help="cases.parquet with the split")
    parser.add_argument("--shown", required=True, help="case_view.csv, the patients shown in full")
    parser.add_argument("--cohort", required=True, help="cohort.json")
    parser.add_argument("--leakage", required=True, help="leakage.json")
    parser.add_argument("--preferences", required=True, help="summary.json of the preference pairs")
    parser.add_argument("--training", required=True, help="training.json of the student")
    parser.add_argument("--quarantine", required=True, nargs="+", help="quarantine tables (TSV)")
    parser.add_argument("--changes", required=True, help="phenotype_changes.tsv")
    parser.add_argument("--figures", required=True, nargs="+", type=Path, help="figures (SVG or PNG)")
    parser.add_argument("--versions", required=True, help="versions.json of the knowledge")
    parser.add_argument("--output", required=True, help="HTML without a frame")
    parser.add_argument("--output-summary", required=True, help="JSON for the top of the page")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, render, write."""
    material = report.Material(
        config=args.settings,
        metrics=tables.read_csv(args.metrics, tables.METRICS),
        comparisons=tables.read_csv(args.comparisons, tables.COMPARISONS),
        cases=io.read_parquet(args.cases, CASES),
        shown=tables.read_csv(args.shown, case_view.COLUMNS),
        changes=tables.read_csv(args.changes, ["case_id", "action"], separator="\t"),
        quarantine=quarantine.read_quarantine(args.quarantine),
        steps=labels.selection_steps(io.read_json(args.cohort)),
        leakage=io.read_json(args.leakage),
        preferences=io.read_json(args.preferences),
        training=io.read_json(args.training),
        versions=io.read_json(args.versions),
        figures=sorted(args.figures, key=_place),
    )
    io.write_text(report.render(material, args.template), args.output)
    io.write_json(report.summary(material), args.output_summary)


def _place(figure: Path) -> tuple[int, str]:
    """Results before training before cohort, then any other figure by name."""
    known = FIGURE_ORDER.index(figure.stem) if figure.stem in FIGURE_ORDER else len(FIGURE_ORDER)
    return known, figure.name


if __name__ == "__main__":
    cli.run(main, arguments())
