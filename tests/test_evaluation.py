from __future__ import annotations

import json
import sys
from difflib import SequenceMatcher
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from mintflow import evaluation as ev
from mintflow import io
from mintflow.errors import InputError
from mintflow.metrics import BOUNDS, Labels, TeacherLists, score_list
from mintflow.mondo import Mondo
from mintflow.names import Grounder

NAMES = {
    "OMIM:1": "Developmental and epileptic encephalopathy 13",
    "OMIM:2": "Developmental and epileptic encephalopathy 70",
    "OMIM:3": "Marfan syndrome",
    "OMIM:4": "Kabuki syndrome 1",
    "OMIM:5": "Sotos syndrome",
    "OMIM:6": "Noonan syndrome 1",
    "OMIM:7": "Alport syndrome 2",
    "OMIM:8": "Rett syndrome",
}
DISEASES = list(NAMES)
SETTINGS = {
    "evaluation": {
        "ranking_cases": 4,
        "bootstrap_samples": 200,
        "bootstrap_unit": "publication",
        "car_lambda": 1.0,
        "comparisons": [],
        "seed": 7,
    },
    "preferences": {"k": 3, "q": 3},
}


class World:
    """Tables of a small cohort on disk, and a call of evaluate_arms."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rows = [
            (
                f"case-{i:02d}",
                DISEASES[i % 6 if i < 12 else 7],
                f"PMID:{i // 2}",
                "test" if i < 12 else "test_unseen",
            )
            for i in range(14)
        ]
        rows.append(("case-99", "OMIM:1", "PMID:99", "train"))
        self.cases = pd.DataFrame(rows, columns=ev.CASE_COLUMNS)
        self.tested = self.cases[self.cases["split"] != "train"]
        self.save("cases", self.cases)
        series = ["dee", "dee", None, "kabuki", None, "noonan", "alport", None]
        self.candidates = pd.DataFrame({"disease_id": DISEASES, "series": series})
        self.save("candidates", self.candidates)
        keys = [(name.lower(), disease) for disease, name in NAMES.items()]
        keys += [("mfs", "OMIM:3"), ("long qt syndrome 1", "OMIM:192500")]
        self.vocabulary = pd.DataFrame(keys, columns=["key", "disease_id"]).assign(kind="name")
        self.save("vocabulary", self.vocabulary)
        self.mondo = pd.DataFrame(
            [("MONDO:3", "Marfan syndrome", "OMIM:3", ""), ("MONDO:3", "Marfan syndrome", "ORPHA:558", "")],
            columns=["mondo_id", "mondo_label", "source_id", "source_label"],
        )
        self.save("mondo", self.mondo)
        teacher = {case: self.order(disease) for case, disease in self.truths(self.cases).items()}
        self.save("teacher", self.ranks(teacher))
        self.save("prior", self.ranks(dict.fromkeys(teacher, DISEASES)))
        self.answer("orpo", {case: order[:3] for case, order in teacher.items()})
        self.answer("base", dict.fromkeys(teacher, ()))
        sample = ev.ranking_sample(self.cases, 4, 7)
        self.save("ranked", self.ranks({case: teacher[case] for case in sample}))
        self.answers = {"orpo": "orpo", "base": "base"}
        self.scores = {"teacher": "teacher", "prior": "prior"}
        self.rankings = {"orpo": "ranked", "base": "ranked"}

    @staticmethod
    def truths(cases: pd.DataFrame) -> dict[str, str]:
        return dict(zip(cases["case_id"], cases["disease_id"], strict=True))

    @staticmethod
    def order(truth: str) -> list[str]:
        """The true disease, then the others in a fixed order."""
        return [truth, *(disease for disease in DISEASES if disease != truth)]

    @staticmethod
    def ranks(orders: dict[str, list[str]]) -> pd.DataFrame:
        rows = [
            (case, disease, rank) for case, order in orders.items() for rank, disease in enumerate(order, 1)
        ]
        return pd.DataFrame(rows, columns=["case_id", "disease_id", "rank"])

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"

    def save(self, name: str, table: pd.DataFrame) -> None:
        io.write_parquet(table, self.path(name))

    def answer(self, name: str, lists: dict) -> None:
        """Write answers: disease ids are written as names, other text as it is."""
        texts = {
            case: "\n".join(f"{i}. {NAMES.get(item, item)}" for i, item in enumerate(items, 1))
            for case, items in lists.items()
        }
        table = pd.DataFrame({"case_id": list(texts), "text": list(texts.values())})
        self.save(name, table.assign(n_tokens=1, finished=True))

    def run(self, settings: dict = SETTINGS) -> SimpleNamespace:
        import evaluate_arms

        out = {
            name: self.folder / "out" / name
            for name in ("metrics", "comparisons", "seeds", "per-case", "grounded")
        }
        arguments = ["--settings", json.dumps(settings)]
        for name in ("cases", "candidates", "vocabulary", "mondo"):
            arguments += [f"--{name}", str(self.path(name))]
        for name in ("answers", "rankings", "scores"):
            for arm, file in getattr(self, name).items():
                arguments += [f"--{name}", f"{arm}={self.path(file)}"]
        for name, path in out.items():
            arguments += [f"--output-{name}", str(path)]
        evaluate_arms.main(evaluate_arms.arguments().parse_args(arguments))
        return SimpleNamespace(
            metrics=pd.read_csv(out["metrics"]),
            comparisons=pd.read_csv(out["comparisons"]),
            per_case=io.read_parquet(out["per-case"]),
            grounded=io.read_parquet(out["grounded"]),
            bytes={name: path.read_bytes() for name, path in out.items()},
        )


@pytest.fixture
def world(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(sys, "path", [str(root / "workflow" / "scripts"), *sys.path])
    return World(tmp_path)


def value(result: SimpleNamespace, arm: str, metric: str) -> float:
    rows = result.metrics.set_index(["arm", "metric"])
    return rows.loc[(arm, metric), "value"]


def test_whole_evaluation(world: World) -> None:
    result = world.run()
    rows = result.metrics.set_index(["arm", "metric"])
    for metric in (
        "top1",
        "top3_lenient",
        "mrr",
        "coverage",
        "avoidance",
        "car",
        "top1_macro",
        "top1_unseen",
    ):
        assert rows.loc[("orpo", metric), "value"] == 1
        assert rows.loc[("teacher", metric), "value"] == 1
    assert rows.loc[("orpo", "top1"), "n"] == 12 and rows.loc[("orpo", "top1_unseen"), "n"] == 2
    both = rows.loc[("orpo", "top1_all")]
    parts = [rows.loc[("orpo", name)] for name in ("top1", "top1_unseen")]
    assert both["n"] == 14
    assert both["value"] == pytest.approx(sum(part["value"] * part["n"] for part in parts) / 14)
    assert rows.loc[("orpo", "rank_top1"), ["value", "n"]].tolist() == [1, 4]
    # beside it, on the same patients, whoever scores every candidate
    assert rows.loc[("teacher", "rank_top1"), ["value", "n"]].tolist() == [1, 4]
    tested = result.comparisons.set_index(["arm_a", "arm_b", "metric"])
    assert tested.loc[("orpo", "prior", "rank_mrr"), "n"] == 4
    # an arm of empty answers stays in every denominator
    assert rows.loc[("base", "top1"), ["value", "n"]].tolist() == [0, 12]
    assert rows.loc[("base", "parse_failure"), "value"] == rows.loc[("base", "ungrounded"), "value"] == 1
    assert rows.loc[("base", "car"), "value"] == 0
    # the prior ranks disease number i at i, for diseases 1 to 6 twice each
    assert rows.loc[("prior", "top1"), "value"] == pytest.approx(1 / 6, 1e-5)
    assert rows.loc[("prior", "mrr"), "value"] == pytest.approx(sum(1 / i for i in range(1, 7)) / 6, 1e-5)
    assert rows.loc[("prior", "top1_lenient"), "value"] == pytest.approx(2 / 6, 1e-5)
    suffixes = [part + macro for part in ("", "_unseen", "_all") for macro in ("", "_macro")]
    known = {name + suffix for name in BOUNDS for suffix in suffixes}
    assert set(result.metrics["metric"]) <= known
    assert list(result.per_case.columns) == ev.PER_CASE and list(result.grounded.columns) == ev.GROUNDED
    assert set(result.grounded["arm"]) == {"orpo"}
    pairs = set(zip(result.comparisons["arm_a"], result.comparisons["arm_b"], strict=True))
    assert pairs == {("orpo", "base"), ("orpo", "prior"), ("orpo", "teacher")}
    first = result.comparisons.set_index(["arm_b", "metric"]).loc[("base", "top1")]
    assert first["difference"] == 1 and first["p_value"] == 2 / 2**6


def test_same_inputs_same_bytes_and_arms_do_not_matter_to_each_other(world: World) -> None:
    first, second = world.run(), world.run()
    assert first.bytes == second.bytes
    del world.scores["prior"]
    fewer = world.run().metrics
    expected = first.metrics[first.metrics["arm"] != "prior"].reset_index(drop=True)
    pd.testing.assert_frame_equal(fewer, expected, check_dtype=False)


def test_synonyms_other_ids_and_names_outside_the_set(world: World) -> None:
    case = world.tested["case_id"].iloc[2]  # Marfan syndrome
    world.answer("orpo", dict.fromkeys(world.tested["case_id"], ("MFS", "Long QT syndrome 1", "Nonsense")))
    result = world.run()
    items = result.grounded[result.grounded["case_id"] == case]
    assert items["position"].tolist() == [1, 2, 3]
    assert (
        items["disease_id"].tolist()[:2] == ["OMIM:3", "OMIM:192500"]
        and items["disease_id"].isna().sum() == 1
    )
    values = result.per_case[result.per_case["case_id"] == case].set_index(["arm", "metric"])["value"]["orpo"]
    assert values["top1"] == 1
    assert values["out_of_set"] == values["ungrounded"] == pytest.approx(1 / 3)


def test_ids_are_collapsed_to_the_candidates_own() -> None:
    rows = [("MONDO:3", "Marfan syndrome", "OMIM:3", ""), ("MONDO:3", "Marfan syndrome", "ORPHA:558", "")]
    mondo = Mondo(pd.DataFrame(rows, columns=["mondo_id", "mondo_label", "source_id", "source_label"]))
    labels = ev.disease_labels(pd.DataFrame({"disease_id": ["ORPHA:558"], "series": ["m"]}), mondo)
    assert labels.collapse("OMIM:3") == labels.collapse("Orphanet:558") == "ORPHA:558"
    assert labels.candidates == {"ORPHA:558"} and labels.related("ORPHA:558", "ORPHA:558")


def test_a_missing_case_is_an_error_that_names_arm_and_file(world: World) -> None:
    table = io.read_parquet(world.path("base"))
    world.save("base", table[table["case_id"] != "case-05"])
    with pytest.raises(InputError, match=r"base\.parquet, record case-05: arm base lacks 1 of 14 test cases"):
        world.run()
    world.save("base", pd.concat([table, table.head(1)]))
    with pytest.raises(InputError, match="arm base has a case twice"):
        world.run()
    world.save("base", table.drop(columns="text"))
    with pytest.raises(InputError, match=r"base\.parquet.*text"):
        world.run()


@pytest.mark.parametrize("name", ["teacher", "ranked"])
def test_incomplete_rankings_are_errors(world: World, name: str) -> None:
    table = io.read_parquet(world.path(name))
    case = ev.ranking_sample(world.cases, 4, 7)[0]
    world.save(name, table[table["case_id"] != case])
    with pytest.raises(InputError, match=rf"{name}\.parquet, record {case}: arm \w+ lacks 1"):
        world.run()
    world.save(name, table[~((table["case_id"] == case) & (table["disease_id"] == "OMIM:4"))])
    with pytest.raises(InputError, match=rf"{name}\.parquet, record {case}: .* ranks no candidate OMIM:4"):
        world.run()
    extra = table[table["case_id"] == case].head(1).assign(disease_id="OMIM:404")
    world.save(name, pd.concat([table, extra]))
    with pytest.raises(InputError, match="ranks the unknown candidate OMIM:404"):
        world.run()
    world.save(name, table.assign(rank=table["rank"].where(table["case_id"] != case)))
    with pytest.raises(InputError, match="lacks a rank"):
        world.run()


def test_wrong_settings_and_arms(world: World) -> None:
    wide = {**SETTINGS, "preferences": {"k": 5, "q": 4}}
    with pytest.raises(InputError, match=r"rare\.preferences\.k.*k \+ q = 9 exceeds the 8 candidate"):
        world.run(wide)
    with pytest.raises(InputError, match=r"unknown key.*typo"):
        world.run({**SETTINGS, "typo": 1})
    world.scores = {"prior": "prior"}
    with pytest.raises(InputError, match="need the arm teacher"):
        world.run()
    world.scores = {"teacher": "teacher", "orpo": "prior"}
    with pytest.raises(InputError, match="both writes and scores"):
        world.run()
    world.save("cases", world.cases.assign(split="train"))
    world.scores = {"teacher": "teacher"}
    with pytest.raises(InputError, match="no test case"):
        world.run()


def test_no_closed_set_ranking_when_switched_off(world: World) -> None:
    world.rankings = {}
    settings = {**SETTINGS, "evaluation": {**SETTINGS["evaluation"], "ranking_cases": 0}}
    assert not world.run(settings).metrics["metric"].str.startswith("rank_").any()


def test_pairs() -> None:
    assert ev.arm_pairs({"orpo", "base", "teacher", "teacher-phenotype"}) == {
        ("orpo", "base"): "primary",
        ("orpo", "teacher"): "primary",
        ("orpo", "teacher-phenotype"): "primary",
        ("teacher", "teacher-phenotype"): "others",
    }
    assert ev.arm_pairs({"base", "teacher"}) == {}


# The evaluator released with the MINT paper, in brief: what it computes, not its code.


def their_match(first: str, second: str, threshold: float = 0.8) -> bool:
    return SequenceMatcher(None, first.lower(), second.lower()).ratio() >= threshold


def their_coverage(predicted: list[str], teacher_top: list[str]) -> float:
    return len({name.lower() for name in predicted} & set(teacher_top)) / len(teacher_top)


def their_avoidance(predicted: list[str], top: list[str], bottom: list[str]) -> float:
    return 1 - len(set(top) & set(bottom)) / len(bottom)


def test_patients_whom_a_publication_ties_together_are_one_unit(tmp_path: Path) -> None:
    cases = pd.DataFrame(
        {
            "case_id": ["a", "b", "c"],
            "disease_id": "OMIM:1",
            "publication": ["PMID:3", "PMID:2", "PMID:4"],
            "publications": [["PMID:3", "PMID:1"], ["PMID:2", "PMID:1"], ["PMID:4"]],
            "split": "test",
        }
    )
    io.write_parquet(cases, tmp_path / "cases.parquet")
    found = ev.read_cases(tmp_path / "cases.parquet")
    assert list(found) == ev.CASE_COLUMNS
    assert found["publication"].tolist() == ["PMID:1", "PMID:1", "PMID:4"]
    io.write_parquet(cases.drop(columns="publications"), tmp_path / "cases.parquet")
    assert ev.read_cases(tmp_path / "cases.parquet")["publication"].tolist() == cases["publication"].tolist()


class TestDefectsOfTheAuthorsEvaluator:
    top, bottom = DISEASES[:3], DISEASES[-3:]

    def ours(self, text: str, truth: str = "OMIM:1") -> dict[str, float]:
        keys = [(name.lower(), disease) for disease, name in NAMES.items()]
        grounder = Grounder(pd.DataFrame(keys, columns=["key", "disease_id"]), DISEASES)
        labels = Labels(frozenset(DISEASES))
        answers = pd.DataFrame({"case_id": ["a"], "text": [text]})
        items = [
            None if pd.isna(found) else found
            for found in ev.ground_answers(answers, "x", grounder, labels)["disease_id"]
        ]
        lists = TeacherLists(frozenset(self.top), frozenset(self.bottom))
        return score_list(items, truth, labels, lists, k=3, q=3, car_lambda=1.0)

    def written(self, ids: list[str]) -> str:
        return "\n".join(f"{i}. {NAMES[disease]}" for i, disease in enumerate(ids, 1))

    def test_nonsense_is_not_hallucination_free(self) -> None:
        assert their_match("Blorbax disease", "Marfan syndrome", threshold=0.0)
        assert self.ours("1. Blorbax disease\n2. Qwerty syndrome")["ungrounded"] == 1

    def test_an_explanation_behind_a_name_does_not_make_it_another(self) -> None:
        found = self.ours(
            "1. Marfan syndrome (MS) - a disorder of connective tissue\n2. Alport syndrome 2 (X)"
        )
        assert found["ungrounded"] == 0.5 and self.ours("1. Alport syndrome 2: a b")["ungrounded"] == 1

    def test_every_item_counts_not_the_best_of_ten(self) -> None:
        answer = ["Marfan syndrome", *(f"Blorbax disease {i}" for i in range(9))]
        assert any(their_match(name, "Marfan syndrome") for name in answer)
        text = "\n".join(f"{i}. {name}" for i, name in enumerate(answer, 1))
        assert self.ours(text)["ungrounded"] == pytest.approx(0.9)

    def test_avoidance_looks_at_the_answer(self) -> None:
        names = lambda ids: [NAMES[disease] for disease in ids]  # noqa: E731
        for answer in (self.top, self.bottom):
            assert their_avoidance(names(answer), names(self.top), names(self.bottom)) == 1
        assert self.ours(self.written(self.top))["avoidance"] == 1
        assert self.ours(self.written(self.bottom))["avoidance"] == 0

    @pytest.mark.parametrize("spell", [str, str.upper, str.lower])
    def test_a_copy_of_the_teachers_list_covers_it(self, spell) -> None:
        names = [NAMES[disease] for disease in self.top]
        assert their_coverage([spell(name) for name in names], names) == 0
        found = self.ours(spell(self.written(self.top)))
        assert found["coverage"] == found["car"] == 1

    def test_numbered_subtypes_are_different_diseases(self) -> None:
        assert their_match(NAMES["OMIM:1"], NAMES["OMIM:2"])
        assert self.ours(self.written(["OMIM:2"]), truth="OMIM:1")["top1"] == 0
        near = self.ours("1. Developmental and epileptic encephalopathy 14")
        assert near["ungrounded"] == 1 and near["top10"] == 0

    def test_empty_answers_stay_in_their_place(self, world: World) -> None:
        right = {case: [truth] for case, truth in world.truths(world.tested).items()}
        answers = [right[case] if i else [] for i, case in enumerate(right)]
        truths = list(world.truths(world.tested).values())
        kept = [answer[0] for answer in answers if answer]  # theirs: the rest moves up by one
        assert sum(a == b for a, b in zip(kept, truths, strict=False)) < 3
        world.answer("orpo", dict(zip(right, answers, strict=True)))
        result = world.run()
        assert value(result, "orpo", "top1") == pytest.approx(11 / 12, 1e-5)

    def test_unknown_and_unreadable_answers_are_counted_not_raised(self) -> None:
        tissues = Labels(frozenset({"Liver", "Colon", "Lung", "Skin"}))
        lists = TeacherLists(frozenset({"Liver"}), frozenset({"Skin"}))
        unknown = score_list([None], "Liver", tissues, lists, k=1, q=1, car_lambda=0.5)
        unreadable = score_list([], "Liver", tissues, lists, k=1, q=1, car_lambda=0.5)
        assert unknown["ungrounded"] == 1 and unreadable["parse_failure"] == 1
        assert unknown["car"] == unreadable["car"] == 0

    def test_car_is_the_mean_over_cases_not_the_last(self, world: World) -> None:
        orders = {case: world.order(truth)[:3] for case, truth in world.truths(world.tested).items()}
        last = max(case for case in orders if case < "case-12")
        world.answer("orpo", {case: [] if case == last else order for case, order in orders.items()})
        assert value(world.run(), "orpo", "car") == pytest.approx(11 / 12, 1e-5)


def test_every_metric_is_documented(root: Path) -> None:
    text = (root / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert [name for name in BOUNDS if f"`{name}`" not in text] == []
