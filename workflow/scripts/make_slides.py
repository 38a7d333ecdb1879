"""Draw the synthetic slides of the embedded default, their regions of interest and their sheet."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mintflow import cli, io, synthetic_slides
from mintflow.sheets import synthetic_rows

log = logging.getLogger("mintflow")
COLUMNS = ("slide", "patient", "path", "label", "roi", "mpp")


def arguments() -> argparse.ArgumentParser:
    """Flags of this program."""
    parser = cli.parser(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder of slides, regions and slides.tsv")
    return parser


def main(args: argparse.Namespace) -> None:
    """Plan, draw, write the sheet."""
    plans = synthetic_slides.plan_slides(args.settings)
    rows = synthetic_rows(args.settings, args.output.as_posix())
    lines = ["\t".join(COLUMNS)]
    with io.whole_directory(args.output) as folder:
        work = zip(plans, rows, strict=True)
        for plan, row in cli.progress(work, len(plans), "drawing slides"):
            tissues = ", ".join(region.tissue for region in plan.regions)
            title = (
                f"Synthetic mintflow slide: drawn, no patient. {row.slide}, seed {plan.seed}. "
                f"Tissues: {tissues}. Artefacts: {', '.join(plan.artefacts) or 'none'}."
            )
            synthetic_slides.write_slide(plan, folder / Path(row.path).name, title)
            io.write_json(synthetic_slides.geojson(plan), folder / Path(str(row.roi)).name)
            lines.append("\t".join((row.slide, row.patient, row.path, "", str(row.roi), "")))
        io.write_text("\n".join(lines) + "\n", folder / "slides.tsv")


if __name__ == "__main__":
    cli.run(main, arguments())
