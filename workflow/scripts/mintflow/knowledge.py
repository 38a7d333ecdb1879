"""What the workflow knows about diseases, free of every publication that a held-out patient is from.

More than half of the published patients come from a paper that HPO's annotations cite for their own
disease; a profile that holds this paper's rows already holds the patient. So every row that cites a
held-out publication goes before anything is computed: profiles, frequencies, information content,
names, gene links. Rows that cite OMIM may retell such a paper; no table says so, so they stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from . import hpoa as annotations
from .cohort import cited_publications
from .mondo import Mondo
from .names import build_vocabulary, phenotypic_series
from .ontology import Ontology
from .publications import citation
from .splits import HELD_OUT

SETTINGS = ("drop_held_out_publications",)


@dataclass(frozen=True)
class Knowledge:
    """The tables of one cohort, and what was dropped to keep them clean.

    profiles: disease_id, hpo_id, frequency in (0, 1], n_rows.
    information_content: hpo_id, ic.
    candidates: disease_id, name, mondo_id, series, genes, n_train, seen, has_profile.
    vocabulary: key, disease_id, kind.
    leakage: the summary for leakage.json.
    """

    profiles: pd.DataFrame
    information_content: pd.DataFrame
    candidates: pd.DataFrame
    vocabulary: pd.DataFrame
    leakage: dict[str, Any]


def held_out_publications(cases: pd.DataFrame) -> list[str]:
    """Every publication that reports a patient outside training, sorted."""
    held_out = cases[cases["split"].isin(HELD_OUT)]
    return sorted({name for names in cited_publications(held_out) for name in names})


def citing_rows(hpoa: pd.DataFrame, publications: Iterable[str]) -> pd.Series:
    """Which rows cite one of ``publications``, in any spelling (boolean, one entry per row)."""
    wanted = {citation(publication) for publication in publications}
    references = [name for name in hpoa["reference"].unique() if citation(name) in wanted]
    return hpoa["reference"].isin(references)


def leak_free(hpoa: pd.DataFrame, publications: Iterable[str]) -> pd.DataFrame:
    """The annotation table as if ``publications`` had never been written.

    A row that cites one of them is dropped whole, its other references included.
    """
    references = hpoa.loc[citing_rows(hpoa, publications), "reference"].unique()
    return annotations.drop_publications(hpoa, references)


def assert_leak_free(hpoa: pd.DataFrame, publications: Iterable[str]) -> None:
    """Stop if a row still cites one of ``publications``.

    Raises:
        ValueError: one does; never expected, so no user's error.
    """
    citing = citing_rows(hpoa, publications)
    if citing.any():
        raise ValueError(f"an annotation still cites held-out {hpoa.loc[citing, 'reference'].iloc[0]}")


def profiles_without(hpoa: pd.DataFrame, publications: Iterable[str], ontology: Ontology) -> pd.DataFrame:
    """Disease profiles from the rows that cite none of ``publications``, in current phenotype terms.

    Returns:
        disease_id, hpo_id, frequency in (0, 1], n_rows; sorted by disease and term.
    """
    publications = list(publications)
    rows = leak_free(hpoa, publications)
    assert_leak_free(rows, publications)
    return _profiles(rows, ontology)


def _profiles(hpoa: pd.DataFrame, ontology: Ontology) -> pd.DataFrame:
    current = {}
    for term in hpoa["hpo_id"].unique():
        found, _ = ontology.resolve(term)
        if found is not None and ontology.is_phenotype(found):
            current[term] = found
    rows = hpoa.assign(hpo_id=hpoa["hpo_id"].map(current).astype("str"))
    rows = rows[hpoa["hpo_id"].isin(list(current))]
    # callers may stack tables: a row is one row of one disease
    rows = rows.assign(row_id=rows.groupby(["disease_id", "row_id"], sort=False).ngroup())
    return annotations.disease_profiles(rows)


def gene_links(gene_disease: pd.DataFrame, hpoa: pd.DataFrame) -> pd.DataFrame:
    """Gene-disease links of diseases that ``hpoa`` still annotates.

    The release's gene file cites nothing; it joins genes to annotated diseases. A disease without any
    annotation left is known from held-out publications alone, and so then is its gene.
    """
    return gene_disease[gene_disease["disease_id"].isin(hpoa["disease_id"].unique())].reset_index(drop=True)


def build(
    cases: pd.DataFrame,
    hpoa: pd.DataFrame,
    gene_disease: pd.DataFrame,
    ontology: Ontology,
    mondo: Mondo,
    settings: Mapping[str, Any],
) -> Knowledge:
    """Make every knowledge table of a cohort.

    Args:
        cases: the split cohort: publication, publications (optional), disease_id, disease_name, split.
        hpoa: the whole annotation table.
        gene_disease: gene_symbol, disease_id.
        ontology: the release.
        mondo: equivalent ids and names.
        settings: ``SETTINGS`` of ``rare.knowledge``.

    Raises:
        InputError: no annotation of an OMIM disease is left.
        ValueError: a row that cites a held-out publication got through.
    """
    held_out = held_out_publications(cases)
    controlled = bool(settings["drop_held_out_publications"])
    dropped = held_out if controlled else []
    clean = leak_free(hpoa, dropped)
    assert_leak_free(clean, dropped)
    profiles = _profiles(clean, ontology)
    links = gene_links(gene_disease, clean) if controlled else gene_disease
    candidates = _candidates(cases, profiles, links, mondo)
    labels = cases[["disease_id", "disease_name"]].drop_duplicates()
    return Knowledge(
        profiles=profiles,
        information_content=annotations.information_content(profiles, ontology),
        candidates=candidates,
        vocabulary=build_vocabulary(clean, labels, mondo),
        leakage={
            "controlled": controlled,
            "held_out_publications": len(held_out),
            **_citations(cases, hpoa, held_out),
            "hpoa_rows": int(hpoa["row_id"].nunique()),
            "hpoa_rows_dropped": int(hpoa["row_id"].nunique() - clean["row_id"].nunique()),
            "gene_links_dropped": len(gene_disease) - len(links),
            "diseases_without_profile": candidates.loc[~candidates["has_profile"], "disease_id"].tolist(),
        },
    )


def _citations(cases: pd.DataFrame, hpoa: pd.DataFrame, held_out: list[str]) -> dict[str, int]:
    """How many held-out publications the annotations cite, and patients they cite for their own disease."""
    rows = hpoa[citing_rows(hpoa, held_out)]
    cited = set(zip(rows["disease_id"], rows["reference"].map(citation), strict=True))
    tested = cases[cases["split"].isin(HELD_OUT)]
    own = [
        any((disease, citation(name)) in cited for name in names)
        for disease, names in zip(tested["disease_id"], cited_publications(tested), strict=True)
    ]
    return {
        "citing_publications": len({publication for _, publication in cited}),
        "held_out_cases": len(tested),
        "held_out_cases_cited_for_their_disease": sum(own),
    }


def _candidates(
    cases: pd.DataFrame, profiles: pd.DataFrame, links: pd.DataFrame, mondo: Mondo
) -> pd.DataFrame:
    training = cases[cases["split"] == "train"]
    diseases = sorted(cases["disease_id"].unique())
    # records of training patients name the disease; an unseen one is named by its own
    names = {**_common_names(cases), **_common_names(training)}
    genes = links[links["disease_id"].isin(diseases)].groupby("disease_id")["gene_symbol"]
    genes_of = genes.agg(lambda symbols: sorted(set(symbols))).to_dict()
    n_train = training["disease_id"].value_counts()
    annotated = set(profiles["disease_id"])
    table = pd.DataFrame({"disease_id": diseases}).astype("str")
    table["name"] = table["disease_id"].map(names)
    table["mondo_id"] = table["disease_id"].map(mondo.mondo_id).astype("str")
    series = [phenotypic_series(disease, names[disease], mondo) for disease in diseases]
    table["series"] = pd.Series(series, dtype="str")
    table["genes"] = [genes_of.get(disease, []) for disease in diseases]
    table["n_train"] = table["disease_id"].map(n_train).fillna(0).astype("int64")
    table["seen"] = table["n_train"] > 0
    table["has_profile"] = table["disease_id"].isin(annotated)
    return table


def _common_names(cases: pd.DataFrame) -> dict[str, str]:
    """The name most patients' records give each disease; ties by alphabet."""
    counts = cases.groupby(["disease_id", "disease_name"], sort=True).size().reset_index(name="n")
    counts = counts.sort_values(["disease_id", "n", "disease_name"], ascending=[True, False, True])
    return counts.drop_duplicates("disease_id").set_index("disease_id")["disease_name"].to_dict()
