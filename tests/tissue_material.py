"""A small made-up run of the tissue track, as files with the workflow's columns, for figures and report."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

import evaluate_tiles
from mintflow import io, quarantine
from mintflow.scores import rank_table

LABELS = ["adipose", "cartilage", "gland", "lymphoid", "muscle", "nerve"]
NAMES = {label: label for label in LABELS} | {"gland": "gland <script>alert(1)</script>"}
PATIENTS = 9  # tested
# arm -> share of tiles whose tissue it names first
ARMS = {"base": 0.1, "orpo": 0.8, "orpo-blank": 0.16, "orpo-shuffled": 0.05}


def tile(seed: int, side: int = 24) -> Image.Image:
    """A tile of noise in the colours of a stain."""
    noise = np.random.default_rng(seed).integers(0, 60, (side, side, 3))
    return Image.fromarray((np.array([230, 160, 200]) - noise).astype(np.uint8))


def manifest() -> pd.DataFrame:
    """manifest.csv: most slides are fine, one cannot be read, one says nothing of its resolution."""
    rows = []
    for number in range(12):
        status = {10: "unreadable-file", 11: "no-mpp"}.get(number, "ok")
        good = status == "ok"
        rows.append(
            {
                "slide_id": f"slide-{number:02d}",
                "path": f"/home/ann/slides/slide-{number:02d}.svs",
                "status": status,
                "message": "" if good else "no source gives a resolution; add mpp to the sheet",
                "mpp_x": 0.25 if good else None,
                "mpp_source": "openslide" if good else None,
                "level": 1 if good else None,
                "positions": 900,
                "background": 800,
                "kept": 60 + number if good else 0,
                "dropped_pen": 7 * good,
                "dropped_blur": number * good,
                "dropped_fold": 0,
            }
        )
    return pd.DataFrame(rows)


def confusion() -> pd.DataFrame:
    """confusion.csv of teacher and student."""
    rows = [
        (arm, truth, predicted, 15 if truth == predicted else int(predicted == "nerve"))
        for arm in ("orpo", "teacher")
        for truth in LABELS
        for predicted in [*LABELS, "(none)"]
    ]
    return pd.DataFrame(rows, columns=["arm", "truth", "predicted", "count"])


def alignment_log() -> list[dict[str, float]]:
    """alignment.jsonl of a training that learns."""
    return [{"step": step, "loss": 3 * np.exp(-step / 80) + 0.4} for step in range(10, 301, 10)]


LOSSES = {"right": 0.41, "shuffled": 0.93, "blank": 1.12}


def write(folder: Path, root: Path, *, looks: bool = True, **tissue: dict[str, Any]) -> dict[str, Any]:
    """Write every input of render_tissue.py to ``folder``; return flag -> path or paths.

    Args:
        folder: where to.
        root: of the repository, for the configuration's defaults.
        looks: whether the student's answers depend on the image.
        tissue: sections of the configuration to change.
    """
    from mintflow.config import complete
    from mintflow.config_schema import read_schema

    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(5)
    changes = copy.deepcopy(tissue)
    changes["preferences"] = {"k": 3, "q": 2}
    schema = read_schema(root / "workflow/schemas/config.schema.yaml")
    settings = complete({"run": "made-up", "tissue": changes}, schema)
    tiles = folder / "tiles"
    tiles.mkdir(exist_ok=True)
    rows, images = [], []
    for patient in range(PATIENTS + 6):
        split = "test" if patient < PATIENTS else "train"
        for label in [*LABELS, *LABELS, None]:
            case = f"slide-{patient:02d}@{len(rows)},0"
            images.append({"bytes": _png(tile(len(rows))), "path": None})
            place = split if label else "unlabelled"
            rows.append((case, label, f"patient-{patient:02d}", f"slide-{patient:02d}", place, len(rows)))
    cases = pd.DataFrame(rows, columns=["case_id", "label_id", "patient_id", "slide_id", "split", "row"])
    cases = cases.assign(file=str(tiles / "made-up.parquet"), simulated=True, source="slides", fold=-1)
    io.write_parquet(pd.DataFrame({"image": images}), tiles / "made-up.parquet")
    io.write_parquet(cases, folder / "cases.parquet")
    label_table = pd.DataFrame({"label_id": LABELS, "name": [NAMES[label] for label in LABELS]})
    io.write_parquet(label_table, folder / "labels.parquet")
    asked = cases[cases["split"] != "train"]
    for arm, share in ARMS.items():
        skill = share if looks else 0.2
        texts = [
            "\n".join(f"{n}. {name}" for n, name in enumerate(_list(label, skill, rng), 1))
            for label in asked["label_id"]
        ]
        table = pd.DataFrame({"case_id": asked["case_id"], "text": texts, "n_tokens": 9, "finished": True})
        io.write_parquet(table, folder / f"{arm}.parquet")
    scores = rng.normal(size=(len(cases), len(LABELS)))
    right = cases["label_id"].map({label: index for index, label in enumerate(LABELS)}).fillna(0).astype(int)
    guesses = scores.copy()
    scores[np.arange(len(cases)), right] += 3
    for arm, table in (("teacher", scores), ("prior", guesses)):
        ranked = rank_table(table, cases["case_id"].tolist(), LABELS, "label_id")
        io.write_parquet(ranked, folder / f"{arm}.parquet")
    paths: dict[str, Any] = {
        "metrics": "metrics.csv",
        "comparisons": "comparisons.csv",
        "confusion": "confusion.csv",
        "grounded": "grounded.parquet",
        "seeds": "seeds.csv",
    }
    outputs = {**paths, "per-case": "per_case.parquet"}
    evaluation = settings["tissue"]["evaluation"]
    evaluate_tiles.main(
        evaluate_tiles.arguments().parse_args(
            [
                "--settings",
                json.dumps(
                    {"evaluation": evaluation | {"bootstrap_samples": 200}, "preferences": {"k": 3, "q": 2}}
                ),
                *("--cases", str(folder / "cases.parquet"), "--labels", str(folder / "labels.parquet")),
                *("--answers", *(f"{arm}={folder / arm}.parquet" for arm in ARMS)),
                *("--scores", *(f"{arm}={folder / arm}.parquet" for arm in ("teacher", "prior"))),
                *(word for key, name in outputs.items() for word in (f"--output-{key}", str(folder / name))),
            ]
        )
    )
    del paths["confusion"], paths["seeds"]
    paths |= {
        "cases": "cases.parquet",
        "labels": "labels.parquet",
        "scores": "teacher.parquet",
        "manifest": "manifest.csv",
        "cohort": "cohort.json",
        "teacher": "teacher.json",
        "preferences": "summary.json",
        "training": "training.json",
        "alignment": "alignment.json",
        "quarantine": "quarantine.tsv",
        "settings": "settings.json",
    }
    paths = {key: str(folder / name) for key, name in paths.items()}
    io.write_csv(manifest(), paths["manifest"])
    io.write_json(
        {"steps": [{"step": "kept", "cases": 800}, {"step": "caps", "cases": 190}], "notes": ["a note"]},
        paths["cohort"],
    )
    io.write_json({"kind": "clip", "accuracy": {"test": {"n": 108, "top1": 0.9}}}, paths["teacher"])
    io.write_json({"k": 3, "q": 2, "splits": {"train": {"pairs": 72}}}, paths["preferences"])
    io.write_json({"steps": 90, "peak_rss_mb": 1500}, paths["training"])
    io.write_json({"steps": 300, "held_out_caption_loss": LOSSES}, paths["alignment"])
    aside = quarantine.Quarantine("slides")
    for slide in manifest()[manifest()["status"] != "ok"].itertuples():
        aside.add(
            file=slide.path, record=slide.slide_id, field="status", value=slide.status, reason=slide.message
        )
    aside.write(paths["quarantine"])
    io.write_json(settings, paths["settings"])
    overlay = tile(0, side=1200)
    for name in ("slide-00", "slide-01"):
        overlay.save(tiles / f"{name}.png")
    paths["tiles"] = [str(tiles)]
    return paths


def _list(label: str | None, skill: float, rng: np.random.Generator) -> list[str]:
    """Three names, the right one first with the given probability."""
    label = label if isinstance(label, str) else LABELS[0]
    others = [name for name in rng.permutation(LABELS) if name != label]
    order = [label, *others] if rng.random() < skill else [others[0], label, *others[1:]]
    return [NAMES[name] for name in order[:3]]


def _png(image: Image.Image) -> bytes:
    import io as bytes_io

    buffer = bytes_io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
