"""Ranking of labels by students that see: the shared row equals each label alone, whatever the family."""

from __future__ import annotations

import io as bytes_io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import rank_tissues
import tiny_vision
from mintflow import collate, io, models
from mintflow.conversations import typed
from mintflow.errors import InputError
from mintflow.inference import Student
from mintflow.likelihood import first_lines
from mintflow.tile_ranking import score_labels

NAMES = ["gland", "muscle, nerve", "tumor"]
STUDENT = {"device": "cpu", "attention": "sdpa", "chat_template_kwargs": {}, "base": {"dtype": "float32"}}


@pytest.fixture(scope="module", params=tiny_vision.FAMILIES)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vision.make(request.param, tmp_path_factory.mktemp(request.param) / "base")


def alone(student: Student, row: dict, line: list[int]) -> float:
    """Log-probability of one label by the model's own forward pass."""
    prompt, image = student.encoder.shown(row)
    ids = torch.tensor([[*prompt, *line]])
    shown = student.encoder.gallery.batch([image], [prompt], torch.ones_like(ids))
    with torch.no_grad():
        logits = student.model(input_ids=ids, attention_mask=torch.ones_like(ids), **shown).logits[0]
    logp = logits.log_softmax(-1)[len(prompt) - 1 : -1]
    return float(logp[torch.arange(len(line)), torch.tensor(line)].sum())


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("k", [1, 2])
def test_shared_row_equals_each_label_alone(base: Path, attention: str, k: int) -> None:
    encoder = tiny_vision.encoder(base)
    student = Student(models.load_model(base, dtype="float32", attention=attention), encoder)
    rows = [tiny_vision.row(name) for name in ("t0", "t1", None)]
    rows[1]["prompt"] = [*tiny_vision.PROMPT[:1], {"role": "user", "content": "tumor or gland?"}]
    found = score_labels(student, rows, NAMES, encoder.gallery, k=k, batch_size=2)
    lines = first_lines(encoder, tiny_vision.PROMPT, NAMES, k)
    wanted = [[alone(student, row, line) for line in lines] for row in rows]
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert np.ptp(found, axis=0).min() > 1e-3  # it looks
    if k == 1:
        with pytest.raises(ValueError, match="float32"):
            score_labels(
                Student(student.model.bfloat16(), encoder), rows, NAMES, encoder.gallery, k=k, batch_size=2
            )


def test_a_model_that_ignores_the_mask_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tiny_vision.make("llava", tmp_path / "base")
    encoder = tiny_vision.encoder(base)
    student = Student(models.load_model(base, dtype="float32"), encoder)
    monkeypatch.setattr(collate, "model_mask", lambda mask, attention: torch.ones_like(mask))
    with pytest.raises(InputError, match=r"does not heed.*ranking_cases"):
        score_labels(student, [tiny_vision.row("t0")], NAMES, encoder.gallery, k=1, batch_size=1)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    tiny_vision.make("llava", tmp_path / "base")
    tiles, cases, prompts = [], [], []
    for number in range(6):
        buffer = bytes_io.BytesIO()
        tiny_vision.picture(number).save(buffer, "PNG")
        tiles.append({"bytes": buffer.getvalue(), "path": None})
        split = "test" if number < 4 else "train"
        name = f"t{number}"
        cases.append((name, str(tmp_path / "tiles.parquet"), number, ("a", "b")[number % 2], split))
        prompts.append((name, split, "none", tiny_vision.PROMPT, name))
        prompts.append((name, split, "blank", tiny_vision.PROMPT, None))
    pq.write_table(pa.table({"image": pa.array(tiles)}), tmp_path / "tiles.parquet")
    columns = ["case_id", "file", "row", "label_id", "split"]
    io.write_parquet(pd.DataFrame(cases, columns=columns), tmp_path / "cases.parquet")
    columns = ["case_id", "split", "control", "prompt", "image"]
    io.write_parquet(typed(pd.DataFrame(prompts, columns=columns), ["prompt"]), tmp_path / "prompts.parquet")
    labels = pd.DataFrame({"label_id": ["b", "a", "c"], "name": NAMES})
    io.write_parquet(labels, tmp_path / "labels.parquet")
    return tmp_path


def rank(inputs: Path, **changes: object) -> pd.DataFrame:
    evaluation = {"ranking_cases": None, "generation_batch_size": 3, "seed": 1} | changes
    settings = {"student": STUDENT, "evaluation": evaluation, "k": 2}
    flags = ["--settings", json.dumps(settings), "--base", str(inputs / "base")]
    for name in ("prompts", "cases", "labels"):
        flags += [f"--{name}", str(inputs / f"{name}.parquet")]
    output = inputs / "ranked.parquet"
    rank_tissues.main(rank_tissues.arguments().parse_args([*flags, "--output", str(output)]))
    return io.read_parquet(output)


def test_every_test_tile_is_ranked_over_every_label(inputs: Path) -> None:
    table = rank(inputs)
    assert table.columns.tolist() == list(rank_tissues.COLUMNS)
    assert table["case_id"].unique().tolist() == ["t0", "t1", "t2", "t3"]
    assert table.groupby("case_id")["label_id"].agg(sorted).tolist() == [["a", "b", "c"]] * 4
    assert (table.groupby("case_id")["logp_sum"].diff().dropna() <= 0).all()
    # by label, not by the order of the file: the scores are those of the names
    encoder = tiny_vision.encoder(inputs / "base", range(1))
    student = Student(models.load_model(inputs / "base", dtype="float32"), encoder)
    lines = dict(zip(["b", "a", "c"], first_lines(encoder, tiny_vision.PROMPT, NAMES, 2), strict=True))
    first = table[table["case_id"] == "t0"].set_index("label_id")["logp_sum"]
    for label, line in lines.items():
        assert first[label] == pytest.approx(alone(student, tiny_vision.row("t0"), line), abs=1e-3)
    few = rank(inputs, ranking_cases=2)
    assert few["case_id"].nunique() == 2
    same = few.merge(table, on=["case_id", "label_id"])
    np.testing.assert_allclose(same["logp_sum_x"], same["logp_sum_y"], atol=1e-4)


def test_errors_name_the_keys_of_the_track() -> None:
    flags = [part for name in ("base", "prompts", "cases", "labels", "output") for part in (f"--{name}", "x")]
    assert rank_tissues.arguments().parse_args(["--settings", "{}", *flags]).track == "tissue"


def test_a_tile_without_prompt_is_named(inputs: Path) -> None:
    prompts = io.read_parquet(inputs / "prompts.parquet")
    io.write_parquet(typed(prompts[prompts["case_id"] != "t2"], ["prompt"]), inputs / "prompts.parquet")
    with pytest.raises(InputError, match="has no prompt"):
        rank(inputs)
