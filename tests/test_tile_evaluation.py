"""Every arm of the tissue track on the same tiles: lists, rankings, confusion, intervals over patients."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

import evaluate_tiles
from mintflow.errors import InputError
from mintflow.scores import rank_table
from mintflow.tile_evaluation import name_keys

LABELS = pd.DataFrame(
    {
        "label_id": ["gland", "muscle", "nerve", "soft-tissue"],
        "name": ["gland", "muscle", "nerve", "soft tissue"],
    }
)
IDS = LABELS["label_id"].tolist()
NAMES = dict(zip(IDS, LABELS["name"], strict=True))
OPTIONS = {"car_lambda": 1.0, "comparisons": [], "bootstrap_unit": "patient"}
OPTIONS |= {"bootstrap_samples": 300, "seed": 3}


@pytest.fixture
def material(tmp_path: Path) -> Path:
    """80 test tiles of 16 patients: arms that are mostly right, that do not look, that write nonsense."""
    rng = np.random.default_rng(1)
    rows = [
        (f"t{number:03d}", IDS[number % 4], f"p{number // 5}", "test" if number < 80 else "train")
        for number in range(90)
    ]
    rows.append(("u", None, "p0", "unlabelled"))
    cases = pd.DataFrame(rows, columns=["case_id", "label_id", "patient_id", "split"])
    cases.to_parquet(tmp_path / "cases.parquet")
    LABELS.to_parquet(tmp_path / "labels.parquet")
    truth = np.array([IDS.index(label) if label in IDS else 0 for label in cases["label_id"]])
    scores = rng.normal(size=(len(cases), 4))
    scores[np.arange(len(cases)), truth] += 2
    for arm, table in (("teacher", scores), ("prior", np.tile([4.0, 3, 2, 1], (len(cases), 1)))):
        ranked = rank_table(table, cases["case_id"].tolist(), IDS, "label_id")
        ranked.to_parquet(tmp_path / f"{arm}.parquet")
    asked = cases[cases["split"] != "train"]

    def write(arm: str, text: list[str]) -> None:
        table = pd.DataFrame({"case_id": asked["case_id"], "text": text, "n_tokens": 5, "finished": True})
        table.to_parquet(tmp_path / f"{arm}.parquet")

    right = [NAMES.get(label, "gland") for label in asked["label_id"]]
    named = [name if rng.random() < 0.8 else "nerve" for name in right]
    write("orpo", [f"1. {name}\n2. Muscle" for name in named])
    write("orpo-blank", ["1. gland\n2. muscle"] * len(asked))
    write("base", ["I see a picture."] * 40 + ["1. Heart\n2. Soft Tissue!"] * (len(asked) - 40))
    return tmp_path


def evaluate(
    folder: Path,
    arms: tuple[str, ...] = ("base", "orpo", "orpo-blank"),
    ranked: tuple[str, ...] = (),
    **changes: object,
) -> dict:
    settings = {"evaluation": OPTIONS | changes, "preferences": {"k": 2, "q": 1}}
    outputs = ["metrics", "comparisons", "confusion", "seeds", "per-case", "grounded"]
    evaluate_tiles.main(
        evaluate_tiles.arguments().parse_args(
            [
                *("--settings", json.dumps(settings)),
                *("--cases", str(folder / "cases.parquet"), "--labels", str(folder / "labels.parquet")),
                *("--answers", *(f"{arm}={folder / arm}.parquet" for arm in arms)),
                *(["--rankings", *ranked] if ranked else []),
                *("--scores", *(f"{arm}={folder / arm}.parquet" for arm in ("teacher", "prior"))),
                *(word for name in outputs for word in (f"--output-{name}", str(folder / f"out-{name}"))),
            ]
        )
    )
    tables = {name: pd.read_csv(folder / f"out-{name}") for name in outputs[:4]}
    return tables | {name: pd.read_parquet(folder / f"out-{name}") for name in outputs[4:]}


def value(metrics: pd.DataFrame, arm: str, metric: str) -> float:
    [found] = metrics.loc[(metrics["arm"] == arm) & (metrics["metric"] == metric), "value"]
    return float(found)


def test_columns_and_numbers(material: Path) -> None:
    found = evaluate(material)
    metrics, per_case = found["metrics"], found["per-case"]
    assert metrics.columns.tolist() == ["arm", "metric", "value", "ci_low", "ci_high", "n"]
    assert set(metrics["arm"]) == {"base", "orpo", "orpo-blank", "teacher", "prior"}
    own = per_case[(per_case["arm"] == "orpo") & (per_case["metric"] == "top1")]
    assert len(own) == 80 and value(metrics, "orpo", "top1") == pytest.approx(own["value"].mean(), abs=1e-6)
    assert value(metrics, "orpo-blank", "top1") == value(metrics, "prior", "top1") == 0.25
    assert value(metrics, "base", "top1") == 0.0
    # forty sentences without a list, and of the other lists every second item is no tissue
    assert value(metrics, "base", "ungrounded") == pytest.approx((40 * 1.0 + 40 * 0.5) / 80)
    assert value(metrics, "base", "parse_failure") == 0.5
    bounded = metrics.dropna(subset=["ci_low"])
    assert (
        (bounded["ci_low"] <= bounded["value"] + 1e-9) & (bounded["value"] <= bounded["ci_high"] + 1e-9)
    ).all()
    assert not metrics["metric"].str.contains("lenient|out_of_set|top10").any()


def test_macro_f1_is_that_of_scikit_learn(material: Path) -> None:
    found = evaluate(material)
    first = found["grounded"].query("arm == 'orpo' and position == 1").set_index("case_id")["label_id"]
    tested = pd.read_parquet(material / "cases.parquet").query("split == 'test'")
    wanted = f1_score(tested["label_id"], first.loc[tested["case_id"]], average="macro")
    assert value(found["metrics"], "orpo", "macro_f1") == pytest.approx(wanted, abs=1e-6)
    low, high = (
        found["metrics"].query("arm == 'orpo' and metric == 'macro_f1'")[["ci_low", "ci_high"]].iloc[0]
    )
    assert 0 < low < wanted < high < 1


def test_by_tissue_and_confusion(material: Path) -> None:
    found = evaluate(material)
    counts = (
        found["confusion"].query("arm == 'orpo'").pivot(index="truth", columns="predicted", values="count")
    )
    assert counts.loc[IDS, [*IDS, "(none)"]].to_numpy().sum() == 80
    for label in IDS:
        assert value(found["metrics"], "orpo", f"top1@{label}") == pytest.approx(
            counts.loc[label, label] / 20
        )
    none = found["confusion"].query("arm == 'base' and predicted == '(none)'")["count"].sum()
    assert none == 80  # the first item of its lists names nothing, the others hold no list
    assert not found["metrics"]["metric"].str.match("top1@.*_macro").any()


def test_the_student_is_compared_with_every_other_arm(material: Path) -> None:
    comparisons = evaluate(material)["comparisons"]
    assert set(comparisons["arm_a"]) == {"orpo"}
    assert set(comparisons["arm_b"]) == {"base", "orpo-blank", "teacher", "prior"}
    for metric in ("top1", "mrr", "macro_f1"):
        blank = comparisons[(comparisons["arm_b"] == "orpo-blank") & (comparisons["metric"] == metric)].iloc[
            0
        ]
        assert blank["difference"] > 0.2 and blank["p_adjusted"] < 0.05, metric
        assert blank["p_adjusted"] >= blank["p_value"] and blank["n"] == 80


def test_adding_an_arm_changes_no_other_number(material: Path) -> None:
    few, all_arms = evaluate(material, arms=("orpo",))["metrics"], evaluate(material)["metrics"]
    kept = all_arms[all_arms["arm"].isin(set(few["arm"]))].reset_index(drop=True)
    pd.testing.assert_frame_equal(few, kept)


def test_same_seed_same_bytes(material: Path) -> None:
    evaluate(material)
    names = ("metrics", "comparisons", "confusion", "seeds", "per-case", "grounded")
    first = [(material / f"out-{name}").read_bytes() for name in names]
    evaluate(material)
    assert first == [(material / f"out-{name}").read_bytes() for name in names]


def test_patients_decide_the_width_of_intervals(material: Path) -> None:
    by_patient, by_case = (
        evaluate(material, bootstrap_unit=unit)["metrics"].query("arm == 'orpo' and metric == 'top1'").iloc[0]
        for unit in ("patient", "case")
    )
    assert by_patient["value"] == by_case["value"]
    assert (by_patient["ci_low"], by_patient["ci_high"]) != (by_case["ci_low"], by_case["ci_high"])


def test_what_a_student_ranks_is_measured_beside_what_it_writes(material: Path) -> None:
    """The ranking of an arm that writes nothing: here, the teacher's turned upside down."""
    upside = pd.read_parquet(material / "teacher.parquet")
    upside["rank"] = 5 - upside["rank"]
    upside.to_parquet(material / "base-ranks.parquet")
    ranked = (f"base={material / 'base-ranks.parquet'}", f"orpo={material / 'teacher.parquet'}")
    found = evaluate(material, ranked=ranked, ranking_cases=None)
    metrics = found["metrics"]
    assert value(metrics, "orpo", "rank_top1") == value(metrics, "teacher", "rank_top1")
    assert value(metrics, "teacher", "rank_top1") == value(metrics, "teacher", "top1") > 0.5
    truth = pd.read_parquet(material / "cases.parquet").query("split == 'test'")[["case_id", "label_id"]]
    wanted = (upside.merge(truth)["rank"] == 1).mean()
    assert value(metrics, "base", "rank_top1") == pytest.approx(wanted, abs=1e-6)
    assert value(metrics, "base", "top1") == 0
    assert set(metrics.loc[metrics["metric"] == "rank_mrr", "arm"]) == {"base", "orpo", "teacher", "prior"}
    # nothing else changes, nor does what is tested for arms that are not ranked
    plain = evaluate(material)
    rest = metrics[~metrics["metric"].str.startswith("rank_")].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, plain["metrics"])
    pairs = found["comparisons"].query("metric == 'rank_top1'")["arm_b"]
    assert sorted(pairs) == ["base", "prior", "teacher"]
    # a sample is the same tiles for all
    few = evaluate(material, ranked=ranked, ranking_cases=12)["metrics"].query("metric == 'rank_top1'")
    assert few["n"].tolist() == [12] * 4
    with pytest.raises(InputError, match="record dpo, field --rankings: is ranked"):
        evaluate(material, ranked=("dpo=x",), ranking_cases=None)


def test_an_arm_that_lacks_a_tile_is_named(material: Path) -> None:
    table = pd.read_parquet(material / "orpo.parquet")
    table[table["case_id"] != "t007"].to_parquet(material / "orpo.parquet")
    with pytest.raises(InputError, match=r"record t007: arm orpo lacks 1 of 80"):
        evaluate(material)


def test_names_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be told apart"):
        name_keys(pd.DataFrame({"label_id": ["a", "b"], "name": ["Soft tissue", "soft-tissue"]}))
