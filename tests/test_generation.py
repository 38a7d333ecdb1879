from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig

import tiny_student as tiny
from mintflow import generation as gen
from mintflow.errors import InputError
from mintflow.inference import open_student
from mintflow.models import pick_device


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_base(tmp_path_factory.mktemp("base") / "tiny")


def options(**changes: object) -> dict:
    return {"end_ids": [2], "pad_id": 0, "max_new_tokens": 8, "batch_size": 3} | changes


PROMPTS = [[5, 6, 7, 8, 9], [5, 6], [100, 101, 102], [5, 6], [40] * 9]


def greedy_alone(student: torch.nn.Module, prompt: list[int], limit: int, ends: set[int]) -> gen.Answer:
    ids = list(prompt)
    for _ in range(limit):
        with torch.no_grad():
            token = int(student(torch.tensor([ids])).logits[0, -1].argmax())
        if token in ends:
            return gen.Answer(tuple(ids[len(prompt) :]), True)
        ids.append(token)
    return gen.Answer(tuple(ids[len(prompt) :]), False)


def test_batches_group_by_length_and_drop_repeats() -> None:
    prompts = [(tuple(prompt), "") for prompt in PROMPTS]
    assert gen.batches(prompts, 3) == [[prompts[4], prompts[0], prompts[2]], [prompts[1]]]
    assert gen.batches([], 3) == []


def test_equals_greedy_decoding_one_by_one(base: Path) -> None:
    student = tiny.model(base)
    free = [greedy_alone(student, prompt, 8, set()) for prompt in PROMPTS]
    assert len({answer.tokens for answer in free}) > 1
    end = free[0].tokens[4]  # an end token that is really met
    expected = [greedy_alone(student, prompt, 8, {end}) for prompt in PROMPTS]
    assert expected[0].finished and len(expected[0].tokens) <= 4
    for size in (1, 2, 8):
        found = gen.generate(student, PROMPTS, **options(end_ids=[end], batch_size=size))
        assert found == expected


def test_limit_and_empty_prompt(base: Path) -> None:
    student = tiny.model(base)
    found = gen.generate(student, PROMPTS[:1], **options(end_ids=[511], max_new_tokens=3))
    assert len(found[0].tokens) == 3 and not found[0].finished
    with pytest.raises(ValueError, match="empty prompt"):
        gen.generate(student, [[1], []], **options())


def test_the_models_own_sampling_settings_are_left_out(base: Path) -> None:
    plain = gen.generate(tiny.model(base), PROMPTS, **options())
    student = tiny.model(base)
    student.generation_config = GenerationConfig(
        do_sample=True, temperature=5.0, repetition_penalty=50.0, no_repeat_ngram_size=1
    )
    assert gen.generate(student, PROMPTS, **options()) == plain


def test_same_prompts_are_answered_once(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = gen._answer_batch
    monkeypatch.setattr(
        gen, "_answer_batch", lambda m, batch, g: seen.append(len(batch)) or real(m, batch, g)
    )
    answers = gen.generate(tiny.model(base), [[5, 6]] * 7, **options())
    assert seen == [1] and len(answers) == 7 and len(set(answers)) == 1


@pytest.mark.parametrize("task", ["CAUSAL_LM", None])
def test_adapter_is_put_on_the_local_base(base: Path, tmp_path: Path, task: str | None) -> None:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    trained = get_peft_model(
        tiny.model(base), LoraConfig(r=4, lora_alpha=64, target_modules="all-linear", task_type=task)
    )
    for name, weights in trained.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.5)
    trained.peft_config["default"].base_model_name_or_path = "somewhere/else"
    trained.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    plain = open_student(base, None, tiny.SETTINGS, exact=True).model
    tuned = open_student(base, tmp_path / "adapter", tiny.SETTINGS, exact=False).model
    ids = torch.tensor(PROMPTS[:1])
    with torch.no_grad():
        expected = trained.eval()(ids).logits
        assert not torch.allclose(plain(ids).logits, expected, atol=1e-1)
        assert torch.allclose(tuned(ids).logits, expected, atol=1e-3)
    assert tuned.dtype == torch.float32 and not hasattr(tuned, "peft_config")
    # an adapter that is not merged, as on a GPU, answers the same
    assert gen.generate(trained, PROMPTS, **options()) == gen.generate(tuned, PROMPTS, **options())


def test_missing_folders_and_devices_are_named(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.*adapter_config.json"):
        open_student(base, tmp_path / "nothing", tiny.SETTINGS, exact=True)
    with pytest.raises(InputError, match=r"no config\.json"):
        open_student(tmp_path, None, tiny.SETTINGS, exact=True)
    if not torch.cuda.is_available():
        assert pick_device("auto") == "cpu"
        with pytest.raises(InputError, match=r"rare\.student\.device"):
            pick_device("cuda")
