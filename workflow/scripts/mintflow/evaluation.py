"""All arms on the same patients: answers grounded, every metric of every case, nothing left out.

An arm is a written answer a case (students), a score a case and candidate
(teacher, yardsticks), or a ranking by likelihood of a sample of the cases; on these
whoever scores every candidate is measured the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from .arms import OBJECTIVES, PRIMARY, RETRIEVAL, SEED
from .errors import InputError
from .io import read_parquet
from .lists import parse_list, without_gloss
from .metrics import (
    Labels,
    TeacherLists,
    collapse_ranks,
    score_closed_set,
    score_list,
    score_ranks,
    teacher_lists,
)
from .mondo import Mondo
from .names import Grounder
from .selection import publication_groups
from .statistics import spread_sample

SUFFIXES = {"test": "", "test_unseen": "_unseen"}  # splits that are evaluated
TOGETHER = "_all"  # over all of them
UNLABELLED = "unlabelled"  # of a further cohort: the disease is no candidate, so that no rank is right
TEACHER = "teacher"
OTHER_PAIRS = (("teacher", "teacher-phenotype"),)
MAX_ITEMS = 100  # of a written list; no sensible answer is longer

CASE_COLUMNS = ["case_id", "disease_id", "publication", "split"]
PER_CASE = ["arm", "case_id", "disease_id", "publication", "split", "metric", "value"]
GROUNDED = ["arm", "case_id", "position", "text", "disease_id"]

Ranks = dict[str, dict[str, int]]


def checked(settings: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """``settings`` itself, if it has exactly ``keys``.

    Raises:
        InputError: a key is missing or unknown.
    """
    wrong = set(settings) ^ set(keys)
    if wrong:
        raise InputError(f"missing or unknown key(s): {', '.join(sorted(wrong))}", record="--settings")
    return settings


@dataclass(frozen=True)
class Study:
    """What all arms are measured against.

    Attributes:
        cases: the test patients, ``CASE_COLUMNS``, sorted by case_id.
        labels: the candidate diseases.
        teacher: top-k and bottom-q of the teacher for every test patient.
        k: length of the teacher's top list.
        q: length of its bottom list.
        car_lambda: weight of coverage in CAR.
    """

    cases: pd.DataFrame
    labels: Labels
    teacher: Mapping[str, TeacherLists]
    k: int
    q: int
    car_lambda: float


def disease_labels(candidates: pd.DataFrame, mondo: Mondo) -> Labels:
    """Candidates (disease_id, series) as labels; ids are collapsed through MONDO to a candidate's id."""
    own = {mondo.canonical(disease): disease for disease in sorted(candidates["disease_id"], reverse=True)}
    series = candidates.dropna(subset=["series"])

    def collapse(disease_id: str) -> str:
        canonical = mondo.canonical(disease_id)
        return own.get(canonical, canonical)

    return Labels(
        frozenset(candidates["disease_id"]),
        dict(zip(series["disease_id"], series["series"], strict=True)),
        collapse,
    )


def read_cases(path: str | Path) -> pd.DataFrame:
    """Patients of any split, ``CASE_COLUMNS``.

    A patient reported twice ties two publications together; such a group lies on one side of the split, and
    is resampled and exchanged as one: ``publication`` is its smallest name.

    Raises:
        InputError: the file lacks a column.
    """
    cases = read_parquet(path, CASE_COLUMNS, optional=["publications", "publication_group"])
    return cases.assign(publication=grouped(cases))[CASE_COLUMNS]


def grouped(cases: pd.DataFrame) -> pd.Series:
    """The publication group of each case: the split's own where it is there, else from the cases given."""
    return cases["publication_group"] if "publication_group" in cases else publication_groups(cases)


def ranking_sample(cases: pd.DataFrame, size: int | None, seed: int, label: str = "disease_id") -> list[str]:
    """Test cases for closed-set ranking; None takes all, those of unseen labels too.

    A sample is of seen labels alone, over which it is spread: it is too small to share. ``label`` is the
    column of the labels.
    """
    tested = cases[cases["split"].isin(SUFFIXES if size is None else ["test"])]
    return spread_sample(tested["case_id"].tolist(), tested[label].tolist(), size, seed)


def ranked_cases(cases: pd.DataFrame, size: int | None, seed: int) -> list[str]:
    """Cases that a student ranks: ``ranking_sample``, and behind it, where that is all, the ``UNLABELLED``.

    Of these no rank is measured, but other tools rank everybody (PhEval), and a ranking is compared whole.
    """
    others = cases.loc[cases["split"] == UNLABELLED, "case_id"].tolist() if size is None else []
    return [*ranking_sample(cases, size, seed), *sorted(others)]


def read_answers(path: str | Path, arm: str, case_ids: Sequence[str]) -> pd.DataFrame:
    """Answers (case_id, text, finished) of one arm to exactly ``case_ids``, in their order.

    Raises:
        InputError: a case is missing or twice; names arm and file.
    """
    table = read_parquet(path, ["case_id", "text", "finished"])
    _require_cases(table["case_id"], case_ids, arm, path, once=True)
    return table.set_index("case_id").loc[list(case_ids)].reset_index()


def read_ranks(path: str | Path, arm: str, case_ids: Sequence[str], labels: Labels) -> Ranks:
    """Rank of every candidate for each of ``case_ids``, by canonical label.

    Raises:
        InputError: a case, a candidate of a case or a rank is missing, or a candidate is unknown; names
            arm and file.
    """
    table = read_parquet(path, ["case_id", "disease_id", "rank"])
    _require_cases(table["case_id"], case_ids, arm, path)
    table = table[table["case_id"].isin(set(case_ids))]
    unranked = table.loc[table["rank"].isna(), "case_id"]
    if len(unranked):
        raise InputError(f"arm {arm} lacks a rank", file=path, record=unranked.iloc[0])
    ranked = collapse_ranks(table, labels)
    result: Ranks = {}
    for case_id, rows in ranked.groupby("case_id", sort=False):
        result[str(case_id)] = dict(zip(rows["label"], rows["rank"].tolist(), strict=True))
        wrong = labels.candidates ^ result[str(case_id)].keys()
        if wrong:
            found = "ranks no" if min(wrong) in labels.candidates else "ranks the unknown"
            raise InputError(f"arm {arm} {found} candidate {min(wrong)}", file=path, record=case_id)
    return result


def _require_cases(
    found: pd.Series, case_ids: Sequence[str], arm: str, path: str | Path, *, once: bool = False
) -> None:
    missing = sorted(set(case_ids) - set(found))
    if missing:
        raise InputError(
            f"arm {arm} lacks {len(missing)} of {len(case_ids)} test cases", file=path, record=missing[0]
        )
    if once and found.duplicated().any():
        raise InputError(f"arm {arm} has a case twice", file=path, record=found[found.duplicated()].iloc[0])


def build_study(
    cases: pd.DataFrame, labels: Labels, teacher: Ranks, *, k: int, q: int, car_lambda: float
) -> Study:
    """Put together what arms are measured against; ``cases`` are test patients only.

    Raises:
        InputError: the true disease of a case is no candidate, or k + q exceeds the candidates.
    """
    for case in cases.itertuples(index=False):
        if labels.collapse(case.disease_id) not in labels.candidates:
            raise InputError(f"{case.disease_id} is no candidate", record=case.case_id, field="disease_id")
    if k + q > len(labels.candidates):
        raise InputError(
            f"k + q = {k + q} exceeds the {len(labels.candidates)} candidate diseases",
            field="rare.preferences.k, rare.preferences.q",
        )
    lists = {case_id: teacher_lists(teacher[case_id], k, q) for case_id in cases["case_id"]}
    return Study(cases.sort_values("case_id", ignore_index=True), labels, lists, k, q, car_lambda)


def ground_answers(answers: pd.DataFrame, arm: str, grounder: Grounder, labels: Labels) -> pd.DataFrame:
    """List items of the answers with the disease that each names, null where it names none.

    An item that is no name as it stands is looked up without its gloss.

    Returns:
        Columns ``GROUNDED``, in order of the cases and positions.
    """
    rows = []
    for answer in answers.itertuples(index=False):
        for position, name in enumerate(parse_list(answer.text, MAX_ITEMS), start=1):
            found = grounder.ground(name) or grounder.ground(without_gloss(name))
            label = labels.collapse(found) if found is not None else None
            rows.append((arm, answer.case_id, position, name, label))
    return pd.DataFrame(rows, columns=GROUNDED).astype(
        {"arm": "str", "case_id": "str", "position": "int64", "text": "str", "disease_id": "str"}
    )


def score_answers(study: Study, answers: pd.DataFrame, grounded: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Metrics of one arm's answers, columns ``PER_CASE``; a case without list items stays in."""
    items: dict[str, list[str | None]] = {case_id: [] for case_id in study.cases["case_id"]}
    for case_id, label in zip(grounded["case_id"], grounded["disease_id"], strict=True):
        items[case_id].append(None if pd.isna(label) else label)
    finished = dict(zip(answers["case_id"], answers["finished"], strict=True))
    found = {
        case.case_id: score_list(
            items[case.case_id],
            case.disease_id,
            study.labels,
            study.teacher[case.case_id],
            k=study.k,
            q=study.q,
            car_lambda=study.car_lambda,
            finished=bool(finished[case.case_id]),
        )
        for case in study.cases.itertuples(index=False)
    }
    return _tidy(study, arm, found)


def score_scores(study: Study, ranks: Ranks, arm: str) -> pd.DataFrame:
    """Metrics of an arm that scores every candidate, columns ``PER_CASE``."""
    found = {
        case.case_id: score_ranks(
            ranks[case.case_id],
            case.disease_id,
            study.labels,
            study.teacher[case.case_id],
            k=study.k,
            q=study.q,
            car_lambda=study.car_lambda,
        )
        for case in study.cases.itertuples(index=False)
    }
    return _tidy(study, arm, found)


def score_rankings(study: Study, ranks: Ranks, arm: str) -> pd.DataFrame:
    """Metrics of a ranking of all candidates, of the cases in ``ranks``, columns ``PER_CASE``."""
    found = {
        case.case_id: score_closed_set(ranks[case.case_id], case.disease_id, study.labels)
        for case in study.cases.itertuples(index=False)
        if case.case_id in ranks
    }
    return _tidy(study, arm, found)


def measure_arms(
    study: Study,
    grounder: Grounder,
    answers: Mapping[str, str | Path],
    ranks: Mapping[str, Ranks],
    rankings: Mapping[str, str | Path],
    sample: Sequence[str],
) -> tuple[list[pd.DataFrame], pd.DataFrame]:
    """Every arm on the study's patients.

    Args:
        study: what is measured against.
        grounder: names to ids.
        answers: arm to the file of its written answers.
        ranks: arm to its ranks of every candidate.
        rankings: arm to the file of its ranking by likelihood, of ``sample`` alone.
        sample: patients of these rankings, of whom those of ``ranks`` get the same metrics; none leaves
            both out.

    Returns:
        A table of ``PER_CASE`` for each arm and kind, and the grounded list items, columns ``GROUNDED``.
    """
    ids = study.cases["case_id"].tolist()
    per_case, grounded = [], []
    for arm, path in answers.items():
        written = read_answers(path, arm, ids)
        grounded.append(ground_answers(written, arm, grounder, study.labels))
        per_case.append(score_answers(study, written, grounded[-1], arm))
    per_case += [score_scores(study, found, arm) for arm, found in ranks.items()]
    if sample and rankings:
        likelihoods = {arm: read_ranks(path, arm, sample, study.labels) for arm, path in rankings.items()}
        # beside them, on the same patients, whoever scores every candidate
        scored = {arm: {case_id: found[case_id] for case_id in sample} for arm, found in ranks.items()}
        per_case += [score_rankings(study, found, arm) for arm, found in (likelihoods | scored).items()]
    return per_case, pd.concat(grounded, ignore_index=True) if grounded else pd.DataFrame(columns=GROUNDED)


def open_grounder(vocabulary: str | Path, candidates: pd.DataFrame, mondo: Mondo) -> Grounder:
    """Names of ``vocabulary`` to ids; where a name has several, candidates are preferred."""
    known = {mondo.canonical(disease) for disease in candidates["disease_id"]}
    return Grounder(read_parquet(vocabulary, ["key", "disease_id"]), known)


def _tidy(study: Study, arm: str, found: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    rows = [
        (arm, case.case_id, case.disease_id, case.publication, case.split, metric, value)
        for case in study.cases.itertuples(index=False)
        for metric, value in sorted(found.get(case.case_id, {}).items())
    ]
    return pd.DataFrame(rows, columns=PER_CASE)


def mean_of_seeds(per_case: pd.DataFrame, suffixes: Mapping[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Put together what the seeds of an arm measured: one value a case, the mean over seeds.

    Args:
        per_case: arm (with its seed in the name unless it is the first), the columns of a case, metric,
            value.
        suffixes: what a split adds to the metric's name; splits not named are left out of seeds.csv.

    Returns:
        The same with one arm each, and seeds.csv: arm, run, metric, value (mean over cases), n, of arms
        with more than one seed.
    """
    arm = per_case["arm"].str.partition(SEED)[0]
    if (arm == per_case["arm"]).all():
        return per_case, pd.DataFrame(columns=["arm", "run", "metric", "value", "n"])
    several = per_case[arm.isin(arm[arm != per_case["arm"]]) & per_case["split"].isin(suffixes)]
    several = several.assign(metric=several["metric"] + several["split"].map(suffixes))
    runs = several.groupby(["arm", "metric"])["value"].agg(["mean", "size"]).reset_index()
    runs = runs.rename(columns={"arm": "run", "mean": "value", "size": "n"})
    runs.insert(0, "arm", runs["run"].str.partition(SEED)[0])
    keys = [name for name in per_case.columns if name != "value"]
    together = (
        per_case.assign(arm=arm).groupby(keys, as_index=False, sort=False, dropna=False)["value"].mean()
    )
    return together[list(per_case.columns)], runs


def arm_pairs(
    arms: Collection[str],
    variants: Mapping[str, str] | None = None,
    asked: Collection[Sequence[str]] = (),
) -> dict[tuple[str, str], str]:
    """Pairs that are tested, each with its family: p-values are adjusted within a family.

    ``primary``: the primary arm with every other one that is no variant. ``trained``: every other trained or
    retrieval arm with the base model. ``variants``: a variant with the arm that it varies. ``others``:
    ``OTHER_PAIRS``. ``asked``: those of the configuration. So neither a sweep nor further arms weaken what is
    said of the primary arm's controls.

    Args:
        arms: as measured.
        variants: variant to the arm that it varies.
        asked: ``evaluation.comparisons``; a pair that is tested anyway stays in its family.
    """
    variants = variants or {}
    plain = sorted(set(arms) - set(variants))
    pairs: dict[tuple[str, str], str] = {}
    for arm in plain:
        if arm != PRIMARY:
            pairs[PRIMARY, arm] = "primary"
        if arm in (*OBJECTIVES, *RETRIEVAL) and arm != PRIMARY:
            pairs[arm, "base"] = "trained"
    pairs |= {(arm, parent): "variants" for arm, parent in sorted(variants.items())}
    for pair in OTHER_PAIRS:
        pairs.setdefault(pair, "others")
    for one, other in asked:
        if one == PRIMARY:  # it comes first in its own family alone, whose size reports count by that
            one, other = other, one
        if (other, one) not in pairs:
            pairs.setdefault((one, other), "asked")
    return {pair: family for pair, family in pairs.items() if set(pair) <= set(arms)}
