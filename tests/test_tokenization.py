"""Where the answer starts and ends, for the kinds of chat template that exist."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from mintflow.base_models import CHATML
from mintflow.errors import InputError
from mintflow.tokenization import ChatEncoder, RowRejected, encode_pairs

LLAMA3 = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\nToday: {{ date_string }}<|eot_id|>"
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
NO_END = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
MERGED = (
    "{% for m in messages %}{{ m.role }}:{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
REWRITES = "{{ messages | length }}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
PROMPT = [{"role": "user", "content": "Tall, long fingers."}]


def answer(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def encoder(template: str, end: str = "<|im_end|>", corpus: str = "", **kwargs: Any) -> ChatEncoder:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|bos|>"]
    special += ["<|start_header_id|>", "<|end_header_id|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw.train_from_iterator(
        [corpus] * 5,
        trainers.BpeTrainer(
            vocab_size=290, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        ),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=end, bos_token="<|bos|>")
    tokenizer.chat_template = template
    return ChatEncoder(tokenizer, frozenset(tokenizer.convert_tokens_to_ids([end, "<|eot_id|>"])), kwargs)


def text_of(coder: ChatEncoder, ids: list[int]) -> str:
    return coder.tokenizer.decode(ids)


def test_chatml_ends_in_one_end_token_without_the_newline() -> None:
    coder = encoder(CHATML)
    ids = coder.completion_ids(PROMPT, answer("1. Marfan syndrome"))
    assert text_of(coder, ids) == "1. Marfan syndrome<|im_end|>"
    assert sum(token in coder.end_ids for token in ids) == 1
    assert text_of(coder, coder.prompt_ids(PROMPT)).endswith("<|im_start|>assistant\n")


def test_llama3_ends_in_eot_and_takes_the_date_from_the_settings() -> None:
    coder = encoder(LLAMA3, end="<|end_of_text|>", date_string="26 Jul 2024")
    ids = coder.completion_ids(PROMPT, answer("1. Marfan syndrome"))
    assert text_of(coder, ids) == "1. Marfan syndrome<|eot_id|>"
    prompt = text_of(coder, coder.prompt_ids(PROMPT))
    assert prompt.count("<|bos|>") == 1 and "26 Jul 2024" in prompt


def test_template_without_an_end_gets_one() -> None:
    coder = encoder(NO_END)
    ids = coder.completion_ids(PROMPT, answer("1. Marfan syndrome"))
    assert text_of(coder, ids) == "1. Marfan syndrome\n<|im_end|>"


def test_token_across_the_boundary_is_split_there() -> None:
    coder = encoder(MERGED, corpus="assistant:Ma")
    whole = coder.tokenizer.apply_chat_template([*PROMPT, *answer("Marfan")], return_dict=True)["input_ids"]
    prompt = coder.prompt_ids(PROMPT)
    assert whole[: len(prompt)] != prompt, "the tokenizer was meant to merge over the boundary"
    assert text_of(coder, coder.completion_ids(PROMPT, answer("Marfan"))) == "Marfan<|im_end|>"


def test_template_that_rewrites_the_prompt_is_refused() -> None:
    with pytest.raises(RowRejected, match="prompt_is_no_prefix"):
        encoder(REWRITES).completion_ids(PROMPT, answer("Marfan"))


def row(case: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {"case_id": case, "prompt": PROMPT, "chosen": answer(chosen), "rejected": answer(rejected)}


def test_rows_are_dropped_and_counted_by_reason() -> None:
    rows = [
        row("a", "1. Marfan", "1. Noonan"),
        row("b", "1. Marfan", "1. Marfan"),
        row("c", "", "1. Noonan"),
        row("d", "1. Marfan", "x" * 500),
    ]
    pairs, dropped = encode_pairs(rows, encoder(CHATML), max_length=200, max_dropped_fraction=0.75)
    assert [pair.case_id for pair in pairs] == ["a"]
    assert dropped == {"chosen_equals_rejected": 1, "empty_completion": 1, "too_long": 1}
    with pytest.raises(InputError, match=r"max_dropped_fraction.*3 of 4.*too_long 1"):
        encode_pairs(rows, encoder(CHATML), max_length=200, max_dropped_fraction=0.7)


def test_length_limit_is_on_prompt_plus_the_longer_completion() -> None:
    coder = encoder(CHATML)
    item = row("a", "1. Marfan syndrome", "1. X")
    exact = len(coder.prompt_ids(PROMPT)) + len(coder.completion_ids(PROMPT, item["chosen"]))
    pairs, _ = encode_pairs([item], coder, max_length=exact, max_dropped_fraction=0)
    assert len(pairs) == 1
    _, dropped = encode_pairs([item], coder, max_length=exact - 1, max_dropped_fraction=1)
    assert dropped == {"too_long": 1}


def test_what_is_taught_in_place_of_a_list_is_kept_by_the_lists() -> None:
    rows = [
        row("a", "1. Marfan\n2. Noonan", "1. Rett")
        | {"taught": answer("1. Rett")},  # its rejected one is no matter
        row("b", "1. Marfan", "1. Marfan") | {"taught": answer("1. Rett")},
        row("c", "1. Marfan", "1. Noonan") | {"taught": answer("x" * 500)},
    ]
    coder = encoder(CHATML)
    pairs, dropped = encode_pairs(rows, coder, max_length=200, max_dropped_fraction=0.7)
    assert [text_of(coder, pair.chosen) for pair in pairs] == ["1. Rett<|im_end|>"]
    assert dropped == {"chosen_equals_rejected": 1, "too_long": 1}
