"""Addresses of downloads: which are taken, and how they are shown.

Imported while Snakemake parses the workflow, so it needs the standard library alone.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus, urlsplit

SCHEMES = ("https", "http", "file")
# within a name, and as a word of it
_SECRET = re.compile(
    r"token|secret|passw|credential|signature|apikey|accesskey"
    r"|(?<![a-z])(?:sig|key|pass|pwd|auth|authorization|jwt|code|access|session)(?![a-z])",
    re.IGNORECASE,
)


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
    for part in re.split("[&;]", f"{parts.query}&{parts.fragment}"):
        name = unquote_plus(part.partition("=")[0])
        if _SECRET.search(name):
            return f"the parameter {name} {advice}"
    return None
