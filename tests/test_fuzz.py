"""Hostile input: whatever stands in a file, it is read, or set aside with a message that names the field.

The number of examples is MINTFLOW_FUZZ (60 a reader; thousands for a night). The same ones every time.
"""

from __future__ import annotations

import copy
import gzip
import json
import multiprocessing
import os
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from mintflow import genotypes, patient_sheet, phenopackets, rois, sheets, vcf
from mintflow.config import complete
from mintflow.config_schema import read_schema
from mintflow.errors import InputError
from mintflow.quarantine import Quarantine
from patients import diagnosis
from workflow_tools import phenopacket

FUZZ = settings(
    max_examples=int(os.environ.get("MINTFLOW_FUZZ", "60")),
    deadline=5000,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
LIMITS = {"max_file_mb": 20, "max_total_mb": 100}

TEXT = st.text(max_size=12) | st.sampled_from(
    [
        "",
        " ",
        "HP:0001250",
        "HP:9999999",
        "../../etc/passwd",
        "$(id)",
        "';--",
        "\x00",
        "\ud800",
        "NaN",
        "a" * 5000,
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values of a document."""
    inner = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


@st.composite
def damaged(draw: st.DrawFn, whole: Any) -> Any:
    """A document of which one to three values are replaced, removed or doubled."""
    content = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(content)))
        if not path:
            return draw(VALUES)
        parent = content
        for key in path[:-1]:
            parent = parent[key]
        what = draw(st.sampled_from(["replace", "remove", "double"]))
        if what == "remove":
            del parent[path[-1]]
        elif what == "double" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[path[-1]]))
        else:
            parent[path[-1]] = draw(VALUES)
    return content


@st.composite
def torn(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file with a piece cut out, and other bytes put in."""
    start = draw(st.integers(0, len(whole)))
    end = draw(st.integers(start, min(len(whole), start + 40)))
    return whole[:start] + draw(st.binary(max_size=20)) + whole[end:]


def written(content: Any) -> bytes:
    return json.dumps(content).encode("utf-8", "surrogatepass")


def is_told(problem: InputError) -> bool:
    """Whether a message says what is wrong and where: the file and the field, or the record of it."""
    return bool(problem.problem.strip() and problem.file and (problem.field or problem.record))


PACKET = phenopacket(1, 100000, 20000001) | {
    "subject": {
        "id": "Patient 1",
        "sex": "FEMALE",
        "timeAtLastEncounter": {
            "ageRange": {"start": {"iso8601duration": "P3Y"}, "end": {"iso8601duration": "P4Y6M"}}
        },
    },
    "interpretations": [{"id": "i", "diagnosis": diagnosis("OMIM:100000")}],
    "files": [
        {
            "uri": "file://vcfs/a.vcf",
            "individualToFileIdentifiers": {"Patient 1": "s"},
            "fileAttributes": {"fileFormat": "VCF"},
        }
    ],
}


@FUZZ
@given(damaged(PACKET).map(written) | torn(written(PACKET)) | st.binary(max_size=60))
@example(b'{"id": ' + b"[" * 100_000)
@example(b'{"id": 1e999, "id": NaN}')
@example(b"\xff\xfe{}")
@example(written(PACKET | {"files": [{"uri": "file://[a.vcf"}]}))
def test_phenopackets(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("packets")
    (folder / "a.json").write_bytes(data)
    (folder / "b.json").write_bytes(written(phenopacket(2, 100001, 20000002)))
    aside = Quarantine("fuzz")
    found = phenopackets.read(folder, aside, **LIMITS)
    assert "PMID_20000002_2" in set(found.cases["source_id"]), "the whole one is lost"
    if len(found.cases) < 2:
        assert any(row[1] == "a.json" and row[3] and row[5] for row in aside.rows), aside.rows
    try:
        phenopackets.read_patient(data)
    except InputError as problem:
        assert problem.field


SHEET = (
    "case_id\thpo_ids\tdisease_id\tpublication\tsex\tage_years\tgenes\n"
    "x\tHP:0001250;HP:0001263\tOMIM:100000\tPMID:1\tMALE\t3\tGENE1;GENE2\n"
    "y\tHP:0001250\tOMIM:100001\tPMID:2\tF\t\t\n"
)


@st.composite
def cells(draw: st.DrawFn, sheet: str) -> bytes:
    """A sheet of which one to three cells are replaced."""
    lines = [line.split("\t") for line in sheet.splitlines()]
    for _ in range(draw(st.integers(1, 3))):
        line = draw(st.sampled_from(lines[1:]))
        line[draw(st.integers(0, len(line) - 1))] = str(draw(SCALARS))
    return "\n".join(map("\t".join, lines)).encode("utf-8", "surrogatepass")


@FUZZ
@given(cells(SHEET) | torn(SHEET.encode()) | st.binary(max_size=60))
@example(SHEET.encode())
def test_patient_sheets(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("sheet") / "patients.tsv"
    path.write_bytes(data)
    aside = Quarantine("fuzz")
    try:
        found = patient_sheet.read(path, aside, max_mb=1)
        assert data != SHEET.encode() or (len(found.cases) == 2 and not aside.rows)
        assert len(found.cases) and all(row[1] and row[2] and row[3] and row[5] for row in aside.rows)
    except InputError as problem:
        assert is_told(problem)


SAMPLES = "case_id\tvcf\tsample\nx\ta.vcf\ts\ny\tb.vcf\t\n"


@FUZZ
@given(cells(SAMPLES) | torn(SAMPLES.encode()) | st.binary(max_size=60))
@example(SAMPLES.encode())
@example(b"case_id\tvcf\tsample\nx\t" + b"a" * 200_000 + b"\ts\n")
def test_sample_sheets(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("sheet") / "samples.tsv"
    path.write_bytes(data)
    aside = Quarantine("fuzz")
    try:
        found = genotypes.read_sample_sheet(path, pd.DataFrame({"case_id": ["x", "y"]}), aside)
        assert data != SAMPLES.encode() or (len(found) == 2 and not aside.rows)
        assert set(found["case_id"]) <= {"x", "y"}
        assert all(row[1] and row[2] and row[3] and row[5] for row in aside.rows)
    except InputError as problem:
        assert is_told(problem)


SLIDES = "slide\tpatient\tpath\tlabel\troi\tmpp\na\tp\ta.svs\tgland\ta.geojson\t0.25\n"


@FUZZ
@given(cells(SLIDES) | torn(SLIDES.encode()) | st.binary(max_size=60))
@example(SLIDES.encode())
@example(SLIDES.encode() + b"b\tp\t" + b"x" * 200_000 + b"\t\t\t\n")
def test_slide_sheets(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("sheet") / "slides.tsv"
    path.write_bytes(data)
    try:
        rows, problems = sheets.read_sheet(path)
        assert data != SLIDES.encode() or (len(rows) == 1 and not problems)
        assert all(problem.reason for problem in problems)
        assert all(sheets.file_name(row.slide) and "/" not in sheets.file_name(row.slide) for row in rows)
    except InputError as problem:
        assert is_told(problem)


REGIONS = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]]]},
            "properties": {"classification": {"name": "gland"}},
        }
    ],
}


@FUZZ
@given(damaged(REGIONS).map(written) | torn(written(REGIONS)))
@example(b"[" * 100_000)
def test_regions(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("rois") / "a.geojson"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of shapely, about numbers that are none
        try:
            for roi in rois.read_rois(path):
                assert roi.label and roi.polygon.area > 0
        except InputError as problem:
            assert is_told(problem)


VARIANTS = (
    "##fileformat=VCFv4.2\n"
    "##INFO=<ID=ANN,Number=.,Type=String,Description=\"Functional annotations: 'Allele | Annotation | "
    "Annotation_Impact | Gene_Name | Gene_ID | Feature_Type | Feature_ID | Transcript_BioType | Rank | "
    "HGVS.c'\">\n"
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    "##contig=<ID=1,length=1000>\n"
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts\n"
    "1\t10\t.\tA\tG\t50\tPASS\tANN=G|missense_variant|MODERATE|GENE1|g|transcript|t|protein_coding|1/1|c.1A>G\tGT\t0/1\n"
)


def _read_vcf(path: Path, sample: str, said: Any) -> None:
    try:
        vcf.read(path, sample, max_variants=100, max_records=1000, max_line_mb=1)
    except vcf.UnreadableVcf as problem:
        said.send(bool(problem.field and problem.reason))
    else:
        said.send(True)


@settings(FUZZ, deadline=None)  # a process for each; it has twenty seconds
@given(
    torn(VARIANTS.encode())
    | torn(VARIANTS.encode()).map(gzip.compress)
    | torn(gzip.compress(VARIANTS.encode())),
    st.just("s") | TEXT,
)
@example(VARIANTS.encode(), "s")
def test_vcfs(tmp_path_factory: pytest.TempPathFactory, data: bytes, sample: str) -> None:
    """In a process of its own: the reader is C, and a crash would be the workflow's."""
    path = tmp_path_factory.mktemp("vcf") / "a.vcf"
    path.write_bytes(data)
    answer, said = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_read_vcf, args=(path, sample, said))
    process.start()
    process.join(20)
    assert process.exitcode == 0, "the reader crashed or hangs"
    assert answer.recv()


def _configuration(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    root = Path(__file__).resolve().parent.parent
    schema = read_schema(root / "workflow/schemas/config.schema.yaml")
    return yaml.safe_load((root / f"config/{name}.yaml").read_text()), schema


@pytest.mark.parametrize("name", ["smoke", "study_ablations", "tissue_real"])
def test_configurations(name: str) -> None:
    whole, schema = _configuration(name)

    @FUZZ
    @given(damaged(whole))
    def check(config: Any) -> None:
        assume(isinstance(config, dict))  # Snakemake hands over nothing else
        try:
            found = complete(config, schema)
            assert found["run"]
        except InputError as problem:
            assert problem.file == "configuration"
            known = [*schema["properties"], *filter(None, config), "top level"]
            for line in problem.problem.strip().split("\n  "):
                # a key that is empty is named in quotes
                assert line.startswith((*known, *map(repr, [*known, *config]))), line

    check()
