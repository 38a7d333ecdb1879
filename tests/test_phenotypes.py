from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from mini_ontology import BOTH, FINGER, FOOT, HAND, HEART, INFANTILE, LIMB, RECESSIVE, SEPTUM, ontology
from mintflow.errors import InputError
from mintflow.ontology import Ontology
from mintflow.phenotypes import ACTIONS, CHANGES, COLUMNS, FIELD, most_specific, normalize, normalize_case
from mintflow.quarantine import Quarantine


def run(*rows: tuple[str, str, bool]) -> tuple[pd.DataFrame, pd.DataFrame, Quarantine]:
    raw = pd.DataFrame(rows, columns=["case_id", "hpo_id", "excluded"]).astype({"excluded": bool})
    quarantine = Quarantine("phenotypes")
    phenotypes, changes = normalize(raw, ontology(), quarantine, {"c1": "one.json"})
    return phenotypes, changes, quarantine


@pytest.mark.parametrize(
    ("terms", "observed", "excluded", "changes"),
    [
        # nothing to do
        ([(HAND, False), (HEART, True)], [HAND], [HEART], []),
        # old ids
        (
            [("HP:0000911", False), ("HP:0000904", True)],
            [HAND],
            [SEPTUM],
            [("mapped_alt", "HP:0000911", HAND, False), ("mapped_obsolete", "HP:0000904", SEPTUM, True)],
        ),
        # an old id that becomes one the patient has already
        (
            [(HAND, False), ("HP:0000911", False)],
            [HAND],
            [],
            [("mapped_alt", "HP:0000911", HAND, False), ("dropped_duplicate", HAND, "", False)],
        ),
        # no phenotypes
        (
            [(INFANTILE, False), (RECESSIVE, True), ("HP:0000001", False), (HAND, False)],
            [HAND],
            [],
            [
                ("dropped_onset", INFANTILE, "", False),
                ("dropped_inheritance", RECESSIVE, "", True),
                ("dropped_other", "HP:0000001", "", False),
            ],
        ),
        # most specific of the observed, most general of the excluded
        ([(LIMB, False), (FINGER, False)], [FINGER], [], [("dropped_ancestor", LIMB, "", False)]),
        ([(LIMB, True), (FINGER, True)], [], [LIMB], [("dropped_descendant", FINGER, "", True)]),
        # excluded and observed: the term itself and an ancestor contradict, a descendant does not
        ([(HAND, False), (HAND, True)], [HAND], [], [("dropped_contradiction", HAND, "", True)]),
        ([(FINGER, False), (LIMB, True)], [FINGER], [], [("dropped_contradiction", LIMB, "", True)]),
        ([(LIMB, False), (FINGER, True)], [LIMB], [FINGER], []),
        # an excluded term that contradicts must not take a valid one below it away
        (
            [(FINGER, False), (LIMB, True), (FOOT, True)],
            [FINGER],
            [FOOT],
            [("dropped_contradiction", LIMB, "", True)],
        ),
        # the observed ancestor that goes still implies itself
        (
            [(SEPTUM, False), (HEART, False), (HEART, True)],
            [SEPTUM],
            [],
            [("dropped_ancestor", HEART, "", False), ("dropped_contradiction", HEART, "", True)],
        ),
        ([], [], [], []),
    ],
)
def test_one_patient(terms, observed, excluded, changes) -> None:
    assert normalize_case(terms, ontology()) == (observed, excluded, changes)


def test_unknown_ids_are_quarantined_and_the_patient_goes_on() -> None:
    phenotypes, changes, quarantine = run(
        ("c1", "HP:9999999", False),
        ("c1", "HP:0000903", True),
        ("c1", HAND, False),
        ("c2", "nonsense", False),
    )
    assert phenotypes["hpo_id"].tolist() == [HAND]
    assert changes["action"].tolist() == ["quarantined_unknown"] * 3
    table = quarantine.table()
    assert table["field"].unique().tolist() == [FIELD]
    assert table["record"].tolist() == ["c1", "c1", "c2"]
    assert table["file"].tolist() == ["one.json", "one.json", ""]
    assert dict(zip(table["value"], table["reason"], strict=True))["HP:0000903"].endswith(f"suggests {HEART}")


def test_tables_are_sorted_whatever_the_order_of_rows() -> None:
    rows = [
        ("c2", HAND, True),
        ("c1", SEPTUM, False),
        ("c1", BOTH, True),
        ("c1", FOOT, False),
        ("c2", "HP:0000911", True),
    ]
    first, second = run(*rows), run(*reversed(rows))
    assert first[0].equals(second[0]) and first[1].equals(second[1])
    assert list(first[0].columns) == COLUMNS and list(first[1].columns) == CHANGES
    assert first[0][["case_id", "hpo_id", "excluded"]].to_numpy().tolist() == [
        ["c1", FOOT, False],
        ["c1", SEPTUM, False],
        ["c1", BOTH, True],
        ["c2", HAND, True],
    ]
    assert set(first[1]["action"]) <= set(ACTIONS)


def test_normalising_twice_changes_nothing() -> None:
    phenotypes, _, _ = run(
        ("c1", LIMB, False),
        ("c1", FINGER, False),
        ("c1", HEART, True),
        ("c1", SEPTUM, True),
        ("c1", LIMB, True),
    )
    again, changes = normalize(phenotypes, ontology(), Quarantine("phenotypes"))
    assert again.equals(phenotypes)
    assert changes.empty


def test_empty_tables_keep_their_types() -> None:
    full, changed, _ = run(("c1", HAND, False), ("c1", HAND, False))
    empty, unchanged, _ = run()
    assert empty.dtypes.equals(full.dtypes)
    assert unchanged.dtypes.equals(changed.dtypes)


def test_missing_values_are_refused() -> None:
    raw = pd.DataFrame({"case_id": ["c1"], "hpo_id": [None], "excluded": [False]})
    with pytest.raises(InputError, match="field hpo_id"):
        normalize(raw, ontology(), Quarantine("phenotypes"))
    with pytest.raises(InputError, match="field excluded"):
        normalize(raw[["case_id", "hpo_id"]].fillna(HAND), ontology(), Quarantine("phenotypes"))


def test_real_patients(shared_data: Path, knowledge_dir: Path) -> None:
    hpo = Ontology.from_parquet(knowledge_dir / "terms.parquet")
    rows = []
    with zipfile.ZipFile(shared_data / "phenopackets.zip") as archive:
        for name in sorted(entry for entry in archive.namelist() if entry.endswith(".json"))[::20]:
            for feature in json.loads(archive.read(name)).get("phenotypicFeatures", []):
                rows.append((name, feature["type"]["id"], bool(feature.get("excluded"))))
    raw = pd.DataFrame(rows, columns=["case_id", "hpo_id", "excluded"])
    quarantine = Quarantine("phenotypes")
    kept, changes = normalize(raw, hpo, quarantine)
    assert kept["hpo_id"].map(hpo.is_phenotype).all()
    assert not kept.duplicated(["case_id", "hpo_id"]).any()
    dropped = changes["action"].str.startswith(("dropped_", "quarantined_")).sum()
    assert len(kept) + dropped == len(raw)
    assert (changes["action"] == "quarantined_unknown").sum() == len(quarantine.rows) > 0


def test_most_specific() -> None:
    assert most_specific([LIMB, FOOT, FOOT, HEART], ontology()) == [FOOT, HEART]
    assert most_specific([], ontology()) == []
