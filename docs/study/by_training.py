"""Top-1 and top-10 by the number of training patients of the disease, on test patients of seen diseases.

python docs/study/by_training.py results/study_all/rare results/study_all/rare/evaluation sft-truth similarity

The second folder holds per_case.parquet; the arms named are shown, of students by rank_top1 and rank_top10.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

from mintflow import statistics
from mintflow.metrics import BOUNDS

GROUPS = [0, 2, 5, 10, 1000]


def main(run: str, evaluation: str, *arms: str) -> None:
    """Print one table a group, with 95 % intervals."""
    cases = pd.read_parquet(f"{run}/cohort/cases.parquet")
    trained = cases.loc[cases["split"] == "train", "disease_id"].value_counts()
    tested = cases[cases["split"] == "test"].set_index("case_id")
    group = pd.cut(tested["disease_id"].map(trained), GROUPS)
    per_case = pd.read_parquet(f"{evaluation}/per_case.parquet")
    wanted = ["top1", "top10", "rank_top1", "rank_top10"]
    rows = per_case[per_case["arm"].isin(arms) & per_case["metric"].isin(wanted)]
    for interval, members in group.groupby(group, observed=True):
        own = rows[rows["case_id"].isin(members.index)]
        table = statistics.summarise(own, {"test": ""}, BOUNDS, unit="publication", samples=2000, seed=7)
        diseases = tested.loc[members.index, "disease_id"].nunique()
        print(f"{interval} training patients: {len(members)} test patients of {diseases} diseases")
        print(table[~table["metric"].str.endswith("_macro")].round(3).to_string(index=False), end="\n\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
