from __future__ import annotations

from pathlib import Path

import pytest

from mintflow import cohort, patient_sheet
from mintflow.errors import InputError
from mintflow.quarantine import Quarantine

HEADER = "case_id\tdisease_id\thpo_ids\tpublication\texcluded_hpo_ids\tgenes\tsex\tage_years"
GOOD = "a\tOMIM:100001\tHP:0000010; HP:0000020\t123; DOI:10.1/X\tHP:0000021\tG1;G2;G1\tf\t3.5"


def read(
    folder: Path, *lines: str, header: str = HEADER, genes: tuple[str, ...] = ()
) -> tuple[cohort.RawCohort, Quarantine]:
    path = folder / "patients.tsv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    quarantine = Quarantine("read_cohort")
    return patient_sheet.read(path, quarantine, max_mb=1, genes=genes), quarantine


def test_everything_of_a_row_is_read(tmp_path: Path) -> None:
    found, quarantine = read(tmp_path, GOOD)
    case = found.cases.iloc[0]
    assert case["case_id"] == cohort.case_id("a") and case["source_file"] == "patients.tsv:2"
    assert (case["publication"], case["publications"]) == ("PMID:123", ["PMID:123", "DOI:10.1/x"])
    assert (case["disease_id"], case["sex"], case["age_years"]) == ("OMIM:100001", "FEMALE", 3.5)
    terms = found.phenotypes[["hpo_id", "excluded"]].values.tolist()
    assert terms == [["HP:0000010", False], ["HP:0000020", False], ["HP:0000021", True]]
    assert found.variants["gene_symbol"].tolist() == ["G1", "G2"]
    assert found.variants["zygosity"].unique().tolist() == ["unknown"]
    assert quarantine.rows == []
    assert list(found.cases) == list(cohort.CASES) and list(found.vcfs) == list(cohort.VCFS)


def test_genes_are_those_of_the_knowledge(tmp_path: Path) -> None:
    cell = "fbn1, C9ORF72; FBN1;HGNC:3603,new2"
    line = f"a\tOMIM:100001\tHP:0000010\t\t\t{cell}"
    found, quarantine = read(tmp_path, line, genes=("FBN1", "C9orf72"))
    assert found.variants["gene_symbol"].tolist() == ["FBN1", "C9orf72", "NEW2"]
    refused = quarantine.table().iloc[0]
    assert len(quarantine.rows) == 1
    assert (refused["record"], refused["field"], refused["value"]) == ("line 2", "genes", "HGNC:3603")
    assert refused["reason"].startswith("an HGNC id") and refused["reason"].endswith("the patient kept")


A, B, C = "HP:0000010", "HP:0000020", "HP:0000021"


@pytest.mark.parametrize(
    ("cell", "terms", "left_out"),
    [
        (f"{A},{B}; {C}", [A, B, C], []),
        (f"{A} (Seizure), {B} Seizure;{C}", [A, B, C], []),
        (f"{A}(Seizure)", [A], []),
        (f"{A}\u00a0Seizure", [A], []),
        ("hp:0000010; HP_0000020", [A, B], []),
        (f"{A} (Intellectual disability, mild); {B} (a; b (c), d)", [A, B], []),
        (f"{A} Intellectual disability, mild; {B}", [A, B], ["mild"]),
        (f"{A} (Absent speech)", [A], []),
        # a bracket that is not closed takes nothing with it
        (f"{A} (Seizure; {B} (Fever)", [A, B], []),
        (f"{A} (Seizure; fever, {B}", [A, B], ["fever"]),
        # what would be lost in a label, or turn into its opposite, is told
        (f"{C}; {A} {B}", [C], [f"{A} {B}"]),
        (f"{C}; {A}|{B}", [C], [f"{A}|{B}"]),
        (f"{C}; {A} (absent)", [C], [f"{A} (absent)"]),
        (f"{C}; {A} - no", [C], [f"{A} - no"]),
        (f"{C}; {A} ?", [C], [f"{A} ?"]),
        (f"{C}; {A} [Not present]", [C], [f"{A} [Not present]"]),
        (f"{C}; no {A}", [C], [f"no {A}"]),
        (f"{C}; HP:00000100; HP:000010", [C], ["HP:00000100", "HP:000010"]),
        (f"{C}; HP:\u0660000010", [C], ["HP:\u0660000010"]),
    ],
)
def test_terms_may_have_labels_and_commas(
    tmp_path: Path, cell: str, terms: list[str], left_out: list[str]
) -> None:
    found, quarantine = read(tmp_path, f"a\tOMIM:100001\t{cell}")
    assert found.phenotypes["hpo_id"].tolist() == terms
    assert quarantine.table()["value"].tolist() == left_out
    assert set(quarantine.table()["field"]) <= {"hpo_ids"}


@pytest.mark.parametrize(
    "value",
    [
        *("{} Seizure (absent)", "{} Seizure - no", "{} Seizure (not observed)", "{} Seizure: absent"),
        *(
            "{} Seizure [absent]",
            "{} (absent) Seizure",
            "{} (Seizure, absent)",
            "{} (not tested)",
            "{} Seizure (N/A)",
        ),
        *("{} Seizure, generalized, absent", "Absent: {}, HP:0000021", "{} Seizure (not_observed)"),
        *("{} FALSE", "{} N", "{} excluded=true", "{} observed: 0", "{}, absent", "{} Seizure, not present"),
    ],
)
def test_what_says_that_a_finding_is_absent_is_not_read_as_observed(tmp_path: Path, value: str) -> None:
    found, quarantine = read(tmp_path, f"a\tOMIM:100001\t{A};{value.format(B)}\t\t")
    assert found.phenotypes["hpo_id"].tolist() == [A]
    assert quarantine.table()["reason"].str.startswith("marked as absent").any()


@pytest.mark.parametrize(
    "label", ["Absent speech", "Non-verbal", "No social interaction", "Onset (unknown age)"]
)
def test_findings_whose_names_speak_of_absence_are_findings(tmp_path: Path, label: str) -> None:
    found, quarantine = read(tmp_path, f"a\tOMIM:100001\t{A} {label}\t\t")
    assert found.phenotypes["hpo_id"].tolist() == [A] and quarantine.table().empty


def test_excluded_terms_may_say_that_they_are_absent(tmp_path: Path) -> None:
    found, quarantine = read(tmp_path, f"a\tOMIM:100001\t{A}\t\t{B} (absent), {C} no")
    assert found.phenotypes["excluded"].tolist() == [False, True, True] and not quarantine.rows


def test_a_cell_of_many_pieces_takes_no_time(tmp_path: Path) -> None:
    for tail in (",x" * 60_000, ")" * 100_000, "?" * 100_000, "-" * 100_000 + "x", " " * 100_000 + "x"):
        found, _ = read(tmp_path, f"a\tOMIM:100001\t{B};{A} ({tail}")
        assert B in set(found.phenotypes["hpo_id"])


def test_columns_may_stand_in_any_order_and_optional_ones_be_absent(tmp_path: Path) -> None:
    found, quarantine = read(tmp_path, "HP:0000010\tb\tOrphanet:12", header="hpo_ids\tcase_id\tdisease_id")
    case = found.cases.iloc[0]
    assert case["disease_id"] == "ORPHA:12" and case["publication"] == f"none:{cohort.case_id('b')}"
    assert case["sex"] == "UNKNOWN" and found.variants.empty and not quarantine.rows


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        ("\tOMIM:100001\tHP:0000010", "case_id", "no case_id"),
        ("a\tOMIM:100001\tHP:0000010", "case_id", "the case_id of an earlier line, which is kept"),
        ("b\tMarfan\tHP:0000010", "disease_id", "not an OMIM, MONDO or ORPHA identifier of a disease"),
        ("b\tOMIM:100001\tcough", "hpo_ids", "no phenotypes"),
        ("b\tOMIM:100001\tHP:0000010" + "\tx" * 9, "(line)", "more than 8 cells"),
    ],
)
def test_a_bad_row_is_set_aside_and_the_others_go_on(
    tmp_path: Path, line: str, field: str, reason: str
) -> None:
    found, quarantine = read(tmp_path, GOOD, line, "", "c\tOMIM:100001\tHP:0000010")
    assert set(found.cases["source_id"]) == {"a", "c"}
    refused = quarantine.table()
    assert refused[["file", "record", "field", "reason"]].values.tolist() == [
        ["patients.tsv", "line 3", field, reason]
    ]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("15220921.0", ["PMID:15220921"]),
        ("15220921, 99", ["PMID:15220921", "PMID:99"]),
        ("PMID_15220921|DOI:10.1/x", ["PMID:15220921", "DOI:10.1/x"]),
        ("DOI:10.1000/abc;PMID:10", ["DOI:10.1000/abc", "PMID:10"]),
        ("10.1002/x,12345678", ["DOI:10.1002/x", "PMID:12345678"]),
        ("PMID:1, 2", ["PMID:1", "PMID:2"]),
        ("10.1002/(SICI)1096(19990319)83:2<100::AID>3.0.CO;2-K", None),
    ],
)
def test_publications_as_spreadsheets_hold_them(
    tmp_path: Path, cell: str, expected: list[str] | None
) -> None:
    found, quarantine = read(tmp_path, f"a\tOMIM:100001\tHP:0000010\t{cell}\t\t\t\t")
    assert found.cases.loc[0, "publications"] == (expected or [f"DOI:{cell.lower()}"])
    assert quarantine.table().empty


def test_a_bad_value_is_left_out_and_the_patient_kept(tmp_path: Path) -> None:
    line = "b\tOMIM:100001\tHP:0000010;fever\tsomewhere\tHP:1\tG\tgirl\t400"
    found, quarantine = read(tmp_path, line)
    assert found.phenotypes["hpo_id"].tolist() == ["HP:0000010"]
    assert found.cases["age_years"].isna().all() and found.cases.loc[0, "publication"].startswith("unread:")
    table = quarantine.table()
    assert table["field"].tolist() == ["hpo_ids", "excluded_hpo_ids", "publication", "sex", "age_years"]
    assert table["reason"].str.endswith("the patient kept").all()


def written(folder: Path, data: bytes) -> tuple[cohort.RawCohort, Quarantine]:
    path = folder / "patients.tsv"
    path.write_bytes(data)
    quarantine = Quarantine("read_cohort")
    return patient_sheet.read(path, quarantine, max_mb=1), quarantine


def test_stray_bytes_do_not_cost_the_table(tmp_path: Path) -> None:
    path = tmp_path / "patients.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + b"\r\n" + GOOD.encode() + b"\r\n\xff\0\tx\ty\r\n")
    quarantine = Quarantine("read_cohort")
    found = patient_sheet.read(path, quarantine, max_mb=1)
    assert len(found.cases) == 1 and len(quarantine.rows) == 1


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("case_id\tdisease_id", "lacks column"),
        (HEADER + "\tdiagnosis", "'diagnosis' is unknown"),
        (HEADER + "\tsex", "'sex' is unknown or there twice"),
        (HEADER, "holds no usable patient"),
        ("Case_ID\tcase_id\tdisease_id\thpo_ids", "'Case_ID' is unknown or there twice"),
        ("case_id\tdisease_id\t\thpo_ids", "column 3 has no name"),
        (HEADER.replace("\t", ";"), "one column 'case_id;disease_id;.*': separated by ';'.*by tabs"),
        (HEADER.replace("\t", ","), "separated by ','.*by tabs"),
        (HEADER.replace("\t", "  "), "separated by ' '.*by tabs"),
    ],
)
def test_a_table_that_cannot_be_used_is_named(tmp_path: Path, header: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        read(tmp_path, header=header)
    assert caught.value.file == "patients.tsv"


@pytest.mark.parametrize("line", ["Jane Doe;OMIM:100001;HP:0000010", "Jane Doe\tOMIM:100001\tHP:0000010"])
def test_a_table_without_column_names_tells_no_patient(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match="lacks column") as caught:
        read(tmp_path, header=line)
    assert "Jane" not in str(caught.value)


def test_where_no_patient_is_left_one_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no usable patient.*not an OMIM") as caught:
        read(tmp_path, "Jane Doe\tMarfan of Jane\tHP:0000010")
    assert (caught.value.record, caught.value.field) == ("line 2", "disease_id")
    assert "Jane" not in str(caught.value)


def test_names_of_columns_are_read_as_spreadsheets_write_them(tmp_path: Path) -> None:
    header = '" Case_ID "\tDISEASE_ID\t"hpo_ids"\tGenes\t\t  '
    line = '"a"\tOMIM:100001\t"HP:0000010,HP:0000020"\tG1\t\t\t\t '
    found, quarantine = read(tmp_path, line, "b\tOMIM:100001\tHP:0000010\tG2\tchecked", header=header)
    assert found.cases["source_id"].tolist() == ["a"] and len(found.phenotypes) == 2
    refused = quarantine.table()
    assert refused[["record", "reason"]].values.tolist() == [["line 3", "more than 4 cells"]]


def test_lines_of_every_system_are_read(tmp_path: Path) -> None:
    for end in ("\n", "\r\n", "\r"):
        found, quarantine = written(tmp_path, end.join([HEADER, GOOD, "", "b\tx"]).encode())
        assert found.cases["source_file"].tolist() == ["patients.tsv:2"]
        assert quarantine.table()["record"].tolist() == ["line 4"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_encodings_of_spreadsheets_are_read(tmp_path: Path, encoding: str) -> None:
    found, quarantine = written(tmp_path, f"{HEADER}\nMénière\t{GOOD[2:]}\n".encode(encoding))
    assert found.cases["case_id"].tolist() == [cohort.case_id("Ménière")] and not quarantine.rows


def test_a_lost_character_is_in_no_id(tmp_path: Path) -> None:
    cells = [
        b"p\x81\tOMIM:100001\tHP:0000010",
        b"q\tOMIM:10\x810001\tHP:0000010",
        b"r\tOMIM:100001\tHP:0000010,HP:00\x8100020 (a)\t10.1234/a\x81b\tHP:\x810000021\tG\x811,G2",
        b"s\tOMIM:100001\tHP:0000010 (S\x81izure)",
    ]
    found, quarantine = written(tmp_path, b"\n".join([HEADER.encode(), *cells]))
    assert set(found.cases["source_id"]) == {"r", "s"}
    tables = (found.cases.drop(columns="disease_name"), found.phenotypes, found.variants)
    assert not any("\ufffd" in table.to_csv() for table in tables)
    refused = quarantine.table()
    assert refused["field"].tolist() == [
        *("case_id", "disease_id"),
        *("hpo_ids", "excluded_hpo_ids", "publication", "genes"),
    ]
    assert "cannot be read" in refused["reason"][0] and "cannot be read" in refused["reason"][4]
    assert refused["value"][0] == ""


def test_what_is_no_sheet_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"workbook \(.xlsx\)"):
        written(tmp_path, b"PK\x03\x04...")
    (tmp_path / "folder.tsv").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        patient_sheet.read(tmp_path / "folder.tsv", Quarantine("x"), max_mb=1)


def test_what_is_a_sheet() -> None:
    assert patient_sheet.is_sheet("a/b.TSV") and patient_sheet.is_sheet("b.txt")
    assert not patient_sheet.is_sheet("folder") and not patient_sheet.is_sheet("a.zip")
    assert patient_sheet.is_workbook("a/b.XLSX") and not patient_sheet.is_workbook("a.zip")
