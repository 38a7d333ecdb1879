"""Which patients and diseases make the cohort, and what every step left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from .cohort import cited_publications
from .errors import InputError

SETTINGS = ("min_terms", "min_cases", "min_publications", "max_diseases")


def publication_groups(cases: pd.DataFrame) -> pd.Series:
    """For each row the publications that cannot be told apart, named by the smallest of them.

    A patient reported in two publications ties the two together: groups are the connected components
    of publications over patients. Mostly a group is one publication.
    """
    parent: dict[str, str] = {}

    def root(publication: str) -> str:
        while parent.setdefault(publication, publication) != publication:
            parent[publication] = parent[parent[publication]]
            publication = parent[publication]
        return publication

    cited = cited_publications(cases)
    for publications in cited:
        for other in publications:
            first, second = sorted((root(publications[0]), root(other)))
            parent[second] = first
    return pd.Series([root(publications[0]) for publications in cited], index=cases.index, dtype="str")


def count_terms(cases: pd.DataFrame, phenotypes: pd.DataFrame) -> pd.DataFrame:
    """``cases`` with n_observed and n_excluded, the normalised terms of each patient."""
    excluded = phenotypes["excluded"].astype(bool)
    counts = {
        "n_observed": phenotypes.loc[~excluded, "case_id"].value_counts(),
        "n_excluded": phenotypes.loc[excluded, "case_id"].value_counts(),
    }
    return cases.assign(
        **{
            name: cases["case_id"].map(count).fillna(0).astype("int64").to_numpy()
            for name, count in counts.items()
        }
    )


def twins_across_publications(cases: pd.DataFrame, phenotypes: pd.DataFrame) -> np.ndarray:
    """Which patients repeat one of another publication: same disease, sex, age and terms.

    Such a pair is most likely one patient published twice; on the two sides of a split it would be
    a leak that no publication id shows. Of each set of twins the patients of one publication group (the
    smallest name) are kept.

    Returns:
        Boolean array, one entry per row of ``cases``: to be left out.
    """
    ordered = phenotypes.sort_values(["case_id", "hpo_id"])
    marks = ordered["hpo_id"].where(~ordered["excluded"].astype(bool), "!" + ordered["hpo_id"])
    terms = marks.groupby(ordered["case_id"]).agg(" ".join)
    alike = pd.DataFrame(
        {
            "terms": cases["case_id"].map(terms).fillna(""),
            "disease_id": cases["disease_id"],
            "sex": cases["sex"],
            "age": cases["age_years"].fillna(-1.0),
            "group": publication_groups(cases),
        }
    )
    kept = alike.groupby(["terms", "disease_id", "sex", "age"])["group"].transform("min")
    return (alike["group"] != kept).to_numpy()


def choose(
    cases: pd.DataFrame, phenotypes: pd.DataFrame, settings: Mapping[str, Any]
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Choose patients, then diseases.

    Steps: patients with enough terms; one of twins across publications; diseases with enough patients
    and publication groups; of these the ``max_diseases`` with most publication groups (ties: more
    patients, then the smaller id).

    Args:
        cases: raw cases.
        phenotypes: normalised phenotypes: case_id, hpo_id, excluded.
        settings: ``SETTINGS`` of ``rare.cohort``.

    Returns:
        The chosen cases with n_observed, n_excluded and publication_group, sorted by case_id; and what was
        left after each step: step, cases, diseases, publications.

    Raises:
        InputError: fewer than two diseases are left.
    """
    chosen = count_terms(cases, phenotypes)
    steps = [step("read", chosen)]
    chosen = chosen[chosen["n_observed"] >= settings["min_terms"]]
    steps.append(step("min_terms", chosen))
    twins = twins_across_publications(chosen, phenotypes[phenotypes["case_id"].isin(chosen["case_id"])])
    chosen = chosen[~twins]
    steps.append(step("twins_across_publications", chosen))
    chosen = chosen.assign(publication_group=publication_groups(chosen))
    diseases = chosen.groupby("disease_id").agg(
        cases=("case_id", "size"), publications=("publication_group", "nunique")
    )
    enough = (diseases["cases"] >= settings["min_cases"]) & (
        diseases["publications"] >= settings["min_publications"]
    )
    diseases = diseases[enough].reset_index()
    chosen = chosen[chosen["disease_id"].isin(diseases["disease_id"])]
    steps.append(step("min_cases and min_publications", chosen))
    order = diseases.sort_values(["publications", "cases", "disease_id"], ascending=[False, False, True])
    kept = order["disease_id"].head(settings["max_diseases"] or len(order))
    chosen = chosen[chosen["disease_id"].isin(kept)]
    steps.append(step("max_diseases", chosen))
    if len(kept) < 2:
        raise InputError(
            f"{len(kept)} disease(s) left, 2 are needed; lower rare.cohort.min_terms, min_cases "
            f"or min_publications ({_told(steps)})",
            field="rare.cohort",
        )
    return chosen.sort_values("case_id", ignore_index=True), steps


def step(name: str, cases: pd.DataFrame) -> dict[str, Any]:
    """What is left after one step: step, cases, diseases, publications."""
    return {
        "step": name,
        "cases": len(cases),
        "diseases": int(cases["disease_id"].nunique()),
        "publications": int(cases["publication"].nunique()),
    }


def _told(steps: list[dict[str, Any]]) -> str:
    return ", ".join(f"{entry['step']}: {entry['cases']} patients" for entry in steps)
