"""Where an arm is wrong: by number of phenotypes, beside the rankers, and what it names instead.

python docs/study/errors.py results/study/rare results/study/rare/evaluation orpo

The second folder holds per_case.parquet and grounded.parquet.
"""

from __future__ import annotations

import sys

import pandas as pd


def main(run: str, evaluation: str, arm: str) -> None:
    """Print means over the arm's seeds, on test patients of seen diseases."""
    cases = pd.read_parquet(f"{run}/cohort/cases.parquet").set_index("case_id")
    candidates = pd.read_parquet(f"{run}/knowledge/candidates.parquet").set_index("disease_id")
    per_case = pd.read_parquet(f"{evaluation}/per_case.parquet")
    first = per_case[(per_case["metric"] == "top1") & (per_case["split"] == "test")]
    table = first.pivot(index="case_id", columns="arm", values="value")
    seeds = [name for name in table if name == arm or name.startswith(f"{arm}.seed")]
    own = table[seeds].mean(axis=1)
    rankers = [
        name
        for name in ("teacher-phenotype", "nearest-patient", "likelihood-ratio", "similarity")
        if name in table
    ]
    terms = pd.cut(cases["n_observed"].reindex(table.index), [0, 4, 7, 11, 14, 10_000])
    by_terms = table[rankers].assign(**{arm: own}).groupby(terms, observed=True)
    print(by_terms.mean().round(2).assign(n=by_terms.size()).to_string(), end="\n\n")
    for name in rankers:
        print(name, "right or not:", own.groupby(table[name]).mean().round(3).to_dict())

    named = pd.read_parquet(f"{evaluation}/grounded.parquet")
    named = named[named["arm"].isin(seeds) & (named["position"] == 1) & named["case_id"].isin(table.index)]
    truth = named["case_id"].map(cases["disease_id"])
    wrong = named[named["disease_id"] != truth].assign(truth=truth)
    genes = {disease: set(found) for disease, found in candidates["genes"].items() if found is not None}
    same_gene = [
        bool(genes.get(answer, set()) & genes.get(true, set()))
        for answer, true in zip(wrong["disease_id"], wrong["truth"], strict=True)
    ]
    series = wrong["disease_id"].map(candidates["series"]) == wrong["truth"].map(candidates["series"])
    unknown = (wrong["disease_id"].isna() | (wrong["disease_id"] == "")).mean()
    print(f"{len(wrong)} wrong first answers of {len(seeds)} seeds: {unknown:.3f} no disease's name,")
    print(f"{series.mean():.3f} same series, {sum(same_gene) / len(wrong):.3f} same gene")
    both = wrong[["truth", "disease_id"]].apply(lambda column: column.map(candidates["name"]))
    print(both["disease_id"].value_counts().head(5).to_string())
    print(both.value_counts().head(8).to_string())


if __name__ == "__main__":
    main(*sys.argv[1:])
