"""The students that a run trains and asks, as the configuration lists them: arms, their variants, seeds.

An arm is what a row of metrics.csv is about. Every arm that is trained is one or more trainings: one a seed,
and one a learning rate where these are searched. Imported while Snakemake parses the workflow, so it must
stay light.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import InputError

OBJECTIVES = ("orpo", "sft", "sft-truth", "dpo", "listwise")  # how an adapter can be trained
RETRIEVAL = ("rag", "orpo+rag")
# an arm's ranking by likelihood, where it stands beside its written lists
RANKED = "ranked"
PRIMARY = "orpo"  # every other arm is compared with it
CONTROLS = ("blank", "shuffled")
SEED, RATE = ".seed", ".lr"
DEFAULT_PAIRS = "preferences"
TEACHER = "teacher"

# sections of a student that one objective reads and the others do not
_OWN = {"orpo": ("orpo",), "dpo": ("dpo",), "listwise": ("listwise",), "sft": (), "sft-truth": ()}
_SEARCH = ("learning_rates", "further_seeds")
_MACHINE = ("launcher", "gpus", "threads")  # where it is trained, not what is learned


@dataclass(frozen=True)
class Arm:
    """One compared student.

    Attributes:
        name: as in metrics.csv.
        kind: ``base``, one of OBJECTIVES or one of RETRIEVAL.
        student: its complete section of the configuration.
        pairs: the folder of its preference pairs.
        preferences: how these are made.
        teacher: arm whose ranking they are made from.
        adapter: the arm whose adapters answer; None for the base model.
        parent: the arm that a variant varies, else None.
        rate_from: the arm whose learning rate search gives its rate; None where it is given.
    """

    name: str
    kind: str
    student: Mapping[str, Any]
    pairs: str
    preferences: Mapping[str, Any]
    teacher: str = TEACHER
    adapter: str | None = None
    parent: str | None = None
    rate_from: str | None = None

    @property
    def retrieval(self) -> bool:
        """Whether its prompts hold retrieved text."""
        return self.kind in RETRIEVAL

    @property
    def list_length(self) -> int:
        """Names in the lists that it learns to write; after the last, an answer ends."""
        return 1 if self.kind == "sft-truth" else self.preferences["k"]

    @property
    def seeds(self) -> list[int]:
        """Seeds of its adapters, the first one first; one without meaning for an arm without adapter."""
        training = self.student["training"]
        return [training["seed"], *(training["further_seeds"] if self.adapter else [])]

    @property
    def rates(self) -> list[float]:
        """Learning rates to choose from; empty where none is searched."""
        return list(self.student["training"]["learning_rates"])


@dataclass(frozen=True)
class Training:
    """One adapter: an arm with one seed, and one learning rate while these are searched.

    Attributes:
        name: folder under student/.
        arm: what is trained.
        seed: of initialisation and data order.
        rate: the learning rate on trial; None for the arm's own, or the one that was chosen.
    """

    name: str
    arm: Arm
    seed: int
    rate: float | None = None

    @property
    def chosen(self) -> bool:
        """Whether its learning rate comes from a search."""
        return self.rate is None and self.arm.rate_from is not None

    @property
    def was_trial(self) -> bool:
        """Whether it was trained while its rate was searched: the trial of that rate is this training."""
        return self.rate is None and bool(self.arm.rates) and self.seed == self.arm.seeds[0]

    def settings(self, leave_out: tuple[str, ...] = ()) -> dict[str, Any]:
        """What this training depends on; sections of other objectives and ``leave_out`` are not there."""
        own = _OWN[self.arm.kind]
        others = {name for names in _OWN.values() for name in names} - set(own)
        section = {k: v for k, v in self.arm.student.items() if k not in others and k not in leave_out}
        training = {k: v for k, v in section["training"].items() if k not in _SEARCH}
        training["seed"] = self.seed
        if self.rate is not None:
            training["learning_rate"] = self.rate
        return section | {"training": training}


class Plan:
    """All arms of one track.

    Args:
        section: the track's complete section of the configuration.
        track: its name, for errors.

    Raises:
        InputError: a variant is of an unknown arm, or sets what its section does not have.
    """

    def __init__(self, section: Mapping[str, Any], track: str) -> None:
        self.arms: dict[str, Arm] = {}
        self._evaluation = section["evaluation"]
        for kind in ("base", *section["arms"]):
            self._add(kind, kind, section, {}, track)
        for name, variant in section["variants"].items():
            self._add(name, variant["arm"], section, variant, track)

    def _add(
        self, name: str, kind: str, section: Mapping[str, Any], variant: Mapping[str, Any], track: str
    ) -> None:
        where = f"{track}.variants.{name}"
        parts = {
            part: merged(section[part], variant.get(part) or {}, f"{where}.{part}")
            for part in ("student", "preferences")
        }
        if variant and kind == "orpo+rag":
            raise InputError("vary orpo or rag instead of orpo+rag", record=where, field="arm")
        own_pairs = bool(variant.get("preferences")) or variant.get("teacher", TEACHER) != TEACHER
        # a variant without a rate of its own has the one found for the arm that it varies
        searching = name if parts["student"]["training"]["learning_rates"] else None
        if variant and not searching and "learning_rate" not in _training(variant):
            searching = self.arms[kind].rate_from if kind in self.arms else None
        self.arms[name] = Arm(
            name,
            kind,
            parts["student"],
            f"{DEFAULT_PAIRS}-{name}" if own_pairs else DEFAULT_PAIRS,
            parts["preferences"],
            variant.get("teacher", TEACHER),
            name if kind in OBJECTIVES else PRIMARY if kind == "orpo+rag" else None,
            kind if variant else None,
            searching if kind in OBJECTIVES else None,
        )

    def idle(self) -> list[Arm]:
        """Variants that are trained, prompted and answer exactly as the arm that they vary."""
        return [
            arm
            for arm in self.arms.values()
            if arm.parent and _substance(arm) == _substance(self.arms[arm.parent])
        ]

    def trained(self) -> list[Arm]:
        """Arms with adapters of their own."""
        return [arm for arm in self.arms.values() if arm.kind in OBJECTIVES]

    def trainings(self) -> dict[str, Training]:
        """Every adapter to be trained for the results, by name; not those of a search."""
        return {
            run_name(arm, seed): Training(run_name(arm, seed), arm, seed)
            for arm in self.trained()
            for seed in arm.seeds
        }

    def trials(self) -> dict[str, Training]:
        """Every adapter trained to choose a learning rate, by name."""
        found = {}
        for arm in self.trained():
            for rate in arm.rates:
                name = f"{arm.name}{RATE}{rate!r}"
                found[name] = Training(name, arm, arm.seeds[0], rate)
        return found

    def answering(self) -> list[str]:
        """Names under which answers are written: every arm, once a seed of its adapter."""
        return [run_name(arm, seed) for arm in self.arms.values() for seed in arm.seeds]

    def ranking(self) -> list[str]:
        """Those of them that rank candidates by likelihood: variants only if named."""
        if self._evaluation["ranking_cases"] == 0:
            return []
        asked = self._evaluation["ranking_variants"]
        arms = [arm for arm in self.arms.values() if arm.parent is None or arm.name in asked]
        return [run_name(arm, seed) for arm in arms for seed in arm.seeds]

    def arm_of(self, run: str) -> Arm:
        """The arm that ``run`` (with a seed, a learning rate or a control in its name) belongs to.

        Raises:
            KeyError: there is none.
        """
        stem = run.partition(SEED)[0].partition(RATE)[0]
        for control in CONTROLS:
            stem = stem if stem in self.arms else stem.removesuffix(f"-{control}")
        return self.arms[stem]

    def adapter_of(self, run: str) -> str | None:
        """Name of the training whose adapter answers as ``run``; None for the base model."""
        arm = self.arm_of(run)
        if arm.adapter is None:
            return None
        mark = next((mark for mark in (SEED, RATE) if mark in run), None)
        return f"{arm.adapter}{mark}{run.partition(mark)[2]}" if mark else arm.adapter

    def pairs(self) -> dict[str, Arm]:
        """Folders of preference pairs, each with an arm that tells how they are made."""
        found: dict[str, Arm] = {}
        for arm in self.trained():
            found.setdefault(arm.pairs, arm)
        return found


def _substance(arm: Arm) -> tuple[Any, ...]:
    """What makes an arm's answers."""
    if arm.kind in OBJECTIVES:
        settings = Training(arm.name, arm, arm.seeds[0]).settings(leave_out=_MACHINE)
        if arm.rates:
            del settings["training"]["learning_rate"]  # the search finds it
        return settings, arm.seeds, sorted(arm.rates), arm.preferences, arm.teacher
    unread = {*OBJECTIVES, *_MACHINE, "training", "lora"}
    return ({key: value for key, value in arm.student.items() if key not in unread},)


def _training(variant: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a variant changes of the training section."""
    found: Mapping[str, Any] = (variant.get("student") or {}).get("training") or {}
    return found


def run_name(arm: Arm, seed: int) -> str:
    """The arm's name, with its seed unless that is the first."""
    return arm.name if seed == arm.seeds[0] else f"{arm.name}{SEED}{seed}"


def by_arm(names: list[str]) -> dict[str, list[str]]:
    """Answers of one arm with several seeds belong together: arm to names, in order."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.partition(SEED)[0], []).append(name)
    return found


def merged(section: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``section`` with ``changes`` in their places.

    Raises:
        InputError: a change names a key that is not there.
    """
    result = copy.deepcopy(dict(section))
    for key, value in changes.items():
        if key not in result:
            allowed = ", ".join(sorted(result))
            raise InputError(f"unknown key; allowed here: {allowed}", record=where, field=key)
        inner = isinstance(value, Mapping) and isinstance(result[key], Mapping)
        result[key] = merged(result[key], value, f"{where}.{key}") if inner else value
    return result


def varied(config: Mapping[str, Any], track: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The configuration as each variant of ``track`` sees it, to be checked like any other."""
    for name, variant in config[track]["variants"].items():
        changed = copy.deepcopy(dict(config))
        for part in ("student", "preferences"):
            changes = variant.get(part) or {}
            changed[track][part] = merged(changed[track][part], changes, f"{track}.variants.{name}.{part}")
        yield name, changed
