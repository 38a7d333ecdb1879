"""Keys of the configuration that are each allowed but not together, or that lead nowhere.

Imported while Snakemake parses the workflow, so it must stay light.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from .addresses import refused
from .arms import CONTROLS, PRIMARY, RANKED, Plan, varied
from .config_schema import TRACKS, Validator, explain, join, lookup
from .errors import InputError
from .placeholders import check_patient_prompt, check_tile_prompt

# keys that are read under one choice of another key alone
_READ_WITH = {
    "rare": (
        ("cohort", ("path", "url", "sha256", "vcf_folder", "sample_sheet"), "source", ("phenopackets",)),
        ("teacher", ("scores",), "kind", ("scores",)),
        ("retrieval.encoder", ("id", "revision"), "kind", ("hub", "local")),
        ("student.base", ("id", "revision"), "kind", ("hub", "local")),
    ),
    "tissue": (
        ("slides", ("sheet",), "source", ("sheet",)),
        ("teacher", ("scores",), "kind", ("scores",)),
        ("teacher", ("id", "revision"), "kind", ("pretrained",)),
        ("student.base", ("id", "revision"), "kind", ("hub", "local")),
    ),
}


def unread(config: Mapping[str, Any]) -> Iterator[str]:
    """Keys that were given and would be passed over in silence: one's own data, above all."""
    for track in config["tracks"]:
        for place, keys, switch, choices in _READ_WITH[track]:
            section = lookup(config[track], place)
            for key in keys:
                if section[key] is not None and section[switch] not in choices:
                    yield (
                        f"{track}.{place}.{key}: is read with {switch} {' or '.join(choices)} alone, and "
                        f"{track}.{place}.{switch} is {section[switch]} (null where another file gave it)"
                    )
        images = track == "rare" and lookup(config, "rare.cohort.image_embeddings")
        if images and "image" not in lookup(config, "rare.teacher.modalities"):
            yield "rare.cohort.image_embeddings: is read if image is among rare.teacher.modalities alone"


def contradictions(config: Mapping[str, Any]) -> Iterator[str]:
    """Keys that are each allowed but not together, and templates that cannot be filled in."""
    for track, check_prompt in (("rare", check_patient_prompt), ("tissue", check_tile_prompt)):
        if track in config["tracks"]:
            try:
                check_prompt(config[track]["prompt"]["user"])
            except InputError as error:
                yield f"{error.field}: {error.problem}"
    for track, check in (("rare", _rare_contradictions), ("tissue", _tissue_contradictions)):
        if track in config["tracks"]:
            yield from check(config[track])
            yield from _student_contradictions(track, config[track])


# arms that rank without a language model; docs/metrics.md
SCORING = (
    "teacher",
    "teacher-phenotype",
    "similarity",
    "likelihood-ratio",
    "nearest-patient",
    "gene-lookup",
    "prior",
    "retrieval",
)


def bad_variants(config: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the configuration as each variant sees it, or with the variant itself."""
    bases: dict[str, tuple[str, Mapping[str, Any]]] = {}
    validator = Validator(schema)
    for track in (track for track in TRACKS if track in config):
        kinds = (*schema["properties"][track]["properties"]["arms"]["items"]["enum"], "base", *SCORING)
        section = config[track]
        runs = track in config["tracks"]
        if runs:
            yield from _other_base(bases, section["student"]["base"], f"{track}.student")
        for name, variant in section["variants"].items():
            yield from _bad_variant(config, track, name, variant, kinds)
        yield from _unknown_arms(track, section)
        try:
            for name, changed in varied(config, track):
                where = f"{track}.variants.{name}"
                wrong = [line for error in validator.iter_errors(changed) for line in explain(error)]
                for problem in wrong or (contradictions(changed) if runs else ()):
                    yield f"{where}: {problem}"
                if wrong:
                    continue
                base = changed[track]["student"]["base"]
                if runs:
                    yield from _other_base(bases, base, f"{where}.student")
                own = base != section["student"]["base"]
                if track == "tissue" and own and base["kind"] not in ("hub", "local"):
                    yield f"{where}.student.base.kind: only hub or local, which see already"
        except InputError as error:
            yield f"{join(error.record or track, error.field)}: {error.problem}"


def idle_variants(config: Mapping[str, Any]) -> Iterator[str]:
    """Variants, right by themselves, that would be trained for hours to be a copy."""
    for track in (track for track in TRACKS if track in config):
        for arm in Plan(config[track], track).idle():
            where = f"{track}.variants.{arm.name}"
            yield f"{where}: changes nothing of what {arm.parent} learns from or answers with"


def _unknown_arms(track: str, section: Mapping[str, Any]) -> Iterator[str]:
    """Comparisons of what is not measured, rankings of what cannot be ranked."""
    controls = [f"{PRIMARY}-{control}" for control in section["evaluation"]["controls"]]
    rankers = set(SCORING) if track == "rare" else {"teacher", "prior"}
    if section["teacher"]["kind"] != "encoder":
        rankers -= {"teacher-phenotype"}
    if not {"rag", "orpo+rag"} & set(section["arms"]):
        rankers -= {"retrieval"}
    known = ["base", *section["arms"], *section["variants"], *controls, *sorted(rankers)]
    for name in sorted({name for pair in section["evaluation"]["comparisons"] for name in pair} - set(known)):
        yield f"{track}.evaluation.comparisons: {name} is no arm of this run; there are {', '.join(known)}"
    variants = section["variants"]
    for name in sorted(set(section["evaluation"]["ranking_variants"]) - set(variants)):
        there = f"there are {', '.join(variants)}" if variants else "there are none"
        yield f"{track}.evaluation.ranking_variants: {name} is no variant of this run to rank; {there}"


def _other_base(
    known: dict[str, tuple[str, Mapping[str, Any]]], base: Mapping[str, Any], where: str
) -> Iterator[str]:
    """Two models of one name would be one folder."""
    there, other = known.setdefault(base["name"], (where, base))
    if other != base:
        yield f"{where}.base.name: {there}.base has the name {base['name']} and is another model"


def _bad_variant(
    config: Mapping[str, Any], track: str, name: str, variant: Mapping[str, Any], kinds: Collection[str]
) -> Iterator[str]:
    where, kind = f"{track}.variants.{name}", variant["arm"]
    lists, student = variant.get("preferences", {}), variant.get("student", {})
    if name in kinds:
        yield f"{where}: is the name of another arm"
    if name.endswith(tuple(f"-{ending}" for ending in (*CONTROLS, RANKED))):
        yield f"{where}: must not end like a control or a ranking"
    if kind not in ("base", *config[track]["arms"]):
        yield f"{where}.arm: {kind} is not in {track}.arms, so there is nothing to compare it with"
    if kind in ("base", "rag") and (lists or "teacher" in variant):
        yield f"{where}: {kind} is not trained, so preferences and teacher change nothing"
    if "k" in lists:
        yield f"{where}.preferences.k: stands in the prompts, which all arms share; use another run"
    views = lists.get("views", config[track]["preferences"].get("views"))
    if "leave_out" in lists and not views:
        yield f"{where}.preferences.leave_out: changes nothing without preferences.views"
    base = student["base"] if isinstance(student.get("base"), Mapping) else {}
    read = {**config[track]["student"]["base"], **base}["kind"] in ("hub", "local")
    if not read and (base.get("id") or base.get("revision")):
        yield f"{where}.student.base.id: is read with kind hub or local alone"
    if "merge" in student:
        yield f"{where}.student.merge: is the same for all arms"
    if track == "tissue" and {"vision", "alignment"} & set(student):
        yield f"{where}.student: vision and alignment make the base model, which all arms share"
    if kind == "rag" and track != "rare":
        yield f"{where}.arm: rag is of the rare track alone"
    if variant.get("teacher") == "teacher-phenotype" and (
        track != "rare" or config["rare"]["teacher"]["kind"] != "encoder"
    ):
        yield f"{where}.teacher: only the encoder of the rare track has an arm without genotype"


def _rare_contradictions(rare: Mapping[str, Any]) -> Iterator[str]:
    cohort, teacher = rare["cohort"], rare["teacher"]
    if cohort["url"] and (problem := refused(cohort["url"])):
        yield f"rare.cohort.url: {problem}"
    if cohort["source"] == "phenopackets":
        if not cohort["path"] and not cohort["url"]:
            yield "rare.cohort.path: source phenopackets needs a path, or a url with sha256"
        if cohort["url"] and not cohort["path"] and not cohort["sha256"]:
            yield "rare.cohort.sha256: a download needs its checksum"
    split = rare["split"]
    if split["stratified"] and cohort["min_publications"] < 2:
        yield "rare.cohort.min_publications: at least 2 are needed for a stratified split by publication"
    if not split["stratified"] and split["unseen_disease_fraction"]:
        yield (
            "rare.split.unseen_disease_fraction: set it to 0; without stratification the unseen diseases are "
            "those that chance leaves without training patients"
        )
    if teacher["kind"] == "scores" and not teacher["scores"]:
        yield "rare.teacher.scores: kind scores needs a file"
    if "image" in teacher["modalities"] and not cohort["image_embeddings"]:
        yield "rare.cohort.image_embeddings: a teacher with the image modality needs this file"
    if "phenotype" not in teacher["modalities"]:
        yield "rare.teacher.modalities: phenotype is always needed"
    encoder = rare["retrieval"]["encoder"]
    if encoder["kind"] in ("hub", "local") and not encoder["id"]:
        yield f"rare.retrieval.encoder.id: kind {encoder['kind']} needs it"
    if encoder["kind"] == "hub" and not encoder["revision"]:
        yield "rare.retrieval.encoder.revision: kind hub needs a commit or tag, or no run can be repeated"
    evaluation = rare["evaluation"]
    if evaluation["ranking_depth"] is not None and evaluation["ranking_score"] != "sum":
        yield (
            f"rare.evaluation.ranking_depth: the likeliest by {evaluation['ranking_score']} cannot be found "
            "without scoring all; allowed with ranking_score sum"
        )
    if rare["preferences"]["unlabelled"] and (teacher["kind"] == "scores" or cohort["image_embeddings"]):
        yield "rare.preferences.unlabelled: needs a teacher that can rank them, without images"
    if cohort["max_diseases"] is not None:
        yield from _overlapping("rare", rare, "cohort.max_diseases", cohort["max_diseases"])


def _tissue_contradictions(tissue: Mapping[str, Any]) -> Iterator[str]:
    slides, tiling, teacher = tissue["slides"], tissue["tiling"], tissue["teacher"]
    if slides["source"] == "sheet" and not slides["sheet"]:
        yield "tissue.slides.sheet: source sheet needs a file"
    if slides["source"] == "none" and not tissue["tile_sets"]:
        yield "tissue.tile_sets: without slides at least one tile set is needed"
    if tiling["overlap"] >= tiling["tile_size"]:
        yield f"tissue.tiling.overlap: must be below tile_size ({tiling['tile_size']})"
    if tiling["mpp_min"] >= tiling["mpp_max"]:
        yield "tissue.tiling.mpp_min: must be below mpp_max"
    names = [entry["name"] for entry in tissue["tile_sets"]]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"tissue.tile_sets: {name} is named twice"
    for entry in tissue["tile_sets"]:
        if bool(entry["path"]) == bool(entry["hub"]):
            yield f"tissue.tile_sets: {entry['name']} needs either path or hub"
        if entry["hub"] and not entry["revision"]:
            yield f"tissue.tile_sets: {entry['name']} from the hub needs a revision"
    if teacher["kind"] == "scores" and not teacher["scores"]:
        yield "tissue.teacher.scores: kind scores needs a file"
    if teacher["kind"] == "pretrained" and not teacher["id"]:
        yield "tissue.teacher.id: kind pretrained needs it"
    if tissue["cohort"]["labels"] is not None:
        yield from _overlapping("tissue", tissue, "cohort.labels", len(tissue["cohort"]["labels"]))
    elif slides["source"] == "synthetic" and not tissue["tile_sets"]:
        yield from _overlapping(
            "tissue", tissue, "slides.synthetic.tissues", len(slides["synthetic"]["tissues"])
        )
    vision = tissue["student"]["vision"]
    if vision["image_size"] % vision["patch_size"]:
        yield "tissue.student.vision.image_size: must be a multiple of patch_size"
    if vision["dim"] % vision["heads"]:
        yield "tissue.student.vision.dim: must be a multiple of heads"


def _overlapping(track: str, section: Mapping[str, Any], key: str, most: int) -> Iterator[str]:
    lists = section["preferences"]
    if lists["k"] + lists["q"] > most:
        yield (
            f"{track}.preferences.k + {track}.preferences.q = {lists['k'] + lists['q']} is more than "
            f"{track}.{key} = {most}; the chosen and rejected lists would overlap"
        )


def _student_contradictions(track: str, section: Mapping[str, Any]) -> Iterator[str]:
    student, held_out = section["student"], section["split"]["validation_fraction"]
    base, training = student["base"], student["training"]
    if training["seed"] in training["further_seeds"]:
        yield f"{track}.student.training.further_seeds: {training['seed']} is the seed already"
    for key in ("learning_rates", "keep_best", "patience"):
        if training[key] and not held_out:
            where = f"{track}.student.training.{key}"
            yield f"{where}: needs validation cases; raise {track}.split.validation_fraction"
    if base["kind"] in ("hub", "local") and not base["id"]:
        yield f"{track}.student.base.id: kind {base['kind']} needs it"
    if base["kind"] == "hub" and not base["revision"]:
        yield f"{track}.student.base.revision: kind hub needs a commit or tag, or no run can be repeated"
    listwise, key = student["listwise"], f"{track}.student.listwise"
    if listwise["score"] == "mean" and not listwise["normalize"]:
        yield (
            f"{key}.score: means per token are no probabilities of answers; allowed are sum, or mean with "
            "normalize true"
        )
    if listwise["normalize"] and listwise["top"] + listwise["others"] < 2:
        yield f"{key}.normalize: one candidate has nothing to be compared with; raise top or others"
    if training["save_steps"] % training["eval_steps"]:
        yield f"{track}.student.training.save_steps: must be a multiple of eval_steps"
