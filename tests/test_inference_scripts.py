from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tiny_student as tiny
from mintflow import io
from mintflow.conversations import typed
from mintflow.errors import InputError
from mintflow.evaluation import ranking_sample

STUDENT = tiny.SETTINGS
GENERATION = {
    "student": STUDENT,
    "evaluation": {"max_new_tokens": 6, "generation_batch_size": 2},
    "k": 3,
}
RANKING = {
    "student": STUDENT,
    "evaluation": {
        "ranking_cases": 2,
        "ranking_score": "sum",
        "ranking_depth": None,
        "ranking_chunk": 16,
        "seed": 7,
    },
    "k": 3,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inference")
    tiny.make_base(folder / "base")
    splits = ["test", "test", "test", "test_unseen", "train"]
    cases = pd.DataFrame(
        {
            "case_id": [f"case-{i}" for i in range(5)],
            "disease_id": ["OMIM:1", "OMIM:2", "OMIM:2", "OMIM:3", "OMIM:1"],
            "split": splits,
        }
    )
    io.write_parquet(cases, folder / "cases.parquet")
    rows = []
    for case, split in zip(cases["case_id"], splits, strict=True):
        rows.append((case, split, "none", tiny.messages(f"seizure {case}")))
        if split != "train":
            rows.append((case, split, "blank", tiny.messages("not available")))
    prompts = pd.DataFrame(rows, columns=["case_id", "split", "control", "prompt"])
    io.write_parquet(typed(prompts, ["prompt"]), folder / "prompts.parquet")
    only = prompts[prompts["control"] == "none"]
    io.write_parquet(typed(only, ["prompt"]), folder / "no_blank.parquet")
    ids = ["OMIM:4", "OMIM:3", "OMIM:2", "OMIM:1"]
    io.write_parquet(pd.DataFrame({"disease_id": ids, "name": tiny.NAMES}), folder / "candidates.parquet")
    return folder


@pytest.fixture(autouse=True)
def _scripts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(root / "workflow" / "scripts"), *sys.path])


def answer(folder: Path, control: str, output: str) -> pd.DataFrame:
    import generate_answers

    flags = ["--settings", json.dumps(GENERATION), "--base", str(folder / "base")]
    flags += ["--prompts", str(folder / "prompts.parquet"), "--control", control]
    generate_answers.main(generate_answers.arguments().parse_args([*flags, "--output", str(folder / output)]))
    return io.read_parquet(folder / output)


def rank(
    folder: Path,
    prompts: str = "prompts.parquet",
    student: object = STUDENT,
    cases: str = "cases.parquet",
    **changes: object,
):
    import rank_candidates

    settings = {**RANKING, "student": student, "evaluation": {**RANKING["evaluation"], **changes}}
    flags = ["--settings", json.dumps(settings), "--base", str(folder / "base")]
    for name, file in (
        ("prompts", prompts),
        ("candidates", "candidates.parquet"),
        ("cases", cases),
    ):
        flags += [f"--{name}", str(folder / file)]
    output = folder / "ranked.parquet"
    rank_candidates.main(rank_candidates.arguments().parse_args([*flags, "--output", str(output)]))
    return io.read_parquet(output)


def test_answers_of_the_test_patients(folder: Path) -> None:
    table = answer(folder, "none", "a.parquet")
    assert table.columns.tolist() == ["case_id", "text", "n_tokens", "finished"]
    assert table["case_id"].tolist() == ["case-0", "case-1", "case-2", "case-3"]
    assert (table["n_tokens"] <= 6).all() and table["finished"].dtype == bool
    answer(folder, "none", "b.parquet")
    assert (folder / "a.parquet").read_bytes() == (folder / "b.parquet").read_bytes()


def test_control_without_prompts_is_an_error(folder: Path) -> None:
    assert answer(folder, "blank", "blank.parquet")["text"].nunique() == 1
    with pytest.raises(InputError, match="no test prompts with control shuffled"):
        answer(folder, "shuffled", "c.parquet")


def test_ranking_of_the_sample(folder: Path) -> None:
    table = rank(folder)
    cases = io.read_parquet(folder / "cases.parquet")
    sample = ranking_sample(cases, 2, 7)
    assert sorted(cases.set_index("case_id").loc[sample, "disease_id"]) == ["OMIM:1", "OMIM:2"]
    assert sorted(table["case_id"].unique()) == sample
    assert (table["score"] == table["logp_sum"]).all() and (table["logp_mean"] > table["logp_sum"]).all()
    assert table.groupby("case_id")["rank"].agg(list).tolist() == [[1, 2, 3, 4]] * 2
    assert (table.groupby("case_id")["score"].diff().dropna() <= 0).all()
    by_pmi = rank(folder, ranking_score="pmi")
    assert (by_pmi["score"] == by_pmi["pmi"]).all()
    # the sum of a disease does not depend on what orders the table
    keys = ["case_id", "disease_id"]
    both = table.merge(by_pmi, on=keys)
    np.testing.assert_array_equal(both["logp_sum_x"], both["logp_sum_y"])


def test_a_student_of_single_names_is_asked_for_their_end(folder: Path) -> None:
    """It never learned to go on with a line break."""
    table = rank(folder, student={**STUDENT, "list_length": 1})
    case = table["case_id"].iloc[0]
    encoder = tiny.encoder(folder / "base")
    names = io.read_parquet(folder / "candidates.parquet").set_index("disease_id")["name"]
    prompt = tiny.messages(f"seizure {case}")
    for row in table[table["case_id"] == case].itertuples():
        text = [{"role": "assistant", "content": f"1. {names[row.disease_id]}"}]
        ids = encoder.completion_ids(prompt, text)
        wanted = tiny.naive_logp(tiny.model(folder / "base"), encoder.prompt_ids(prompt), ids)
        assert row.logp_sum == pytest.approx(wanted, abs=1e-3)


def test_ranking_without_blank_prompts_or_without_cases(folder: Path) -> None:
    assert rank(folder, "no_blank.parquet")["pmi"].isna().all()
    with pytest.raises(InputError, match=r"rare\.evaluation\.controls"):
        rank(folder, "no_blank.parquet", ranking_score="pmi")
    whole, few = (rank(folder, ranking_depth=depth).set_index(["case_id", "rank"]) for depth in (None, 1))
    for case in whole.index.get_level_values(0).unique():
        best, found = whole.loc[(case, 1)], few.loc[(case, 1)]
        assert found["disease_id"] == best["disease_id"]
        assert found["logp_sum"] == pytest.approx(best["logp_sum"], abs=1e-4)
    assert few.groupby("case_id").size().tolist() == [4, 4] and few["score"].notna().all()
    nothing = rank(folder, ranking_cases=0)
    assert nothing.empty and nothing.columns.tolist()[-1] == "rank"
    # all are those of unseen diseases, too
    assert rank(folder, ranking_cases=None)["case_id"].unique().tolist() == [f"case-{n}" for n in range(4)]
    with pytest.raises(InputError, match=r"unknown key.*typo"):
        rank(folder, typo=1)


def test_patients_out_of_the_set_are_ranked_with_all_others_and_change_nothing_of_theirs(
    folder: Path,
) -> None:
    cases = io.read_parquet(folder / "cases.parquet")
    more = pd.DataFrame({"case_id": ["case--"], "disease_id": ["OMIM:999999"], "split": ["unlabelled"]})
    io.write_parquet(pd.concat([cases, more], ignore_index=True), folder / "further.parquet")
    prompts = io.read_parquet(folder / "prompts.parquet")
    rows = [
        ("case--", "unlabelled", control, tiny.messages(text))
        for control, text in (("none", "seizure, and much more of it"), ("blank", "not available"))
    ]
    prompts = pd.concat([prompts, pd.DataFrame(rows, columns=list(prompts))], ignore_index=True)
    io.write_parquet(typed(prompts, ["prompt"]), folder / "further_prompts.parquet")
    for score in ("sum", "pmi"):
        alone = rank(folder, ranking_cases=None, ranking_score=score)
        found = rank(
            folder,
            "further_prompts.parquet",
            cases="further.parquet",
            ranking_cases=None,
            ranking_score=score,
        )
        assert set(found["case_id"]) == {*alone["case_id"], "case--"}
        assert found.loc[found["case_id"] == "case--", "score"].notna().all()
        others = found[found["case_id"] != "case--"].reset_index(drop=True)
        pd.testing.assert_frame_equal(others, alone, check_exact=True)
    sample = rank(folder, "further_prompts.parquet", cases="further.parquet")
    assert "case--" not in set(sample["case_id"])
