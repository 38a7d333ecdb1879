from __future__ import annotations

import math

import pandas as pd
import pytest

import report_material
from mintflow import findings


def results(comparisons: pd.DataFrame | None = None) -> findings.Results:
    found = report_material.comparisons() if comparisons is None else comparisons
    return findings.Results(report_material.metrics(), found)


def changed(arm: str, **values: float) -> findings.Results:
    comparisons = report_material.comparisons()
    for name, value in values.items():
        comparisons.loc[comparisons["arm_b"] == arm, name] = value
    return results(comparisons)


def test_verdicts_need_an_adjusted_p_value_and_follow_the_direction() -> None:
    found = results()
    assert found.verdict("orpo", "base", "top1") == findings.BETTER
    assert found.verdict("base", "orpo", "top1") == findings.WORSE
    assert found.verdict("orpo", "similarity", "top1") == findings.TIED
    assert found.verdict("orpo", "base", "top3") == findings.UNTESTED
    assert changed("base", p_adjusted=0.05).verdict("orpo", "base", "top1") == findings.TIED
    assert changed("base", p_adjusted=math.nan).verdict("orpo", "base", "top1") == findings.UNTESTED


def test_comparison_stored_the_other_way_round_is_turned() -> None:
    there, back = results().compare("orpo", "teacher", "top1"), results().compare("teacher", "orpo", "top1")
    assert there and back
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))


def test_headline_of_a_student_that_learnt() -> None:
    assert findings.headline(results(), "orpo") == findings.Finding(
        "good",
        "The ORPO student is better than the untuned base model, and it uses the patient's phenotypes; "
        "it stays below the teacher that sees phenotypes alone.",
    )


@pytest.mark.parametrize(
    ("arm", "values", "words"),
    [
        ("base", {"p_adjusted": 0.4}, "not shown to be better than the untuned base model"),
        ("base", {"difference": -0.2}, "worse than the base model"),
        ("orpo-blank", {"p_adjusted": 0.4}, "not shown to use the patient's phenotypes"),
    ],
)
def test_headline_says_so_when_it_failed(arm: str, values: dict[str, float], words: str) -> None:
    found = findings.headline(changed(arm, **values), "orpo")
    assert words in found.text
    assert found.tone == "bad"


def test_headline_without_the_student() -> None:
    assert "was not measured" in findings.headline(results(), "sft").text


def test_findings_in_words() -> None:
    texts = [
        one.text.replace("\u00a0", " ")
        for one in findings.findings(results(), "orpo", patients="120 simulated patients", asked=3)
    ]
    told = " ".join(texts)
    assert "each of 120 simulated patients, the ORPO student named the right one first in 47.5 %" in told
    assert "among its first 3 in 70.8 %" in told
    assert "does better than the untuned base model (0.0 %) and disease frequency alone (4.0 %)." in told
    assert "cannot be told apart from ontology similarity (52.0 %)" in told
    assert "with the phenotypes hidden it is right in 3.0 %" in told
    assert "0.8 % (95 % interval 0.0 to 2.4 %) are no known disease name" in told
    assert "For 24 patients whose disease occurs in no training patient it is right in 0.0 %" in told


def test_student_as_good_without_input_is_called_out() -> None:
    told = findings.findings(changed("orpo-blank", p_adjusted=0.4), "orpo", patients="p", asked=3)
    (without,) = [one for one in told if one.text.startswith("Without")]
    assert without.tone == "bad"
    assert "to one of these only" in without.text
    table = report_material.comparisons()
    table.loc[table["arm_b"].isin(["orpo-blank", "orpo-shuffled"]), "p_adjusted"] = 0.4
    told = findings.findings(results(table), "orpo", patients="p", asked=3)
    (without,) = [one for one in told if one.text.startswith("Without")]
    assert without.tone == "bad"
    assert "no evidence that it reads the patient" in without.text


def test_a_list_of_one_tells_no_further_cutoff() -> None:
    (first, *_) = findings.findings(results(), "orpo", patients="p", asked=1)
    assert "among its first" not in first.text


def test_numbers() -> None:
    assert findings.points(-0.045) == "−4.5"
    assert findings.points(0.045) == "+4.5"
    assert findings.p_words(0.0004) == "< 0.001"
    assert findings.p_words(math.nan) == "–"
    assert findings.percent(math.nan) == "not estimable"
    assert findings.join(["a"]) == "a"
    assert findings.join(["a", "b", "c"]) == "a, b and c"


def test_rows_leave_out_unmeasured_arms_and_mark_gaps() -> None:
    table = findings.rows(results(), ["top1", "ungrounded"])
    assert len(table) == len(report_material.ARMS)
    teacher = next(row for row in table if row.arm.key == "teacher")
    assert teacher.cells[1] == ("–", "")
    assert [row.arm.key for row in findings.rows(results(), ["ungrounded"])] == [
        "base",
        "orpo",
        "orpo-blank",
        "orpo-shuffled",
    ]
    mixed = report_material.metrics()
    mixed.loc[(mixed["arm"] == "orpo") & (mixed["metric"] == "top3"), "n"] = 40
    (row,) = [
        one
        for one in findings.rows(findings.Results(mixed, report_material.comparisons()), ["top1", "top3"])
        if one.arm.key == "orpo"
    ]
    assert row.n == "40–120"


def rivalled(**p_adjusted: float) -> findings.Results:
    """Further arms, ORPO 10 points of MRR better than each; ``p_adjusted`` by arm."""
    metrics = report_material.metrics()
    table = report_material.comparisons()
    own = table[(table["arm_b"] == "base") & (table["metric"] == "mrr")]
    arms = {"sft": 0.1, "dpo": 0.1, "listwise": -0.1, "rag": 0.1, "orpo-q2": 0.1}
    further = [
        own.assign(arm_b=arm, difference=difference, p_adjusted=p_adjusted.get(arm, 0.01))
        for arm, difference in arms.items()
    ]
    like = [metrics[metrics["arm"] == "orpo"].assign(arm=arm) for arm in arms]
    return findings.Results(pd.concat([metrics, *like]), pd.concat([table, *further]))


def test_how_orpo_compares_with_other_ways_to_use_the_model_is_said_once() -> None:
    found = findings.rivals(rivalled(dpo=0.4), "orpo")
    assert found.tone == "bad"
    numbers = "(+10.0 points of MRR, adjusted p 0.010)"
    assert found.text == (
        "The ORPO student against other ways to use the same model: it is better than "
        f"supervised training on the teacher's lists (SFT) {numbers} and "
        f"the untuned base model with retrieved profiles (RAG) {numbers}; it is worse than "
        f"training on the teacher's scores (listwise) {numbers.replace('+', '−')}; "
        "it cannot be told apart from "
        f"direct preference optimisation (DPO) {numbers.replace('0.010', '0.400')}."
    )
    told = findings.findings(rivalled(dpo=0.4), "orpo", patients="p", asked=3)
    text = " ".join(one.text for one in told)
    assert text.count("(SFT)") == text.count("(DPO)") == 1
    assert "orpo-q2" not in text  # variants have a table and figures of their own


def test_no_other_ways_no_sentence() -> None:
    assert findings.rivals(results(), "orpo") is None


def test_tone_follows_the_worst() -> None:
    better = rivalled(listwise=math.nan)
    assert findings.rivals(better, "orpo").tone == "good"
    assert findings.rivals(rivalled(listwise=math.nan, sft=0.3), "orpo").tone == "plain"
