"""Top-1 and top-10 by the number of training patients of the disease, on test patients of seen diseases.

python docs/study/by_training.py results/study_all/rare results/study_all/rare/evaluation sft-truth

The second folder holds per_case.parquet; the arms named are shown, of students by rank_top1 and rank_top10.
Each group as a whole, then its patients of diseases with and without a profile.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

from mintflow import statistics
from mintflow.metrics import BOUNDS

GROUPS = {"1 or 2": (0, 2), "3 to 5": (2, 5), "6 to 10": (5, 10), "more": (10, 10_000)}


def main(run: str, evaluation: str, *arms: str) -> None:
    """Print a table for each group, with 95 % intervals."""
    cases = pd.read_parquet(f"{run}/cohort/cases.parquet")
    profiles = set(pd.read_parquet(f"{run}/knowledge/profiles.parquet")["disease_id"])
    trained = cases.loc[cases["split"] == "train", "disease_id"].value_counts()
    tested = cases[cases["split"] == "test"].set_index("case_id")
    tested["trained"], tested["known"] = (
        tested["disease_id"].map(trained),
        tested["disease_id"].isin(profiles),
    )
    per_case = pd.read_parquet(f"{evaluation}/per_case.parquet")
    missing = sorted(set(arms) - set(per_case["arm"]))
    if missing:
        sys.exit(f"{evaluation}/per_case.parquet has no arm {missing[0]}")
    wanted = ["top1", "top10", "rank_top1", "rank_top10"]
    rows = per_case[per_case["arm"].isin(arms) & per_case["metric"].isin(wanted)]
    for name, (above, most) in GROUPS.items():
        group = tested[(tested["trained"] > above) & (tested["trained"] <= most)]
        parts = {"": group, ", with a profile": group[group["known"]], ", without": group[~group["known"]]}
        for what, members in parts.items():
            diseases = members["disease_id"].nunique()
            print(f"{name} training patients{what}: {len(members)} test patients of {diseases} diseases")
            own = rows[rows["case_id"].isin(members.index)]
            table = statistics.summarise(own, {"test": ""}, BOUNDS, unit="publication", samples=2000, seed=7)
            print(table[~table["metric"].str.endswith("_macro")].round(3).to_string(index=False), end="\n\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
