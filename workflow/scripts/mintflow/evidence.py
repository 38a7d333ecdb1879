"""What is known of the candidate diseases beside the training patients, with or without publications."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from .hpoa import information_content
from .io import read_json, read_parquet
from .knowledge import gene_links, leak_free, profiles_without
from .ontology import Ontology

if TYPE_CHECKING:
    from .features import Cohort

_FLAGS = {
    "--cases": "cases.parquet, with split and fold",
    "--phenotypes": "phenotypes.parquet, normalised",
    "--genotypes": "genotypes.parquet",
    "--terms": "terms.parquet",
    "--hpoa": "hpoa.parquet, the whole annotation table",
    "--candidates": "candidates.parquet",
    "--profiles": "profiles.parquet",
    "--ic": "information_content.parquet",
    "--leakage": "leakage.json: whether held-out publications are kept out",
}


@dataclass(frozen=True)
class Evidence:
    """Knowledge for ranking.

    Attributes:
        ontology: the terms.
        hpoa: the whole annotation table, from which profiles without some publications are computed.
        profiles: disease_id, hpo_id, frequency; for the patients outside the training split, so
            without held-out publications (unless their leak is to be measured).
        information_content: hpo_id, ic, of the same profiles.
        links: gene_symbol, disease_id of the candidates.
        controlled: false where the leak of held-out publications is to be measured.
    """

    ontology: Ontology
    hpoa: pd.DataFrame
    profiles: pd.DataFrame
    information_content: pd.DataFrame
    links: pd.DataFrame
    controlled: bool = True

    def held_out(self, cohort: Cohort) -> set[str]:
        """Publications of patients outside the training split, of which no one may know."""
        return cohort.publications(~cohort.in_split("train")) if self.controlled else set()

    def without(self, publications: Iterable[str]) -> Evidence:
        """The same as if ``publications`` had never appeared."""
        publications = sorted(set(publications))
        profiles = profiles_without(self.hpoa, publications, self.ontology)
        content = information_content(profiles, self.ontology)
        links = gene_links(self.links, leak_free(self.hpoa, publications))
        return Evidence(self.ontology, self.hpoa, profiles, content, links, self.controlled)


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Flags of the tables that every ranking program reads."""
    for flag, text in _FLAGS.items():
        parser.add_argument(flag, type=Path, required=True, help=text)


def read_inputs(args: argparse.Namespace) -> tuple[list[str], Evidence]:
    """The candidates' ids, in the table's order, and the evidence about them.

    Raises:
        InputError: a table that cannot be read or lacks a column.
    """
    candidates = read_parquet(args.candidates, ["disease_id", "genes"])
    links = candidates.explode("genes").dropna().rename(columns={"genes": "gene_symbol"})
    evidence = Evidence(
        Ontology.from_parquet(args.terms),
        read_parquet(args.hpoa),
        read_parquet(args.profiles, ["disease_id", "hpo_id", "frequency"]),
        read_parquet(args.ic, ["hpo_id", "ic"]),
        links.reset_index(drop=True),
        bool(read_json(args.leakage)["controlled"]),
    )
    return candidates["disease_id"].tolist(), evidence
