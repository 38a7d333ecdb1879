"""Ask a trained student about a patient or a tile: the ranked list as a table and as JSON.

    predict.py --run results/default --phenopacket patient.json
    predict.py --run results/default --terms HP:0001166,HP:0004942 --rank
    predict.py --run results/default --image tile.png --json answer.json

Research software, not for diagnosis or treatment. Exit code: 0 every input was answered, 3 some were not,
2 none was, or the call is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mintflow
from mintflow import cli, io
from mintflow.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

    from mintflow.conversations import Messages
    from mintflow.inference_files import StudentFiles

MOST_BYTES = 64_000_000  # of one file: no tile and no phenopacket is larger
MOST_TOTAL_MB = 4_000
NONE_ANSWERED, SOME_ANSWERED = 2, 3


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__, with_settings=False)
    inputs = parser.add_argument_group("what is asked about (one kind)")
    many = {"action": "append", "default": [], "metavar": "PATH"}
    inputs.add_argument("--phenopacket", help="GA4GH v2 JSON, or a folder of them; may be repeated", **many)
    inputs.add_argument("--image", help="a tile as PNG, JPEG or TIFF; may be repeated", **many)
    texts = {"action": "append", "default": [], "metavar": "TERMS"}
    inputs.add_argument("--terms", help="observed HPO terms, ids or labels, separated by commas", **texts)
    inputs.add_argument("--terms-file", metavar="PATH", help="the same, one or more a line")
    inputs.add_argument("--excluded", help="terms that were looked for and are absent", **texts)
    inputs.add_argument("--sex", choices=["MALE", "FEMALE"], help="with --terms; used if the prompt asks")
    inputs.add_argument("--age", type=_age, metavar="YEARS", help="with --terms; used if the prompt asks")
    student = parser.add_argument_group("which student")
    student.add_argument("--run", help="folder of a finished run, e.g. results/default")
    student.add_argument("--arm", default="orpo", help="which trained student of the run (default: orpo)")
    student.add_argument("--inference", metavar="PATH", help="inference.json, without a run's folder")
    student.add_argument("--adapter", metavar="PATH", help="PEFT folder, in place of the described one")
    student.add_argument("--base", metavar="PATH", help="base folder, in place of the described one")
    for name, what in (
        ("candidates", "candidates.parquet"),
        ("vocabulary", "vocabulary.parquet"),
        ("information-content", "information_content.parquet"),
        ("hpo", "terms.parquet of the HPO release"),
        ("mondo", "mondo.parquet"),
        ("labels", "labels.parquet of the tissue track"),
    ):
        student.add_argument(f"--{name}", metavar="PATH", help=f"{what}, in place of the described one")
    answer = parser.add_argument_group("how it answers")
    answer.add_argument(
        "--rank",
        action="store_true",
        help="rank every candidate disease by likelihood, in place of the written list",
    )
    answer.add_argument(
        "--top", type=_positive, default=10, help="rows of the table with --rank (default: 10)"
    )
    answer.add_argument(
        "--json", metavar="PATH", help="where the JSON goes; - prints it in place of the table"
    )
    answer.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    return parser


def _age(text: str) -> float:
    years = float(text)
    if not 0 <= years <= 130:
        raise argparse.ArgumentTypeError("expected years from 0 to 130")
    return years


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return number


def main(args: argparse.Namespace) -> None:
    """Find the student, read the input, answer, print."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads sleep, or a busy machine is slow
    args.track = _track(args)
    files = _files(args)
    from mintflow.prediction import NOTICE, SCHEMA

    about = _about_tiles if args.track == "tissue" else _about_patients
    records = about(args, files)
    document = {
        "schema": SCHEMA,
        "notice": NOTICE,
        "mintflow": mintflow.__version__,
        "track": files.track,
        "arm": files.arm,
        "method": "likelihood" if args.rank else "written",
        "score": files.settings["evaluation"]["ranking_score"] if args.rank else None,
        "k": files.settings["k"],
        "adapter": {"sha256": files.adapter_sha256},
        "base": {key: files.base_card.get(key) for key in ("id", "hub_id", "revision", "sha256")},
        "notes": files.notes,
        "results": records,
    }
    _show(document, args)
    failed = [record for record in records if record["error"] is not None]
    for record in failed:
        cli.log.error("ERROR: %s %d: %s", record["kind"], record["number"], record["error"])
    if failed:
        sys.exit(NONE_ANSWERED if len(failed) == len(records) else SOME_ANSWERED)


def _track(args: argparse.Namespace) -> str:
    """The track that the input belongs to.

    Raises:
        InputError: nothing is asked about, or several kinds of things, or flags that do not go together.
    """
    kinds = {
        "--phenopacket": bool(args.phenopacket),
        "--terms": bool(args.terms or args.terms_file or args.excluded),
        "--image": bool(args.image),
    }
    given = [kind for kind, there in kinds.items() if there]
    if len(given) != 1:
        wrong = f"not {' and '.join(given)} at once" if given else "nothing is asked about"
        raise InputError(f"give one of {', '.join(kinds)}: {wrong}")
    if given != ["--terms"] and (args.sex or args.age is not None):
        raise InputError("goes with --terms; a phenopacket holds its own", field="--sex, --age")
    if args.image and args.rank:
        raise InputError(
            "ranking by likelihood is for patients; a tile gets the written list", field="--rank"
        )
    return "tissue" if args.image else "rare"


def _files(args: argparse.Namespace) -> StudentFiles:
    from mintflow import inference_files as found

    names = ("base", "adapter", *found.FILES[args.track])
    given = {name: getattr(args, name) for name in names}
    if args.inference:
        path = Path(args.inference)
    elif args.run:
        path = found.find_in_run(args.run, args.track, args.arm)
    elif args.adapter:
        path = found.find_beside(args.adapter)
    else:
        raise InputError("which student? Give --run, --inference or --adapter")
    return found.locate(path, args.track, given)


def _about_patients(args: argparse.Namespace, files: StudentFiles) -> list[dict[str, Any]]:
    """Records of phenopackets or of typed terms, answered."""
    from mintflow import prediction
    from mintflow.ontology import Ontology
    from mintflow.prompts import Template

    columns = ["hpo_id", "name", "alt_ids", "ancestors", "is_obsolete", "replaced_by", "consider"]
    table = io.read_parquet(files.files["hpo"], [*columns, "branch", "depth", "synonyms"])
    reader = prediction.PatientReader(
        Ontology(table),
        io.read_parquet(files.files["information_content"], ["hpo_id", "ic"]),
        Template.from_settings(files.settings["prompt"]),
        files.settings["k"],
    )
    blanks: dict[int, Messages] = {}
    records = []
    for record, patient, texts in _typed(args, table) if not args.phenopacket else _phenopackets(args):
        records.append(record)
        if record["error"] is None:
            try:
                blanks[record["number"]] = reader.ask(record, patient, texts)
            except InputError as error:
                record["error"] = str(error)
    asked = [record for record in records if record["error"] is None]
    if asked:
        from mintflow import answering

        student = answering.load_student(files, args.device, exact=args.rank)
        if args.rank:
            answering.rank_all(student, asked, [blanks[record["number"]] for record in asked], files)
        else:
            answering.write_answers(student, asked, files)
    return records


def _typed(args: argparse.Namespace, table: Any) -> Iterator[tuple[dict[str, Any], Any, Any]]:
    """The one patient of typed terms."""
    from mintflow import patient_terms, prediction

    names = patient_terms.TermNames(table)
    lines = patient_terms.read_lines(args.terms_file) if args.terms_file else []
    observed = [term for text in [*args.terms, *lines] for term in names.split(text)]
    excluded = [term for text in args.excluded for term in names.split(text)]
    record = prediction.empty_record(1, "terms")
    patient, texts, record["left_out"] = prediction.patient_of_terms(
        observed, excluded, args.sex or "UNKNOWN", args.age
    )
    yield record, patient, texts


def _phenopackets(args: argparse.Namespace) -> Iterator[tuple[dict[str, Any], Any, None]]:
    """Every phenopacket in the order given, those of a folder by name; a bad one has an error."""
    from mintflow.phenopackets import read_patient
    from mintflow.prediction import empty_record, file_key, require_json

    number = 0
    for path in args.phenopacket:
        for content in _contents(Path(path)):
            number += 1
            record, patient = empty_record(number, "phenopacket"), None
            try:
                if isinstance(content, InputError):
                    raise content
                record["sha256"] = file_key(content)
                require_json(content)
                patient = read_patient(content)
                record["left_out"] = [
                    {"given": [where], "excluded": None, "reason": reason}
                    for where, reason in patient.left_out
                ]
            except InputError as error:
                record["error"] = str(error)
            yield record, patient, None


def _contents(path: Path) -> Iterator[bytes | InputError]:
    """The bytes of a file, or of every JSON file of a folder; its name may be a patient's and is not said."""
    if path.is_dir():
        try:
            yield from _folder(path)
        except InputError as error:
            yield InputError(error.problem)
    else:
        yield _bytes(path)


def _folder(path: Path) -> Iterator[bytes | InputError]:
    """An entry that cannot be opened has its place, for answers are told apart by number."""
    from mintflow.archives import TOO_LARGE, json_members, natural
    from mintflow.quarantine import Quarantine

    aside = Quarantine("predict")
    limits = {"max_file_mb": MOST_BYTES / 1e6, "max_total_mb": MOST_TOTAL_MB}
    there = unread = 0
    for _, data in json_members(path, aside, order=natural, **limits):
        there += 1
        if data is None:
            unread += 1
            reason = aside.rows[-1][-1]
            yield InputError("is too large" if reason == TOO_LARGE else reason)
        else:
            yield data
    if others := len(aside.rows) - unread:
        cli.log.warning("not read in a folder, as they are no *.json files: %d", others)
    if not there:
        yield InputError("this folder holds no JSON file")


def _bytes(path: Path) -> bytes | InputError:
    try:
        with open(path, "rb") as handle:
            data = handle.read(MOST_BYTES + 1)
    except OSError as error:
        return InputError(f"cannot be read: {error.strerror or type(error).__name__}")
    return InputError("is too large") if len(data) > MOST_BYTES else data


def _about_tiles(args: argparse.Namespace, files: StudentFiles) -> list[dict[str, Any]]:
    """Records of images, answered."""
    from mintflow.images import decode
    from mintflow.models import reads_images
    from mintflow.prediction import empty_record, file_key
    from mintflow.tile_prompts import question

    if not reads_images(files.base):
        raise InputError("this base model reads no image", file=files.base.name, field="--base")
    labels = io.read_parquet(files.files["labels"], ["label_id", "name"])
    prompt = question(files.settings["prompt"], labels["name"].tolist(), files.settings["k"])
    records, images = [], {}
    for number, path in enumerate(args.image, start=1):
        record = empty_record(number, "image")
        records.append(record)
        content = _bytes(Path(path))
        try:
            if isinstance(content, InputError):
                raise content
            record["sha256"] = file_key(content)
            image = decode(content)
        except InputError as error:
            record["error"] = str(error)
            continue
        images[number] = image
        record["image"] = {"width": image.width, "height": image.height}
        record["prompt"] = prompt
    asked = [record for record in records if record["error"] is None]
    if asked:
        from mintflow import answering
        from mintflow.vision_encoding import Gallery
        from mintflow.vision_models import load_processor

        files.notes.extend(_unlike(files.settings["tiles"], images))
        named = {answering.image_name(record): images[record["number"]] for record in asked}
        gallery = Gallery(load_processor(files.base), named)
        student = answering.load_student(files, args.device, exact=False, gallery=gallery)
        answering.write_answers(student, asked, files, gallery)
    return records


def _unlike(tiles: dict[str, Any] | None, images: dict[int, Image.Image]) -> list[str]:
    """How the images differ from the tiles that the student learned on, as far as can be told."""
    if tiles is None:
        return []
    side, mpp = tiles["tile_size"], tiles["mpp"]
    notes = [
        f"image {number} has {image.width} x {image.height} pixels; the tiles that were learned on have "
        f"{side} x {side} at {mpp:g} µm a pixel"
        for number, image in images.items()
        if image.size != (side, side)
    ]
    if tiles["stain"] != "none":
        notes.append(
            f"the tiles that were learned on are stain-normalised ({tiles['stain']}), images are not"
        )
    return notes


def _show(document: dict[str, Any], args: argparse.Namespace) -> None:
    from mintflow.prediction import render

    if args.json == "-":
        print(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False))
        return
    if args.json:
        io.write_json(document, args.json)
    print(render(document, args.top), end="")


if __name__ == "__main__":
    cli.run(main, arguments())
