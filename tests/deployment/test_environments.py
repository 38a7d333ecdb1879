"""Every rule in an environment of its own that holds what its YAML lists and nothing else.

Conda is played by ``double/conda.py``. Building the environments takes minutes: ``make test-envs``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mintflow.code import sources
from workflow_tools import ENVIRONMENT, ROOT, place

DOUBLE = Path(__file__).resolve().parent / "double"
SCRIPTS = ROOT / "workflow/scripts"
SMOKE = ("--configfile", "config/smoke.yaml")

pytestmark = pytest.mark.skipif(
    not os.environ.get("MINTFLOW_ENVS"), reason="builds every environment: make test-envs"
)


def programs() -> dict[str, set[str]]:
    """Environment file to the programs that run in it."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"^(?=rule )", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
            env = re.search(r'conda:\s+"\.\./envs/(\w+)\.yaml"', block)
            script = re.search(r'code=code\("(\w+)"\)', block)
            if env and script:
                found.setdefault(env[1], set()).add(script[1])
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path], str]:
    """The smoke run with ``--sdm conda``: its folder, its environments by name, its output."""
    folder = place(tmp_path_factory.mktemp("envs"))
    environments = folder / "conda"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"),
            *("--sdm", "conda", "--conda-prefix", str(environments), *SMOKE),
        ],
        cwd=folder,
        # without the packages of the environment that runs Snakemake
        env=ENVIRONMENT | conda_environment() | {"PYTHONNOUSERSITE": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=3000,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    built = {}
    for path in environments.glob("*.yaml"):
        same = [env.stem for env in (ROOT / "envs").glob("*.yaml") if env.read_text() == path.read_text()]
        built |= dict.fromkeys(same, path.with_suffix(""))
    return folder, built, done.stdout


def conda_environment() -> dict[str, str]:
    return {
        "PATH": f"{DOUBLE / 'bin'}{os.pathsep}{ENVIRONMENT['PATH']}",
        "MINTFLOW_DOUBLE_PYTHON": sys.executable,
    }


def test_the_smoke_run_ends_in_isolated_environments(
    finished: tuple[Path, dict[str, Path], str],
) -> None:
    folder, built, output = finished
    assert (folder / "results/smoke/report.html").stat().st_size > 10_000
    assert "Conda environments: ignored" not in output
    assert len(built) >= 10
    for name, prefix in built.items():
        assert (prefix / "bin/python").exists(), name


@pytest.fixture(scope="module")
def everyone(
    finished: tuple[Path, dict[str, Path], str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """All environments, those too that the smoke run does not need."""
    _, built, _ = finished
    for name in sorted(programs().keys() - built.keys()):
        prefix = tmp_path_factory.mktemp("more") / name
        command = [
            "conda",
            "env",
            "create",
            "--quiet",
            "--file",
            ROOT / f"envs/{name}.yaml",
            "--prefix",
            prefix,
        ]
        subprocess.run(command, env=ENVIRONMENT | conda_environment(), check=True)
        built[name] = prefix
    return built


def test_no_environment_is_left_without_a_rule() -> None:
    assert {path.stem for path in (ROOT / "envs").glob("*.yaml")} == programs().keys()


@pytest.mark.parametrize("name", sorted(programs()))
def test_every_program_and_its_modules_load(name: str, everyone: dict[str, Path], tmp_path: Path) -> None:
    """Isolated (-I): neither the working directory nor PYTHONPATH nor the user's packages help."""
    python = everyone[name] / "bin/python"
    for script in sorted(programs()[name]):
        files = [Path(path) for path in sources(SCRIPTS / f"{script}.py", SCRIPTS / "mintflow")]
        modules = [path.stem for path in files if path.parent.name == "mintflow" and path.stem != "__init__"]
        check = (
            f"import importlib, json, sys; sys.path.insert(0, {str(SCRIPTS)!r})\n"
            f"importlib.import_module({script!r}).arguments().format_help()\n"
            f"lost = {{}}\n"
            f"for name in {modules!r}:\n"
            f"    try: importlib.import_module('mintflow.' + name)\n"
            f"    except ModuleNotFoundError as error: lost[name] = str(error)\n"
            f"print(json.dumps(lost))"
        )
        done = subprocess.run([python, "-I", "-c", check], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, f"{script} in {name}:\n{done.stderr}"
        lost = json.loads(done.stdout.splitlines()[-1])
        assert not lost, f"{script} in {name}: {lost}"


def test_an_unlisted_package_is_not_there(finished: tuple[Path, dict[str, Path], str]) -> None:
    """What the environment of Snakemake has does not leak into a rule's."""
    python = finished[1]["tables"] / "bin/python"
    for package in ("torch", "snakemake", "matplotlib", "pip"):
        done = subprocess.run([python, "-c", f"import {package}"], capture_output=True, text=True)
        assert "ModuleNotFoundError" in done.stderr, package


def test_the_recipe_of_a_container_holds_every_environment(tmp_path: Path) -> None:
    """What ``--containerize`` writes; a configuration that names the image has the same recipe."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    (place(tmp_path) / "mine.sif").touch()

    def written(*more: str) -> str:
        return subprocess.run(
            [*command, "--containerize", "apptainer", *SMOKE, *more],
            cwd=tmp_path,
            env=ENVIRONMENT | conda_environment(),
            text=True,
            capture_output=True,
            check=True,
        ).stdout

    recipe = written()
    assert written("--config", "container=mine.sif") == recipe
    for path in (ROOT / "envs").glob("*.yaml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert line.strip() in recipe, f"{path.name}: {line}"
    assert recipe.count("conda env create") >= len(list((ROOT / "envs").glob("*.yaml")))


def test_the_double_refuses_what_is_no_pinned_package(tmp_path: Path) -> None:
    (tmp_path / "loose.yaml").write_text("dependencies:\n  - python=3.11\n  - numpy\n")
    command = ["conda", "env", "create", "--file", tmp_path / "loose.yaml", "--prefix", tmp_path / "env"]
    done = subprocess.run(command, env=ENVIRONMENT | conda_environment(), capture_output=True, text=True)
    assert done.returncode != 0 and "numpy" in done.stderr
