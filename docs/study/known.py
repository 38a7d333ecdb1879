"""Of how many test patients anything of their disease is known to the run, and how rankers do on these.

python docs/study/known.py results/study_all/rare results/study_all/rare/evaluation resources/hpo/hpoa.parquet

Known is a disease with training patients or with a profile. The second folder holds per_case.parquet.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

from mintflow import statistics
from mintflow.metrics import BOUNDS

RANKED = ["rank_top1", "rank_top10"]


def main(run: str, evaluation: str, annotations: str) -> None:
    """Print counts, then top-1 and top-10 of patients of known diseases with 95 % intervals."""
    cases = pd.read_parquet(f"{run}/cohort/cases.parquet").set_index("case_id")
    profiles = set(pd.read_parquet(f"{run}/knowledge/profiles.parquet")["disease_id"])
    annotated = set(pd.read_parquet(annotations, columns=["disease_id"])["disease_id"])
    tested = cases[cases["split"].isin(["test", "test_unseen"])]
    told = pd.DataFrame(
        {
            "split": tested["split"],
            "profile": tested["disease_id"].isin(profiles),
            "in the release": tested["disease_id"].isin(annotated),
        }
    )
    print(told.value_counts().sort_index().to_string(), end="\n\n")
    known = tested.index[(tested["split"] == "test") | tested["disease_id"].isin(profiles)]
    per_case = pd.read_parquet(f"{evaluation}/per_case.parquet")
    rows = per_case[per_case["case_id"].isin(known) & per_case["metric"].isin(RANKED)]
    table = statistics.summarise(
        rows.assign(split="test"), {"test": ""}, BOUNDS, unit="publication", samples=2000, seed=7
    )
    print(table[~table["metric"].str.endswith("_macro")].round(3).to_string(index=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
