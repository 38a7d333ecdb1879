"""The configuration: defaults filled in, every wrong key named together with what is allowed.

Imported while Snakemake parses the workflow, so it must stay light.
"""

from __future__ import annotations

import copy
import difflib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from .errors import InputError

_LARGEST = 2**31 - 1


def read_schema(path: str | Path) -> dict[str, Any]:
    """Read the schema (YAML, JSON Schema draft 2020-12)."""
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def complete(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``config`` checked against ``schema``, with every default filled in.

    Raises:
        InputError: all problems at once, one a line, each with the key's path and what is allowed.
    """
    filled = _with_defaults(copy.deepcopy(dict(config)), schema)
    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(filled), key=lambda error: [str(part) for part in error.path])
    problems = [*(line for error in errors for line in _explain(error)), *_odd_numbers(filled)]
    problems = problems or list(_contradictions(filled))
    if problems:
        raise InputError("\n  " + "\n  ".join(problems), file="configuration")
    return filled


def _with_defaults(value: Any, schema: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        for key, sub in schema.get("properties", {}).items():
            if key not in value and "default" in sub:
                value[key] = copy.deepcopy(sub["default"])
            if key in value:
                value[key] = _with_defaults(value[key], sub)
    return value


def _explain(error: jsonschema.ValidationError) -> Iterator[str]:
    path = ".".join(str(part) for part in error.absolute_path)
    schema = error.schema
    if error.validator == "additionalProperties":
        allowed = sorted(schema.get("properties", {}))
        for key in sorted(map(str, set(error.instance) - set(allowed))):
            close = difflib.get_close_matches(key, allowed, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            yield f"{_join(path, key)}: unknown key.{hint} Allowed here: {', '.join(allowed)}"
        return
    described = f" ({schema['description']})" if "description" in schema else ""
    found = json.dumps(error.instance, default=str) if not isinstance(error.instance, dict) else "a mapping"
    if error.validator == "enum":
        allowed = ", ".join(map(json.dumps, schema["enum"]))
        yield f"{path}: {found} is not allowed; one of {allowed}{described}"
    elif error.validator == "type":
        wanted = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        yield f"{path}: {found} has the wrong type; expected {' or '.join(wanted)}{described}"
    elif error.validator == "required":
        yield f"{path or 'top level'}: {error.message}"
    else:
        yield f"{path}: {error.message}{described}"


def _odd_numbers(value: Any, path: str = "") -> Iterator[str]:
    """Numbers that YAML allows and JSON Schema cannot refuse, and seeds that not every library takes."""
    if isinstance(value, dict):
        for key, sub in value.items():
            yield from _odd_numbers(sub, _join(path, key))
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{path}: {value} is not a finite number"
    elif isinstance(value, int) and abs(value) > _LARGEST:
        yield f"{path}: {value} is not within {_LARGEST}"


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _contradictions(config: Mapping[str, Any]) -> Iterator[str]:
    """Keys that are each allowed but not together."""
    rare = config["rare"]
    cohort, teacher, student = rare["cohort"], rare["teacher"], rare["student"]
    if cohort["source"] == "phenopackets":
        if not cohort["path"] and not cohort["url"]:
            yield "rare.cohort.path: source phenopackets needs a path, or a url with sha256"
        if cohort["url"] and not cohort["path"] and not cohort["sha256"]:
            yield "rare.cohort.sha256: a download needs its checksum"
    if cohort["min_publications"] < 2:
        yield "rare.cohort.min_publications: at least 2 are needed to split by publication"
    if teacher["kind"] == "scores" and not teacher["scores"]:
        yield "rare.teacher.scores: kind scores needs a file"
    if "image" in teacher["modalities"] and not cohort["image_embeddings"]:
        yield "rare.cohort.image_embeddings: a teacher with the image modality needs this file"
    if "phenotype" not in teacher["modalities"]:
        yield "rare.teacher.modalities: phenotype is always needed"
    base = student["base"]
    if base["kind"] in ("hub", "local") and not base["id"]:
        yield f"rare.student.base.id: kind {base['kind']} needs it"
    if base["kind"] == "hub" and not base["revision"]:
        yield "rare.student.base.revision: kind hub needs a commit or tag, so that the run can be repeated"
    training = student["training"]
    if training["save_steps"] % training["eval_steps"]:
        yield "rare.student.training.save_steps: must be a multiple of eval_steps"
    most = cohort["max_diseases"]
    lists = rare["preferences"]
    if most is not None and lists["k"] + lists["q"] > most:
        yield (
            f"rare.preferences.k + rare.preferences.q = {lists['k'] + lists['q']} is more than "
            f"rare.cohort.max_diseases = {most}; the chosen and rejected lists would overlap"
        )


PATHS = (
    "rare.cohort.path",
    "rare.cohort.sample_sheet",
    "rare.cohort.image_embeddings",
    "rare.teacher.scores",
)


def require_files(config: Mapping[str, Any]) -> None:
    """Check that every file the configuration names is there, before anything runs.

    Raises:
        InputError: all that are missing, each with its key.
    """
    named = {key: lookup(config, key) for key in PATHS}
    if lookup(config, "rare.student.base.kind") == "local":
        named["rare.student.base.id"] = lookup(config, "rare.student.base.id")
    missing = [
        f"{key}: {path} does not exist"
        for key, path in named.items()
        if path and not os.path.exists(path)  # no error for a name that no file can have
    ]
    if missing:
        raise InputError("\n  " + "\n  ".join(missing), file="configuration")


def lookup(config: Mapping[str, Any], dotted: str) -> Any:
    """The value at a dotted path such as ``rare.split.folds``.

    Raises:
        KeyError: no such key.
    """
    value: Any = config
    for part in dotted.split("."):
        value = value[part]
    return value


def canonical(value: Any) -> str:
    """JSON with sorted keys, so that reordering the config re-runs nothing."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
