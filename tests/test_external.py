"""Whom a further cohort may be counted for, and how they are ranked and measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mintflow import evaluation as ev
from mintflow import external, newcomers
from mintflow import external_evaluation as ex
from mintflow.errors import InputError
from mintflow.features import Cohort
from mintflow.metrics import BOUNDS
from mintflow.mondo import COLUMNS as MONDO_COLUMNS
from mintflow.mondo import Mondo
from mintflow.quarantine import Quarantine
from mintflow.scores import guess_among_equals, rank_table
from mintflow.teacher import train_and_score
from mintflow.teacher_inputs import Settings
from mintflow.yardsticks import yardstick
from patients import A1, A2, B1, B, annotation, annotations, cases
from ranking_material import DISEASES, LEAVES, SETTINGS, cohort, evidence

MONDO = Mondo(
    pd.DataFrame(
        [
            ("MONDO:0000001", "first", "OMIM:100001", "First"),
            ("MONDO:0000001", "first", "ORPHA:1", "First"),
            ("MONDO:0000002", "second", "OMIM:100002", "Second"),
        ],
        columns=MONDO_COLUMNS,
    )
)
CANDIDATES = pd.DataFrame({"disease_id": ["OMIM:100001", "OMIM:100002"], "series": [None, None]})


def terms(**of: list[str]) -> pd.DataFrame:
    rows = [(case, term.lstrip("!"), term.startswith("!")) for case, given in of.items() for term in given]
    return pd.DataFrame(rows, columns=["case_id", "hpo_id", "excluded"])


@pytest.fixture
def run() -> external.Run:
    """A run with a patient a split; annotations cite a training, a test and a further publication."""
    table = cases(
        [
            ("t", "PMID:10", "OMIM:100001"),
            ("v", "PMID:20", "OMIM:100002"),
            ("x", "PMID:30", "OMIM:100001"),
        ],
        split=["train", "validation", "test"],
        fold=[0, -1, -1],
    )
    hpoa = annotations(
        [
            annotation(1, "OMIM:100001", A1, "PMID:0010"),
            annotation(2, "OMIM:100001", A1, "PMID:30"),
            annotation(3, "OMIM:999999", B1, "PMID:40"),
        ]
    )
    return external.Run(
        table,
        terms(t=[A1, B, f"!{A2}"], v=[A2], x=[B1]),
        external.used_references(hpoa, table, True),
        ev.disease_labels(CANDIDATES, MONDO),
    )


def screened(
    run: external.Run, rows: list[tuple[str, str, str]], **observed: list[str]
) -> tuple[dict[str, str], dict[str, str], pd.DataFrame]:
    """Reason of each patient set aside, split of each clean one, and the table."""
    table = cases(rows, source_file="file.json", source_id="id")
    given = terms(**{case: observed.get(case, [A1, A2, B1]) for case, *_ in rows})
    clean, aside = external.screen(table, given, run, Quarantine("x").table())
    reasons = dict(zip(aside["case_id"], aside["reason"], strict=True))
    return reasons, dict(zip(clean["case_id"], clean["split"], strict=True)), clean


def test_publications_that_were_learned_from_are_set_aside(run: external.Run) -> None:
    reasons, kept, _ = screened(
        run,
        [
            ("a", "PMID:10", "OMIM:100001"),
            ("b", "PMID:20", "OMIM:100001"),
            ("c", "PMID:40", "OMIM:100001"),
            ("d", "PMID:30", "OMIM:100001"),
            ("e", "PMID:50", "OMIM:100001"),
        ],
    )
    assert reasons == {
        "a": "training_publication",
        "b": "validation_publication",
        "c": "knowledge_publication",
    }
    # a test publication of the run was dropped from its knowledge: nothing was learned from it
    assert kept == {"d": "test", "e": "test"}


def test_any_publication_of_a_patient_counts(run: external.Run) -> None:
    table = cases([("a", "PMID:50", "OMIM:100001")], source_file="f", source_id="i")
    table["publications"] = [["PMID:50", "PMID:10"]]
    clean, aside = external.screen(table, terms(a=[A1]), run, Quarantine("x").table())
    assert clean.empty and aside["reason"].tolist() == ["training_publication"]
    assert "PMID:10" in aside.loc[0, "detail"]


def test_a_run_without_leakage_control_has_used_every_annotation(run: external.Run) -> None:
    hpoa = annotations([annotation(1, "OMIM:100001", A1, "PMID:30")])
    assert external.used_references(hpoa, run.cases, True) == frozenset()
    assert external.used_references(hpoa, run.cases, False) == {"PMID:30"}


def test_twins_are_set_aside_whatever_id_their_disease_has(run: external.Run) -> None:
    reasons, kept, _ = screened(
        run,
        [
            ("a", "none:a", "OMIM:100001"),
            ("b", "none:b", "ORPHA:1"),
            ("c", "none:c", "OMIM:100002"),
            ("d", "none:d", "OMIM:100002"),
            ("e", "none:e", "OMIM:100001"),
        ],
        a=[B, A1],
        b=[A1, B, "!HP:0000021"],
        c=[A1, B],
        d=[A2],
        e=[A1],
    )
    assert reasons == {"a": "training_twin", "b": "training_twin", "d": "validation_twin"}
    assert kept == {"c": "test", "e": "test"}


def test_an_equivalent_id_is_in_the_set_under_the_candidates_own(run: external.Run) -> None:
    reasons, kept, clean = screened(
        run,
        [("a", "none:a", "MONDO:0000001"), ("b", "none:b", "ORPHA:1"), ("c", "none:c", "OMIM:100003")],
    )
    assert kept == {"a": "test", "b": "test", "c": "unlabelled"}
    assert reasons == {"c": "out_of_set"}
    assert clean["disease_id"].tolist() == ["OMIM:100001", "OMIM:100001", "OMIM:100003"]
    assert clean["given_disease_id"].tolist() == ["MONDO:0000001", "ORPHA:1", "OMIM:100003"]
    assert (clean["fold"] == -1).all()


def test_a_publication_that_was_not_read_is_not_taken_for_new(run: external.Run) -> None:
    table = cases([("a", "PMID:50", "OMIM:100001")], source_file="f", source_id="i")
    table["publications"] = [["PMID:50", "unread:a"]]
    clean, aside = external.screen(table, terms(a=[A1]), run, Quarantine("x").table())
    assert clean.empty and aside["reason"].tolist() == ["publication_unread"]
    reasons, kept, _ = screened(run, [("b", "unread:b", "OMIM:100001"), ("c", "none:c", "OMIM:100001")])
    assert reasons == {"b": "publication_unread"} and kept == {"c": "test"}


def test_own_patients_and_patients_without_terms(run: external.Run) -> None:
    table = [("t", "none:t", "OMIM:100001"), ("a", "none:a", "OMIM:100003"), ("b", "PMID:10", "OMIM:100003")]
    reasons, kept, _ = screened(run, table, a=["!HP:0000021"])
    assert reasons == {"t": "own_patient", "a": "no_terms", "b": "training_publication"}
    assert kept == {}


def test_refused_records_are_in_the_table_and_counted(run: external.Run) -> None:
    quarantine = Quarantine("read_cohort")
    quarantine.add(file="x.json", record="x.json", field="(file)", value="", reason="broken JSON")
    quarantine.add(
        file="y.json", record="y.json", field="phenotypicFeatures", value="", reason="no phenotypes"
    )
    kept = "unknown; the field is left out, the patient kept"
    quarantine.add(file="z.json", record="a", field="sex", value="", reason=kept)
    raw = cases([("a", "PMID:30", "OMIM:100001")], source_file="z.json", source_id="z")
    clean, aside = external.screen(raw, terms(a=[A1]), run, quarantine.table())
    assert aside[["file", "reason"]].values.tolist() == [["x.json", "unreadable"], ["y.json", "no_terms"]]
    found = external.counts(raw, clean, aside, run.cases)
    assert (found["records"], found["read"], found["clean"]["cases"], found["in_set"]["cases"]) == (
        3,
        1,
        1,
        1,
    )
    assert found["set_aside"]["unreadable"] == 1 and found["of_a_test_publication_of_the_run"] == 1
    assert set(found["set_aside"]) == set(external.REASONS)


def test_what_patients_have_lost_is_counted(run: external.Run) -> None:
    reader, terms_ = Quarantine("read_cohort"), Quarantine("phenotypes")
    kept = "no HPO identifier; the field is left out, the patient kept"
    for place in ("phenotypicFeatures[0].type.id", "phenotypicFeatures[12].type.id", "subject.sex"):
        reader.add(file="a.json", record="a", field=place, value="x", reason=kept)
    reader.add(file="b.json", record="other", field="subject.sex", value="x", reason=kept)
    reader.add(file="p.tsv", record="line 3", field="hpo_ids", value="x", reason=kept)
    reader.add(file="b.json", record="b.json", field="(file)", value="", reason="broken JSON")
    terms_.add(file="a.json", record="a", field="hpo_id", value="HP:9999999", reason="unknown")
    both = pd.concat([reader.table(), terms_.table()], ignore_index=True)
    clean = pd.DataFrame({"case_id": ["a", "t"], "source_file": ["a.json", "p.tsv:3"]})
    lost = {"hpo_id": 1, "phenotypicFeatures[].type.id": 2, "subject.sex": 1}
    assert external.left_out(both, clean) == lost | {"hpo_ids": 1}
    assert external.left_out(both, clean[:1]) == lost
    raw = cases([("a", "PMID:30", "OMIM:100001")], source_file="a.json", source_id="z")
    _, aside = external.screen(raw, terms(a=[A1]), run, both)
    assert aside["reason"].tolist() == ["unreadable"]  # a term that HPO does not know refuses nobody


def test_the_table_for_a_log_names_no_record(run: external.Run) -> None:
    quarantine = Quarantine("read_cohort")
    name = "ward/Jane_Doe.json"
    quarantine.add(file=name, record=name, field="phenotypicFeatures", value="", reason="no phenotypes")
    raw = cases([("a", "PMID:10", "OMIM:100001")], source_file="Jane_Doe.json", source_id="z")
    _, aside = external.screen(raw, terms(a=[A1]), run, quarantine.table())
    shown = external.nameless(aside)
    assert "Doe" not in shown.to_csv() and "Doe" in aside.to_csv()
    assert shown["reason"].tolist() == ["no_terms", "training_publication"]
    assert shown["detail"].tolist()[0] == "" and "PMID:10" in shown["detail"].tolist()[1]


def test_together_holds_everyone_once_and_no_foreign_label(run: external.Run) -> None:
    _, _, clean = screened(run, [("x", "PMID:30", "OMIM:100001"), ("c", "none:c", "OMIM:100003")])
    both = external.together(run.cases, clean)
    assert both["case_id"].tolist() == ["t", "v", "c", "x"]
    assert both["further"].tolist() == [False, False, True, True]
    assert both.set_index("case_id")["disease_id"].isna().to_dict() == {
        "t": False,
        "v": False,
        "c": True,
        "x": False,
    }


# -- rankings ----------------------------------------------------------------------------------------


def joined(disease: str | None = None, **look: str) -> tuple[Cohort, list[str]]:
    """The synthetic cohort and two new patients, one of whom carries a class never seen."""
    old = cohort()
    new = pd.DataFrame(
        {
            "case_id": ["new-1", "new-2"],
            "publication": ["PMID:900", "PMID:901"],
            "disease_id": [disease, DISEASES[1]],
            "disease_name": "x",
            "split": ["unlabelled" if disease is None else "test", "test"],
            "fold": -1,
        }
    )
    phenotypes = terms(**{"new-1": LEAVES[:4], "new-2": [*LEAVES[8:12], f"!{LEAVES[0]}"]})
    columns = ["case_id", "gene_symbol", "zygosity", "consequence"]
    variant = {"zygosity": "heterozygous", "consequence": "missense", **look}
    genes = pd.DataFrame([("new-2", "GENE1", variant["zygosity"], variant["consequence"])], columns=columns)
    everyone = pd.concat([old.cases, new], ignore_index=True)
    both = newcomers.gather(
        everyone,
        ["new-1", "new-2"],
        DISEASES,
        (old.phenotypes, phenotypes),
        (old.genotypes[columns], genes),
    )
    return both, ["new-1", "new-2"]


@pytest.fixture(scope="module")
def trained() -> pd.DataFrame:
    patients = cohort()
    scores, _ = train_and_score(patients, DISEASES, evidence(patients), Settings.read(SETTINGS))
    return rank_table(scores, patients.cases["case_id"].tolist(), DISEASES)


def ranked(arm: str, both: Cohort, **changes: Any) -> np.ndarray:
    return newcomers.rank(arm, both, DISEASES, evidence(cohort()), {**SETTINGS, **changes}, 7)


def test_the_teacher_is_the_runs_own_whoever_is_new(trained: pd.DataFrame) -> None:
    both, new = joined(zygosity="mosaic", consequence="never seen")
    scores = ranked("teacher", both)
    assert newcomers.difference(scores, both, DISEASES, new, trained) == 0.0
    # and the newcomers are ranked by what they have
    assert scores[-1].argmax() == 1 and scores[-2].argmax() == 0


def test_no_newcomers_diagnosis_is_read() -> None:
    for arm in ("teacher", "gene-lookup", "prior", "similarity", "nearest-patient"):
        one, other = ranked(arm, joined(None)[0]), ranked(arm, joined(DISEASES[3])[0])
        assert np.array_equal(one[-2:], other[-2:]), arm


def test_yardsticks_score_test_patients_as_in_the_run() -> None:
    patients = cohort()
    both, new = joined()
    for arm in ("similarity", "likelihood-ratio"):
        scores = yardstick(arm, patients, DISEASES, evidence(patients))
        stored = rank_table(scores, patients.cases["case_id"].tolist(), DISEASES)
        assert newcomers.difference(ranked(arm, both), both, DISEASES, new, stored) == 0.0
    tested = patients.in_split("test")
    prior = guess_among_equals(yardstick("prior", patients, DISEASES, evidence(patients)), 7)
    assert np.array_equal(ranked("prior", both)[: len(patients)][tested].round(), prior[tested].round())


def test_another_teacher_is_refused(trained: pd.DataFrame) -> None:
    both, new = joined()
    scores = ranked("teacher", both)
    with pytest.raises(InputError, match=r"differ by .* run the target teacher first"):
        newcomers.difference(scores + 0.1, both, DISEASES, new, trained)


def test_scores_from_a_file_hold_no_new_patient() -> None:
    with pytest.raises(InputError, match="cannot score new patients"):
        ranked("teacher", joined()[0], kind="scores")


def test_images_of_newcomers_may_be_missing() -> None:
    old = cohort(images=True)
    both, _ = joined()
    pictures = np.vstack([old.images, np.full((2, 6), np.nan, np.float32)])
    scores = ranked("teacher", replace(both, images=pictures), modalities=["phenotype", "genotype", "image"])
    assert np.isfinite(scores).all()


# -- figures -----------------------------------------------------------------------------------------


def measured(has_teacher: bool = True) -> pd.DataFrame:
    """Three patients, one with a disease outside the set whose name the written answer holds."""
    labels = ev.disease_labels(CANDIDATES, MONDO)
    table = pd.DataFrame(
        [
            ("a", "OMIM:100001", "PMID:1", "test"),
            ("b", "OMIM:100002", "PMID:2", "test"),
            ("c", "OMIM:100003", "PMID:3", "unlabelled"),
        ],
        columns=ev.CASE_COLUMNS,
    )
    ranks = {case: {"OMIM:100001": 1, "OMIM:100002": 2} for case in "abc"}
    study = ex.build_study(table, labels, ranks if has_teacher else None, k=1, q=1, car_lambda=1.0)
    answers = pd.DataFrame({"case_id": list("abc"), "text": "", "finished": True})
    grounded = pd.DataFrame(
        [
            ("orpo", "a", 1, "x", None),
            ("orpo", "a", 2, "x", "OMIM:100001"),
            ("orpo", "c", 1, "x", "OMIM:100003"),
        ],
        columns=ev.GROUNDED,
    )
    likelihood = ev.score_rankings(study, {"a": ranks["a"]}, "orpo")
    return ex.measured(
        [
            ev.score_answers(study, answers, grounded, "orpo"),
            ev.score_scores(study, ranks, "teacher"),
            likelihood,
        ],
        has_teacher=has_teacher,
    )


def value(metrics: pd.DataFrame, arm: str, metric: str) -> tuple[float, int]:
    row = metrics[(metrics["arm"] == arm) & (metrics["metric"] == metric)].iloc[0]
    return row["value"], row["n"]


def test_a_disease_outside_the_set_counts_in_the_second_figure_and_as_wrong() -> None:
    metrics, comparisons = ex.tables(
        measured(), {("orpo", "teacher"): "primary"}, BOUNDS, unit="publication", samples=50, seed=1
    )
    assert list(metrics) == ["arm", "metric", "value", "ci_low", "ci_high", "n"]
    assert value(metrics, "teacher", "top1") == (0.5, 2)
    assert value(metrics, "teacher", "top1_all") == (pytest.approx(1 / 3), 3)
    assert value(metrics, "orpo", "top3") == (0.5, 2)
    assert value(metrics, "orpo", "top3_all") == (pytest.approx(1 / 3), 3)
    # what it wrote there is still told
    assert value(metrics, "orpo", "out_of_set_all") == (pytest.approx(1 / 3), 3)
    assert "rank_top1" in set(metrics["metric"]) and "rank_top1_all" not in set(metrics["metric"])
    assert {"top1", "top1_all"} <= set(comparisons["metric"])
    assert ex.headline(metrics)["teacher"]["top1"]["n"] == 2


def test_without_a_teacher_there_is_no_agreement() -> None:
    assert "coverage" in set(measured()["metric"])
    assert not {"coverage", "avoidance", "car"} & set(measured(has_teacher=False)["metric"])


def test_places_by_disease_count_every_patient_of_the_set_once() -> None:
    table = ex.rank_by_disease(measured(), {"OMIM:100001": "first", "OMIM:100002": "second"})
    assert list(table) == ex.BY_DISEASE
    found = {(*row[:2], row[3]): row[4] for row in table.values.tolist() if row[4]}
    assert found == {
        ("orpo", "OMIM:100001", "2-3"): 1,
        ("orpo", "OMIM:100002", ">10/not named"): 1,
        ("teacher", "OMIM:100001", "1"): 1,
        ("teacher", "OMIM:100002", "2-3"): 1,
    }
    assert len(table) == 2 * 2 * 4 and set(table["name"]) == {"first", "second"}
    assert table["bucket"].tolist()[:4] == list(ex.BUCKETS)
