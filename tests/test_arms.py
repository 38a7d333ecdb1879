"""Which students a configuration lists: names, seeds, rates on trial, what each training depends on."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mintflow import budget, io, learning_rates
from mintflow.arms import Plan, by_arm
from mintflow.config import complete, require_files
from mintflow.config_schema import read_schema
from mintflow.errors import InputError
from mintflow.evaluation import arm_pairs, mean_of_seeds
from mintflow.tokenization import Pair


def section(root: Path, track: str = "rare", **changes: Any) -> dict[str, Any]:
    schema = read_schema(root / "workflow/schemas/config.schema.yaml")
    return complete({"run": "a", track: changes}, schema)[track]


ALL = ["orpo", "sft", "sft-truth", "dpo", "listwise", "rag", "orpo+rag"]


def test_an_answer_of_the_true_name_alone_is_a_list_of_one(root: Path) -> None:
    """Its ranking scores the end of the answer where those of lists score the end of the first line."""
    plan = Plan(section(root, arms=ALL), "rare")
    lengths = {name: arm.list_length for name, arm in plan.arms.items()}
    k = section(root)["preferences"]["k"]
    assert k > 1 and lengths.pop("sft-truth") == 1 and set(lengths.values()) == {k}


def test_who_ranks(root: Path) -> None:
    variants = {"orpo-q2": {"arm": "orpo", "preferences": {"q": 2}}}
    given = {"arms": ["orpo", "rag"], "variants": variants, "student": {"training": {"further_seeds": [7]}}}

    def ranking(**evaluation: Any) -> list[str]:
        return Plan(section(root, **given, evaluation=evaluation), "rare").ranking()

    arms = ["base", "orpo", "orpo.seed7", "rag"]
    assert ranking() == arms and ranking(ranking_cases=0) == []
    assert ranking(ranking_variants=["orpo-q2"]) == [*arms, "orpo-q2", "orpo-q2.seed7"]
    with pytest.raises(InputError, match=r"ranking_variants: orpo is no variant .*; there are orpo-q2$"):
        ranking(ranking_variants=["orpo"])
    base = {"kind": "hub", "id": "o/small", "revision": "1", "name": "small"}
    read = {"rag-small": {"arm": "rag", "student": {"base": base}}}
    asked = {"ranking_variants": ["rag-small"]}
    plan = Plan(section(root, arms=["orpo", "rag"], variants=read, evaluation=asked), "rare")
    assert plan.ranking() == ["base", "orpo", "rag", "rag-small"]
    with pytest.raises(InputError, match=r"ranking_variants: rag-small is no variant .*; there are none$"):
        section(root, arms=["orpo", "rag"], evaluation={"ranking_variants": ["rag-small"]})


def test_default_is_orpo_alone(root: Path) -> None:
    plan = Plan(section(root), "rare")
    assert list(plan.trainings()) == ["orpo"] and plan.answering() == ["base", "orpo"]
    assert not plan.trials() and plan.pairs().keys() == {"preferences"}


def test_seeds_and_rates(root: Path) -> None:
    training = {"seed": 6, "further_seeds": [7, 8], "learning_rates": [0.001, 0.0003]}
    plan = Plan(section(root, arms=ALL, student={"training": training}), "rare")
    runs = plan.trainings()
    assert [name for name in runs if name.startswith("dpo")] == ["dpo", "dpo.seed7", "dpo.seed8"]
    assert [runs[name].seed for name in ("dpo", "dpo.seed8")] == [6, 8]
    assert all(run.chosen for run in runs.values())
    assert [name for name in runs if runs[name].was_trial] == ["orpo", "sft", "sft-truth", "dpo", "listwise"]
    trials = plan.trials()
    assert sorted(name for name in trials if name.startswith("sft.")) == ["sft.lr0.0003", "sft.lr0.001"]
    assert trials["sft.lr0.0003"].settings()["training"]["learning_rate"] == 0.0003
    # asking the base model twice would be the same answer
    answering = plan.answering()
    assert answering.count("base") == 1 and "rag" in answering and "rag.seed7" not in answering
    assert plan.adapter_of("orpo+rag.seed7") == "orpo.seed7" and plan.adapter_of("rag") is None
    assert plan.adapter_of("sft.lr0.001") == "sft.lr0.001"
    assert plan.adapter_of("orpo-blank") == "orpo" and plan.adapter_of("orpo-blank.seed7") == "orpo.seed7"
    assert plan.arm_of("orpo-blank").name == "orpo" and plan.arm_of("sft-truth.lr0.001").name == "sft-truth"
    assert by_arm(["orpo", "orpo.seed7", "sft"]) == {"orpo": ["orpo", "orpo.seed7"], "sft": ["sft"]}


def test_a_variant_without_a_rate_has_that_of_the_arm_it_varies(root: Path) -> None:
    def variant(**training: Any) -> dict[str, Any]:
        return {"arm": "sft", "student": {"training": training}}

    variants = {
        "same": variant(learning_rates=[]),
        "given": variant(learning_rates=[], learning_rate=0.01),
        "own": variant(learning_rates=[0.1, 0.2]),
        "as-the-arm": {"arm": "sft", "preferences": {"rejected": "hard"}},
    }
    rates = {"training": {"learning_rates": [0.001, 0.0003]}}
    plan = Plan(section(root, arms=["orpo", "sft"], variants=variants, student=rates), "rare")
    assert {name: plan.arms[name].rate_from for name in variants} == {
        "same": "sft",
        "given": None,
        "own": "own",
        "as-the-arm": "as-the-arm",
    }
    runs = plan.trainings()
    assert {name: (runs[name].chosen, runs[name].was_trial) for name in variants} == {
        "same": (True, False),
        "given": (False, False),
        "own": (True, True),
        "as-the-arm": (True, True),
    }
    assert not any(arm.rate_from for arm in Plan(section(root, arms=["orpo", "sft"]), "rare").arms.values())


def test_a_training_depends_on_its_own_objective_alone(root: Path) -> None:
    plan = Plan(section(root, arms=ALL), "rare")
    other = Plan(section(root, arms=ALL, student={"dpo": {"beta": 0.3}}), "rare")
    for name, run in plan.trainings().items():
        same = run.settings() == other.trainings()[name].settings()
        assert same == (name != "dpo"), name
    found = plan.trainings()["orpo"].settings(("launcher",))
    assert "launcher" not in found and "dpo" not in found and "orpo" in found
    assert not {"learning_rates", "further_seeds"} & found["training"].keys()


def test_variants(root: Path) -> None:
    variants = {
        "orpo-q1": {"arm": "orpo", "preferences": {"q": 1}},
        "orpo-weak": {"arm": "orpo", "student": {"orpo": {"beta": 0.1}}},
        "orpo-blind": {"arm": "orpo", "teacher": "teacher-phenotype"},
        "base-other": {"arm": "base", "student": {"base": {"name": "other", "kind": "random"}}},
    }
    plan = Plan(section(root, variants=variants), "rare")
    assert set(plan.pairs()) == {"preferences", "preferences-orpo-q1", "preferences-orpo-blind"}
    assert plan.pairs()["preferences-orpo-q1"].preferences["q"] == 1
    assert plan.pairs()["preferences-orpo-blind"].teacher == "teacher-phenotype"
    weak = plan.arms["orpo-weak"]
    assert weak.student["orpo"] == plan.arms["orpo"].student["orpo"] | {"beta": 0.1}
    assert weak.pairs == "preferences" and weak.parent == "orpo"
    assert plan.adapter_of("base-other") is None and "base-other" not in plan.trainings()


@pytest.mark.parametrize(
    ("variants", "problem"),
    [
        ({"orpo": {"arm": "orpo"}}, "rare.variants.orpo: is the name of another arm"),
        ({"orpo-blank": {"arm": "orpo"}}, "must not end like a control"),
        ({"orpo-ranked": {"arm": "orpo"}}, "must not end like a control or a ranking"),
        ({"x": {"arm": "orpo", "preferences": {"k": 2}}}, "x.preferences.k: stands in the prompts"),
        ({"x": {"arm": "orpo", "student": {"beta": 2}}}, "rare.variants.x.student.*beta.*unknown key"),
        ({"x": {"arm": "orpo", "student": {"orpo": {"beta": -1}}}}, "x: rare.student.orpo.beta: -1"),
        (
            {"x": {"arm": "orpo", "preferences": {"leave_out": 0.5}}},
            "leave_out: changes nothing without preferences.views",
        ),
        ({"x": {"arm": "orpo", "preferences": {"views": 1, "leave_out": 0}}}, "leave_out"),
        ({"x": {"arm": "what"}}, 'rare.variants.x.arm: "what" is not allowed'),
        ({"x": {"arm": "orpo", "preferences": {"q": 99}}}, "x: rare.preferences.k.*would overlap"),
        ({"x": {"arm": "base", "student": {"base": {"kind": "random"}}}}, "is another model"),
        ({"x": {"arm": "orpo", "student": {"merge": True}}}, "x.student.merge: is the same for all arms"),
        ({"teacher": {"arm": "orpo"}}, "is the name of another arm"),
        ({"x": {"arm": "dpo"}}, "x.arm: dpo is not in rare.arms"),
        ({"x": {"arm": "base", "preferences": {"q": 1}}}, "base is not trained"),
        (
            {
                "a": {
                    "arm": "base",
                    "student": {"base": {"kind": "hub", "id": "o/a", "revision": "1", "name": "m"}},
                },
                "b": {
                    "arm": "base",
                    "student": {"base": {"kind": "hub", "id": "o/b", "revision": "1", "name": "m"}},
                },
            },
            "variants.b.student.base.name: rare.variants.a.student.base has the name m",
        ),
    ],
)
def test_bad_variants_are_named(root: Path, variants: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        section(root, variants=variants)


def test_comparisons_are_of_arms_that_the_run_has(root: Path) -> None:
    variants = {"orpo-q1": {"arm": "orpo", "preferences": {"q": 1}}}
    pairs = [["orpo-q1", "sft"], ["similarity", "orpo-blank"]]
    found = section(root, arms=["orpo", "sft"], variants=variants, evaluation={"comparisons": pairs})
    assert found["evaluation"]["comparisons"] == pairs
    with pytest.raises(InputError, match=r"comparisons: dpo is no arm of this run; there are .*sft"):
        section(root, arms=["orpo", "sft"], evaluation={"comparisons": [["sft", "dpo"]]})
    with pytest.raises(InputError, match=r"comparisons: retrieval is no arm of this run"):
        section(root, evaluation={"comparisons": [["retrieval", "similarity"]]})
    with pytest.raises(InputError, match=r"rare\.evaluation\.comparisons"):
        section(root, evaluation={"comparisons": [["orpo", "orpo"]]})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"student": {"training": {"further_seeds": [6]}}}, "further_seeds: 6 is the seed already"),
        (
            {"split": {"validation_fraction": 0}, "student": {"training": {"learning_rates": [0.1]}}},
            "learning_rates: needs validation cases",
        ),
        (
            {
                "variants": {
                    "x": {"arm": "orpo", "student": {"base": {"kind": "local", "id": "no/x", "name": "x"}}}
                }
            },
            "rare.variants.x.student.base.id: no/x does not exist",
        ),
    ],
)
def test_what_would_fail_late_is_refused_early(root: Path, changes: dict[str, Any], problem: str) -> None:
    schema = read_schema(root / "workflow/schemas/config.schema.yaml")
    with pytest.raises(InputError, match=re.escape(problem)):
        require_files(complete({"run": "a", "rare": changes}, schema))


def test_orpo_cannot_be_left_out(root: Path) -> None:
    with pytest.raises(InputError, match=r"rare\.arms"):
        section(root, arms=["sft"])


def test_seeds_are_averaged_case_by_case() -> None:
    rows = [
        ("orpo", "a", "top1", 1.0),
        ("orpo", "b", "top1", 0.0),
        ("orpo.seed7", "a", "top1", 0.0),
        ("orpo.seed7", "b", "top1", 0.0),
        ("base", "a", "top1", 0.0),
    ]
    table = pd.DataFrame(rows, columns=["arm", "case_id", "metric", "value"])
    table.insert(2, "split", "test")
    unseen = table.iloc[[0, 2]].assign(case_id="u", split="test_unseen")
    table = pd.concat([table, unseen, table.iloc[[0, 2]].assign(case_id="t", split="train")])
    together, seeds = mean_of_seeds(table, {"test": "", "test_unseen": "_unseen"})
    together = together[together["split"] == "test"]
    values = together.set_index(["arm", "case_id"])["value"].to_dict()
    assert values == {("orpo", "a"): 0.5, ("orpo", "b"): 0.0, ("base", "a"): 0.0}
    assert seeds.to_dict("records") == [
        {"arm": "orpo", "run": "orpo", "metric": "top1", "value": 0.5, "n": 2},
        {"arm": "orpo", "run": "orpo", "metric": "top1_unseen", "value": 1.0, "n": 1},
        {"arm": "orpo", "run": "orpo.seed7", "metric": "top1", "value": 0.0, "n": 2},
        {"arm": "orpo", "run": "orpo.seed7", "metric": "top1_unseen", "value": 0.0, "n": 1},
    ]
    alone, none = mean_of_seeds(table[table["arm"] != "orpo.seed7"], {"test": ""})
    assert len(alone) == 5 and none.empty


def test_pairs_that_are_compared() -> None:
    arms = {"base", "orpo", "sft", "rag", "teacher", "orpo-q1", "orpo-blank"}
    pairs = arm_pairs(arms, {"orpo-q1": "orpo"})
    assert pairs["orpo-q1", "orpo"] == "variants" and ("orpo", "orpo-q1") not in pairs
    assert pairs["sft", "base"] == pairs["rag", "base"] == "trained"
    assert pairs["orpo", "orpo-blank"] == pairs["orpo", "sft"] == "primary"


def test_pairs_that_the_configuration_asks_for() -> None:
    arms = {"base", "orpo", "sft", "orpo-q1", "sft-q1"}
    asked = [["orpo-q1", "sft"], ["sft", "orpo"], ["sft", "gone"], ["orpo", "sft-q1"]]
    pairs = arm_pairs(arms, {"orpo-q1": "orpo", "sft-q1": "sft"}, asked)
    assert pairs["orpo-q1", "sft"] == pairs["sft-q1", "orpo"] == "asked"
    # tested already, the other way round
    assert pairs["orpo", "sft"] == "primary" and ("sft", "orpo") not in pairs
    assert len(pairs) == 7 and all(set(pair) <= arms for pair in pairs)


def test_budget_counts_each_token_once() -> None:
    pair = Pair("a", [1] * 10, [2] * 5, [3] * 3, candidates=((4, 4), (5,)))
    wanted = {"orpo": 18, "dpo": 18, "sft": 15, "listwise": 18}
    assert {name: budget.tokens(pair, name) for name in wanted} == wanted
    assert budget.passes([pair], "sft", "tokens") == pytest.approx(18 / 15)
    assert budget.passes([pair], "sft", "pairs") == 1.0
    short = Pair("a", [1] * 10, [2] * 2, [3] * 3)
    assert budget.passes([short], "sft-truth", "tokens", [pair]) == pytest.approx(18 / 12)


def test_steps_follow_the_tokens_of_a_pair_not_how_many_pairs_there_are() -> None:
    pair, short = Pair("a", [1] * 10, [2] * 5, [3] * 3), Pair("a", [1] * 10, [2] * 2, [3] * 3)
    for many in (1, 4):
        passes = budget.passes([short] * many, "sft", "tokens", [pair])
        assert passes == pytest.approx(1.5 / many)
        assert budget.steps(passes, [short] * many, "tokens", [pair]) == pytest.approx(1.5)
    assert budget.steps(1.0, [short] * 4, "pairs", [pair]) == 1.0


def answers(*texts: str) -> pd.DataFrame:
    return pd.DataFrame({"case_id": [f"c{n}" for n in range(len(texts))], "text": texts})


def test_the_best_rate_is_chosen_by_answers() -> None:
    truth = {"c0": "Marfan syndrome", "c1": "Rett syndrome"}
    trials = {
        "orpo.lr0.001": answers("1. marfan syndrome\n2. Rett syndrome", "nonsense"),
        "orpo.lr0.0001": answers("1. Rett syndrome\n2. Marfan syndrome", "1. Rett syndrome"),
        "orpo.lr1e-05": answers("1. Rett syndrome\n2. Marfan syndrome", "1. Rett syndrome"),
    }
    found = learning_rates.choose(trials, truth)
    assert found["learning_rate"] == 1e-05  # of equals the smaller
    by_rate = {row["rate"]: row for row in found["trials"]}
    assert by_rate[0.0001]["top1"] == 0.5 and by_rate[0.0001]["mrr"] == 0.75
    assert found["edge"] == "smallest"
    middle = learning_rates.choose(trials, truth, {"orpo.lr1e-05"})
    assert (middle["learning_rate"], middle["edge"]) == (0.0001, None)
    assert learning_rates.choose({"orpo.lr1": trials["orpo.lr1e-05"]}, truth)["edge"] is None
    with pytest.raises(InputError, match="every learning rate diverged"):
        learning_rates.choose(trials, truth, set(trials))
    with pytest.raises(InputError, match="different cases"):
        learning_rates.choose(trials | {"orpo.lr1": answers("1. a")}, truth)
    with pytest.raises(InputError, match="no validation case"):
        learning_rates.choose({"orpo.lr1": answers()}, truth)


def test_rates_whose_answers_are_alike_are_told_by_the_held_out_loss() -> None:
    """As of an arm that writes captions whatever its rate is."""
    truth = {"c0": "Marfan syndrome", "c1": "Rett syndrome"}
    trials = {f"dpo.lr{rate}": answers("a picture", "another") for rate in ("1e-05", "0.0001", "0.001")}
    losses = {"dpo.lr1e-05": 0.6, "dpo.lr0.0001": 0.2, "dpo.lr0.001": float("nan")}
    found = learning_rates.choose(trials, truth, losses=losses)
    assert (found["learning_rate"], found["edge"], found["tied"]) == (0.0001, None, [1e-05, 0.001])
    assert [row["held_out_loss"] for row in found["trials"]][:2] == [0.6, 0.2]
    # answers come first, however good the loss
    better = trials | {"dpo.lr1e-05": answers("1. Marfan syndrome", "another")}
    found = learning_rates.choose(better, truth, losses=losses)
    assert (found["learning_rate"], found["tied"]) == (1e-05, [])


def test_the_program_reads_the_loss_of_the_weights_that_were_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "mintflow")
    program = importlib.import_module("choose_learning_rate")
    pd.DataFrame({"case_id": ["c0"], "label_id": ["a"]}).to_parquet(tmp_path / "cases.parquet")
    pd.DataFrame({"label_id": ["a"], "name": ["gland"]}).to_parquet(tmp_path / "labels.parquet")
    # the last of the first is the lowest of all, but its weights are those of step 2
    held_out = {"dpo.lr0.01": [[2, 0.5], [4, 0.1]], "dpo.lr0.1": [[2, 0.6], [4, 0.3]], "dpo.lr1": []}
    kept = {"dpo.lr0.01": 2, "dpo.lr0.1": 4, "dpo.lr1": 4}
    for name, losses in held_out.items():
        answers("a caption").to_parquet(tmp_path / f"{name}.parquet")
        summary = {"diverged_after_step": None, "kept_step": kept[name], "losses": {"held_out": losses}}
        io.write_json(summary, tmp_path / f"{name}.json")

    def run(*names: str) -> dict:
        command = ["--cases", str(tmp_path / "cases.parquet"), "--labels", str(tmp_path / "labels.parquet")]
        command += ["--label", "label_id", "--output", str(tmp_path / "out.json")]
        for flag, kind in (("--answers", "parquet"), ("--summaries", "json")):
            command += [flag, *(f"{name}={tmp_path / name}.{kind}" for name in names)]
        program.main(program.arguments().parse_args(command))
        return io.read_json(tmp_path / "out.json")

    found = run(*held_out)
    assert found["learning_rate"] == 0.1 and found["tied"] == [0.01, 1.0]
    assert [row["held_out_loss"] for row in found["trials"]] == [0.5, 0.3, None]
    assert "the held-out loss decides" in caplog.text and "the smallest is taken" not in caplog.text
    run("dpo.lr1")
    assert run("dpo.lr1")["tied"] == []


def test_the_trial_of_the_chosen_rate_is_taken_whole(tmp_path: Path) -> None:
    for name, text in (("sft.lr1e-05", "small"), ("sft.lr0.001", "large")):
        io.write_text(text, tmp_path / name / "adapter" / "weights")
        io.write_text(f"{text}\n", tmp_path / name / "log.jsonl")
        io.write_json({"tokens": 5}, tmp_path / name / "training.json")
    io.write_json({"learning_rate": 1e-5, "trials": []}, tmp_path / "rate.json")
    program = importlib.import_module("take_trial")
    trials = [f"{folder.name}={folder}" for folder in sorted(tmp_path.iterdir()) if folder.is_dir()]
    out = tmp_path / "sft"
    names = {"adapter": "adapter", "log": "log.jsonl", "summary": "training.json"}
    flags = [word for flag, name in names.items() for word in (f"--output-{flag}", str(out / name))]
    command = ["--learning-rate", str(tmp_path / "rate.json"), "--trials", *trials, *flags]
    program.main(program.arguments().parse_args(command))
    assert (out / "adapter" / "weights").read_text() == "small"
    assert (out / "log.jsonl").read_text() == "small\n"
    assert io.read_json(out / "training.json") == {"tokens": 5, "trial": "sft.lr1e-05"}
    with pytest.raises(InputError, match="no trial"):
        learning_rates.trial_of(0.5, ["sft.lr0.001"])
