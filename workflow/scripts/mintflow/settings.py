"""A slice of the configuration must hold exactly the keys that a program reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from .errors import InputError


def exact(settings: object, keys: Collection[str], section: str) -> dict[str, Any]:
    """``settings`` if it is a mapping with exactly ``keys``.

    Raises:
        InputError: keys are missing or unknown; names them and the configuration's ``section``.
    """
    if not isinstance(settings, Mapping):
        raise InputError("expected a mapping", file="configuration", field=section)
    missing = sorted(set(keys) - set(settings))
    unknown = sorted(set(settings) - set(keys))
    if missing or unknown:
        parts = [f"missing {', '.join(missing)}"] * bool(missing)
        parts += [f"unknown {', '.join(unknown)}"] * bool(unknown)
        raise InputError(f"{'; '.join(parts)} (--settings)", file="configuration", field=section)
    return dict(settings)
