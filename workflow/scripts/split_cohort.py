"""Choose patients and diseases, then divide them by publication, with some diseases held out whole."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mintflow import __version__, cli, io, selection, settings, splits

log = logging.getLogger("mintflow")

COLUMNS = [
    "case_id",
    "publication",
    "publications",
    "publication_group",
    "disease_id",
    "disease_name",
    "sex",
    "age_years",
    "simulated",
    "split",
    "fold",
    "n_observed",
    "n_excluded",
]


def arguments() -> argparse.ArgumentParser:
    """Flags of this program."""
    parser = cli.parser(__doc__)
    parser.add_argument("--cases", type=Path, required=True, help="raw/cases.parquet")
    parser.add_argument("--phenotypes", type=Path, required=True, help="normalised phenotypes.parquet")
    parser.add_argument("--output-cases", type=Path, required=True, help="cases.parquet")
    parser.add_argument("--output-summary", type=Path, required=True, help="cohort.json")
    return parser


def main(args: argparse.Namespace) -> None:
    """Choose, split, summarise."""
    chosen = settings.exact(args.settings, ("cohort", "split"), "rare")
    choice = settings.exact(chosen["cohort"], ("source", *selection.SETTINGS), "rare.cohort")
    division = settings.exact(chosen["split"], splits.SETTINGS, "rare.split")
    cases = io.read_parquet(args.cases)
    phenotypes = io.read_parquet(args.phenotypes, ["case_id", "hpo_id", "excluded"])
    selected, steps = selection.choose(cases, phenotypes, choice)
    divided = splits.split(selected, division)
    for step in [*steps, selection.step("caps", divided)]:
        log.info("%(step)s: %(cases)d patients, %(diseases)d diseases, %(publications)d publications", step)
    io.write_parquet(divided[COLUMNS], args.output_cases)
    summary = {
        "mintflow": __version__,
        "source": choice["source"],
        "simulated": bool(divided["simulated"].any()),
        "settings": {"cohort": {key: choice[key] for key in selection.SETTINGS}, "split": division},
        "steps": [*steps, selection.step("caps", divided)],
        **splits.summary(divided, phenotypes),
    }
    io.write_json(summary, args.output_summary)
    for name, part in summary["splits"].items():
        log.info("%s: %d patients, %d publications", name, part["cases"], part["publications"])


if __name__ == "__main__":
    cli.run(main, arguments())
