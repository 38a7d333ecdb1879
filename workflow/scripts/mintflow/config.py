"""The configuration: checked and completed, every wrong key named together with what is allowed.

Imported while Snakemake parses the workflow, so it must stay light.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from typing import Any

from .arms import varied
from .config_schema import TRACKS, Validator, explain, lookup, loops, odd_values, with_defaults
from .contradictions import bad_variants, contradictions, idle_variants, unread
from .errors import InputError


def complete(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``config`` checked against ``schema``, with every default filled in.

    Raises:
        InputError: all problems at once, one a line, each with the key's path and what is allowed.
    """
    if endless := list(loops(config)):
        raise InputError("\n  " + "\n  ".join(endless), file="configuration")
    filled = with_defaults(copy.deepcopy(dict(config)), schema)
    _drop_variants(filled)
    validator = Validator(schema)
    errors = sorted(validator.iter_errors(filled), key=lambda error: [str(part) for part in error.path])
    problems = [line for error in errors for line in explain(error)] or list(odd_values(filled))
    problems = problems or [*unread(filled), *contradictions(filled)] or list(bad_variants(filled, schema))
    problems = problems or list(idle_variants(filled))
    if problems:
        raise InputError("\n  " + "\n  ".join(problems), file="configuration")
    return filled


def _drop_variants(config: Mapping[str, Any]) -> None:
    """Take out the variants that a later file sets to null."""
    for track in TRACKS:
        variants = config[track].get("variants") if isinstance(config.get(track), dict) else None
        if isinstance(variants, dict):
            for name in [name for name, variant in variants.items() if variant is None]:
                del variants[name]


PATHS = {
    "rare": (
        "cohort.path",
        "cohort.vcf_folder",
        "cohort.sample_sheet",
        "cohort.image_embeddings",
        "teacher.scores",
    ),
    "tissue": ("slides.sheet", "teacher.scores"),
}


def require_files(config: Mapping[str, Any]) -> None:
    """Check that every file that the tracks to be run name is there, before anything runs.

    Raises:
        InputError: all that are missing, each with its key.
    """
    named: dict[str, Any] = {"external": config["external"]}
    if "://" not in (config["container"] or ""):
        named["container"] = config["container"]
    for track in config["tracks"]:
        named |= {f"{track}.{key}": lookup(config[track], key) for key in PATHS[track]}
        if lookup(config[track], "student.base.kind") == "local":
            named[f"{track}.student.base.id"] = lookup(config[track], "student.base.id")
        for name, changed in varied(config, track):
            base = lookup(changed, f"{track}.student.base")
            if base["kind"] == "local":
                named[f"{track}.variants.{name}.student.base.id"] = base["id"]
    if "rare" in config["tracks"] and lookup(config, "rare.retrieval.encoder.kind") == "local":
        named["rare.retrieval.encoder.id"] = lookup(config, "rare.retrieval.encoder.id")
    if "tissue" in config["tracks"]:
        sets = config["tissue"]["tile_sets"]
        named |= {f"tissue.tile_sets.{entry['name']}.path": entry["path"] for entry in sets}
    missing = [
        # an address may hold a password
        f"{key}: expected a file or folder, not an address"
        if "://" in path
        else f"{key}: {path} does not exist"
        for key, path in named.items()
        if path and not os.path.exists(path)  # no error for a name that no file can have
    ]
    missing += [
        f"{key}: {path} has a brace or an angle bracket in its name"
        for key, path in named.items()
        if path and not nameable(path)
    ]
    if missing:
        raise InputError("\n  " + "\n  ".join(missing), file="configuration")


def nameable(path: str) -> bool:
    """Whether Snakemake can be told a path: {x} is a wildcard and <x> a path variable, without an escape."""
    return not set("{<") & set(path)


def canonical(value: Any) -> str:
    """JSON with sorted keys, so that reordering the config re-runs nothing."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
