"""A tiny random BERT in the layout of sentence-transformers, for tests of retrieval."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def make_encoder(folder: Path, texts: Sequence[str], pooling: str = "mean", max_length: int = 64) -> Path:
    """Write the encoder; its vocabulary is the words of ``texts``."""
    words = sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())})
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *words])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.normalizer = normalizers.Lowercase()
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    raw.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=512,
    )
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
        initializer_range=0.5,
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = BertModel(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    steps = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    write(
        folder / "modules.json",
        [{"path": path, "type": f"sentence_transformers.models.{name}"} for path, name in steps],
    )
    write(folder / "sentence_bert_config.json", {"max_seq_length": max_length})
    set_pooling(folder, pooling)
    return folder


def set_pooling(folder: Path, *names: str) -> None:
    """Ask for these poolings, by sentence-transformers' names."""
    keys = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens"}
    modes = {f"pooling_mode_{key}": name in names for name, key in keys.items()}
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 16, **modes})


def write(path: Path, content: object) -> None:
    """Write JSON, and the folder where it is missing."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
