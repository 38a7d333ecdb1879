"""What `ranking_depth: 10` saves, patient by patient: seconds of a core and tokens read; and is it exact?

RUN=results/study/rare
python docs/study/bounded_ranking.py $RUN/student/sft/adapter $RUN/prompts.parquet \\
    results/study_all/rare/knowledge/candidates.parquet
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

from mintflow import likelihood
from mintflow.inference import open_student

BASE = "resources/models/SmolLM2-135M-Instruct"
SETTINGS = {"attention": "sdpa", "base": {"dtype": "bfloat16"}, "chat_template_kwargs": {}, "device": "cpu"}
PATIENTS, DEPTH, CHUNK, K = 4, 10, 1024, 3


def main(adapter: str, prompts: str, candidates: str) -> None:
    """Print one line a patient."""
    torch.set_num_threads(1)
    student = open_student(BASE, adapter, SETTINGS, exact=True)
    table = pd.read_parquet(prompts)
    shown = table[(table["control"] == "none") & (table["split"] == "test")]["prompt"].head(PATIENTS)
    names = pd.read_parquet(candidates)["name"].tolist()
    trie = likelihood.build_trie(likelihood.first_lines(student.encoder, list(shown.iloc[0]), names, K))
    read: list[int] = []
    plan = likelihood.plan_chunks

    def counted(*given: object) -> list[list[int]]:
        chunks = plan(*given)
        read.extend(map(len, chunks))
        return chunks

    likelihood.plan_chunks = counted
    for prompt in shown:
        ids = student.encoder.prompt_ids(list(prompt))
        costs, scores = [], []
        for score, more in ((likelihood.best_candidates, (DEPTH,)), (likelihood.score_candidates, ())):
            read.clear()
            started = time.process_time()
            found = score(student.model, ids, trie, CHUNK, *more)
            costs.append(f"{time.process_time() - started:.1f} s, {sum(read)} tokens")
            scores.append(found[0] if more else found)
        best = np.argsort(-scores[1])[:DEPTH]
        error = np.abs(scores[0] - scores[1])[best].max()
        print(
            f"best {DEPTH} of {len(names)}: {costs[0]}; all: {costs[1]}; largest difference {error:.1e} nats"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
