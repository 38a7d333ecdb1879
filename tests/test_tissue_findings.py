"""Whether the student uses the image is said from paired tests alone, and only if they could tell."""

from __future__ import annotations

import pandas as pd
import pytest

from mintflow import labels, tissue_findings
from mintflow.findings import Results

TOP1 = {
    "base": 0.1,
    "orpo": 0.7,
    "orpo-blank": 0.15,
    "orpo-shuffled": 0.05,
    "teacher": 0.9,
    "prior": 0.12,
}


def results(drop: tuple[str, ...] = (), **p_adjusted: float) -> Results:
    """Made-up numbers; the tests come out as the differences say, unless ``p_adjusted`` says other."""
    metrics = [
        (arm, metric, value, max(0, value - 0.1), min(1, value + 0.1), 160)
        for arm, value in TOP1.items()
        for metric in ("top1", "mrr", "macro_f1", "ungrounded")
        if arm not in drop
    ]
    comparisons = [
        ("orpo", arm, metric, 0.7 - value, 0.5 - value, 0.9 - value, p, p, 160)
        for arm, value in TOP1.items()
        for metric in ("top1", "mrr")
        if arm != "orpo" and arm not in drop
        for p in [p_adjusted.get(arm.replace("-", "_"), 0.01)]
    ]
    names = ["arm_a", "arm_b", "metric", "difference", "ci_low", "ci_high", "p_value", "p_adjusted", "n"]
    return Results(
        pd.DataFrame(metrics, columns=["arm", "metric", "value", "ci_low", "ci_high", "n"]),
        pd.DataFrame(comparisons, columns=names),
        labels.TISSUE,
    )


def said(found: Results, units: int = 10) -> str:
    return tissue_findings.image_sentence(found, "orpo", units).text.replace("\u00a0", " ")


def test_yes_needs_both_controls() -> None:
    assert tissue_findings.image_sentence(results(), "orpo", 10).tone == "good"
    assert said(results()) == (
        "The ORPO student uses the image: it beats itself without it in both paired tests. Right tissue "
        "first: 70.0 % with its own tile, 15.0 % shown a blank image and 5.0 % shown another patient's tile."
    )


@pytest.mark.parametrize("control", ["orpo_blank", "orpo_shuffled"])
def test_no_if_either_test_fails(control: str) -> None:
    found = results(**{control: 0.05})
    assert tissue_findings.uses_image(found, "orpo") == tissue_findings.NOT_SHOWN
    sentence = tissue_findings.image_sentence(found, "orpo", 10)
    assert sentence.tone == "bad"
    assert sentence.text.startswith("The ORPO student is not shown to use the image")
    assert "is not shown to use the image" in tissue_findings.headline(found, "orpo").text
    assert tissue_findings.headline(found, "orpo").tone == "bad"


def test_a_missing_control_is_no_answer() -> None:
    found = results(drop=("orpo-shuffled",))
    assert tissue_findings.uses_image(found, "orpo") == tissue_findings.UNMEASURED
    assert "both controls are needed" in said(found)
    assert "was not tested without the image" in tissue_findings.headline(found, "orpo").text


def test_a_test_split_that_cannot_tell_is_called_so() -> None:
    """Five tests: 2 / 2**7 * 5 is 0.078, 2 / 2**8 * 5 is 0.039."""
    found = results(orpo_blank=0.0781, orpo_shuffled=0.0781)
    assert tissue_findings.least_p(found, "orpo", 7) == pytest.approx(0.078125)
    assert "With 7 patients tested no answers whatever could reach" in said(found, 7)
    assert "too small to tell" not in said(found, 8)
    assert "too small to tell" not in said(results(), 7)  # what was reached was reachable
    assert tissue_findings.least_p(found, "orpo", 1) == 1.0


def test_headline() -> None:
    assert tissue_findings.headline(results(), "orpo").text == (
        "The ORPO student is better than the base model, and uses the image; it stays below its teacher."
    )
    assert "cannot be told apart" in tissue_findings.headline(results(teacher=0.5), "orpo").text
    assert "not shown to be better than the base" in tissue_findings.headline(results(base=0.4), "orpo").text
    assert "was not measured" in tissue_findings.headline(results(), "sft").text


def test_findings_in_words() -> None:
    told = " ".join(
        one.text.replace("\u00a0", " ")
        for one in tissue_findings.findings(
            results(prior=0.2), "orpo", tiles="160 synthetic tiles of 10 patients", asked=5, units=10
        )
    )
    assert "the 5 most likely tissue types of each of 160 synthetic tiles of 10 patients" in told
    assert "named the right one first in 70.0 % (95 % interval 60.0 to 80.0 %); macro F1 70.0 %" in told
    assert "It is better than the base model (right tissue first in 10.0 %)." in told
    assert "It is worse than the teacher" in told
    assert "It is not told apart from label frequency alone" in told
    assert "name no label of the closed set" in told
