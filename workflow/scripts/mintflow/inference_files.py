"""What a student needs to answer new input, written beside its adapter: wording, lengths, places of files.

``inference.json`` names every file relative to its own folder, with a checksum, so that a results folder
may be moved as a whole; copied elsewhere, files are also looked for beside it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mintflow

from .errors import InputError
from .io import read_json, sha256_file
from .settings import exact

NAME = "inference.json"
# as in models.py and adapters.py, which need torch; this module writes a file on any machine
CARD, CONFIG, WEIGHTS = "base_model.json", "adapter_config.json", "adapter_model.safetensors"
SETTINGS = {
    "rare": ("prompt", "k", "student", "evaluation"),
    "tissue": ("prompt", "k", "student", "evaluation", "tiles"),
}
FILES = {
    "rare": ("candidates", "vocabulary", "information_content", "hpo", "mondo"),
    "tissue": ("labels",),
}
_BASE_KEYS = ("id", "hub_id", "revision", "sha256")


def describe(
    track: str,
    arm: str,
    settings: Mapping[str, Any],
    *,
    base: str | Path,
    adapter: str | Path,
    files: Mapping[str, str],
    folder: str | Path,
) -> dict[str, Any]:
    """The content of ``inference.json``.

    Args:
        track: rare or tissue.
        arm: name of the trained student.
        settings: ``SETTINGS`` of the track.
        base: base folder.
        adapter: PEFT folder.
        files: ``FILES`` of the track to their paths.
        folder: where the description will lie; paths are relative to it.

    Raises:
        InputError: a setting or a file is missing or unknown.
    """
    content = exact(settings, SETTINGS[track], track)
    if wrong := set(files) ^ set(FILES[track]):
        raise InputError(f"missing or unknown: {', '.join(sorted(wrong))}", field="--file")
    card = read_json(Path(base) / CARD)
    return {
        "mintflow": mintflow.__version__,
        "track": track,
        "arm": arm,
        "settings": content,
        "base": {key: card.get(key) for key in _BASE_KEYS} | {"path": _relative(base, folder)},
        "adapter": {
            "path": _relative(adapter, folder),
            "sha256": sha256_file(Path(adapter) / WEIGHTS),
        },
        "files": {
            name: {"path": _relative(path, folder), "sha256": sha256_file(path)}
            for name, path in sorted(files.items())
        },
    }


def _relative(path: str | Path, folder: str | Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def trained_arms(run: str | Path, track: str) -> list[str]:
    """Arms of a run that have an adapter, sorted."""
    return sorted(path.parent.parent.name for path in Path(run).glob(f"{track}/student/*/adapter/{CONFIG}"))


def find_in_run(run: str | Path, track: str, arm: str) -> Path:
    """``inference.json`` of an arm of a run.

    Raises:
        InputError: there is no such run, track or arm (names those there are), or the run was made
            before descriptions were written (says how to make one).
    """
    run = Path(run)
    if not run.is_dir():
        others = sorted(
            path.name for path in run.parent.glob("*") if any(trained_arms(path, name) for name in FILES)
        )
        known = f"; runs beside it: {', '.join(others)}" if others else ""
        raise InputError(f"there is no such run{known}", record=run.name, field="--run")
    arms = trained_arms(run, track)
    if not arms:
        raise InputError(f"no student of the {track} track is trained", record=run.name, field="--run")
    if arm not in arms:
        raise InputError(f"is not trained in this run; trained: {', '.join(arms)}", record=arm, field="--arm")
    path = run / track / "student" / arm / NAME
    if not path.is_file():
        target = f"results/{run.name}/{track}/student/{arm}/{NAME}"
        raise InputError(
            f"holds no {NAME}; make it with: snakemake --cores 1 {target} (and the run's --configfile)",
            record=run.name,
            field="--run",
        )
    return path


def find_beside(adapter: str | Path) -> Path:
    """``inference.json`` in an adapter's folder or beside it.

    Raises:
        InputError: it is at neither place.
    """
    for folder in (Path(adapter), Path(adapter).parent):
        if (folder / NAME).is_file():
            return folder / NAME
    raise InputError(
        f"no {NAME} in or beside the adapter: give --inference, or copy it there", field="--adapter"
    )


@dataclass(frozen=True)
class StudentFiles:
    """A student with everything that it needs, found and compared with its description.

    Attributes:
        track, arm, settings: as described.
        base, adapter: folders.
        base_card: content of base_model.json.
        adapter_sha256: of the adapter's weights as they are.
        files: ``FILES`` of the track.
        notes: differences from the description that do not forbid an answer.
    """

    track: str
    arm: str
    settings: dict[str, Any]
    base: Path
    adapter: Path
    base_card: dict[str, Any]
    adapter_sha256: str
    files: dict[str, Path]
    notes: list[str] = field(default_factory=list)


def locate(path: str | Path, track: str, given: Mapping[str, str | None]) -> StudentFiles:
    """Find the files that a description names.

    Args:
        path: ``inference.json``.
        track: the one that is asked for.
        given: paths to use in place of the described ones, by name (``base``, ``adapter`` and ``FILES``).

    Raises:
        InputError: it is no description, of another track, or something is missing; the adapter was made
            for another base; or the adapter has changed since it was described.
    """
    path = Path(path)
    content = read_json(path)
    try:
        found, arm = content["track"], content["arm"]
        if found != track:
            raise InputError(f"is of the {found} track, the input asks for {track}", file=path.name)
        settings = exact(content["settings"], SETTINGS[track], track)
        places = {name: content[name]["path"] for name in ("base", "adapter")}
        places |= {name: content["files"][name]["path"] for name in FILES[track]}
        sums = {name: content["files"][name]["sha256"] for name in FILES[track]}
        described, adapter_sum = content["base"], content["adapter"]["sha256"]
    except (KeyError, TypeError) as error:
        raise InputError(f"is no description of a student: lacks {error}", file=path.name) from error
    here = {name: _find(path.parent, place, given.get(name), name) for name, place in places.items()}
    for name, needed in (("base", CARD), ("adapter", CONFIG), ("adapter", WEIGHTS)):
        if not (here[name] / needed).is_file():
            raise InputError(f"holds no {needed}", file=here[name].name, field=f"--{name}")
    notes: list[str] = []
    card = read_json(here["base"] / CARD)
    weights = sha256_file(here["adapter"] / WEIGHTS)
    if weights != adapter_sum:
        if given.get("adapter") is None:
            raise InputError(
                f"is not the adapter that {NAME} describes; bring the run up to date with snakemake",
                file=WEIGHTS,
            )
        notes.append(f"the adapter is not the one that {NAME} describes; its prompt may be another")
        described = None
    _compare_base(card, described, here["adapter"], notes)
    files = {name: here[name] for name in FILES[track]}
    notes += [
        f"{file.name} is not the file that the student was described with"
        for name, file in files.items()
        if sha256_file(file) != sums[name]
    ]
    return StudentFiles(track, arm, settings, here["base"], here["adapter"], card, weights, files, notes)


def _find(folder: Path, place: str, given: str | None, name: str) -> Path:
    """The given path, else the described one, else a namesake beside the description."""
    flag = f"--{name.replace('_', '-')}"
    if given is not None:
        if not Path(given).exists():
            raise InputError("there is no such file or folder", record=Path(given).name, field=flag)
        return Path(given)
    # by name, not by way of links: a results folder may itself be a link to another disk
    choices = (Path(os.path.normpath(folder / place)), folder / Path(place).name)
    for choice in choices:
        if choice.exists():
            return choice
    raise InputError(f"is neither where {NAME} says nor beside it; give {flag}", record=Path(place).name)


def _compare_base(
    card: Mapping[str, Any], described: Mapping[str, Any] | None, adapter: Path, notes: list[str]
) -> None:
    """Is this the base model that the adapter was trained on?

    Raises:
        InputError: it is another model.
    """
    if described is not None and card.get("sha256") == described.get("sha256"):
        return
    trained_on = read_json(adapter / CONFIG).get("base_model_name_or_path")
    if trained_on != (card.get("hub_id") or card["id"]):
        raise InputError(
            f"was trained on {trained_on}, the base given is {card['id']}", file=adapter.name, field="--base"
        )
    if described is not None:
        notes.append("other weights of the base model that the adapter was trained on: answers may differ")
