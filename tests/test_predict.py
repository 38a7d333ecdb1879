"""A trained student asked from the command line: the same question and answer as in the workflow."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

import build_prompts
import build_tile_prompts
import generate_answers
import mini_ontology as mini
import patients
import predict
import rank_candidates
import tiny_student as tiny
import tiny_vision
import write_inference
from mintflow import base_models, io, models, phenopackets, phenotypes, seals
from mintflow.adapters import add_adapter, write_adapter
from mintflow.errors import InputError
from mintflow.mondo import COLUMNS as MONDO
from mintflow.names import normalize_name
from mintflow.patient_terms import TermNames
from mintflow.quarantine import Quarantine

DISEASES = ["OMIM:100004", "OMIM:100003", "OMIM:100002", "OMIM:100001"]
NAMES = ["Noonan syndrome 1", "Noonan syndrome 13", "Noonan syndrome-like disorder", "Marfan syndrome"]
PROMPT = {
    "system": "Answer.",
    "user": "{patient}Phenotypes: {phenotypes}.{excluded} List {k}.",
    "max_terms": 3,
    "max_excluded": 1,
    "demographics": True,
}
STUDENT = {"attention": "sdpa", "chat_template_kwargs": {}, "base": {"dtype": "float32"}}
GENERATION = {"max_new_tokens": 24, "generation_batch_size": 2}
RANKING = {"ranking_score": "pmi", "ranking_chunk": 16}
TISSUES = ("gland", "tumor", "muscle", "nerve")
TISSUE_PROMPT = {"system": "You answer.", "user": "Candidates: {labels}. List {k} tissue types."}
LORA = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": "all-linear", "variant": "lora"}


def call(script: Any, *flags: object, **named: object) -> None:
    given = [str(flag) for flag in flags]
    given += [part for name, value in named.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    script.main(script.arguments().parse_args(given))


def adapt(base: Path, folder: Path, seed: int = 0, std: float = 0.2) -> Path:
    """An adapter whose weights change the answer."""
    torch.manual_seed(seed)
    model = add_adapter(models.load_model(base, dtype="float32"), LORA, autocast=False)
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=std)
    trained = folder.with_name("trained")
    model.save_pretrained(trained)
    write_adapter(trained, folder, models.load_tokenizer(base), models.read_card(base), "card")
    shutil.rmtree(trained)
    return folder


def packets() -> dict[str, dict[str, Any]]:
    """Phenopackets with ids that are alternative, obsolete, implied, excluded and unknown."""

    def features(*terms: str, absent: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        seen = [{"type": {"id": term, "label": "x"}} for term in terms]
        return [*seen, *({"type": {"id": term, "label": "x"}, "excluded": True} for term in absent)]

    found = {
        "a": features("HP:0000911", mini.LIMB, "HP:0000901", "HP:9999999", absent=(mini.FOOT,)),
        "b": features(mini.BOTH, mini.FOOT, mini.HAND, absent=(mini.SEPTUM, mini.HEART)),
        "c": features(mini.HEART, mini.FINGER, mini.FOOT, mini.SEPTUM),
    }
    return {
        name: patients.packet(f"Jane-Doe-{name}", phenotypicFeatures=terms) for name, terms in found.items()
    }


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with shared resources and a run of both tracks, made by the workflow's programs."""
    work = tmp_path_factory.mktemp("predict")
    resources, rare, tissue = work / "resources", work / "results/mine/rare", work / "results/mine/tissue"
    (resources / "hpo").mkdir(parents=True)
    io.write_parquet(mini.terms(), resources / "hpo/terms.parquet")
    mondo = [(f"MONDO:{n:07d}", NAMES[n], DISEASES[n], NAMES[n]) for n in range(3)]
    io.write_parquet(pd.DataFrame(mondo, columns=MONDO), resources / "mondo.parquet")
    ids = mini.ontology().ids
    ic = pd.DataFrame({"hpo_id": ids, "ic": [float(number % 5) for number in range(len(ids))]})
    knowledge = rare / "knowledge"
    io.write_parquet(ic, knowledge / "information_content.parquet")
    candidates = pd.DataFrame({"disease_id": DISEASES, "name": NAMES, "series": None})
    candidates["mondo_id"] = [row[0] for row in mondo] + [None]
    io.write_parquet(candidates.astype("str"), knowledge / "candidates.parquet")
    keys = pd.DataFrame({"key": map(normalize_name, NAMES), "disease_id": DISEASES})
    io.write_parquet(keys, knowledge / "vocabulary.parquet")

    texts = [*NAMES, "Limb Hand term HP:0000012", "1. 2. 3.", "Answer. Phenotypes: List"]
    base = resources / "models/tiny"
    base_models.write_random(texts, base, seed=3)
    loaded = tiny.model(base)
    with torch.no_grad():
        for name, weights in loaded.named_parameters():
            if "norm" not in name:
                weights.mul_(6)
    loaded.save_pretrained(base)
    (base / seals.SEAL).unlink()  # of what it was
    adapter = adapt(base, rare / "student/orpo/adapter")
    files = {
        "candidates": knowledge / "candidates.parquet",
        "vocabulary": knowledge / "vocabulary.parquet",
        "information_content": knowledge / "information_content.parquet",
        "hpo": resources / "hpo/terms.parquet",
        "mondo": resources / "mondo.parquet",
    }
    settings = {"prompt": PROMPT, "k": 3, "student": STUDENT, "evaluation": GENERATION | RANKING}
    describe("rare", settings, base, adapter, files, rare / "student/orpo/inference.json")

    base = tiny_vision.make("llava", tissue / "student/base")
    labels = pd.DataFrame({"label_id": [f"id-{name}" for name in TISSUES], "name": TISSUES})
    io.write_parquet(labels, tissue / "cohort/labels.parquet")
    adapter = adapt(base, tissue / "student/orpo/adapter", std=0.05)
    settings = {"prompt": TISSUE_PROMPT, "k": 2, "student": STUDENT, "evaluation": GENERATION}
    settings["tiles"] = {"tile_size": 40, "mpp": 1.0, "stain": "none"}
    files = {"labels": tissue / "cohort/labels.parquet"}
    describe("tissue", settings, base, adapter, files, tissue / "student/orpo/inference.json")

    (work / "packets").mkdir()
    for name, content in packets().items():
        (work / f"packets/{name}.json").write_text(json.dumps(content))
    tiny_vision.picture(5).save(work / "tile.png")
    tiny_vision.picture(5).save(work / "tile.tif")
    tiny_vision.picture(6).save(work / "tile.jpg")
    return work


def describe(
    track: str, settings: dict[str, Any], base: Path, adapter: Path, files: dict[str, Path], output: Path
) -> None:
    given = ["--file", *(f"{name}={path}" for name, path in files.items())]
    named = {"track": track, "arm": "orpo", "base": base, "adapter": adapter, "output": output}
    call(write_inference, *given, settings=json.dumps(settings), **named)


def ask(work: Path, *flags: object, run: str = "mine", **named: object) -> dict[str, Any]:
    """The document, checked against its schema."""
    output = work / "answer.json"
    output.unlink(missing_ok=True)
    where = {"run": work / "results" / run} if run else {}
    code = 0
    try:
        call(predict, *flags, json=output, device="cpu", **where, **named)
    except SystemExit as stop:
        code = stop.code
    document = io.read_json(output)
    schema = Path(predict.__file__).parent.parent / "schemas/prediction.schema.yaml"
    jsonschema.validate(document, yaml.safe_load(schema.read_text()))
    failed = [record["error"] is not None for record in document["results"]]
    assert code == (0 if not any(failed) else 2 if all(failed) else 3)
    return document


@pytest.fixture(scope="module")
def workflow(work: Path) -> dict[str, Any]:
    """What the workflow's own programs make of the same phenopackets: prompts, answers and rankings."""
    quarantine = Quarantine("read")
    raw = phenopackets.read(work / "packets", quarantine, max_file_mb=1, max_total_mb=10)
    kept, _ = phenotypes.normalize(raw.phenotypes, mini.ontology(), quarantine)
    cases = raw.cases.assign(split="test")
    out = work / "workflow"
    io.write_parquet(cases, out / "cases.parquet")
    io.write_parquet(kept, out / "phenotypes.parquet")
    settings = {"prompt": PROMPT, "k": 3, "controls": ["blank"], "seed": 1}
    ic = work / "results/mine/rare/knowledge/information_content.parquet"
    tables = {"cases": out / "cases.parquet", "phenotypes": out / "phenotypes.parquet", "ic": ic}
    call(build_prompts, settings=json.dumps(settings), output=out / "prompts.parquet", **tables)
    student = STUDENT | {"device": "cpu"}
    common = {
        "base": work / "resources/models/tiny",
        "adapter": work / "results/mine/rare/student/orpo/adapter",
        "prompts": out / "prompts.parquet",
    }
    settings = {"student": student, "k": 3, "evaluation": GENERATION}
    call(generate_answers, settings=json.dumps(settings), output=out / "answers.parquet", **common)
    untrained = {name: path for name, path in common.items() if name != "adapter"}
    call(generate_answers, settings=json.dumps(settings), output=out / "base.parquet", **untrained)
    settings["evaluation"] = RANKING | {"ranking_cases": None, "ranking_depth": None, "seed": 1}
    candidates = work / "results/mine/rare/knowledge/candidates.parquet"
    call(
        rank_candidates,
        settings=json.dumps(settings),
        candidates=candidates,
        cases=out / "cases.parquet",
        output=out / "rankings.parquet",
        **common,
    )
    prompts = io.read_parquet(out / "prompts.parquet")
    shown = prompts[prompts["control"] == "none"].set_index("case_id")["prompt"]
    order = dict(zip(cases["source_file"], cases["case_id"], strict=True))
    return {
        "ids": [order[name] for name in sorted(order)],  # as a folder is read
        "prompts": shown,
        "answers": io.read_parquet(out / "answers.parquet").set_index("case_id"),
        "base": io.read_parquet(out / "base.parquet").set_index("case_id"),
        "rankings": io.read_parquet(out / "rankings.parquet").set_index("case_id"),
    }


def test_patients_are_asked_and_answer_as_in_the_workflow(work: Path, workflow: dict[str, Any]) -> None:
    document = ask(work, phenopacket=work / "packets")
    assert len(document["results"]) == 3
    for case_id, record in zip(workflow["ids"], document["results"], strict=True):
        assert record["prompt"] == workflow["prompts"][case_id]
        assert record["answer"] == workflow["answers"].loc[case_id, "text"]
        assert record["answer"] != workflow["base"].loc[case_id, "text"]  # the adapter is at work
        assert record["finished"] == workflow["answers"].loc[case_id, "finished"]
    assert len({record["answer"] for record in document["results"]}) > 1
    assert "3-year-old female" in document["results"][0]["prompt"][1]["content"]
    assert document["results"][0]["demographics"] == {"used": True, "sex": "FEMALE", "age_years": 3.5}


def test_ranking_is_that_of_the_workflow(work: Path, workflow: dict[str, Any]) -> None:
    document = ask(work, "--rank", phenopacket=work / "packets")
    assert document["method"] == "likelihood" and document["score"] == "pmi"
    for case_id, record in zip(workflow["ids"], document["results"], strict=True):
        expected = workflow["rankings"].loc[case_id]
        assert [item["disease_id"] for item in record["ranked"]] == expected["disease_id"].tolist()
        found = [item["score"] for item in record["ranked"]]
        assert found == pytest.approx(expected["score"].tolist(), abs=1e-4)
        shares = [item["softmax_uncalibrated"] for item in record["ranked"]]
        assert sum(shares) == pytest.approx(1) and shares == sorted(shares, reverse=True)
        assert {item["name"]: item["disease_id"] for item in record["ranked"]} == dict(
            zip(NAMES, DISEASES, strict=True)
        )
        marfan = next(item for item in record["ranked"] if item["name"] == "Marfan syndrome")
        assert marfan["mondo_id"] is None and record["ranked"] != []


def test_what_was_understood_and_what_was_left_out(work: Path) -> None:
    first, second, _ = ask(work, phenopacket=work / "packets")["results"]
    understood = {term["hpo_id"]: term for term in first["terms"]}
    assert understood.keys() == {mini.HAND, mini.SEPTUM, mini.FOOT}
    assert understood[mini.HAND]["given"] == ["HP:0000911"] and understood[mini.HAND]["name"] == "Hand"
    assert understood[mini.SEPTUM]["given"] == ["HP:0000901"]
    assert understood[mini.FOOT]["excluded"]
    left = {entry["given"][0]: entry["reason"] for entry in first["left_out"]}
    assert left.keys() == {"HP:9999999", mini.LIMB}
    assert "no term of this HPO release" in left["HP:9999999"] and "more specific" in left[mini.LIMB]
    # of two absent terms that both follow from what is observed none is left
    assert {entry["given"][0] for entry in second["left_out"]} >= {mini.SEPTUM, mini.HEART}


def test_terms_typed_as_ids_and_labels(work: Path, workflow: dict[str, Any]) -> None:
    (work / "terms.txt").write_text("# from the letter\nHP:0000901 septum\n\nHP:9999999, limb\n")
    document = ask(
        work,
        *("--terms", "  manus ; nonsense", "--terms-file", work / "terms.txt", "--excluded", "hp_0000013"),
        *("--sex", "FEMALE", "--age", "3.5"),
    )
    (record,) = document["results"]
    same = workflow["ids"][0]
    assert record["prompt"] == workflow["prompts"][same]
    assert record["answer"] == workflow["answers"].loc[same, "text"]
    given = {term["hpo_id"]: term["given"] for term in record["terms"]}
    assert given == {
        mini.HAND: ["manus"],
        mini.SEPTUM: ["HP:0000901 septum"],
        mini.FOOT: ["hp_0000013"],
    }
    left = {entry["given"][0]: entry["reason"] for entry in record["left_out"]}
    assert left.keys() == {"nonsense", "HP:9999999", "limb"}
    assert "no label or synonym" in left["nonsense"]


def test_terms_beyond_what_the_prompt_shows_are_told(
    work: Path, workflow: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    third = ask(work, phenopacket=work / "packets/c.json")["results"][0]
    assert all(term["shown"] for term in third["terms"])
    many = ",".join([mini.FINGER, mini.FOOT, mini.SEPTUM])
    description = io.read_json(work / "results/mine/rare/student/orpo/inference.json")
    description["settings"]["prompt"]["max_terms"] = 2
    io.write_json(description, work / "results/mine/rare/student/orpo/two.json")
    record = ask(work, run="", terms=many, inference=work / "results/mine/rare/student/orpo/two.json")[
        "results"
    ][0]
    assert sum(term["shown"] for term in record["terms"]) == 2
    hidden = next(term["name"] for term in record["terms"] if not term["shown"])
    assert hidden not in record["prompt"][1]["content"]
    assert f"beyond what the prompt shows: {hidden}" in capsys.readouterr().out


def test_written_names_are_grounded_and_others_have_no_id(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mintflow import answering
    from mintflow.inference import Student

    text = "1. NOONAN syndrome 13\n2. Noonan syndrom 1\n3. Marfan syndrome"
    monkeypatch.setattr(Student, "text", lambda self, tokens: text)
    record = ask(work, terms=mini.HAND)["results"][0]
    assert [
        (item["rank"], item["name"], item["disease_id"], item["mondo_id"]) for item in record["ranked"]
    ] == [
        (1, "NOONAN syndrome 13", "OMIM:100003", "MONDO:0000001"),
        (2, "Noonan syndrom 1", None, None),
        (3, "Marfan syndrome", "OMIM:100001", None),
    ]
    assert [item["candidate"] for item in record["ranked"]] == [True, False, True]
    assert all(item["score"] is None for item in record["ranked"])
    printed = capsys.readouterr().out
    assert "not for diagnosis" in printed
    rows = [line.split() for line in printed.splitlines()]
    assert ["2", "Noonan", "syndrom", "1", "-", "-"] in rows
    assert ["1", "NOONAN", "syndrome", "13", "OMIM:100003", "MONDO:0000001"] in rows
    monkeypatch.setattr(Student, "text", lambda self, tokens: "I do not know.")
    assert ask(work, terms=mini.HAND)["results"][0]["ranked"] == []
    assert "wrote no list" in capsys.readouterr().out
    assert answering.image_name({"kind": "terms", "number": 1}) is None


def test_nobody_is_named(work: Path, tmp_path: Path) -> None:
    """Run as a person would: neither table, JSON nor log tells a patient's id or a file's name."""
    for number, name in enumerate(("a", "b")):
        shutil.copy(work / f"packets/{name}.json", tmp_path / f"Jane-Doe-{number}.json")
    (tmp_path / "Jane-Doe-9.json").write_text('{"id": "Jane-Doe", "subject": {"id": "Jane-Doe"}}')
    script = Path(predict.__file__)
    flags = ["--run", str(work / "results/mine"), "--device", "cpu", "--json", str(work / "named.json")]
    files = sorted(tmp_path.iterdir())
    given = [part for file in files for part in ("--phenopacket", str(file))]
    done = subprocess.run(
        [sys.executable, str(script), *flags, *given], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 3, done.stderr
    document = (work / "named.json").read_text()
    for text in (done.stdout, done.stderr, document):
        for secret in ("Jane", "Doe", "person 1", "PMID", "GENE1"):
            assert secret not in text
    assert "phenopacket 3: field phenotypicFeatures: no phenotypes" in done.stderr
    assert [record["error"] is None for record in json.loads(document)["results"]] == [True, True, False]
    assert str(work) not in document


def test_json_alone_on_standard_output(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = {"run": work / "results/mine", "terms": mini.HAND, "device": "cpu", "json": "-"}
    call(predict, **flags)
    document = json.loads(capsys.readouterr().out)
    assert "not for diagnosis" in document["notice"]
    weights = work / "results/mine/rare/student/orpo/adapter/adapter_model.safetensors"
    assert document["adapter"]["sha256"] == io.sha256_file(weights)
    card = models.read_card(work / "resources/models/tiny")
    assert document["base"]["sha256"] == card["sha256"] and document["notes"] == []


def test_one_bad_phenopacket_does_not_stop_the_rest(work: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    bad = {
        "broken.json": "{",
        "old.json": json.dumps(patients.packet(metaData={"phenopacketSchemaVersion": "1.0"})),
        "unknown.json": json.dumps(
            patients.packet(phenotypicFeatures=[{"type": {"id": "HP:9999999"}}, {"type": {"id": "x"}}])
        ),
    }
    for name, text in bad.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "without_diagnosis.json").write_text(
        json.dumps(patients.packet("n", interpretations=[], diseases=[], metaData={}))
    )
    given = [tmp_path, work / "packets/b.json", tmp_path / "nowhere.json", tmp_path / "empty"]
    flags = [part for path in given for part in ("--phenopacket", path)]
    records = ask(work, *flags)["results"]
    errors = [record["error"] for record in records]
    assert [error is None for error in errors] == [False, False, False, True, True, False, False]
    assert "broken JSON" in errors[0] and "version 1" in errors[1]
    assert "no observed term was understood (" in errors[2] and "HP:9999999" in errors[2]
    assert "cannot be read" in errors[5] and "no JSON file" in errors[6]
    assert [record["number"] for record in records] == list(range(1, 8))
    alone = ask(work, phenopacket=tmp_path / "broken.json")
    assert alone["results"][0]["ranked"] == []


def test_numbers_follow_the_entries_of_a_folder(
    work: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One that cannot be opened keeps its number, or the next patient's answer would be taken for its own."""
    order = ["anna.json", "bert.json", "carl.JSON", "patient_2.json", "patient_10.json"]
    given = {"anna.json": "a", "carl.JSON": "c", "patient_2.json": "b", "patient_10.json": "a"}
    for name, source in given.items():
        shutil.copy(work / f"packets/{source}.json", tmp_path / name)
    (tmp_path / "bert.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "dora.json.gz").write_bytes(b"")
    (tmp_path / "README.md").write_text("no patient")
    records = ask(work, phenopacket=tmp_path)["results"]
    assert [record["number"] for record in records] == [1, 2, 3, 4, 5]
    assert [record["error"] for record in records] == [None, "a broken link", None, None, None]
    keys = {name: io.sha256_file(tmp_path / name)[:12] for name in given}
    assert [record["sha256"] for record in records] == [keys.get(name) for name in order]
    assert "not read in a folder, as they are no *.json files: 1" in caplog.text
    assert not any(name in caplog.text for name in ("anna", "bert", "dora"))


def test_every_file_that_was_read_has_a_key(work: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    (record,) = ask(work, phenopacket=tmp_path / "broken.json")["results"]
    assert record["sha256"] == io.sha256_file(tmp_path / "broken.json")[:12]
    (record,) = ask(work, image=work / "tile.png")["results"]
    assert record["sha256"] == io.sha256_file(work / "tile.png")[:12]
    assert ask(work, terms=mini.HAND)["results"][0]["sha256"] is None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.zip", b"PK\3\4\0\0", "is a zip: unpack it and give the folder"),
        ("x.json.gz", b"\x1f\x8b\x08\0", "is gzipped: unpack it"),
        ("x.tsv", b"case_id\tdisease_id\thpo_ids\n", "is no JSON"),
        ("x.txt", b"true enough", "is no JSON"),
        ("x.json", b"", "is no JSON"),
    ],
)
def test_what_is_no_json_is_told_what_is_expected(
    work: Path, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    error = ask(work, phenopacket=tmp_path / name)["results"][0]["error"]
    assert error.startswith(words)
    assert "expected a GA4GH phenopacket (version 2, JSON) or a folder of them" in error


def test_json_of_another_shape_is_still_told_as_such(work: Path, tmp_path: Path) -> None:
    for number, content in enumerate((b'\xef\xbb\xbf"text"', b" [1]", '{"a'.encode("utf-16"))):
        (tmp_path / f"{number}.json").write_bytes(content)
    errors = [record["error"] for record in ask(work, phenopacket=tmp_path)["results"]]
    assert ["not a JSON object" in error for error in errors] == [True, True, False]
    assert "broken JSON" in errors[2]


def test_a_folder_that_cannot_be_read_does_not_stop_the_rest(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Ann.json").write_bytes(b"0" * 2_000)
    monkeypatch.setattr(predict, "MOST_TOTAL_MB", 0.001)
    flags = ("--phenopacket", tmp_path, "--phenopacket", work / "packets/b.json")
    first, second = ask(work, *flags)["results"]
    assert first["error"] == "unpacks to more than is allowed" and second["error"] is None


def test_tiles_are_asked_and_answer_as_in_the_workflow(work: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ("tile.png", "tile.jpg", "tile.tif")
    rows = [{"bytes": (work / name).read_bytes(), "path": None} for name in names]
    pq.write_table(pa.table({"image": pa.array(rows)}), tmp_path / "tiles.parquet")
    cases = pd.DataFrame({"case_id": names, "file": str(tmp_path / "tiles.parquet"), "row": range(3)})
    cases = cases.assign(label_id="id-gland", patient_id="p", split="test")
    io.write_parquet(cases, tmp_path / "cases.parquet")
    labels = work / "results/mine/tissue/cohort/labels.parquet"
    settings = {"prompt": TISSUE_PROMPT, "k": 2, "controls": [], "seed": 1}
    prompts = tmp_path / "prompts.parquet"
    tables = {"cases": tmp_path / "cases.parquet", "labels": labels, "output": prompts}
    call(build_tile_prompts, settings=json.dumps(settings), **tables)
    settings = {"student": STUDENT | {"device": "cpu"}, "k": 2, "evaluation": GENERATION}
    call(
        generate_answers,
        settings=json.dumps(settings),
        track="tissue",
        base=work / "results/mine/tissue/student/base",
        adapter=work / "results/mine/tissue/student/orpo/adapter",
        prompts=prompts,
        images=tmp_path / "cases.parquet",
        output=tmp_path / "answers.parquet",
    )
    answers = io.read_parquet(tmp_path / "answers.parquet").set_index("case_id")["text"]
    document = ask(work, *(part for name in names for part in ("--image", work / name)))
    assert document["track"] == "tissue" and document["notes"] == []
    records = document["results"]
    assert [record["answer"] for record in records] == [answers[name] for name in names]
    assert records[0]["answer"] == records[2]["answer"] != records[1]["answer"]
    assert records[0]["prompt"] == io.read_parquet(prompts)["prompt"][0]
    assert records[0]["image"] == {"width": 40, "height": 40}


def test_tissue_names_have_label_ids(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mintflow.inference import Student

    monkeypatch.setattr(Student, "text", lambda self, tokens: "1. Nerve\n2. brain")
    (work / "not.png").write_text("no image")
    Image.new("RGB", (64, 40)).save(work / "wide.png")
    Image.new("F", (40, 40), 0.5).save(work / "float.tif")
    names = ("wide.png", "not.png", "float.tif")
    document = ask(work, *(part for name in names for part in ("--image", work / name)))
    wide, wrong, deep = document["results"]
    assert [(item["name"], item["label_id"]) for item in wide["ranked"]] == [
        ("Nerve", "id-nerve"),
        ("brain", None),
    ]
    assert "is no image" in wrong["error"] and "not an 8-bit tile" in deep["error"]
    assert document["notes"] == [
        "image 1 has 64 x 40 pixels; the tiles that were learned on have 40 x 40 at 1 µm a pixel"
    ]
    with pytest.raises(InputError, match=r"--rank.*for patients"):
        ask(work, "--rank", image=work / "tile.png")


def test_a_student_copied_elsewhere(work: Path, tmp_path: Path) -> None:
    """Everything beside the description, or named by flags."""
    expected = ask(work, terms=mini.HAND)["results"]
    student, away = work / "results/mine/rare/student/orpo", tmp_path / "away"
    shutil.copytree(student, away)
    shutil.copytree(work / "resources/models/tiny", away / "tiny")
    tables = [*(work / "results/mine/rare/knowledge").iterdir()]
    tables += [work / "resources/hpo/terms.parquet", work / "resources/mondo.parquet"]
    for table in tables:
        shutil.copy(table, away)
    assert ask(work, run="", terms=mini.HAND, inference=away / "inference.json")["results"] == expected
    shutil.move(away / "tiny", tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"record tiny: is neither .* give --base"):
        ask(work, run="", terms=mini.HAND, adapter=away / "adapter")
    document = ask(work, run="", terms=mini.HAND, adapter=away / "adapter", base=tmp_path / "elsewhere")
    assert document["results"] == expected and document["notes"] == []
    assert str(work) not in (student / "inference.json").read_text()


def test_a_whole_results_folder_may_move(work: Path, tmp_path: Path) -> None:
    expected = ask(work, terms=mini.HAND)["results"]
    for name in ("results", "resources"):
        shutil.copytree(work / name, tmp_path / name)
    assert ask(tmp_path, terms=mini.HAND)["results"] == expected


def test_another_base_or_adapter_is_noticed(work: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    base_models.write_random(["something else"], other, seed=9)
    with pytest.raises(InputError, match=r"--base: was trained on random Llama, seed 3.*seed 9"):
        ask(work, terms=mini.HAND, base=other)
    card = models.read_card(work / "resources/models/tiny")
    # the same model by name, with other weights: an answer, and a note
    (other / seals.SEAL).unlink()
    io.write_json(card | {"sha256": "0"}, other / models.CARD)
    for file in ("config.json", "tokenizer.json", "model.safetensors"):
        shutil.copy(work / "resources/models/tiny" / file, other / file)
    assert "other weights of the base model" in ask(work, terms=mini.HAND, base=other)["notes"][0]
    # the same name, another shape
    tiny_vision.language(tmp_path / "words")
    (tmp_path / "words" / seals.SEAL).unlink()
    io.write_json(card, tmp_path / "words" / models.CARD)
    wider = io.read_json(tmp_path / "words/config.json")
    wider |= {"hidden_size": 32}
    _resize(tmp_path / "words", wider)
    with pytest.raises(InputError, match=r"--adapter: its weights do not fit"):
        ask(work, terms=mini.HAND, base=tmp_path / "words")
    shutil.copytree(work / "results", tmp_path / "results")
    shutil.copytree(work / "resources", tmp_path / "resources")
    student = tmp_path / "results/mine/rare/student/orpo"
    adapt(work / "resources/models/tiny", student / "adapter", seed=5)
    with pytest.raises(InputError, match=r"not the adapter that inference\.json describes"):
        ask(tmp_path, terms=mini.HAND)
    assert "adapter is not the one" in ask(work, terms=mini.HAND, adapter=student / "adapter")["notes"][0]
    assert ask(
        work, terms=mini.HAND, mondo=_changed(work / "resources/mondo.parquet", tmp_path / "mondo.parquet")
    )["notes"] == ["mondo.parquet is not the file that the student was described with"]


def _resize(folder: Path, config: dict[str, Any]) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    LlamaForCausalLM(LlamaConfig(**config)).save_pretrained(folder)


def _changed(source: Path, target: Path) -> Path:
    io.write_parquet(io.read_parquet(source)[:1], target)
    return target


def test_clear_errors(work: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--run: there is no such run; runs beside it: mine"):
        ask(work, run="yours", terms=mini.HAND)
    with pytest.raises(InputError, match=r"record dpo, field --arm: is not trained.*trained: orpo"):
        ask(work, terms=mini.HAND, arm="dpo")
    (tmp_path / "results/empty").mkdir(parents=True)
    with pytest.raises(InputError, match="no student of the tissue track is trained"):
        ask(tmp_path, run="empty", image=work / "tile.png")
    shutil.copytree(work / "results/mine/rare/student", tmp_path / "results/old/rare/student")
    (tmp_path / "results/old/rare/student/orpo/inference.json").unlink()
    with pytest.raises(InputError, match=r"snakemake .*results/old/rare/student/orpo/inference\.json"):
        ask(tmp_path, run="old", terms=mini.HAND)
    with pytest.raises(InputError, match="nothing is asked about"):
        ask(work)
    with pytest.raises(InputError, match="--terms and --image at once"):
        ask(work, terms=mini.HAND, image=work / "tile.png")
    with pytest.raises(InputError, match="goes with --terms"):
        ask(work, phenopacket=work / "packets", sex="FEMALE")
    with pytest.raises(InputError, match="which student"):
        ask(work, run="", terms=mini.HAND)
    with pytest.raises(InputError, match=r"no inference\.json in or beside"):
        ask(work, run="", terms=mini.HAND, adapter=tmp_path)
    with pytest.raises(InputError, match="is of the rare track"):
        ask(
            work,
            run="",
            image=work / "tile.png",
            inference=work / "results/mine/rare/student/orpo/inference.json",
        )
    io.write_json({"track": "rare"}, tmp_path / "inference.json")
    with pytest.raises(InputError, match="no description of a student"):
        ask(work, run="", terms=mini.HAND, inference=tmp_path / "inference.json")
    with pytest.raises(InputError, match=r"--terms-file: cannot be read"):
        ask(work, terms_file=tmp_path / "none.txt")
    nothing = ask(work, terms="HP:9999999, foo, HP:12, HP:0000012 HP:0000013")["results"][0]["error"]
    assert nothing.startswith("no observed term was understood (")
    for part in ("foo: no label", "HP:12: no HPO id", "several ids", "HP:9999999: no term of this"):
        assert part in nothing
    if not torch.cuda.is_available():
        flags = {"run": work / "results/mine", "terms": mini.HAND, "device": "cuda"}
        with pytest.raises(InputError, match="field --device"):
            call(predict, **flags)


def test_file_names_are_those_of_the_modules_that_write_them() -> None:
    from mintflow import adapters, inference_files

    names = (inference_files.CARD, inference_files.CONFIG, inference_files.WEIGHTS)
    assert names == (models.CARD, adapters.CONFIG, adapters.WEIGHTS)


def test_term_names() -> None:
    table = pd.DataFrame(
        [
            ("HP:0000001", "Seizure", ["Fits", "Shared"], False),
            ("HP:0000002", "Intellectual disability, mild", ["Shared"], False),
            ("HP:0000003", "Intellectual disability", [], False),
            ("HP:0000004", "Fits", [], False),
            ("HP:0000005", "obsolete Old name", [], True),
        ],
        columns=["hpo_id", "name", "synonyms", "is_obsolete"],
    )
    names = TermNames(table)

    def split(text: str) -> list[str | None]:
        return [term.hpo_id for term in names.split(text)]

    assert split("intellectual  disability, MILD, Seizure") == ["HP:0000002", "HP:0000001"]
    assert split("Intellectual disability, severe") == ["HP:0000003", None]
    assert split("seizure,hp:0000002;HP_0000003,") == ["HP:0000001", "HP:0000002", "HP:0000003"]
    assert split("Fits") == ["HP:0000004"]  # a label wins over another term's synonym
    assert split("Old name") == ["HP:0000005"]
    assert split("Seizure (HP:0000001), HP:0000004 Fits") == ["HP:0000001", "HP:0000004"]
    assert "several terms: HP:0000001, HP:0000002" in names.find("shared").reason
    assert "did you mean seizure (HP:0000001)?" in names.find("seizur").reason
    assert names.find("HP:00000011").hpo_id is None
