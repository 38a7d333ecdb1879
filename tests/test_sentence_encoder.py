"""Sentence embeddings: pooling by hand, length, order, and what is refused."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertModel

from mintflow.errors import InputError
from mintflow.sentence_encoder import SentenceEncoder, pool_first, pool_mean
from tiny_encoder import make_encoder, set_pooling, write

TEXTS = ["seizure", "tall stature, long fingers, loose joints", "short stature", "seizure, short stature"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("models") / "tiny", TEXTS)


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(made, tmp_path / "tiny"))


def test_pooling_leaves_padding_out() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [90.0, 90.0]], [[80.0, 80.0], [4.0, 0.0], [2.0, 2.0]]])
    mask = torch.tensor([[1, 1, 0], [0, 1, 1]])
    assert pool_mean(hidden, mask).tolist() == [[2.0, 4.0], [3.0, 1.0]]
    assert pool_first(hidden, mask).tolist() == [[1.0, 2.0], [4.0, 0.0]]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_embeddings_are_those_of_each_text_alone(folder: Path, pooling: str) -> None:
    """Computed by hand, one text at a time, so that nothing is padded."""
    set_pooling(folder, pooling)
    model, tokenizer = BertModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    expected = []
    for text in TEXTS:
        with torch.no_grad():
            hidden = model(torch.tensor([tokenizer(text)["input_ids"]])).last_hidden_state[0].numpy()
        vector = hidden.mean(0) if pooling == "mean" else hidden[0]
        expected.append(vector / np.sqrt((vector**2).sum()))
    vectors = SentenceEncoder(folder).embed(TEXTS, batch_size=3)
    assert vectors.dtype == np.float32 and vectors.shape == (4, 16)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert np.abs(vectors[0] - vectors[2]).max() > 0.01


def test_order_and_repetition_change_no_bit(made: Path) -> None:
    encoder = SentenceEncoder(made)
    once = encoder.embed(TEXTS, 2)
    again = encoder.embed([TEXTS[3], TEXTS[0], *TEXTS[::-1]], 2)
    assert np.array_equal(again, once[[3, 0, 3, 2, 1, 0]])
    assert encoder.embed([], 2).shape == (0, 16)


def test_without_modules_the_mean_is_taken(folder: Path, made: Path) -> None:
    (folder / "modules.json").unlink()
    shutil.rmtree(folder / "1_Pooling")
    assert np.array_equal(SentenceEncoder(folder).embed(TEXTS, 4), SentenceEncoder(made).embed(TEXTS, 4))


def test_pooling_is_read_where_modules_json_puts_it_in_either_form(folder: Path, made: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["path"] = "pool"
    write(folder / "modules.json", modules)
    write(folder / "pool" / "config.json", {"pooling_mode": "cls"})
    moved = SentenceEncoder(folder).embed(TEXTS, 4)
    set_pooling(folder, "cls")
    (folder / "modules.json").unlink()
    assert np.array_equal(moved, SentenceEncoder(folder).embed(TEXTS, 4))
    assert not np.array_equal(moved, SentenceEncoder(made).embed(TEXTS, 4))


def test_long_texts_are_cut_and_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(folder / "sentence_bert_config.json", {"max_seq_length": 5})
    with caplog.at_level(logging.WARNING):
        vectors = SentenceEncoder(folder).embed(["tall stature, long", "tall stature, short", "seizure"], 8)
    assert np.array_equal(vectors[0], vectors[1])
    assert "2 of 3 texts are cut after 5 tokens" in caplog.text


@pytest.mark.parametrize(
    ("names", "said"), [(["max"], "pools by max"), (["mean", "cls"], "cls and mean"), ([], "nothing")]
)
def test_other_poolings_are_refused(folder: Path, names: list[str], said: str) -> None:
    set_pooling(folder, *names)
    with pytest.raises(InputError, match=rf"tiny.*encoder\.id.*{said}"):
        SentenceEncoder(folder)


def test_further_layers_are_refused(folder: Path) -> None:
    write(folder / "modules.json", [{"path": "3_Dense", "type": "sentence_transformers.models.Dense"}])
    with pytest.raises(InputError, match="has a step Dense"):
        SentenceEncoder(folder)
    write(folder / "modules.json", {"path": "x"})
    with pytest.raises(InputError, match=r"modules\.json is no list"):
        SentenceEncoder(folder)


def test_missing_or_pickled_or_damaged(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.*rare\.retrieval\.encoder\.id.*no such folder"):
        SentenceEncoder(tmp_path / "nowhere")
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"tiny.*cannot be opened") as error:
        SentenceEncoder(folder)
    assert str(tmp_path) not in str(error.value)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="pickled weights are not read"):
        SentenceEncoder(folder)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(made: Path) -> None:
    with pytest.raises(InputError, match=r"rare\.retrieval\.device.*no CUDA device"):
        SentenceEncoder(made, "cuda")
    assert SentenceEncoder(made, "auto").device == "cpu"
