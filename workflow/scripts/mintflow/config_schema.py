"""The schema of the configuration: defaults filled in, and what it says of wrong keys, with what is allowed.

Imported while Snakemake parses the workflow, so it must stay light.
"""

from __future__ import annotations

import copy
import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

_LARGEST = 2**31 - 1

TRACKS = ("rare", "tissue")


def read_schema(path: str | Path) -> dict[str, Any]:
    """Read the schema (YAML, JSON Schema draft 2020-12), with every ``$ref`` replaced by what it names.

    A default that a section gives as a mapping is handed down to the keys that it names, so that a
    shared section can have other defaults in another place.
    """
    schema = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    shared = schema.pop("$defs", {})
    return _expanded(schema, shared)


def _expanded(node: Any, shared: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_expanded(item, shared) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        named = shared[node["$ref"].removeprefix("#/$defs/")]
        node = {**named, **{key: value for key, value in node.items() if key != "$ref"}}
    node = {key: value if key == "default" else _expanded(value, shared) for key, value in node.items()}
    if "properties" in node:
        for key, value in node.get("default", {}).items():
            node["properties"][key] |= {"default": value}
            node["properties"][key] = _expanded(node["properties"][key], shared)
        if "default" in node:
            node["default"] = {}
    return node


def _whole_pattern(
    _: Any, pattern: str, value: Any, __: Mapping[str, Any]
) -> Iterator[jsonschema.ValidationError]:
    """``$`` is the end, where Python's also comes before a last line break."""
    if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": _whole_pattern})


def with_defaults(value: Any, schema: Mapping[str, Any]) -> Any:
    """``value``, changed in place, with every default of the schema that it lacks."""
    if isinstance(value, dict):
        for key, sub in schema.get("properties", {}).items():
            if key not in value and "default" in sub:
                value[key] = copy.deepcopy(sub["default"])
            if key in value:
                value[key] = with_defaults(value[key], sub)
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        value = [with_defaults(item, schema["items"]) for item in value]
    return value


def explain(error: jsonschema.ValidationError) -> Iterator[str]:
    """A line for each key that is wrong: its path, what stands there, what is allowed."""
    path = ".".join(str(part) for part in error.absolute_path)
    schema = error.schema
    if error.validator == "additionalProperties":
        allowed = sorted(schema.get("properties", {}))
        for key in sorted(map(str, set(error.instance) - set(allowed))):
            close = difflib.get_close_matches(key, allowed, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            yield f"{join(path, key)}: unknown key.{hint} Allowed here: {', '.join(allowed)}"
        return
    described = f" ({schema['description']})" if "description" in schema else ""
    found = json.dumps(error.instance, default=str) if not isinstance(error.instance, dict) else "a mapping"
    if error.validator == "enum":
        allowed = ", ".join(map(json.dumps, schema["enum"]))
        yield f"{path}: {found} is not allowed; one of {allowed}{described}"
    elif error.validator == "type":
        wanted = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        hint = _as_number(error.instance) if {"number", "integer"} & set(wanted) else ""
        yield f"{path}: {found} has the wrong type; expected {' or '.join(wanted)}{hint}{described}"
    elif error.validator == "required":
        yield f"{path or 'top level'}: {error.message}"
    elif error.validator == "contains" and "const" in schema["contains"]:
        yield f"{path}: {json.dumps(schema['contains']['const'])} must be among them{described}"
    elif error.validator == "anyOf":
        reasons = " or ".join(dict.fromkeys(sub.message for sub in error.context))
        yield f"{path}: {found} is not allowed: {reasons}{_as_number(error.instance)}{described}"
    else:
        yield f"{path}: {error.message}{described}"


def _as_number(value: object) -> str:
    """How a number that YAML 1.1 took for text is written: 1e-3 has no dot, "4" has quotes."""
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return ""
    if not math.isfinite(number):
        return ""
    return (
        f" (write {int(number) if number.is_integer() and '.' not in str(value) else number}, without quotes)"
    )


def loops(value: Any, path: str = "", above: tuple[int, ...] = ()) -> Iterator[str]:
    """YAML's aliases can make a section hold itself."""
    if id(value) in above:
        yield f"{path}: holds itself"
    elif isinstance(value, dict | list):
        for key, sub in _items(value):
            yield from loops(sub, join(path, key), (*above, id(value)))


def _items(value: dict[Any, Any] | list[Any]) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def odd_values(value: Any, path: str = "") -> Iterator[str]:
    """What YAML allows and the schema did not refuse: numbers no library takes, dates in free sections."""
    if isinstance(value, dict | list):
        for key, sub in _items(value):
            if isinstance(value, dict) and not isinstance(key, str):
                kind = type(key).__name__
                yield f"{join(path, key)}: the key is a {kind}; put it in quotes to make it text"
            yield from odd_values(sub, join(path, key))
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{path}: {value} is not a finite number"
    elif isinstance(value, int) and abs(value) > _LARGEST:
        yield f"{path}: {value} is not within {_LARGEST}"
    elif value is not None and not isinstance(value, str | int | float):
        yield f"{path}: {value} is a {type(value).__name__}; put it in quotes to make it text"


def join(path: str, key: object) -> str:
    """The dotted path of a key below ``path``."""
    text = str(key) if str(key).isprintable() and key != "" else repr(key)
    return f"{path}.{text}" if path else text


def lookup(config: Mapping[str, Any], dotted: str) -> Any:
    """The value at a dotted path such as ``rare.split.folds``.

    Raises:
        KeyError: no such key.
    """
    value: Any = config
    for part in dotted.split("."):
        value = value[part]
    return value
