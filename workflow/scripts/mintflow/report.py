"""The rare track's section of the report, for a clinician or geneticist.

Everything is computed here; the template (workflow/report/rare.html.j2) only lays it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from . import findings, labels
from .case_view import CORRECT, EXCLUDED, OBSERVED, TEACHER, TRUTH, UNSEEN
from .phenotypes import ACTIONS
from .redaction import quarantine_rows
from .report_page import counts, figure, fill, flatten, setting

STUDENT = "orpo"
QUARANTINE_ROWS = 20

_UNITS = {"publication": "publications", "case": "patients"}

_MAIN = ("top1", "top3", "top10", "mrr", "ungrounded", "car", "coverage", "avoidance")
_FURTHER = (
    ("Patients whose disease occurs in no training patient", "{}_unseen", ("top1", "top3", "top10", "mrr")),
    ("All test patients, of seen and unseen diseases", "{}_all", ("top1", "top3", "top10", "mrr")),
    ("Every disease counted equally (macro)", "{}_macro", ("top1", "top3", "top10", "mrr")),
    ("A disease of the same phenotypic series counted as right", "{}_lenient", ("top1", "top3", "top10")),
    (
        "All candidates ranked, by a student's own likelihood or a ranker's score",
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
    cases: pd.DataFrame
    shown: pd.DataFrame
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
        "lines": [found.text for found in [findings.rivals(results, STUDENT)] if found],
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
        "shown": list(examples(material.shown, lists["k"])),
        "resampled": _UNITS[setting(config, "rare.evaluation.bootstrap_unit")],
        "hpo_release": material.versions.get("hpo", "unknown"),
        "example_seed": setting(config, "rare.evaluation.seed"),
        "examples_named": bool(setting(config, "rare.evaluation.report_case_ids")),
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
        "configuration": list(flatten(_without_ids(material.config))),
    }


def _without_ids(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without the ids of named patients: the report tells how many, and not who."""
    evaluation = config["rare"]["evaluation"]
    named = len(evaluation["report_case_ids"])
    shown = evaluation | {"report_case_ids": f"{named} named" if named else "none"}
    return {**config, "rare": config["rare"] | {"evaluation": shown}}


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


def examples(shown: pd.DataFrame, k: int) -> Iterator[dict[str, Any]]:
    """The patients shown in full, under their numbers.

    Args:
        shown: case_view.csv, columns of ``case_view.COLUMNS``.
        k: length of the teacher's list.
    """
    for number, rows in shown.groupby("patient", sort=True):
        by_source = {str(source): part for source, part in rows.groupby("source", sort=False)}
        truth = by_source.pop(TRUTH).iloc[0]
        terms = {name: by_source.pop(name, rows[:0])["text"].tolist() for name in (OBSERVED, EXCLUDED)}
        teacher = by_source.pop(TEACHER)
        place = teacher.loc[teacher["mark"] == CORRECT, "position"]
        yield {
            "number": number,
            "truth": truth["text"],
            "truth_id": truth["disease_id"],
            "unseen": truth["mark"] == UNSEEN,
            **terms,
            "teacher": _items(teacher[teacher["position"] <= k]),
            "teacher_rank": int(place.iloc[0]) if len(place) else None,
            "students": [(labels.arm(arm), _items(part)) for arm, part in by_source.items()],
        }


def _items(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """A list as (text, mark)."""
    listed = rows[rows["position"] > 0].sort_values("position")
    return list(zip(listed["text"], listed["mark"], strict=True))
