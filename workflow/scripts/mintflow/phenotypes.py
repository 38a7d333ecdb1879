"""Brings each patient's phenotype terms into one form that every later step can rely on.

Afterwards every id is a current term under ``HP:0000118``, no two terms of a patient say the same
thing, and none contradicts another. Every change is a row of a table; nothing is lost silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, TypeAlias

import pandas as pd

from .errors import InputError
from .ontology import Ontology
from .quarantine import Quarantine

COLUMNS = ["case_id", "hpo_id", "name", "excluded"]
CHANGES = ["case_id", "action", "hpo_id", "new_hpo_id", "excluded"]
FIELD = "phenotypicFeatures.type.id"

Change: TypeAlias = tuple[str, str, str, bool]

ACTIONS = {
    "mapped_alt": "alternative id, replaced by the current one",
    "mapped_obsolete": "obsolete term, replaced by the one that took its place",
    "quarantined_unknown": "no current term of this HPO release",
    "dropped_inheritance": "mode of inheritance, no phenotype",
    "dropped_onset": "age of onset, no phenotype",
    "dropped_course": "clinical course, no phenotype",
    "dropped_modifier": "clinical modifier, no phenotype",
    "dropped_frequency": "frequency, no phenotype",
    "dropped_past_history": "past medical history, no phenotype",
    "dropped_blood_group": "blood group, no phenotype",
    "dropped_other": "outside the phenotypic abnormalities for another reason",
    "dropped_duplicate": "the patient has the same term already",
    "dropped_ancestor": "observed, and so is a more specific term",
    "dropped_contradiction": "excluded, but it or a more specific term is observed",
    "dropped_descendant": "excluded, and so is a more general term",
}


def normalize(
    raw: pd.DataFrame,
    ontology: Ontology,
    quarantine: Quarantine,
    files: Mapping[str, str] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Normalise phenotype terms, patient by patient, in the order of ``ACTIONS``.

    A contradiction is settled for the observed term (a finding is firmer than its absence), and before
    excluded terms are thinned out: an excluded term that is dropped must not take a more specific, valid
    one with it. A general observed term beside an excluded more specific one is no contradiction.

    Args:
        raw: case_id, hpo_id, excluded.
        ontology: the release to normalise to.
        quarantine: receives every id that is no current term and has no replacement.
        files: the file each case came from, for the quarantine.

    Returns:
        Phenotypes (``COLUMNS``; sorted by case, observed first, id) and changes (``CHANGES``; sorted by case,
        then order of happening). A change's ``hpo_id`` is what it was, ``new_hpo_id`` what it became, "" if
        dropped.

    Raises:
        InputError: a case or a flag is missing.
    """
    for column in ("case_id", "hpo_id", "excluded"):
        if column not in raw:
            raise InputError("missing column in the phenotype table", field=column)
        if raw[column].isna().any():
            raise InputError("missing value in the phenotype table", field=column)
    ordered = raw.sort_values(["case_id", "excluded", "hpo_id"], kind="stable")
    rows = zip(
        ordered["case_id"].tolist(),
        ordered["hpo_id"].tolist(),
        ordered["excluded"].astype(bool).tolist(),
        strict=True,
    )
    kept: list[tuple[str, str, str, bool]] = []
    changes: list[tuple[str, str, str, str, bool]] = []
    for case_id, group in groupby(rows, key=lambda row: row[0]):
        observed, excluded, changed = normalize_case([row[1:] for row in group], ontology)
        changes += [(case_id, *change) for change in changed]
        for action, given, _, _ in changed:
            if action == "quarantined_unknown":
                file, reason = (files or {}).get(case_id, ""), _unknown_reason(given, ontology)
                quarantine.add(file=file, record=case_id, field=FIELD, value=given, reason=reason)
        kept += [(case_id, term, ontology.name(term), False) for term in observed]
        kept += [(case_id, term, ontology.name(term), True) for term in excluded]
    return _table(kept, COLUMNS), _table(changes, CHANGES)


def _table(rows: list[tuple[Any, ...]], columns: list[str]) -> pd.DataFrame:
    # typed even when empty, so that the parquet schema never depends on the patients
    types = {column: "bool" if column == "excluded" else "str" for column in columns}
    return pd.DataFrame(rows, columns=columns).astype(types)


def normalize_case(
    terms: Iterable[tuple[str, bool]], ontology: Ontology
) -> tuple[list[str], list[str], list[Change]]:
    """Normalise one patient's ``(hpo_id, excluded)`` pairs, as ``normalize`` describes.

    Returns:
        Observed ids and excluded ids, each sorted, and the changes as (action, old id, new id, excluded).
    """
    observed: set[str] = set()
    excluded: set[str] = set()
    changes: list[Change] = []
    for given, is_excluded in terms:
        found, how = ontology.resolve(given)
        if found is None:
            changes.append(("quarantined_unknown", given, "", is_excluded))
            continue
        if how != "current":
            changes.append((f"mapped_{how}", given, found, is_excluded))
        side = excluded if is_excluded else observed
        if not ontology.is_phenotype(found):
            changes.append((f"dropped_{ontology.branch(found)}", found, "", is_excluded))
        elif found in side:
            changes.append(("dropped_duplicate", found, "", is_excluded))
        else:
            side.add(found)
    specific = set(most_specific(observed, ontology))
    changes += [("dropped_ancestor", term, "", False) for term in sorted(observed - specific)]
    implied = set().union(*(ontology.ancestors(term) for term in observed))
    changes += [("dropped_contradiction", term, "", True) for term in sorted(excluded & implied)]
    absent = excluded - implied
    general = {term for term in absent if ontology.ancestors(term).isdisjoint(absent - {term})}
    changes += [("dropped_descendant", term, "", True) for term in sorted(absent - general)]
    return sorted(specific), sorted(general), changes


def _unknown_reason(hpo_id: str, ontology: Ontology) -> str:
    if ontology.resolve(hpo_id)[1] == "obsolete":
        hints = ", ".join(ontology.suggestions(hpo_id))
        return "obsolete HPO term without replacement" + (f"; the release suggests {hints}" if hints else "")
    return "no term of this HPO release (newer, withdrawn, or mistyped)"


def most_specific(terms: Iterable[str], ontology: Ontology) -> list[str]:
    """The terms that are no ancestor of another one, sorted."""
    distinct = set(terms)
    above = set().union(*(ontology.ancestors(term) - {term} for term in distinct))
    return sorted(distinct - above)
