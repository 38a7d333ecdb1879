"""How sure the teacher is of the names that it lists, over the training pairs.

python docs/study/certainty.py results/study/rare/preferences/train.parquet
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

K = Q = 3  # rare.preferences of the study


def main(pairs: str) -> None:
    """Print medians, over the pairs, of differences of log-probabilities (nats)."""
    table = pd.read_parquet(pairs, columns=["ranked", "ranked_scores", "truth"])
    scores = np.stack(table["ranked_scores"])
    names = [f"1. {listed[0]}" for listed in table["ranked"]]
    right = np.mean([name == truth[0]["content"] for name, truth in zip(names, table["truth"], strict=True)])
    print(f"{len(scores)} pairs, first name the true one: {right:.3f}")
    print(f"second name less first: {np.median(scores[:, 1] - scores[:, 0]):.2f}")
    print(f"last chosen less next: {np.median(scores[:, K - 1] - scores[:, K]):.2f}")
    print(f"last chosen less first rejected: {np.median(scores[:, K - 1] - scores[:, -Q]):.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
