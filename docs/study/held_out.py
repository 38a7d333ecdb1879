"""Arms on each held-out disease, its name given to patients of others, and the patients drawn for it.

python docs/study/held_out.py results/study_ablations/rare results/study_ablations/rare/evaluation sft

The second folder holds per_case.parquet and grounded.parquet; the run has unlabelled patients.
"""

from __future__ import annotations

import sys

import pandas as pd


def main(run: str, evaluation: str, *arms: str) -> None:
    """Print a table of the arms, the first names of seen patients, and the teacher's of drawn ones."""
    cases = pd.read_parquet(f"{run}/cohort/cases.parquet").set_index("case_id")
    unseen = set(cases.loc[cases["split"] == "test_unseen", "disease_id"])
    names = pd.read_parquet(f"{run}/knowledge/candidates.parquet").set_index("disease_id")["name"]
    rows = pd.read_parquet(f"{evaluation}/per_case.parquet")
    rows = rows[rows["arm"].isin(arms) & rows["metric"].isin(["top1", "mrr"])]
    rows = rows[rows["split"] == "test_unseen"]
    disease = rows["case_id"].map(cases["disease_id"]).map(names)
    table = rows.groupby([disease, "arm", "metric"])["value"].agg(["mean", "size"])
    print(table.round(3).to_string(), end="\n\n")
    written = pd.read_parquet(f"{evaluation}/grounded.parquet")
    first = written[(written["position"] == 1) & written["arm"].isin(arms)]
    seen = first[first["case_id"].map(cases["split"]) == "test"]
    print("first names of seen patients that are held out:")
    print(seen["disease_id"].isin(unseen).groupby(seen["arm"]).agg(["sum", "size"]).to_string(), end="\n\n")
    drawn = pd.read_parquet(f"{run}/unlabelled/cases.parquet").set_index("case_id")["disease_id"]
    for arm in arms:
        try:
            pairs = pd.read_parquet(f"{run}/preferences-{arm}/train.parquet").set_index("case_id")
        except FileNotFoundError:
            continue  # it has the run's pairs
        own = pairs.loc[pairs.index.isin(drawn.index), "chosen_ids"].str[0]
        right = own == drawn[own.index]
        held = drawn[own.index].isin(unseen)
        print(f"{arm}: {len(own)} drawn, named first {right.mean():.3f}, held out {right[held].mean():.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
