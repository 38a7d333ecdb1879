"""Write every arm's rankings of a further cohort as PhEval's standardised disease results.

A list is as long as the student writes; the ranking of all candidates by likelihood, where it was made for
every patient, is a result of its own (ARM-ranked), to compare with tools that rank all.

Settings: {max_file_mb, max_total_mb of rare.cohort}.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd
import yaml

from mintflow import archives, cli, io, pheval_results, settings
from mintflow import evaluation as ev
from mintflow.arms import RANKED
from mintflow.mondo import Mondo
from mintflow.patient_sheet import is_sheet
from mintflow.quarantine import Quarantine

CASES = [
    *("case_id", "source_id", "source_file", "pheval_name", "given_disease_id", "disease_name"),
    *("publications", "sex", "age_years"),
]


def arguments() -> argparse.ArgumentParser:
    """Flags of this program."""
    parser = cli.parser(__doc__)
    parser.add_argument("--source", type=Path, required=True, help="the cohort as it was given")
    parser.add_argument("--cases", type=Path, required=True, help="its clean patients")
    parser.add_argument("--phenotypes", type=Path, required=True, help="their normalised terms")
    parser.add_argument("--variants", type=Path, required=True, help="their raw variants")
    parser.add_argument("--mondo", type=Path, required=True, help="mondo.parquet")
    parser.add_argument("--grounded", type=Path, required=True, help="written lists: arm, case_id, position")
    parser.add_argument("--answered", nargs="*", default=[], help="arms of the written lists")
    parser.add_argument("--scores", nargs="*", default=[], metavar="ARM=PATH", help="scores of candidates")
    parser.add_argument("--rankings", nargs="*", default=[], metavar="ARM=PATH", help="by likelihood")
    parser.add_argument("--name", required=True, help="what the benchmark is called")
    parser.add_argument("--output", type=Path, required=True, help="folder")
    return parser


def main(args: argparse.Namespace) -> None:
    """Read, write one folder per arm and one of phenopackets."""
    limits = settings.exact(args.settings, ("max_file_mb", "max_total_mb"), "rare.cohort")
    cases = io.read_parquet(args.cases, CASES).sort_values("case_id", ignore_index=True)
    scores = cli.by_arm(args.scores, "--scores")
    for arm, path in cli.by_arm(args.rankings, "--rankings").items():
        ranked = set(io.read_parquet(path, ["case_id"])["case_id"])
        if ranked >= set(cases["case_id"]):
            scores[f"{arm}-{RANKED}"] = path
        else:
            cli.log.info("%s ranks %d of %d patients: written lists alone", arm, len(ranked), len(cases))
    mondo = Mondo.from_parquet(args.mondo)
    items = io.read_parquet(args.grounded, ev.GROUNDED).sort_values(["arm", "case_id", "position"])
    with io.whole_directory(args.output) as folder:
        for arm in args.answered:
            lists = items[items["arm"] == arm].groupby("case_id")["disease_id"].agg(list).to_dict()
            rankings = {
                case: pheval_results.written(None if pd.isna(item) else item for item in lists.get(case, []))
                for case in cases["case_id"]
            }
            write_arm(folder / arm, cases, rankings, mondo)
        for arm, path in scores.items():
            table = io.read_parquet(path, ["case_id", "disease_id", "score", "rank"])
            rankings = {
                str(case): pheval_results.scored(rows) for case, rows in table.groupby("case_id", sort=False)
            }
            write_arm(folder / arm, cases, rankings, mondo)
        corpus = folder / pheval_results.PHENOPACKETS
        corpus.mkdir()
        if is_sheet(str(args.source)):
            write_sheet(corpus, cases, args)
        else:
            copy_phenopackets(corpus, cases, args.source, limits)
        arms = sorted([*args.answered, *scores])
        content = pheval_results.benchmark(args.name, args.output.as_posix(), arms)
        io.write_text(yaml.safe_dump(content, sort_keys=False), folder / "benchmark.yaml")
    cli.log.info("%d arms, %d patients", len(arms), len(cases))


def write_arm(folder: Path, cases: pd.DataFrame, rankings: dict[str, pd.DataFrame], mondo: Mondo) -> None:
    """One parquet file per patient."""
    for case in cases.itertuples(index=False):
        table = pheval_results.result(rankings[case.case_id], case.given_disease_id, mondo)
        name = pheval_results.file_name(case.pheval_name)
        io.write_parquet(table, folder / pheval_results.RESULTS / name)


def copy_phenopackets(corpus: Path, cases: pd.DataFrame, source: Path, limits: dict[str, float]) -> None:
    """The clean patients' phenopackets, byte by byte."""
    wanted = dict(zip(cases["source_file"], cases["pheval_name"], strict=True))
    # what cannot be read was told when the cohort was read
    for name, data in archives.json_members(source, Quarantine("export_pheval"), **limits):
        if name in wanted and data is not None:
            (corpus / f"{wanted[name]}.json").write_bytes(data)


def write_sheet(corpus: Path, cases: pd.DataFrame, args: argparse.Namespace) -> None:
    """Phenopackets of patients that were read from a table."""
    terms = dict(list(io.read_parquet(args.phenotypes).groupby("case_id")))
    variants = io.read_parquet(args.variants, ["case_id", "gene_symbol"])
    genes = variants.dropna(subset="gene_symbol").groupby("case_id")["gene_symbol"].agg(list).to_dict()
    for case in cases.to_dict("records"):
        found = terms[case["case_id"]]
        packet = pheval_results.phenopacket(case, found, genes.get(case["case_id"], []))
        text = json.dumps(packet, indent=1, ensure_ascii=False)
        (corpus / f"{case['pheval_name']}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    cli.run(main, arguments())
