"""How sure a student is of the tokens of held-out lists that decide between names, and of the others.

python docs/study/spelling.py results/study/rare results/study/rare/student/orpo/adapter
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

from mintflow import models
from mintflow.collate import LOSS_INPUTS, SharedPromptCollator, model_mask
from mintflow.orpo import IGNORE, token_log_probs
from mintflow.tokenization import ChatEncoder, encode_pairs
from mintflow.training import with_decisions

BASE = "resources/models/SmolLM2-135M-Instruct"


def main(run: str, adapter: str) -> None:
    """Print mean log-probabilities (nats a token) and sums a list over the validation pairs."""
    from peft import PeftModel

    torch.set_num_threads(1)
    tokenizer = models.load_tokenizer(BASE)
    encoder = ChatEncoder(tokenizer, models.end_token_ids(BASE, tokenizer), {})
    rows = pd.read_parquet(f"{run}/preferences/validation.parquet").to_dict("records")
    pairs, _ = encode_pairs(rows, encoder, max_length=512, max_dropped_fraction=0.0)
    pairs = with_decisions(pairs, rows, encoder)
    model = models.load_model(BASE, dtype="float32", attention="eager", quantization="none")
    model = PeftModel.from_pretrained(model, adapter).eval()
    collate = SharedPromptCollator(tokenizer.pad_token_id, multiple=16)
    found = []
    for start in range(0, len(pairs), 4):
        batch = collate(pairs[start : start + 4])
        inputs = {name: value for name, value in batch.items() if name not in LOSS_INPUTS}
        inputs["attention_mask"] = model_mask(inputs["attention_mask"], "eager")
        with torch.inference_mode():
            log_probs = token_log_probs(model(**inputs, use_cache=False).logits, batch["targets"])
        for side, name in enumerate(("chosen", "rejected")):
            scored = batch["targets"][..., side] != IGNORE
            found.append(
                pd.DataFrame(
                    {
                        "list": name,
                        "decides": batch["decides"][..., side][scored].tolist(),
                        "log_prob": log_probs[..., side][scored].tolist(),
                    }
                )
            )
    table = pd.concat(found).groupby(["list", "decides"])["log_prob"].agg(["size", "mean", "sum"])
    print(table.assign(sum_per_list=table["sum"] / len(pairs)).round(4).to_string())


if __name__ == "__main__":
    main(*sys.argv[1:])
