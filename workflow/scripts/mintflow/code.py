"""Which files a script is made of, so that editing a library module re-runs what uses it.

Imported while Snakemake parses the workflow, so it reads the source and imports nothing.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

_RULE = re.compile(r"^ *(?:rule|use rule \w+ as) (\w+)(?: with)?:", re.MULTILINE)


def rules_in(text: str) -> list[str]:
    """Names of the rules that a rule file defines, those too that stand under a condition."""
    return _RULE.findall(text)


@cache
def _modules(path: Path, library: Path) -> tuple[Path, ...]:
    """Library modules that ``path`` names in its import statements, wherever they stand."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=path.name)):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            inside = node.level == 1 and path.parent == library
            if node.module == library.name or (inside and not node.module):
                names = [alias.name for alias in node.names]
            elif inside and node.module:
                names = [node.module.split(".")[0]]
            elif node.module and node.module.startswith(f"{library.name}."):
                names = [node.module.split(".")[1]]
        elif isinstance(node, ast.Import):
            names = [a.name.split(".")[1] for a in node.names if a.name.startswith(f"{library.name}.")]
        found.update(library / f"{name}.py" for name in names if (library / f"{name}.py").exists())
    return tuple(sorted(found))


def sources(script: str | Path, library: str | Path) -> list[str]:
    """``script`` first, then every library module it needs, directly or through another.

    Args:
        script: a program under workflow/scripts.
        library: the package folder beside it.
    """
    script, library = Path(script), Path(library)
    seen: set[Path] = set()
    queue = [script]
    while queue:
        current = queue.pop()
        for module in _modules(current, library):
            if module not in seen:
                seen.add(module)
                queue.append(module)
    return [str(script), str(library / "__init__.py"), *map(str, sorted(seen))]
