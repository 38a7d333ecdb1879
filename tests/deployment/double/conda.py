"""A stand-in for conda, for tests without a conda channel.

Answers what Snakemake 9 asks of conda, and builds every environment as a virtual one with exactly the
packages that its YAML lists (and what these require), from PyPI, at the versions of requirements.txt. So a
package that a YAML does not list is not there, unless a listed one requires it. It proves that the lists are
complete and that the versions go together; not that a conda channel has them under these names.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

# conda-forge's names where PyPI has others
NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
# what a conda package holds beside the Python module that PyPI has alone
ALSO = {"openslide-python": ["openslide-bin"]}
LOCK = Path(__file__).resolve().parents[3] / "requirements.txt"
LINE = re.compile(r"^  - ([\w.-]+)=([\w.]+)$")


def listed(path: Path) -> dict[str, str]:
    """Packages of an environment file, by conda's name, with their versions.

    Raises:
        SystemExit: a line of the dependencies is not ``name=version``.
    """
    lines = path.read_text(encoding="utf-8").partition("dependencies:\n")[2].splitlines()
    found = {}
    for line in filter(str.strip, lines):
        match = LINE.match(line)
        if match is None:
            sys.exit(f"{path}: not name=version: {line.strip()}")
        found[match[1]] = match[2]
    return found


def create(path: Path, prefix: Path) -> None:
    """Build the environment of ``path`` in ``prefix``."""
    packages = listed(path)
    if (wanted := packages.pop("python")) != (version := ".".join(map(str, sys.version_info[:2]))):
        print(f"{path.name} asks for Python {wanted}, this is {version}", file=sys.stderr)
    venv.create(prefix, with_pip=True, symlinks=True)
    lock = dict(line.split("==") for line in LOCK.read_text().splitlines() if "==" in line and line[0] != "#")
    wheels = [f"{NAMES.get(name, name)}=={number}" for name, number in packages.items()]
    for name in set(ALSO) & set(packages):
        wheels += [f"{also}=={lock[also]}" for also in ALSO[name]]
    constraints = prefix / "constraints.txt"
    constraints.write_text("".join(f"{name}=={number}\n" for name, number in lock.items()))
    pip = [str(prefix / "bin" / "python"), "-m", "pip", "install", "--quiet", "--prefer-binary"]
    subprocess.run([*pip, "--constraint", str(constraints), *wheels], check=True)
    # they were needed to get here, and are packages like any other
    tools = [name for name in ("setuptools", "pip") if name not in packages]
    if tools:
        subprocess.run([*pip[:3], "uninstall", "--quiet", "--yes", *tools], check=True)
    (prefix / "conda-meta").mkdir()


def main(root: str, *arguments: str) -> None:
    """One of the calls that Snakemake makes."""
    if "--version" in arguments:
        print("conda 25.1.0")
    elif arguments[0] == "info":
        print(json.dumps({"conda_prefix": root, "platform": "linux-64"}))
    elif arguments[0] == "config":
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif arguments[0] in ("env", "create"):
        options = dict(itertools.pairwise(arguments))
        create(Path(options["--file"]), Path(options["--prefix"]))
    elif arguments[0] != "clean":
        sys.exit(f"the stand-in for conda does not know: {' '.join(arguments)}")


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)
    main(*sys.argv[1:])
