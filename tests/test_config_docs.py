"""config/README.md against the schema: every key is there, with its default and what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mintflow.config_schema import read_schema

ROW = re.compile(r"^\| `([a-z_0-9.\[\]]+)` \| `(.*?)` \| (.*?) \| (.+) \|$", re.MULTILINE)


def leaves(schema: Mapping[str, Any], path: str = "") -> dict[str, Mapping[str, Any]]:
    """Dotted key to schema, for every key that is no section of its own; ``[]`` marks a list of sections."""
    found: dict[str, Mapping[str, Any]] = {}
    for key, sub in schema["properties"].items():
        if "properties" in sub:
            found |= leaves(sub, f"{path}{key}.")
            continue
        found[f"{path}{key}"] = sub
        if "properties" in sub.get("items", {}):
            found |= leaves(sub["items"], f"{path}{key}[].")
    return found


def allowed(schema: Mapping[str, Any]) -> str:
    """The cell of the column "allowed"."""
    if "anyOf" in schema:
        return " or ".join(allowed(choice) for choice in schema["anyOf"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    limits = [
        f"{sign} {schema[key]}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in schema
    ]
    if "array" in types:
        least = schema.get("minItems", 0)
        few = {0: "any of", 1: "one or more of"}.get(least, f"{least} or more of")
        kind = "mappings" if "properties" in schema["items"] else "texts"
        if schema["items"].get("type") in ("number", "integer"):
            kind = f"{schema['items']['type']}s"
        if schema["items"].get("type") == "array":
            kind = f"lists of {schema['items']['maxItems']} texts"
        limits.append(f"{few} {allowed(schema['items'])}" if "enum" in schema["items"] else f"of {kind}")
    if "pattern" in schema:
        limits.append(f"`{schema['pattern'].strip('^$')}`")
    names = {"array": "list", "object": "mapping", "string": "text"}
    kinds = [names.get(kind, kind) for kind in types if kind != "null"]
    text = " ".join([" or ".join(kinds), ", ".join(limits)]).strip()
    return f"{text}; null" if "null" in types else text


@pytest.fixture(scope="module")
def documented(root: Path) -> dict[str, tuple[str, str]]:
    text = (root / "config" / "README.md").read_text(encoding="utf-8")
    rows = ROW.findall(text)
    assert len({key for key, *_ in rows}) == len(rows), "a key is described twice"
    return {key: (default, limits) for key, default, limits, _ in rows}


@pytest.fixture(scope="module")
def keys(root: Path) -> dict[str, Mapping[str, Any]]:
    return leaves(read_schema(root / "workflow" / "schemas" / "config.schema.yaml"))


def test_every_key_is_described_and_nothing_else(
    documented: dict[str, tuple[str, str]], keys: dict[str, Mapping[str, Any]]
) -> None:
    assert {"missing": sorted(keys.keys() - documented), "unknown": sorted(documented.keys() - keys)} == {
        "missing": [],
        "unknown": [],
    }


def test_defaults_and_allowed_values_are_those_of_the_schema(
    documented: dict[str, tuple[str, str]], keys: dict[str, Mapping[str, Any]]
) -> None:
    wrong = [
        f"{key}: expected | `{json.dumps(keys[key].get('default'))}` | {allowed(keys[key])} |"
        for key, (default, limits) in documented.items()
        if key in keys and (json.loads(default), limits) != (keys[key].get("default"), allowed(keys[key]))
    ]
    assert wrong == []


def test_links_within_the_page_lead_somewhere(root: Path) -> None:
    text = (root / "config" / "README.md").read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= headings
