"""Rankings and diseases without a training patient: first ranks that are one, and its patients who are found.

python docs/study/unseen.py results/study_all/rare sft-truth sft-unlabelled

Also how many labelled training lists name such a disease, and how the teacher names drawn patients.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd


def main(run: str, *arms: str) -> None:
    """Print the counts of each arm that was ranked."""
    cases = pd.read_parquet(f"{run}/cohort/cases.parquet").set_index("case_id")
    trained = set(cases.loc[cases["split"] == "train", "disease_id"])
    profiles = set(pd.read_parquet(f"{run}/knowledge/profiles.parquet")["disease_id"])
    tested = cases[cases["split"].isin(["test", "test_unseen"])]
    unseen = tested[~tested["disease_id"].isin(trained)]
    print(f"{len(unseen)} test patients, with a profile {unseen['disease_id'].isin(profiles).sum()}")
    for arm in arms:
        ranks = pd.read_parquet(f"{run}/evaluation/rankings/{arm}.parquet")
        first = ranks[ranks["rank"] == 1]
        strange = first[~first["disease_id"].isin(trained)]
        print(f"{arm}: {len(strange)} of {ranks['case_id'].nunique()} first ranks have no training patient")
        own = ranks.merge(unseen.reset_index()[["case_id", "disease_id"]], on=["case_id", "disease_id"])
        for most in (1, 10):
            found = own[own["rank"] <= most]
            known = found["disease_id"].isin(profiles).sum()
            diseases = found["disease_id"].nunique()
            print(f"  within {most}: {len(found)} patients of {diseases} diseases, with a profile {known}")
        path = Path(f"{run}/preferences-{arm}/train.parquet")
        if not path.exists():
            continue  # it has the run's pairs
        lists = pd.read_parquet(path).set_index("case_id")["chosen_ids"]
        labelled = lists[lists.index.isin(cases.index)]
        named = labelled.map(lambda ids: not trained.issuperset(ids))
        print(f"  {named.sum()} of {len(labelled)} labelled lists name a disease without a training patient")
        drawn = pd.read_parquet(f"{run}/unlabelled/cases.parquet").set_index("case_id")["disease_id"]
        drawn = drawn[drawn.index.isin(lists.index)]
        right = lists[drawn.index].str[0] == drawn
        strange = ~drawn.isin(trained)
        print(f"  drawn: {right.sum()} of {len(right)} named first")
        print(f"  of such diseases: {right[strange].sum()} of {strange.sum()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
