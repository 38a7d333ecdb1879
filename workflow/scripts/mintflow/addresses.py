"""Addresses of downloads: which are taken, and how they are shown.

Imported while Snakemake parses the workflow, so it needs the standard library alone.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

SCHEMES = ("https", "http", "file")
_SECRET = re.compile(r"sig|token|key|secret|passw|credential|auth", re.IGNORECASE)


def shown(url: str) -> str:
    """An address without what may be secret: user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def refused(url: str) -> str | None:
    """Why an address cannot stand in a configuration, which is logged and shown; None if it can."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return f"is no address: {error}"
    if parts.scheme not in SCHEMES:
        return f"expected an address with {', '.join(SCHEMES)}"
    advice = "would stand in logs and reports; download the file yourself and give its path"
    if "@" in parts.netloc:
        return f"a user name or password {advice}"
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if _SECRET.search(name):
            return f"the parameter {name} {advice}"
    return None
