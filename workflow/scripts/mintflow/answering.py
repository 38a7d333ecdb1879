"""A trained student answers new input: its own written list, or every candidate by likelihood.

Records are those of prediction.py; nothing here differs from how the workflow evaluates a student.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from .conversations import Messages
from .errors import InputError
from .inference import Student, open_student
from .inference_files import StudentFiles
from .io import read_parquet
from .prediction import ranked_item, softmax

if TYPE_CHECKING:
    from .vision_encoding import Gallery


def load_student(files: StudentFiles, device: str, *, exact: bool, gallery: Gallery | None = None) -> Student:
    """Open the student as evaluation does.

    Raises:
        InputError: the device cannot be had, or the adapter does not fit the base.
    """
    try:
        return open_student(
            files.base,
            files.adapter,
            files.settings["student"] | {"device": device},
            exact=exact,
            gallery=gallery,
        )
    except InputError as error:
        if str(error.field).endswith("student.device"):
            raise InputError(error.problem, field="--device") from None
        raise
    except RuntimeError as error:  # what PEFT and torch raise where shapes differ
        if "size mismatch" not in str(error):
            raise
        raise InputError(
            "its weights do not fit the base model", file=files.adapter.name, field="--adapter"
        ) from error


def write_answers(
    student: Student, records: Sequence[dict[str, Any]], files: StudentFiles, gallery: Gallery | None = None
) -> None:
    """Let the student write its list for every record, greedily, and fill in what it names."""
    rows = [{"prompt": record["prompt"], "image": image_name(record)} for record in records]
    answers = student.answers(rows, files.settings["evaluation"], gallery)
    for record, answer in zip(records, answers, strict=True):
        record["answer"], record["finished"] = student.text(answer.tokens), answer.finished
    table = pd.DataFrame(
        {
            "case_id": [str(place) for place in range(len(records))],
            "text": [record["answer"] for record in records],
        }
    )
    ground = _ground_tissues if files.track == "tissue" else _ground_diseases
    for place, item in ground(table, files):
        records[place]["ranked"].append(item)


def image_name(record: dict[str, Any]) -> str | None:
    """What the gallery calls the image of a record."""
    return f"image {record['number']}" if record["kind"] == "image" else None


def _ground_diseases(answers: pd.DataFrame, files: StudentFiles) -> list[tuple[int, dict[str, Any]]]:
    from .evaluation import disease_labels, ground_answers, open_grounder
    from .mondo import Mondo

    mondo = Mondo.from_parquet(files.files["mondo"])
    candidates = read_parquet(files.files["candidates"], ["disease_id", "series"])
    labels = disease_labels(candidates, mondo)
    grounder = open_grounder(files.files["vocabulary"], candidates, mondo)
    items = []
    for row in ground_answers(answers, "", grounder, labels).itertuples(index=False):
        disease = row.disease_id if isinstance(row.disease_id, str) else None
        item = ranked_item(
            int(row.position),
            row.text,
            disease_id=disease,
            mondo_id=mondo.mondo_id(disease) if disease else None,
            candidate=disease in labels.candidates,
        )
        items.append((int(row.case_id), item))
    return items


def _ground_tissues(answers: pd.DataFrame, files: StudentFiles) -> list[tuple[int, dict[str, Any]]]:
    from .tile_evaluation import ground_answers, name_keys

    keys = name_keys(read_parquet(files.files["labels"], ["label_id", "name"]))
    items = []
    for row in ground_answers(answers, "", keys).itertuples(index=False):
        label = row.label_id if isinstance(row.label_id, str) else None
        item = ranked_item(int(row.position), row.text, label_id=label, candidate=label is not None)
        items.append((int(row.case_id), item))
    return items


def rank_all(
    student: Student, records: Sequence[dict[str, Any]], blanks: Sequence[Messages], files: StudentFiles
) -> None:
    """Rank every candidate disease by the student's likelihood of naming it first.

    Raises:
        InputError: this model cannot be scored so.
    """
    from .inference import list_length
    from .likelihood import rank_candidates
    from .scores import rank_table

    evaluation = files.settings["evaluation"]
    kind = evaluation["ranking_score"]
    candidates = read_parquet(files.files["candidates"], ["disease_id", "name", "mondo_id"])
    candidates = candidates.sort_values("disease_id")
    try:
        scores = rank_candidates(
            student.model,
            student.encoder,
            [record["prompt"] for record in records],
            blanks if kind == "pmi" else None,
            candidates["name"].tolist(),
            k=list_length(files.settings),
            chunk=evaluation["ranking_chunk"],
        )[kind]
    except InputError as error:
        raise InputError(
            f"this student cannot rank by likelihood: {error.problem}", field="--rank"
        ) from error
    known = candidates.set_index("disease_id")
    places = [f"{place:06d}" for place in range(len(records))]
    for place, rows in rank_table(scores, places, candidates["disease_id"].tolist()).groupby("case_id"):
        shares = softmax(rows["score"].tolist())
        for row, share in zip(rows.itertuples(index=False), shares, strict=True):
            mondo_id = known.at[row.disease_id, "mondo_id"]
            item = ranked_item(
                int(row.rank),
                known.at[row.disease_id, "name"],
                disease_id=row.disease_id,
                mondo_id=mondo_id if isinstance(mondo_id, str) else None,
                candidate=True,
                score=float(row.score),
                softmax_uncalibrated=share,
            )
            records[int(place)]["ranked"].append(item)
