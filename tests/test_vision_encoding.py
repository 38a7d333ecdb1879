"""Prompts that show an image: as many image tokens as the model expects, one start token, one end token."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tiny_vision
from mintflow import models, vision_encoding
from mintflow.errors import InputError
from mintflow.tokenization import encode_pairs
from mintflow.vision_encoding import BLANK, Gallery, VisionEncoder, joined, with_image

# as published for Llama-3.2-Vision: the system message is read as a string ...
SYSTEM_AS_TEXT = (
    "<|begin_of_text|>{% if messages[0].role == 'system' %}{% set system = messages[0].content | trim %}"
    "{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}"
    "{% if system %}<|im_start|>system\n{{ system }}<|im_end|>{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}"
    "{% if c.type == 'image' %}<|image|>{% else %}{{ c.text | trim }}{% endif %}{% endfor %}<|im_end|>"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# ... or refused beside an image
NO_SYSTEM = SYSTEM_AS_TEXT.replace("{% if system %}", "{% if system %}{{ raise_exception('no system') }}")
LOSES_TEXT = "<|im_start|>{% for m in messages %}{{ m.role }}<image>{% endfor %}"


@pytest.fixture(scope="module", params=tiny_vision.FAMILIES)
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VisionEncoder:
    base = tiny_vision.make(request.param, tmp_path_factory.mktemp(request.param) / "base")
    return tiny_vision.encoder(base)


@pytest.fixture
def mllama(tmp_path: Path) -> VisionEncoder:
    return tiny_vision.encoder(tiny_vision.make("mllama", tmp_path / "base"))


def test_ids_are_the_processors_own(encoder: VisionEncoder) -> None:
    ids, name = encoder.shown({"prompt": tiny_vision.PROMPT, "image": "t1"})
    own = encoder.gallery.processor.apply_chat_template(
        [
            tiny_vision.PROMPT[0] | {"content": [{"type": "text", "text": "You answer."}]},
            {
                "role": "user",
                "content": [
                    {"type": "image", "image": tiny_vision.picture(1)},
                    {"type": "text", "text": tiny_vision.PROMPT[1]["content"]},
                ],
            },
        ],
        tokenize=True,
        add_generation_prompt=True,
        return_dict=True,
    )
    assert name == "t1" and ids == list(own["input_ids"][0])
    expected = {"LlavaProcessor": 4, "Idefics3Processor": 4, "MllamaProcessor": 1}
    assert ids.count(encoder.gallery.image_token_id) == expected[type(encoder.gallery.processor).__name__]


def test_answers_end_once_and_do_not_depend_on_the_image(encoder: VisionEncoder) -> None:
    pair, blank = (encoder.pair(tiny_vision.row(image), 400) for image in ("t0", None))
    for ids in (pair.chosen, pair.rejected):
        assert sum(token in encoder.end_ids for token in ids) == 1 and ids[-1] in encoder.end_ids
        assert encoder.gallery.image_token_id not in ids and encoder.tokenizer.bos_token_id not in ids
    assert encoder.tokenizer.decode(pair.chosen[:-1]) == "1. gland\n2. tumor"
    assert (blank.chosen, blank.rejected) == (pair.chosen, pair.rejected)
    assert (pair.image, blank.image) == ("t0", BLANK)


def test_pixels_are_kept_within_bounds(encoder: VisionEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = Gallery(encoder.gallery.processor, {f"t{i}": tiny_vision.picture(i) for i in range(4)})
    first = {key: value.clone() for key, value in gallery.pixels("t0").items()}
    one = sum(tensor.nbytes for tensor in first.values())
    monkeypatch.setattr(vision_encoding, "MOST_PIXEL_BYTES", 2 * one)
    for name in ("t1", "t2", "t3", BLANK):
        gallery.pixels(name)
        assert len(gallery._inputs) <= 2
    for key, value in gallery.pixels("t0").items():
        assert torch.equal(value, first[key])


def test_a_system_message_read_as_a_string_is_not_printed_as_a_list(mllama: VisionEncoder) -> None:
    mllama.gallery.processor.chat_template = SYSTEM_AS_TEXT
    text = mllama.tokenizer.decode(mllama.pair(tiny_vision.row("t0"), 400).prompt)
    assert "system\nYou answer.<|im_end|>" in text and "{" not in text
    assert text.count("<|begin_of_text|>") == 1


def test_a_system_message_that_is_refused_goes_to_the_user(mllama: VisionEncoder) -> None:
    mllama.gallery.processor.chat_template = NO_SYSTEM
    pair = mllama.pair(tiny_vision.row("t0"), 400)
    assert "user\n<|image|>You answer.\n\nList 2 tissue types.<|im_end|>" in mllama.tokenizer.decode(
        pair.prompt
    )
    assert mllama.tokenizer.decode(pair.rejected) == "1. nerve<|im_end|>"


def test_a_template_that_loses_text_is_refused(encoder: VisionEncoder) -> None:
    processor = encoder.gallery.processor
    kept = processor.chat_template
    try:
        processor.chat_template = LOSES_TEXT.replace("<image>", processor.image_token)
        with pytest.raises(InputError, match=r"tissue\.student\.base\.id.*does not write the messages"):
            encoder.pair(tiny_vision.row("t0"), 400)
    finally:
        processor.chat_template = kept


def test_start_token_is_added_where_the_tokenizer_would(tmp_path: Path) -> None:
    """LLaVA-1.5: the template writes none, and the tokenizer puts one in front of every text."""
    from tokenizers.processors import TemplateProcessing

    coder = tiny_vision.encoder(tiny_vision.make("llava", tmp_path / "base"))
    assert coder.tokenizer.bos_token is None
    coder.tokenizer.add_special_tokens({"bos_token": "<|pad|>"})
    plain = coder.pair(tiny_vision.row("t0"), 400)
    start = coder.tokenizer.bos_token_id
    coder.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|pad|> $A", special_tokens=[("<|pad|>", start)]
    )
    pair = coder.pair(tiny_vision.row("t0"), 400)
    assert pair.prompt == [start, *plain.prompt] and pair.chosen == plain.chosen


def test_image_goes_to_the_first_user_message() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    messages.append({"role": "user", "content": "c"})
    kinds = [[part["type"] for part in message["content"]] for message in with_image(messages)]
    assert kinds == [["image", "text"], ["text"], ["text"]]
    with pytest.raises(InputError, match=r"tissue\.prompt\.user"):
        with_image([{"role": "system", "content": "a"}])


def test_unknown_images_are_named_and_long_rows_counted(encoder: VisionEncoder) -> None:
    with pytest.raises(InputError, match=r"record nowhere.*has no image"):
        encoder.pair(tiny_vision.row("nowhere"), 400)
    rows = [tiny_vision.row("t0"), tiny_vision.row("t1", rejected="1. nerve " * 400)]
    pairs, dropped = encode_pairs(rows, encoder, max_length=400, max_dropped_fraction=0.5)
    assert [pair.image for pair in pairs] == ["t0"] and dropped == {"too_long": 1}


def test_digest_depends_on_every_pixel(encoder: VisionEncoder) -> None:
    one, other = tiny_vision.picture(1), tiny_vision.picture(1)
    other.putpixel((3, 3), (1, 2, 3))
    found = {Gallery(encoder.gallery.processor, {"a": image}).digest() for image in (one, other, one)}
    assert len(found) == 2


def test_joined_pads_to_the_largest() -> None:
    found = joined([torch.ones(1, 1, 2), torch.ones(2, 2, 1)])
    assert found.shape == (3, 2, 2) and found.sum() == 6 and found[0].tolist() == [[1, 1], [0, 0]]


def test_end_tokens_of_a_nested_configuration_count(tmp_path: Path) -> None:
    base = tiny_vision.make("llava", tmp_path / "base")
    tokenizer = models.load_tokenizer(base)
    config = (base / "config.json").read_text()
    (base / "config.json").write_text(config.replace('"eos_token_id": 2', '"eos_token_id": 9'))
    assert 9 in models.end_token_ids(base, tokenizer)
