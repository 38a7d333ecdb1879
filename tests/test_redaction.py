from __future__ import annotations

import pytest

from mintflow import quarantine, redaction


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/ann/data/store.zip", "…/store.zip"),
        ("python --config /mnt/ann/site.yaml -v", "python --config …/site.yaml -v"),
        ("~ann/models/x", "…/x"),
        ("~/models/x", "…/x"),
        ("file:///home/ann/x.zip", "…/x.zip"),
        (r"C:\Users\ann\x.zip", "…/x.zip"),
        ("'/home/ann/x' is missing", "'…/x' is missing"),
        ("'/home/ann/My Patients/John Doe.svs' is gone", "'…/John Doe.svs' is gone"),
        ('File "/home/ann/my code/x.py", line 3', 'File "…/x.py", line 3'),
        ("warning:/home/ann/a/b", "warning:…/b"),
        ("on //server/share/ann/x.zip", "on …/x.zip"),
        ("../shared/store.zip", "../shared/store.zip"),
        ("https://example.org/a/b.zip", "https://example.org/a/b.zip"),
        ("sex/age, n/m and 3/4", "sex/age, n/m and 3/4"),
        ("Mucopolysaccharidosis I/II", "Mucopolysaccharidosis I/II"),
    ],
)
def test_absolute_paths_are_cut(text: str, shown: str) -> None:
    assert redaction.without_paths(text) == shown


def test_opaque_names_are_stable_and_leave_case_ids() -> None:
    assert redaction.opaque("case-0123456789ab") == "case-0123456789ab"
    assert redaction.opaque("line 3") == "line 3"
    assert redaction.opaque("") == ""
    hidden = redaction.opaque("PMID_1_Ann.json")
    assert hidden == redaction.opaque("PMID_1_Ann.json") != redaction.opaque("PMID_1_Bob.json")
    assert "Ann" not in hidden


def test_quarantine_rows_hide_names_everywhere() -> None:
    aside = quarantine.Quarantine("read")
    aside.add(
        file="d/PMID_1_Ann.json",
        record="PMID_1_Ann",
        field="id",
        value="PMID_1_Ann",
        reason="PMID_1_Ann was read from d/PMID_2_Bob.json already",
    )
    aside.add(
        file="/home/x/a.zip",
        record="case-0123456789ab",
        field="type.id",
        value="HP:0000001",
        reason="unknown",
    )
    first, second = redaction.quarantine_rows(aside.table()).itertuples(index=False)
    assert first.reason == "(name) was read from (name) already"
    assert first.value == "(not shown)"
    assert not any(name in " ".join(first) for name in ("Ann", "Bob", "PMID"))
    assert (second.record, second.value, second.reason) == ("case-0123456789ab", "HP:0000001", "unknown")
    assert "/home" not in " ".join(second)
    assert redaction.quarantine_rows(quarantine.Quarantine("read").table()).empty


def test_a_kind_of_file_is_no_name() -> None:
    aside = quarantine.Quarantine("read")
    aside.add(
        file="Ann.jsonl", record="Ann.jsonl", field="(file)", value="", reason="no *.json, no Bob*.json"
    )
    (row,) = redaction.quarantine_rows(aside.table()).itertuples(index=False)
    assert row.reason == "no *.json, no (name)"
