"""A rule's code inputs are the script and all library modules it needs."""

from __future__ import annotations

from pathlib import Path

from mintflow.code import sources


def test_imports_are_followed_wherever_they_stand(tmp_path: Path) -> None:
    library = tmp_path / "mintflow"
    library.mkdir()
    (library / "__init__.py").write_text("")
    (library / "a.py").write_text("from .b import thing\n")
    (library / "b.py").write_text("def thing():\n    from . import c\n")
    (library / "c.py").write_text("import json\n")
    (library / "unused.py").write_text("")
    script = tmp_path / "do_it.py"
    script.write_text("from mintflow import a\n")
    names = [Path(path).name for path in sources(script, library)]
    assert names == ["do_it.py", "__init__.py", "a.py", "b.py", "c.py"]


def test_every_library_module_is_used_by_a_rule(root: Path) -> None:
    scripts = root / "workflow" / "scripts"
    library = scripts / "mintflow"
    used = {name for script in scripts.glob("*.py") for name in sources(script, library)}
    parse_time = {*sources(library / "config.py", library), str(library / "code.py")}
    assert {str(path) for path in library.glob("*.py")} - used - parse_time == set()


def test_architecture_names_every_module(root: Path) -> None:
    text = (root / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.split("```")[1].replace("\n", " ")
    named = set(table.replace(",", " ").split())
    modules = {path.stem for path in (root / "workflow/scripts/mintflow").glob("*.py")} - {"__init__"}
    assert modules - named == set()
