"""The configuration: defaults, errors that name the key and what is allowed."""

from __future__ import annotations

import copy
import datetime
from pathlib import Path

import pytest
import yaml

from mintflow.config import canonical, complete, require_files
from mintflow.config_schema import lookup, read_schema
from mintflow.errors import InputError


@pytest.fixture(scope="module")
def schema(root: Path) -> dict:
    return read_schema(root / "workflow/schemas/config.schema.yaml")


def test_every_leaf_has_description_and_default(schema: dict) -> None:
    def walk(node: dict, path: str) -> list[str]:
        bad = []
        for key, sub in node.get("properties", {}).items():
            here = f"{path}.{key}"
            if "default" not in sub and here != ".run":
                bad.append(f"{here}: default")
            if "description" not in sub:
                bad.append(f"{here}: description")
            if sub.get("properties") and sub.get("additionalProperties") is not False:
                bad.append(f"{here}: additionalProperties")
            bad += walk(sub, here)
        return bad

    assert walk(schema, "") == []


def test_config_yaml_is_the_schema_written_out(root: Path, schema: dict) -> None:
    import write_default_config

    written = (root / "config/config.yaml").read_text(encoding="utf-8")
    assert written == write_default_config.HEADER + "\n".join(write_default_config.render(schema)) + "\n"
    assert complete(yaml.safe_load(written), schema) == complete({"run": "default"}, schema)


@pytest.mark.parametrize("name", ["config", "phenopackets", "paper", "smoke", "tissue_real"])
def test_shipped_configs_validate(root: Path, schema: dict, name: str) -> None:
    config = complete(yaml.safe_load((root / f"config/{name}.yaml").read_text()), schema)
    assert lookup(config, "rare.preferences.k") >= 1


SET = {"name": "a", "kind": "folders", "path": "tiles"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"rare": {"studnet": {}}}, ["rare.studnet: unknown key", "Did you mean student?", "teacher"]),
        ({"rare": {"split": {"folds": 1}}}, ["rare.split.folds", "minimum of 2"]),
        ({"rare": {"split": {"folds": "five"}}}, ["rare.split.folds", "expected integer"]),
        ({"rare": {"cohort": {"source": "omop"}}}, ["rare.cohort.source", '"hpoa", "phenopackets"']),
        ({"rare": {"cohort": {"source": "phenopackets"}}}, ["rare.cohort.path"]),
        ({"rare": {"preferences": {"k": 30, "q": 30}}}, ["rare.preferences.k", "rare.cohort.max_diseases"]),
        ({"rare": {"teacher": {"modalities": ["image"]}}}, ["rare.cohort.image_embeddings"]),
        (
            {"rare": {"student": {"listwise": {"score": "mean"}}}},
            ["rare.student.listwise.score: means per token are no probabilities"],
        ),
        (
            {"tissue": {"student": {"listwise": {"normalize": True, "top": 1}}}},
            ["tissue.student.listwise.normalize: one candidate"],
        ),
        (
            {"rare": {"evaluation": {"ranking_depth": 10, "ranking_score": "mean"}}},
            ["rare.evaluation.ranking_depth: the likeliest by mean cannot be found"],
        ),
        ({"rare": {"student": {"base": {"kind": "hub", "id": "a/b"}}}}, ["rare.student.base.revision"]),
        ({"rare": {"student": {"training": {"save_steps": 70}}}}, ["multiple of eval_steps"]),
        ({"rare": {"retrieval": {"encoder": {"kind": "local"}}}}, ["rare.retrieval.encoder.id: kind local"]),
        (
            {"rare": {"retrieval": {"encoder": {"kind": "hub", "id": "a/b"}}}},
            ["rare.retrieval.encoder.revision: kind hub needs"],
        ),
        ({"rare": {"retrieval": {"context": "Context:"}}}, ["rare.retrieval.context", "does not match"]),
        ({"run": "../x"}, ["run", "does not match"]),
        ({"rare": {"prompt": {"user": "Which disease?"}}}, ["rare.prompt.user: lacks {phenotypes}"]),
        (
            {"rare": {"prompt": {"user": "{phenotypes} {foo}"}}},
            ["rare.prompt.user: unknown placeholder {foo}"],
        ),
        ({"tissue": {"prompt": {"user": "{"}}}, ["tissue.prompt.user: ", "allowed: {labels}, {k}"]),
        # one's own data, passed over in silence
        (
            {"rare": {"cohort": {"path": "mine/"}}},
            ["rare.cohort.path: is read with source phenopackets alone", "rare.cohort.source is hpoa"],
        ),
        ({"rare": {"teacher": {"scores": "a.tsv"}}}, ["rare.teacher.scores: is read with kind scores alone"]),
        ({"rare": {"student": {"base": {"id": "a/b"}}}}, ["rare.student.base.id: is read with kind hub or"]),
        ({"rare": {"cohort": {"image_embeddings": "a"}}}, ["image_embeddings: is read if image is among"]),
        (
            {"tissue": {"slides": {"sheet": "a.tsv"}}},
            ["tissue.slides.sheet: is read with source sheet alone"],
        ),
        # YAML 1.1 takes 1e-3 for text
        (
            {"rare": {"student": {"training": {"learning_rates": ["1e-3"]}}}},
            ["learning_rates.0", "expected number (write 0.001, without quotes)"],
        ),
        ({"rare": {"split": {"folds": "4"}}}, ["expected integer (write 4, without quotes)"]),
        ({"rare": {"arms": []}}, ['rare.arms: "orpo" must be among them']),
        ({"rare": {"student": {"lora": {"target_modules": []}}}}, ["target_modules: [] is not allowed: "]),
        ({"rare": {"student": {"training": {"max_steps": 0}}}}, ["max_steps: 0 is not allowed: -1 was"]),
        ({"rare": {"variants": ["orpo-q5"]}}, ["rare.variants", "wrong type"]),
        ({"rare": {"variants": {"a": {"arm": "orpo", "student": {"base": "b"}}}}}, ["rare.variants.a"]),
        # another model's name over the same weights
        (
            {
                "rare": {
                    "variants": {"orpo-b": {"arm": "orpo", "student": {"base": {"id": "a/b", "name": "b"}}}}
                }
            },
            ["rare.variants.orpo-b.student.base.id: is read with kind hub or local alone"],
        ),
        # hours of training for a copy
        (
            {"rare": {"variants": {"orpo-t": {"arm": "orpo", "student": {"threads": 7}}}}},
            ["rare.variants.orpo-t: changes nothing"],
        ),
        (
            {
                "rare": {
                    "student": {"training": {"learning_rates": [0.1, 0.2]}},
                    "variants": {"orpo-r": {"arm": "orpo", "student": {"training": {"learning_rate": 0.3}}}},
                }
            },
            ["rare.variants.orpo-r: changes nothing"],
        ),
        (
            {"rare": {"variants": {"orpo-q3": {"arm": "orpo", "preferences": {"q": 3}}}}},
            ["rare.variants.orpo-q3: changes nothing of what orpo learns from"],
        ),
        (
            {"rare": {"variants": {"orpo-d": {"arm": "orpo", "student": {"dpo": {"beta": 0.3}}}}}},
            ["rare.variants.orpo-d: changes nothing"],
        ),
        (
            {"rare": {"variants": {"base-x": {"arm": "base", "student": {"training": {"epochs": 3}}}}}},
            ["rare.variants.base-x: changes nothing of what base learns from or answers with"],
        ),
        ({"run": datetime.date(2026, 1, 1)}, ['run: "2026-01-01" has the wrong type']),
        ({"rare": {1: 2, None: 3}}, ["rare.1: unknown key", "rare.None: unknown key"]),
        ({"rare": {"cohort": {"max_file_mb": float("inf")}}}, ["rare.cohort.max_file_mb: inf is not"]),
        ({"rare": {"teacher": {"learning_rate": float("nan")}}}, ["rare.teacher.learning_rate: nan is not"]),
        ({"seed": 10**30}, ["seed", "not within 2147483647"]),
        ({"tracks": ["rare", "tisue"]}, ["tracks", '"rare", "tissue"']),
        ({"tissue": {"slides": {"source": "sheet"}}}, ["tissue.slides.sheet: source sheet needs a file"]),
        ({"tissue": {"slides": {"source": "none"}}}, ["tissue.tile_sets: without slides"]),
        ({"tissue": {"tiling": {"overlap": 96}}}, ["tissue.tiling.overlap: must be below tile_size (96)"]),
        ({"tissue": {"tiling": {"mpp_min": 9}}}, ["tissue.tiling.mpp_min: must be below mpp_max"]),
        ({"tissue": {"tile_sets": [{"name": "a", "kind": "folders"}]}}, ["a needs either path or hub"]),
        ({"tissue": {"tile_sets": [SET, SET]}}, ["tissue.tile_sets: a is named twice"]),
        ({"tissue": {"tile_sets": [{**SET, "labls": {}}]}}, ["labls: unknown key", "Did you mean labels?"]),
        ({"tissue": {"tile_sets": [{"name": "a", "kind": "parquet", "hub": "x/y"}]}}, ["needs a revision"]),
        ({"tissue": {"preferences": {"k": 6}}}, ["slides.synthetic.tissues = 8", "would overlap"]),
        ({"tissue": {"cohort": {"labels": ["a", "b"]}}}, ["tissue.cohort.labels = 2"]),
        ({"tissue": {"teacher": {"kind": "pretrained"}}}, ["tissue.teacher.id"]),
        # every label would have the same embedding
        ({"tissue": {"teacher": {"prompts": ["tissue"]}}}, ["tissue.teacher.prompts.0", "does not match"]),
        ({"tissue": {"student": {"vision": {"patch_size": 7}}}}, ["image_size: must be a multiple"]),
        (
            {"tissue": {"student": {"base": {"kind": "random"}}}},
            ["tissue.student.base.name: rare.student.base has the name", "is another model"],
        ),
    ],
)
def test_wrong_keys_are_named(schema: dict, change: dict, expected: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        complete({"run": "default"} | change, schema)
    for part in expected:
        assert part in str(caught.value)


def test_a_later_file_takes_a_variant_out(schema: dict) -> None:
    kept = {"arm": "orpo", "preferences": {"q": 5}}
    config = {"run": "a", "rare": {"variants": {"orpo-q5": kept, "orpo-gone": None}}}
    assert set(complete(config, schema)["rare"]["variants"]) == {"orpo-q5"}
    assert "orpo-gone" in config["rare"]["variants"]


def test_complete_changes_nothing_of_its_argument(schema: dict) -> None:
    given = {"run": "x", "rare": {"split": {"folds": 3}}}
    before = copy.deepcopy(given)
    filled = complete(given, schema)
    assert given == before
    assert filled["rare"]["split"]["folds"] == 3
    assert filled["rare"]["split"]["seed"] == 3


def test_canonical_ignores_key_order() -> None:
    assert canonical({"b": 1, "a": {"d": 2, "c": 3}}) == canonical({"a": {"c": 3, "d": 2}, "b": 1})


@pytest.mark.parametrize("name", ["nowhere", "x" * 300, "a\0b"])
def test_files_that_cannot_be_there_are_named(schema: dict, name: str) -> None:
    cohort = {"source": "phenopackets", "path": name}
    with pytest.raises(InputError, match=r"rare\.cohort\.path.*does not exist"):
        require_files(complete({"run": "x", "rare": {"cohort": cohort}}, schema))


def test_names_that_snakemake_takes_for_wildcards_are_refused(schema: dict, tmp_path: Path) -> None:
    (tmp_path / "{run}").mkdir()
    cohort = {"source": "phenopackets", "path": str(tmp_path / "{run}")}
    with pytest.raises(InputError, match=r"rare\.cohort\.path.*brace"):
        require_files(complete({"run": "x", "rare": {"cohort": cohort}}, schema))


def test_a_track_that_is_not_run_needs_nothing(schema: dict) -> None:
    wrong = {"run": "x", "rare": {"cohort": {"source": "phenopackets"}}}
    assert complete({**wrong, "tracks": ["tissue"]}, schema)["tracks"] == ["tissue"]
    with pytest.raises(InputError, match=r"rare\.cohort\.path"):
        complete({**wrong, "tracks": ["rare"]}, schema)


def test_keys_of_a_list_entry_get_their_defaults(schema: dict) -> None:
    filled = complete({"run": "x", "tissue": {"tile_sets": [SET]}}, schema)
    assert filled["tissue"]["tile_sets"][0] == {
        **SET,
        **dict.fromkeys(("hub", "revision", "labels", "patients")),
        "split": "auto",
        "image_column": "image",
        "label_column": "label",
    }


def test_missing_tile_sets_and_sheets_are_named(schema: dict) -> None:
    tissue = {"slides": {"source": "sheet", "sheet": "no.tsv"}, "tile_sets": [{**SET, "path": "nowhere"}]}
    with pytest.raises(InputError) as caught:
        require_files(complete({"run": "x", "tissue": tissue}, schema))
    for part in ("tissue.slides.sheet: no.tsv", "tissue.tile_sets.a.path: nowhere"):
        assert part in str(caught.value)


def test_shared_sections_can_have_defaults_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "schema.yaml").write_text(
        """
$defs:
  training:
    type: object
    description: shared
    default: {}
    properties: {epochs: {type: integer, default: 2}, rate: {type: number, default: 0.1}}
properties:
  first: {$ref: "#/$defs/training"}
  second: {$ref: "#/$defs/training", description: own, default: {epochs: 5}}
"""
    )
    schema = read_schema(tmp_path / "schema.yaml")
    assert "$defs" not in schema
    assert schema["properties"]["second"]["description"] == "own"
    filled = complete({"tracks": [], "second": {"rate": 0.2}}, schema)
    assert filled["first"] == {"epochs": 2, "rate": 0.1}
    assert filled["second"] == {"epochs": 5, "rate": 0.2}
