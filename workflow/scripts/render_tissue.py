"""Write the tissue track's section of the report, and its summary."""

from __future__ import annotations

import argparse
from pathlib import Path

from mintflow import cli, io, quarantine, sheets, tables, tile_examples, tissue_report

CASES = ["case_id", "label_id", "patient_id", "slide_id", "split", "simulated", "file", "row"]
FIGURE_ORDER = [
    *("tissue_by_arm", "agreement", "confusion", "sweeps", "sizes", "metrics_by_variant", "calibration"),
    *("tiles_per_slide", "alignment", "training_curves", "training_costs", "tile_examples"),
]


def arguments() -> argparse.ArgumentParser:
    """Command-line arguments."""
    parser = cli.parser(__doc__)
    parser.add_argument("--template", required=True, help="tissue.html.j2; captions are the .rst beside it")
    parser.add_argument("--metrics", required=True, help="metrics.csv")
    parser.add_argument("--comparisons", required=True, help="comparisons.csv")
    parser.add_argument("--manifest", required=True, help="manifest.csv of the slides")
    parser.add_argument("--cases", required=True, help="cases.parquet with the split")
    parser.add_argument("--labels", required=True, help="labels.parquet")
    parser.add_argument("--cohort", required=True, help="cohort.json")
    parser.add_argument("--quarantine", required=True, nargs="+", help="quarantine tables (TSV)")
    parser.add_argument("--grounded", required=True, help="grounded.parquet")
    parser.add_argument("--scores", required=True, help="the teacher's scores (parquet)")
    parser.add_argument("--teacher", required=True, help="teacher.json")
    parser.add_argument("--preferences", required=True, help="summary.json of the preference pairs")
    parser.add_argument("--training", required=True, help="training.json of the student")
    parser.add_argument("--alignment", help="alignment.json, of a student that was composed here")
    parser.add_argument("--tiles", nargs="*", default=[], help="folders with overlay pictures of the slides")
    parser.add_argument("--figures", required=True, nargs="+", type=Path, help="figures (SVG or PNG)")
    parser.add_argument("--output", required=True, help="HTML without a frame")
    parser.add_argument("--output-summary", required=True, help="JSON for the top of the page")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, render, write."""
    evaluation = args.settings["tissue"]["evaluation"]
    cases = io.read_parquet(args.cases, CASES)
    label_names = io.read_parquet(args.labels, ["label_id", "name"])
    manifest = tables.read_csv(args.manifest, ["slide_id", "status", "kept"])
    grounded = io.read_parquet(args.grounded, ["arm", "case_id", "position", "text", "label_id"])
    material = tissue_report.Material(
        config=args.settings,
        metrics=tables.read_csv(args.metrics, tables.METRICS),
        comparisons=tables.read_csv(args.comparisons, tables.COMPARISONS),
        manifest=manifest,
        cases=cases,
        label_names=label_names,
        cohort=io.read_json(args.cohort),
        quarantine=quarantine.read_quarantine(args.quarantine),
        teacher=io.read_json(args.teacher),
        preferences=io.read_json(args.preferences),
        training=io.read_json(args.training),
        alignment=io.read_json(args.alignment) if args.alignment else None,
        grounded=grounded,
        examples=tile_examples.examples(
            cases,
            label_names,
            grounded,
            io.read_parquet(args.scores, ["case_id", "label_id", "rank"]),
            student=tissue_report.STUDENT,
            k=args.settings["tissue"]["preferences"]["k"],
            wanted=evaluation["report_cases"],
            seed=evaluation["seed"],
        ),
        overlays=overlays(manifest["slide_id"].tolist(), args.tiles, evaluation["report_slides"]),
        figures=sorted(args.figures, key=_place),
    )
    io.write_text(tissue_report.render(material, args.template), args.output)
    io.write_json(tissue_report.summary(material), args.output_summary)


def overlays(slides: list[str], folders: list[str], wanted: int) -> list[tuple[str, Path]]:
    """The first slides by id that have an overlay picture, with its path."""
    found = []
    for slide in sorted(slides):
        for folder in folders:
            path = Path(folder) / f"{sheets.file_name(slide)}.png"
            if path.is_file() and len(found) < wanted:
                found.append((slide, path))
    return found


def _place(figure: Path) -> tuple[int, str]:
    known = FIGURE_ORDER.index(figure.stem) if figure.stem in FIGURE_ORDER else len(FIGURE_ORDER)
    return known, figure.name


if __name__ == "__main__":
    cli.run(main, arguments())
