"""What templates of the configuration may leave to be filled in.

Imported while Snakemake parses the workflow, so it must stay light.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

from .errors import InputError

PATIENT = ("patient", "phenotypes", "excluded", "k")  # rare.prompt.user
TILE = ("labels", "k")  # tissue.prompt.user


def check_patient_prompt(user: str) -> None:
    """Check ``rare.prompt.user``.

    Raises:
        InputError: an unknown placeholder, a stray brace, or no ``{phenotypes}``.
    """
    if "phenotypes" not in check_placeholders(user, PATIENT, "rare.prompt.user"):
        problem = "lacks {phenotypes}: the student would read nothing about the patient"
        raise InputError(problem, field="rare.prompt.user")


def check_tile_prompt(user: str) -> None:
    """Check ``tissue.prompt.user``.

    Raises:
        InputError: an unknown placeholder, a stray brace, or nothing at all.
    """
    check_placeholders(user, TILE, "tissue.prompt.user")
    if not user.strip():
        raise InputError("is empty: the student would be asked nothing", field="tissue.prompt.user")


def check_placeholders(text: str, allowed: Sequence[str], field: str) -> set[str]:
    """The placeholders that a template of the configuration uses.

    Args:
        text: to be filled in by ``str.format``.
        allowed: names that it may use, without format or conversion.
        field: its key, for errors.

    Raises:
        InputError: an unknown placeholder, or a stray brace.
    """
    known = ", ".join(f"{{{name}}}" for name in allowed)
    try:
        parts = [part[1:] for part in string.Formatter().parse(text) if part[1] is not None]
    except ValueError as error:
        raise InputError(f"{error}; allowed: {known}, a literal brace is doubled", field=field) from error
    for name, specification, conversion in parts:
        if name not in allowed or specification or conversion:
            raise InputError(f"unknown placeholder {{{name}}}; allowed: {known}", field=field)
    return {name for name, *_ in parts}
