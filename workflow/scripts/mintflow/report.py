"""The rare track's section of the report, for a clinician or geneticist.

Everything is computed here; the template (workflow/report/rare.html.j2) only lays it out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from . import findings, labels
from .phenotypes import ACTIONS
from .redaction import quarantine_rows
from .report_page import counts, figure, fill, flatten, setting

STUDENT = "orpo"
QUARANTINE_ROWS = 20

_UNITS = {"publication": "publications", "case": "patients"}

_MAIN = ("top1", "top3", "top10", "mrr", "ungrounded", "car", "coverage", "avoidance")
_FURTHER = (
    ("Patients whose disease occurs in no training patient", "{}_unseen", ("top1", "top3", "top10", "mrr")),
    ("Every disease counted equally (macro)", "{}_macro", ("top1", "top3", "top10", "mrr")),
    ("A disease of the same phenotypic series counted as right", "{}_lenient", ("top1", "top3", "top10")),
    (
        "Closed set: the candidates ranked by the model's own likelihood",
        "rank_{}",
        ("top1", "top3", "top10", "mrr"),
    ),
)


@dataclass(frozen=True)
class Material:
    """All that the report is made from; tables and summaries as the workflow writes them."""

    config: Mapping[str, Any]
    metrics: pd.DataFrame
    comparisons: pd.DataFrame
    per_case: pd.DataFrame
    grounded: pd.DataFrame
    cases: pd.DataFrame
    phenotypes: pd.DataFrame
    candidates: pd.DataFrame
    teacher: pd.DataFrame
    changes: pd.DataFrame
    quarantine: pd.DataFrame
    steps: Sequence[tuple[str, int]]
    leakage: Mapping[str, Any]
    preferences: Mapping[str, Any]
    training: Mapping[str, Any]
    versions: Mapping[str, Any]
    figures: Sequence[Path]


def render(material: Material, template: str | Path) -> str:
    """The rare track's section, HTML without a frame.

    Args:
        material: what to report.
        template: the Jinja template; figure captions are the ``<figure>.rst`` beside it.

    Raises:
        InputError: a figure is neither SVG nor PNG, or the template is not there.
    """
    template = Path(template)
    return fill(template, context(material, template.parent))


def summary(material: Material) -> dict[str, Any]:
    """What the top of the report says of this track."""
    results = findings.Results(material.metrics, material.comparisons)
    return {
        "title": "Rare diseases",
        "headline": findings.headline(results, STUDENT).text,
        "lines": [],
        "simulated": "patients of the rare-disease track" if material.cases["simulated"].any() else None,
    }


def context(material: Material, captions: Path) -> dict[str, Any]:
    """What the template shows, by name."""
    results = findings.Results(material.metrics, material.comparisons)
    config = material.config
    lists = {name: setting(config, f"rare.preferences.{name}") for name in ("k", "q")}
    tested = material.cases[material.cases["split"] == "test"]
    simulated = bool(material.cases["simulated"].any())
    aside = quarantine_rows(material.quarantine)
    patients = (
        f"{labels.plural(len(tested), 'simulated patient' if simulated else 'patient')} "
        f"of {labels.plural(tested['publication'].nunique(), 'publication')}"
    )
    return {
        "run": setting(config, "run"),
        "simulated": simulated,
        "source": setting(config, "rare.cohort.source"),
        "base_model": setting(config, "rare.student.base.id") or setting(config, "rare.student.base.name"),
        **lists,
        "teacher_kind": setting(config, "rare.teacher.kind"),
        "modalities": findings.join(setting(config, "rare.teacher.modalities")),
        "most_diseases": setting(config, "rare.cohort.max_diseases"),
        "headline": findings.headline(results, STUDENT),
        "findings": findings.findings(results, STUDENT, patients=patients, asked=lists["k"]),
        "arms": results.arms,
        "groups": labels.GROUPS,
        "steps": material.steps,
        "splits": list(_splits(material.cases)),
        "leakage": material.leakage,
        "main_table": _table(results, "{}", _MAIN),
        "further_tables": [
            (title, *table)
            for title, pattern, keys in _FURTHER
            if (table := _table(results, pattern, keys))[1]
        ],
        "opponents": [
            (title, list(findings.opponents(results, STUDENT, metric)))
            for title, metric in (
                ("against other lists: place of the right disease (MRR × 100)", findings.WHOLE_LIST),
                ("against every arm: right disease first", "top1"),
            )
        ],
        "student": labels.arm(STUDENT),
        "figures": [figure(path, captions) for path in material.figures],
        "shown": list(examples(material)),
        "resampled": _UNITS[setting(config, "rare.evaluation.bootstrap_unit")],
        "hpo_release": material.versions.get("hpo", "unknown"),
        "example_seed": setting(config, "rare.evaluation.seed"),
        "quarantine_counts": counts(aside, ["stage", "field", "reason"]),
        "quarantine_rows": list(aside.head(QUARANTINE_ROWS).itertuples(index=False)),
        "quarantined": len(aside),
        "changes": [
            (ACTIONS.get(action, action.replace("_", " ")), count)
            for action, count in counts(material.changes, ["action"])
        ],
        "training": list(flatten(material.training)),
        "preferences": list(flatten(material.preferences)),
        "versions": list(flatten(material.versions)),
        "configuration": list(flatten(material.config)),
    }


def _splits(cases: pd.DataFrame) -> Iterator[tuple[str, int, int, int, str, str]]:
    """Split, patients, publications, diseases, median observed and excluded terms."""
    for key, words in labels.SPLITS.items():
        part = cases[cases["split"] == key]
        if len(part):
            yield (
                words,
                len(part),
                part["publication"].nunique(),
                part["disease_id"].nunique(),
                f"{part['n_observed'].median():g}",
                f"{part['n_excluded'].median():g}",
            )


def _table(
    results: findings.Results, pattern: str, keys: Sequence[str]
) -> tuple[list[str], list[findings.Row]]:
    measured = [key for key in keys if results.has(pattern.format(key))]
    heads = [labels.metric(key) for key in measured]
    return heads, findings.rows(results, [pattern.format(key) for key in measured])


def examples(material: Material) -> Iterator[dict[str, Any]]:
    """The patients shown in full: drawn by seed from all test patients, whatever the result.

    The draw orders the patients by a hash of seed and case id, so it is the same with every
    version of every library.
    """
    wanted = setting(material.config, "rare.evaluation.report_cases")
    k = setting(material.config, "rare.preferences.k")
    seed = setting(material.config, "rare.evaluation.seed")
    own = material.per_case[(material.per_case["arm"] == STUDENT) & (material.per_case["metric"] == "mrr")]
    reciprocal = own.set_index("case_id")["value"]
    cases = material.cases[material.cases["case_id"].isin(reciprocal.index)].set_index("case_id")
    drawn = sorted(cases.index, key=lambda case: hashlib.sha256(f"{seed} {case}".encode()).hexdigest())
    names = material.candidates.set_index("disease_id")["name"].to_dict()
    series = material.candidates.set_index("disease_id")["series"].dropna().to_dict()
    for case in sorted(drawn[:wanted]):
        truth = cases.loc[case, "disease_id"]
        ranks = material.teacher[material.teacher["case_id"] == case].sort_values(["rank", "disease_id"])
        terms = material.phenotypes[material.phenotypes["case_id"] == case].sort_values(["name", "hpo_id"])
        written = material.grounded[
            (material.grounded["case_id"] == case) & (material.grounded["arm"] == STUDENT)
        ].sort_values("position")
        named = [label if isinstance(label, str) and label else None for label in written["disease_id"]]
        right = right_label(named, reciprocal[case])
        place = ranks.loc[ranks["disease_id"] == truth, "rank"]
        yield {
            "case": case,
            "truth": names.get(truth, truth),
            "truth_id": truth,
            "unseen": cases.loc[case, "split"] == "test_unseen",
            "observed": terms.loc[~terms["excluded"], "name"].tolist(),
            "excluded": terms.loc[terms["excluded"], "name"].tolist(),
            "teacher": [
                (names.get(disease, disease), mark(disease, truth, series))
                for disease in ranks["disease_id"].head(k)
            ],
            "teacher_rank": int(place.iloc[0]) if len(place) else None,
            "student": [
                (text, "correct" if label and label == right else mark(label, truth, series))
                for text, label in zip(written["text"], named, strict=True)
            ],
        }


def right_label(named: Sequence[str | None], reciprocal_rank: float) -> str | None:
    """The label that scored as right, which may be another id of the true disease; None if none did.

    As in metrics.score_list, a repeated label takes no second place.
    """
    distinct: list[str | None] = []
    for label in named:
        if label is None or label not in distinct:
            distinct.append(label)
    return distinct[round(1 / reciprocal_rank) - 1] if reciprocal_rank > 0 else None


def mark(disease: str | None, truth: str, series: Mapping[str, str]) -> str:
    """``correct``, ``related`` (same phenotypic series), ``wrong``, or ``ungrounded`` (no disease's name)."""
    if not disease:
        return "ungrounded"
    if disease == truth:
        return "correct"
    return "related" if truth in series and series.get(disease) == series[truth] else "wrong"
