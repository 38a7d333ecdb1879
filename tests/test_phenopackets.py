from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mintflow import cohort, phenopackets
from mintflow.errors import InputError
from mintflow.quarantine import Quarantine
from patients import A1, B, diagnosis, packet


def read(path: Path, quarantine: Quarantine | None = None, **limits: float) -> cohort.RawCohort:
    limits = {"max_file_mb": 1, "max_total_mb": 10, **limits}
    return phenopackets.read(path, quarantine or Quarantine("read"), **limits)


def write(folder: Path, **files: Any) -> Path:
    for name, content in files.items():
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / f"{name}.json").write_bytes(text)
    return folder


def pack(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def reasons(quarantine: Quarantine) -> dict[str, tuple[str, str]]:
    table = quarantine.table()
    return {row.file: (row.field, row.reason) for row in table.itertuples(index=False)}


def test_every_field_of_a_patient(tmp_path: Path) -> None:
    found = read(write(tmp_path, a=packet("PMID_1_GENE1_Smith")))
    case = found.cases.iloc[0]
    assert case["case_id"] == cohort.case_id("PMID_1_GENE1_Smith")
    assert len(case["case_id"]) == 17 and "GENE1" not in case["case_id"] and "1_" not in case["case_id"]
    assert case["publication"] == "PMID:1" and case["publications"] == ["PMID:1"]
    assert (case["disease_id"], case["disease_name"]) == ("OMIM:100001", "disease 1")
    assert (case["sex"], case["age_years"], case["simulated"]) == ("FEMALE", 3.5, False)
    assert found.phenotypes["hpo_id"].tolist() == [A1, B]
    assert found.phenotypes["excluded"].tolist() == [False, True]
    variant = found.variants.iloc[0]
    assert variant["gene_symbol"] == "GENE1" and variant["hgnc_id"] == "HGNC:1"
    assert variant["zygosity"] == "heterozygous" and variant["consequence"] == "nonsense"
    assert variant["hgvs_c"] == "NM_1.1:c.289C>T" and variant["source"] == "phenopacket"
    assert list(found.cases) == list(cohort.CASES)


def test_folder_and_zip_give_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    packets = {name: packet(f"PMID_{i}_x") for i, name in enumerate("cab", start=1)}
    write(folder, **packets)
    files = {f"{name}.json": json.dumps(content).encode() for name, content in packets.items()}
    zipped = pack(tmp_path / "all.zip", {"README.md": b"text", "__MACOSX/._a.json": b"x", **files})
    first, second = read(folder), read(zipped)
    assert first.cases.equals(second.cases) and first.variants.equals(second.variants)
    assert first.cases["case_id"].is_monotonic_increasing


def test_bad_patients_are_set_aside_with_file_and_field(tmp_path: Path) -> None:
    two = [{"diagnosis": diagnosis("OMIM:100001")}, {"diagnosis": diagnosis("OMIM:100002")}]
    write(
        tmp_path,
        a=packet("PMID_1_a"),
        broken=b'{"id": "x", ',
        deep=b"[" * 100_000,
        array=[1],
        twice=packet("PMID_1_a"),
        noid=packet(""),
        numberid=packet(5),  # type: ignore[arg-type]
        nodiagnosis=packet("PMID_1_b", interpretations=[], diseases=[]),
        two=packet("PMID_1_c", interpretations=two),
        other=packet("PMID_1_d", interpretations=[{"diagnosis": diagnosis("asthma")}]),
        nophenotype=packet("PMID_1_e", phenotypicFeatures=[]),
        wrongphenotypes=packet("PMID_1_f", phenotypicFeatures="many"),
        version1=packet("PMID_1_g", metaData={"phenopacketSchemaVersion": "1.0.0"}),
        hts=packet("PMID_1_h", htsFiles=[]),
        family=packet("PMID_1_i", proband={}),
    )
    quarantine = Quarantine("read")
    found = read(tmp_path, quarantine)
    assert found.cases["source_id"].tolist() == ["PMID_1_a"]
    assert found.cases["source_file"].tolist() == ["a.json"]
    told = reasons(quarantine)
    assert told["broken.json"] == ("(file)", "broken JSON")
    assert told["deep.json"] == ("(file)", "broken JSON")
    assert told["array.json"][1] == "not a JSON object"
    assert told["twice.json"][0] == "id" and "another phenopacket" in told["twice.json"][1]
    assert told["noid.json"] == told["numberid.json"] == ("id", "no id")
    assert told["nodiagnosis.json"] == ("interpretations[].diagnosis.disease.id", "no diagnosis")
    assert told["two.json"] == ("interpretations[1].diagnosis.disease.id", "two different diagnoses")
    assert told["other.json"][0] == "interpretations[0].diagnosis.disease.id"
    assert told["nophenotype.json"] == told["wrongphenotypes.json"] == ("phenotypicFeatures", "no phenotypes")
    assert told["version1.json"][0] == "metaData.phenopacketSchemaVersion"
    assert told["hts.json"][0] == "htsFiles" and told["family.json"][0] == "proband"
    assert len(told) == 14


@pytest.mark.parametrize("junk", [None, 1, "text", True, [], [1], {}, {"id": 3}, [[{}]], [{"id": []}], -0.5])
def test_no_type_of_any_field_crashes(tmp_path: Path, junk: Any) -> None:
    good = packet("PMID_1_a")
    write(tmp_path, good=packet("PMID_9_z"))
    for i, key in enumerate(good):
        write(tmp_path, **{f"top{i}": packet(f"PMID_2_{i}") | {key: junk}})
    disease = {"id": "OMIM:100001", "label": junk}
    inner = [
        packet("PMID_3_0", subject={"sex": junk, "timeAtLastEncounter": {"age": junk}}),
        packet("PMID_3_1", subject={"timeAtLastEncounter": {"ageRange": {"start": junk}}}),
        packet("PMID_3_2", phenotypicFeatures=[{"type": junk}, {"type": {"id": A1, "label": junk}}]),
        packet(
            "PMID_3_3", interpretations=[{"diagnosis": {"disease": disease, "genomicInterpretations": junk}}]
        ),
        packet("PMID_3_4", files=[junk, {"uri": junk, "fileAttributes": {"fileFormat": "vcf"}}]),
        packet("PMID_3_5", metaData={"externalReferences": [junk, {"id": junk}]}),
    ]
    for key in ("geneContext", "expressions", "allelicState", "structuralType", "label"):
        broken = diagnosis("OMIM:100001")
        broken["genomicInterpretations"][0]["variantInterpretation"]["variationDescriptor"][key] = junk
        inner.append(packet(f"PMID_4_{key}", interpretations=[{"diagnosis": broken}]))
    for i, content in enumerate(inner):
        write(tmp_path, **{f"inner{i}": content})
    found = read(tmp_path, Quarantine("read"))
    assert {"PMID_9_z", *(content["id"] for content in inner)} <= set(found.cases["source_id"])


def test_single_fields_are_left_out_and_told(tmp_path: Path) -> None:
    features = [
        {"type": {"id": A1, "label": "one"}},
        {"type": {"id": "HP:12"}},
        {"type": {"id": B}, "excluded": "true"},
    ]
    subject = {"sex": "OTHER_SEX", "timeAtLastEncounter": {"age": {"iso8601duration": "three years"}}}
    quarantine = Quarantine("read")
    found = read(write(tmp_path, a=packet(phenotypicFeatures=features, subject=subject)), quarantine)
    assert found.phenotypes["hpo_id"].tolist() == [A1]
    assert found.cases["sex"].tolist() == ["UNKNOWN"] and found.cases["age_years"].isna().all()
    fields = quarantine.table()["field"].tolist()
    assert fields == [
        "phenotypicFeatures[1].type.id",
        "phenotypicFeatures[2].excluded",
        "subject.timeAtLastEncounter.age.iso8601duration",
    ]
    assert set(quarantine.table()["record"]) == {cohort.case_id("PMID_1_a")}


def test_diagnosis_from_diseases_that_are_not_excluded(tmp_path: Path) -> None:
    diseases = [
        {"term": {"id": "OMIM:100002", "label": "no"}, "excluded": True},
        {"term": {"id": "Orphanet:77", "label": "yes"}},
    ]
    found = read(write(tmp_path, a=packet(interpretations=[], diseases=diseases)))
    assert found.cases["disease_id"].tolist() == ["ORPHA:77"]
    # the same disease named twice is one diagnosis
    twice = [{"diagnosis": diagnosis("OMIM:100001")}] * 2
    assert len(read(write(tmp_path, a=packet(interpretations=twice))).cases) == 1


def test_one_diagnosis_in_several_vocabularies_is_one(tmp_path: Path) -> None:
    diseases = [{"term": {"id": name}} for name in ("MONDO:0000001", "Orphanet:1", "OMIM:100001")]
    other = [*diseases, {"term": {"id": "OMIM:100002"}}]
    equal = {"ORPHA:1": "MONDO:0000001", "OMIM:100001": "MONDO:0000001"}
    quarantine = Quarantine("cohort")
    folder = write(
        tmp_path,
        a=packet("p1", interpretations=[], diseases=diseases),
        b=packet("p2", interpretations=[], diseases=other),
    )
    limits = {"max_file_mb": 1, "max_total_mb": 1}
    found = phenopackets.read(folder, quarantine, same=lambda name: equal.get(name, name), **limits).cases
    assert found[["source_id", "disease_id"]].to_numpy().tolist() == [["p1", "OMIM:100001"]]
    (row,) = quarantine.table().itertuples()
    assert row.reason == "two different diagnoses" and row.field == "diseases[3].term.id"


@pytest.mark.parametrize("status", ["UNSOLVED", "IN_PROGRESS"])
def test_a_suspicion_is_no_diagnosis(tmp_path: Path, status: str) -> None:
    suspected = {"progressStatus": status, "diagnosis": {"disease": {"id": "OMIM:100009", "label": "S"}}}
    solved = {"progressStatus": "SOLVED", "diagnosis": {"disease": {"id": "OMIM:100001", "label": "D"}}}
    quarantine = Quarantine("cohort")
    folder = write(
        tmp_path,
        a=packet("p1", interpretations=[suspected]),
        b=packet("p2", interpretations=[suspected, solved]),
    )
    found = phenopackets.read(folder, quarantine, max_file_mb=1, max_total_mb=1).cases
    assert found[["source_id", "disease_id"]].to_numpy().tolist() == [["p2", "OMIM:100001"]]
    (row,) = quarantine.table().itertuples()
    assert (row.field, row.value) == ("interpretations[0].progressStatus", status)
    assert row.reason.startswith("the diagnosis is not concluded")


@pytest.mark.parametrize(
    ("references", "expected"),
    [
        (["PMID:12", "DOI:10.1/X", "PMID: 07"], ["PMID:12", "PMID:7", "DOI:10.1/x"]),
        (["DOI:10.1/X"], ["DOI:10.1/x"]),
        (["pmid:0042"], ["PMID:42"]),
        (["PMID:1, PMID:2", "PMID_3"], ["PMID:1", "PMID:2", "PMID:3"]),
        (["PMID:12 (Smith 2004)", "PMID12"], ["PMID:12"]),
        (["https://pubmed.ncbi.nlm.nih.gov/42/", "PubMed:7", "PMID 8"], ["PMID:42", "PMID:7", "PMID:8"]),
        (["https://www.ncbi.nlm.nih.gov/pubmed/42", "https://doi.org/10.1/X"], ["PMID:42", "DOI:10.1/x"]),
        # one publication, however its address was copied
        (
            [
                "DOI:10.1000/X",
                "https://www.doi.org/10.1000/x/?utm=1",
                "http://dx.doi.org/10.1000/X.",
                "10.1000/x",
            ],
            ["DOI:10.1000/x"],
        ),
        (["DOI:10.1/s(a)", "https://doi.org/10.1/S%28A%29"], ["DOI:10.1/s(a)"]),
        (["https://pubmed.ncbi.nlm.nih.gov/42/?format=abstract#a", "PMID: 042"], ["PMID:42"]),
        (
            ["PMC123", "PMCID:PMC123", "https://www.ncbi.nlm.nih.gov/pmc/articles/PMC123/"],
            ["PMC:pmc123"],
        ),
        (["https://pmc.ncbi.nlm.nih.gov/articles/PMC123/"], ["PMC:pmc123"]),
    ],
)
def test_publications(tmp_path: Path, references: list[str], expected: list[str]) -> None:
    meta = {"externalReferences": [{"id": text} for text in references]}
    found = read(write(tmp_path, a=packet("p1", metaData=meta))).cases.iloc[0]
    assert found["publications"] == expected and found["publication"] == expected[0]


def test_every_place_that_cites_is_read(tmp_path: Path) -> None:
    """Else a DOI would hide the PMID beside it, by which a training publication is known."""
    both = {"id": "DOI:10.1/X", "reference": "https://pubmed.ncbi.nlm.nih.gov/42/"}
    evidence = [{"reference": {"id": "PMID:7"}}, {"reference": {"reference": "PMC8"}}, {}, 1]
    features = [{"type": {"id": "HP:0000010"}, "evidence": evidence}]
    packets = {
        "a": packet("PMID_1_a", metaData={"externalReferences": [both]}, phenotypicFeatures=features),
        "b": packet("PMID_2_b", metaData={"externalReferences": [{"id": "https://example.org"}]}),
    }
    found = read(write(tmp_path, **packets)).cases.set_index("source_id")["publications"]
    assert found["PMID_1_a"] == ["PMID:42", "PMID:7", "PMID:1", "DOI:10.1/x", "PMC:pmc8"]
    assert found["PMID_2_b"] == ["PMID:2"]


def test_a_publication_that_cannot_be_read_leaves_a_mark(tmp_path: Path) -> None:
    """A patient who names none is one thing; of this one nobody knows whether it was trained on."""
    texts = ("PMID:twelve", "https://example.org")
    packets = {
        f"p{n}": packet(f"p{n}", metaData={"externalReferences": [{"id": text}]})
        for n, text in enumerate(texts)
    }
    packets["p2"] = packet(
        "p2", metaData={"externalReferences": [{"id": "PMID:3"}, {"id": "doi of the paper"}]}
    )
    quarantine = Quarantine("cohort")
    folder = write(tmp_path, **packets)
    found = phenopackets.read(folder, quarantine, max_file_mb=1, max_total_mb=1).cases.set_index("source_id")
    assert found.loc["p0", "publications"] == [f"unread:{found.loc['p0', 'case_id']}"]
    assert found.loc["p1", "publications"] == [f"none:{found.loc['p1', 'case_id']}"]
    assert found.loc["p2", "publications"] == ["PMID:3", f"unread:{found.loc['p2', 'case_id']}"]
    assert quarantine.table()["value"].tolist() == ["PMID:twelve", "https://example.org", "doi of the paper"]


def test_what_says_no_publication_is_noted_where_there_is_no_other(tmp_path: Path) -> None:
    """A patient without publication weakens the split and the leakage control."""
    told = {"externalReferences": [{"id": "9000000"}, {"id": "x", "reference": "https://doi.org/10.1/X"}]}
    alone = {"externalReferences": [{"id": "9000000"}]}
    quarantine = Quarantine("cohort")
    folder = write(tmp_path, a=packet("p1", metaData=told), b=packet("p2", metaData=alone))
    found = phenopackets.read(folder, quarantine, max_file_mb=1, max_total_mb=1).cases
    assert sorted(found["publication"])[0] == "DOI:10.1/x"
    (row,) = quarantine.table().itertuples()
    assert (row.field, row.value) == ("metaData.externalReferences[0]", "9000000")
    assert "no PMID, DOI or PMC id" in row.reason


def test_a_sex_that_is_none_is_noted(tmp_path: Path) -> None:
    quarantine = Quarantine("cohort")
    folder = write(
        tmp_path,
        a=packet("p1", subject={"id": "x", "sex": "F"}),
        b=packet("p2", subject={"id": "x", "sex": "OTHER_SEX"}),
    )
    found = phenopackets.read(folder, quarantine, max_file_mb=1, max_total_mb=1).cases
    assert set(found["sex"]) == {"UNKNOWN"}
    assert quarantine.table()[["field", "value"]].to_numpy().tolist() == [["subject.sex", "F"]]


def test_patient_without_publication_is_a_group_of_its_own(tmp_path: Path) -> None:
    found = read(write(tmp_path, a=packet("p1", metaData={}), b=packet("p2", metaData={}))).cases
    assert found["publication"].tolist() == [f"none:{name}" for name in found["case_id"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("P3Y6M", 3.5), ("P18M", 1.5), ("P2W", 14 / 365.25), ("P1Y1DT5H", 1 + 1 / 365.25), ("P0D", 0.0)],
)
def test_years(text: str, expected: float) -> None:
    assert phenopackets.years(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "P", "PT5H", "3Y", "P-3Y", "P3Y6X"])
def test_no_years(text: str) -> None:
    assert phenopackets.years(text) is None


def test_structural_variant_and_gene_only(tmp_path: Path) -> None:
    structural = diagnosis("OMIM:100001")
    structural["genomicInterpretations"] = [
        {
            "variantInterpretation": {
                "variationDescriptor": {
                    "label": "Ex8-9del",
                    "structuralType": {"id": "SO:1000183", "label": "chromosome_structure_variation"},
                    "allelicState": {"id": "GENO:0000136"},
                }
            }
        },
        {"gene": {"valueId": "HGNC:2", "symbol": "GENE2"}},
        {"interpretationStatus": "REJECTED", "gene": {"symbol": "GENE3"}},
    ]
    found = read(write(tmp_path, a=packet(interpretations=[{"diagnosis": structural}]))).variants
    assert found["consequence"].tolist() == ["deletion", "unknown"]
    assert found["gene_symbol"].isna().tolist() == [True, False]
    assert found["zygosity"].tolist() == ["homozygous", "unknown"]


def test_vcfs_named_by_a_phenopacket(tmp_path: Path) -> None:
    def files(*uris: str) -> list[dict[str, Any]]:
        attributes = {"fileFormat": "vcf"}
        names = {"person 1": "S1"}
        return [
            {"uri": uri, "fileAttributes": attributes, "individualToFileIdentifiers": names} for uri in uris
        ]

    uris = ("x.vcf", "file://data/y.vcf", "file:///abs/z.vcf", "https://example.org/a.vcf", "../up.vcf")
    uris = (*uris, "file://[a.vcf")
    content = packet(files=[*files(*uris), {"uri": "x.bam", "fileAttributes": {"fileFormat": "bam"}}])
    folder = tmp_path / "folder"
    folder.mkdir()
    quarantine = Quarantine("read")
    found = read(write(folder, a=content), quarantine).vcfs
    base = folder.as_posix()
    assert found["vcf"].tolist() == [f"{base}/data/y.vcf", f"{base}/x.vcf"]
    assert set(found["sample"]) == {"S1"}
    assert quarantine.table()["field"].tolist() == [f"files[{i}].uri" for i in (2, 3, 4, 5)]
    # who keeps them elsewhere says where
    wider = read(folder, Quarantine("read"), vcf_folder=tmp_path).vcfs
    assert wider["vcf"].tolist() == [f"{base}/data/y.vcf", f"{base}/x.vcf", f"{tmp_path.as_posix()}/up.vcf"]
    elsewhere = read(folder, Quarantine("read"), vcf_folder="/abs").vcfs
    assert elsewhere["vcf"].tolist() == ["/abs/z.vcf", f"{base}/data/y.vcf", f"{base}/x.vcf"]
    quarantine = Quarantine("read")
    zipped = pack(tmp_path / "all.zip", {"a.json": json.dumps(content).encode()})
    found = read(zipped, quarantine).vcfs
    assert found["vcf"].tolist() == [f"{tmp_path.as_posix()}/data/y.vcf", f"{tmp_path.as_posix()}/x.vcf"]
    assert quarantine.table()["field"].tolist() == [f"files[{i}].uri" for i in (2, 3, 4, 5)]


def test_dangerous_zip_members_are_refused(tmp_path: Path) -> None:
    good = json.dumps(packet()).encode()
    names = {"../evil.json": good, "/abs.json": good, "a\\..\\..\\b.json": good, "C:\\c.json": good}
    zipped = pack(tmp_path / "evil.zip", {"good.json": good, **names})
    quarantine = Quarantine("read")
    assert read(zipped, quarantine).cases["source_file"].tolist() == ["good.json"]
    assert set(quarantine.table()["file"]) == set(names)
    assert set(quarantine.table()["field"]) == {"(file name)"}
    assert [path.name for path in tmp_path.iterdir()] == ["evil.zip"]


def test_size_limits(tmp_path: Path) -> None:
    good = json.dumps(packet()).encode()
    bomb = good + b" " * 2_000_000
    zipped = pack(tmp_path / "bomb.zip", {"bomb.json": bomb, "good.json": good})
    quarantine = Quarantine("read")
    assert read(zipped, quarantine).cases["source_file"].tolist() == ["good.json"]
    assert "rare.cohort.max_file_mb" in reasons(quarantine)["bomb.json"][1]
    with pytest.raises(InputError, match=r"rare\.cohort\.max_total_mb"):
        read(zipped, max_total_mb=1)
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder, bomb=bomb, good=good)
    with pytest.raises(InputError, match=r"rare\.cohort\.max_total_mb"):
        read(folder, max_file_mb=3, max_total_mb=1)


def test_lying_zip_header_and_damaged_member(tmp_path: Path) -> None:
    good = json.dumps(packet()).encode()
    zipped = pack(tmp_path / "a.zip", {"a.json": good, "z.json": json.dumps(packet("PMID_2_z")).encode()})
    raw = bytearray(zipped.read_bytes())
    raw[40:60] = b"\xff" * 20  # within the first member's data
    zipped.write_bytes(raw)
    quarantine = Quarantine("read")
    assert read(zipped, quarantine).cases["source_id"].tolist() == ["PMID_2_z"]
    assert "cannot be read" in reasons(quarantine)["a.json"][1]


def test_nothing_to_read(tmp_path: Path) -> None:
    empty = pack(tmp_path / "empty.zip", {})
    with pytest.raises(InputError, match=r"file empty\.zip.*empty zip"):
        read(empty)
    with pytest.raises(InputError, match=r"file text\.zip.*no JSON"):
        read(pack(tmp_path / "text.zip", {"a.txt": b"x"}))
    (tmp_path / "not.zip").write_bytes(b"PK not really")
    with pytest.raises(InputError, match=r"file not\.zip.*neither a folder nor a zip"):
        read(tmp_path / "not.zip")
    with pytest.raises(InputError, match=r"file missing\.zip.*no such file"):
        read(tmp_path / "missing.zip")
    (tmp_path / "bad").mkdir()
    with pytest.raises(InputError, match=r"record JSON file 1 of 1, by name, field \(file\).*broken JSON"):
        read(write(tmp_path / "bad", a=b"{"))


def test_text_that_no_file_can_hold(tmp_path: Path) -> None:
    raw = json.dumps(packet()).replace("disease 1", "disease \\ud800").encode()
    found = read(write(tmp_path, a=raw))
    found.cases["disease_name"].iloc[0].encode("utf-8")


def test_real_patients(shared_data: Path) -> None:
    started = time.monotonic()
    quarantine = Quarantine("read")
    found = read(shared_data / "phenopackets.zip", quarantine, max_file_mb=20, max_total_mb=4000)
    assert time.monotonic() - started < 30
    assert len(found.cases) == 9227 and found.cases["case_id"].is_unique
    assert found.cases["disease_id"].str.match(r"^OMIM:\d{6}$").all()
    assert found.cases["publication"].str.match(r"^PMID:\d+$").all()
    assert not quarantine.rows
    assert len(found.phenotypes) == 204951
    assert (found.variants["consequence"] == "unknown").mean() < 0.07


def test_names_that_no_text_file_can_hold(tmp_path: Path) -> None:
    name = b"bad\xff\nname\r.json".decode("utf-8", "surrogateescape")
    (tmp_path / name).write_text("{")
    (tmp_path / f"good{name}").write_text(json.dumps(packet("PMID_1_a", files=[{"uri": "\ud800"}])))
    quarantine = Quarantine("read")
    found = read(tmp_path, quarantine)
    assert found.cases["source_file"].tolist() == ["goodbad\\udcff\nname\r.json"]
    quarantine.add(file="x", record="x", field="x", value="\ud800\u2028", reason="a\x00b")
    quarantine.write(tmp_path / "q.tsv")
    lines = (tmp_path / "q.tsv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(quarantine.rows)
    assert "bad\\udcff name .json" in lines[1]


def test_zip_whose_names_are_in_another_encoding(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"ü.json": b"{}"})
    path.write_bytes(path.read_bytes().replace("ü.json".encode(), b"\xff\xfe.json"))
    with pytest.raises(InputError, match=r"file a\.zip, field rare\.cohort\.path"):
        read(path)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"metaData": {"externalReferences": ["PMID:1"]}}, "metaData.externalReferences[0]"),
        ({"metaData": {"externalReferences": [{"id": 1}]}}, "metaData.externalReferences[0].id"),
        ({"metaData": []}, "metaData"),
        ({"subject": "Jane"}, "subject"),
        ({"subject": {"sex": 1}}, "subject.sex"),
        ({"interpretations": {}}, "interpretations"),
        ({"files": [[]]}, "files[0]"),
    ],
)
def test_fields_of_a_wrong_type_are_told(tmp_path: Path, changes: dict[str, Any], place: str) -> None:
    quarantine = Quarantine("read")
    assert len(read(write(tmp_path, a=packet("PMID_1_a", **changes)), quarantine).cases) == 1
    assert [row[3] for row in quarantine.rows] == [place]
