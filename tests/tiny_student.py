"""A tiny random student for tests of inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from mintflow.base_models import write_random
from mintflow.models import end_token_ids, load_tokenizer
from mintflow.seals import SEAL
from mintflow.tokenization import ChatEncoder

NAMES = ["Noonan syndrome 1", "Noonan syndrome 13", "Noonan syndrome-like disorder", "Marfan syndrome"]
SETTINGS = {
    "device": "cpu",
    "attention": "sdpa",
    "chat_template_kwargs": {},
    "base": {"dtype": "float32"},
}


def messages(text: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": "Answer."}, {"role": "user", "content": text}]


def make_base(folder: Path) -> Path:
    write_random([*NAMES, "seizure", "tall stature", "1. 2. 3."], folder, seed=3)
    loaded = model(folder)
    with torch.no_grad():  # with the initial weights all tokens are about equally likely
        for name, weights in loaded.named_parameters():
            if "norm" not in name:
                weights.mul_(6)
    loaded.save_pretrained(folder)
    (folder / SEAL).unlink()  # of what it was
    return folder


def encoder(base: Path) -> ChatEncoder:
    tokenizer = load_tokenizer(base)
    return ChatEncoder(tokenizer, end_token_ids(base, tokenizer), {})


def model(base: Path, attention: str = "sdpa") -> torch.nn.Module:
    loaded = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation=attention)
    return loaded.eval()


def naive_logp(student: torch.nn.Module, prompt: Sequence[int], completion: Sequence[int]) -> float:
    with torch.no_grad():
        logits = student(torch.tensor([[*prompt, *completion]])).logits[0].double()
    logp = logits.log_softmax(-1)[len(prompt) - 1 : -1]
    return float(logp[torch.arange(len(completion)), torch.tensor(completion)].sum())
