"""Do long names, or few training patients, make an arm wrong? Top-1 by the true disease, diseases resampled.

python docs/study/lengths.py results/study/rare results/study/rare/evaluation orpo sft
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

from mintflow import models

BASE = "resources/models/SmolLM2-135M-Instruct"
SAMPLES = 2000


def main(run: str, evaluation: str, *arms: str) -> None:
    """Print top-1 below and above the median of each property, and the difference with its interval."""
    tokenizer = models.load_tokenizer(BASE)
    names = pd.read_parquet(f"{run}/knowledge/candidates.parquet").set_index("disease_id")["name"]
    cases = pd.read_parquet(f"{run}/cohort/cases.parquet").set_index("case_id")
    per_case = pd.read_parquet(f"{evaluation}/per_case.parquet")
    first = per_case[(per_case["metric"] == "top1") & (per_case["split"] == "test")]
    table = first.pivot(index="case_id", columns="arm", values="value")
    disease = cases["disease_id"].reindex(table.index)
    properties = {
        "tokens of the name": disease.map(lambda found: len(tokenizer(names[found])["input_ids"])),
        "training patients": disease.map(cases.loc[cases["split"] == "train", "disease_id"].value_counts()),
        "words shared with other names": disease.map(shared_words(names)),
    }
    means = {}
    for arm in arms:
        seeds = [name for name in table if name == arm or name.startswith(f"{arm}.seed")]
        means[arm] = table[seeds].mean(axis=1)
    if len(arms) > 1:
        means[" less ".join(arms[:2])] = means[arms[0]] - means[arms[1]]
    for arm, own in means.items():
        for title, values in properties.items():
            limit = min(values.median(), values.max() - 1)
            many = values > limit
            few, more = own[~many].mean(), own[many].mean()
            low, high = interval(own, many, disease)
            print(f"{arm}: {title} up to {limit:g}: {few:.3f} (n {(~many).sum()}), more: {more:.3f}", end=" ")
            print(f"(n {many.sum()}), difference {more - few:+.3f} ({low:.3f} to {high:.3f})")


def shared_words(names: pd.Series) -> dict[str, int]:
    """Words of each disease's name that the name of another candidate has, too."""
    words = {key: {word.strip(",()").lower() for word in name.split()} for key, name in names.items()}
    return {
        key: len(own & set().union(*(other for rest, other in words.items() if rest != key)))
        for key, own in words.items()
    }


def interval(own: pd.Series, many: pd.Series, disease: pd.Series) -> tuple[float, float]:
    """95 % interval of the difference of means between two groups of diseases, diseases resampled."""
    rng = np.random.default_rng(7)
    sums = pd.DataFrame({"own": own, "n": 1, "many": many, "disease": disease})
    sums = sums.groupby("disease").agg({"own": "sum", "n": "sum", "many": "first"})
    parts = [sums.loc[sums["many"] == side, ["own", "n"]].to_numpy(float) for side in (True, False)]
    draws = []
    for _ in range(SAMPLES):
        means = [part[rng.integers(0, len(part), len(part))].sum(0) for part in parts]
        draws.append(means[0][0] / means[0][1] - means[1][0] / means[1][1])
    return tuple(np.quantile(draws, [0.025, 0.975]))


if __name__ == "__main__":
    main(*sys.argv[1:])
