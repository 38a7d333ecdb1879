"""The tissue track's section of the report, for a pathologist.

Everything is computed here; the template (workflow/report/tissue.html.j2) only lays it out.
"""

from __future__ import annotations

import base64
import io as bytes_io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup
from PIL import Image

from . import findings, labels, tissue_findings
from .errors import InputError
from .names import normalize_name
from .redaction import quarantine_rows
from .report_page import counts, figure, fill, flatten, setting

STUDENT = "orpo"
MOST_SLIDES = 60
OVERLAY_PX = 1000  # longer side on the page
MAIN = ("top1", "top3", "top5", "macro_f1", "mrr", "ungrounded", "car", "coverage", "avoidance")
RANKED = ("rank_top1", "rank_top3", "rank_mrr")
DROPPED = ("unreadable", "edge", "pen", "fold", "black", "blood", "blur", "limit")


@dataclass(frozen=True)
class Material:
    """All that the section is made from; tables and summaries as the workflow writes them."""

    config: Mapping[str, Any]
    metrics: pd.DataFrame
    comparisons: pd.DataFrame
    manifest: pd.DataFrame
    cases: pd.DataFrame
    label_names: pd.DataFrame
    cohort: Mapping[str, Any]
    quarantine: pd.DataFrame
    teacher: Mapping[str, Any]
    preferences: Mapping[str, Any]
    training: Mapping[str, Any]
    alignment: Mapping[str, Any] | None
    grounded: pd.DataFrame
    examples: Sequence[Mapping[str, Any]]
    overlays: Sequence[tuple[str, Path]]
    figures: Sequence[Path]


def render(material: Material, template: str | Path) -> str:
    """The section, HTML without a frame."""
    template = Path(template)
    return fill(template, context(material, template.parent))


def _results(material: Material) -> findings.Results:
    return findings.Results(material.metrics, material.comparisons, labels.TISSUE)


def summary(material: Material) -> dict[str, Any]:
    """What the top of the report says of this track."""
    results = _results(material)
    failed = _failed(material.manifest)
    lines = [tissue_findings.image_sentence(results, STUDENT, *_units(material)).text]
    against = findings.rivals(results, STUDENT)
    if against is not None:
        lines.append(against.text)
    if failed:
        lines.append(
            f"{failed} of {labels.plural(len(material.manifest), 'slide')} could not be used as meant."
        )
    return {
        "title": "Tissue",
        "headline": tissue_findings.headline(results, STUDENT).text,
        "lines": lines,
        "simulated": "slides of the tissue track" if material.cases["simulated"].any() else None,
    }


def _units(material: Material) -> tuple[int, str]:
    """How many units the paired tests flip, and what one is called."""
    unit = setting(material.config, "tissue.evaluation.bootstrap_unit")
    column, name = {"patient": ("patient_id", "patient"), "case": ("case_id", "tile")}[unit]
    return int(material.cases.loc[material.cases["split"] == "test", column].nunique()), name


def _failed(manifest: pd.DataFrame) -> int:
    return int((~manifest["status"].isin(["ok", "empty"])).sum())


def context(material: Material, captions: Path) -> dict[str, Any]:
    """What the template shows, by name."""
    results, config = _results(material), material.config
    tested = material.cases[material.cases["split"] == "test"]
    simulated = bool(material.cases["simulated"].any())
    tiles = (
        f"{labels.plural(len(tested), 'synthetic tile' if simulated else 'tile')} "
        f"of {labels.plural(tested['patient_id'].nunique(), 'patient or unit', 'patients or units')}"
    )
    aside = quarantine_rows(material.quarantine)
    names = material.label_names.set_index("label_id")["name"].to_dict()
    k, q = (setting(config, f"tissue.preferences.{name}") for name in ("k", "q"))
    units, unit = _units(material)
    return {
        "simulated": simulated,
        "headline": tissue_findings.headline(results, STUDENT),
        "image": tissue_findings.image_sentence(results, STUDENT, units, unit),
        "findings": tissue_findings.findings(results, STUDENT, tiles=tiles, asked=k, units=units, unit=unit),
        "k": k,
        "q": q,
        "labels": sorted(names.values()),
        "teacher_kind": setting(config, "tissue.teacher.kind"),
        "base_model": setting(config, "tissue.student.base.id")
        or setting(config, "tissue.student.base.name"),
        "slides": list(_slides(material.manifest)),
        "slide_count": len(material.manifest),
        "statuses": _statuses(material.manifest),
        "failed": _failed(material.manifest),
        "splits": list(_splits(material.cases)),
        "notes": list(
            flatten({key: value for key, value in material.cohort.items() if key not in ("labels", "steps")})
        ),
        "steps": [
            (step["step"].replace("_", " "), step["cases"]) for step in material.cohort.get("steps", [])
        ],
        "main_table": _table(results, MAIN),
        "by_label": _table(results, [f"top1@{label}" for label in sorted(names)], names),
        "ranked": _table(results, RANKED, {key: labels.metric(key.removeprefix("rank_")) for key in RANKED}),
        "opponents": [
            (title, list(findings.opponents(results, STUDENT, metric)))
            for title, metric in (
                ("place of the right tissue in the list (MRR × 100)", findings.WHOLE_LIST),
                ("right tissue first", "top1"),
                ("macro F1", "macro_f1"),
            )
        ],
        "arms": results.arms,
        "figures": [figure(path, captions) for path in material.figures],
        "overlays": [{"slide": slide, "uri": _overlay(path)} for slide, path in material.overlays],
        "unlabelled": list(_unlabelled(material)),
        "examples": [_example(one) for one in material.examples],
        "alignment": (material.alignment or {}).get("held_out_caption_loss") or None,
        "teacher": list(flatten(material.teacher)),
        "training": list(flatten(material.training)),
        "preferences": list(flatten(material.preferences)),
        "quarantined": len(aside),
        "quarantine_counts": counts(aside, ["stage", "field", "reason"]),
        "quarantine_rows": list(aside.head(20).itertuples(index=False)),
        "configuration": list(flatten({"tissue": config["tissue"]})),
        "resampled": {"patient": "patients", "case": "tiles"}[
            setting(config, "tissue.evaluation.bootstrap_unit")
        ],
        "example_seed": setting(config, "tissue.evaluation.seed"),
    }


def _slides(manifest: pd.DataFrame) -> Iterator[dict[str, Any]]:
    rows = manifest.sort_values("slide_id")
    # those that failed first: they are what a reader must see
    rows = pd.concat(
        [rows[~rows["status"].isin(["ok", "empty"])], rows[rows["status"].isin(["ok", "empty"])]]
    )
    for row in rows.head(MOST_SLIDES).to_dict("records"):
        dropped = [
            f"{reason} {int(row[f'dropped_{reason}'])}"
            for reason in DROPPED
            if row.get(f"dropped_{reason}") and not pd.isna(row[f"dropped_{reason}"])
        ]
        mpp = row.get("mpp_x")
        yield {
            "slide": row["slide_id"],
            "status": row["status"],
            "message": "" if pd.isna(row.get("message")) else row["message"],
            "mpp": "–" if mpp is None or pd.isna(mpp) else f"{mpp:.4g}",
            "source": "–" if pd.isna(row.get("mpp_source")) else row["mpp_source"],
            "level": "–" if pd.isna(row.get("level")) else f"{row['level']:g}",
            "kept": int(row["kept"]),
            "dropped": ", ".join(dropped) or "–",
        }


def _statuses(manifest: pd.DataFrame) -> list[tuple[str, int]]:
    counts = manifest["status"].value_counts()
    return [(status, int(counts[status])) for status in sorted(counts.index)]


def _splits(cases: pd.DataFrame) -> Iterator[tuple[str, int, int, int]]:
    """Split, tiles, patients, labels."""
    for key, words in {**labels.SPLITS, "unlabelled": "Unlabelled"}.items():
        part = cases[cases["split"] == key]
        if len(part):
            yield words, len(part), part["patient_id"].nunique(), part["label_id"].nunique()


def _table(
    results: findings.Results, keys: Sequence[str], names: Mapping[str, str] | None = None
) -> tuple[list[str], list[findings.Row]]:
    measured = [key for key in keys if results.has(key)]
    heads = [names[key.rpartition("@")[2]] if names else labels.metric(key) for key in measured]
    return heads, findings.rows(results, measured)


def _unlabelled(material: Material) -> Iterator[tuple[str, int, str]]:
    """Slides (or "tile sets") with tiles that nobody labelled: their number, what the student names first."""
    cases = material.cases[material.cases["split"] == "unlabelled"]
    first = material.grounded[(material.grounded["arm"] == STUDENT) & (material.grounded["position"] == 1)]
    named = cases["case_id"].map(first.set_index("case_id")["label_id"]).fillna("no label")
    table = cases.assign(named=named, slide=cases["slide_id"].fillna("tile sets"))
    for slide, tiles in list(table.groupby("slide", sort=True))[:MOST_SLIDES]:
        said = ", ".join(f"{name} {count}" for name, count in counts(tiles, ["named"])[:3])
        yield str(slide), len(tiles), said


def _overlay(path: Path) -> Markup:
    """An overlay picture as a data URI, small enough for a page of several."""
    try:
        with Image.open(path) as picture:
            small = picture.convert("RGB")
    except OSError as error:
        raise InputError("cannot be read as a picture", file=path.name) from error
    small.thumbnail((OVERLAY_PX, OVERLAY_PX))
    return _uri(small, "jpeg", quality=85)


def _uri(image: Image.Image, kind: str, **options: Any) -> Markup:
    buffer = bytes_io.BytesIO()
    image.save(buffer, kind.upper(), **options)
    return Markup(f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}")


def _example(example: Mapping[str, Any]) -> dict[str, Any]:
    """One tile for the page, its image as a data URI."""
    truth = normalize_name(example["truth"])
    return {
        "uri": _uri(example["image"], "png"),
        "truth": example["truth"],
        **{
            who: [(name, "correct" if normalize_name(name) == truth else "wrong") for name in example[who]]
            for who in ("teacher", "student")
        },
    }
