"""What must not stand in a log or report: absolute paths, names that may be a patient's."""

from __future__ import annotations

import hashlib
import re

_FILE_URL = re.compile(r"file://+", re.IGNORECASE)
_PATH = re.compile(r"(?<![\w.:/…~])(?:~[\w.-]*)?/(?:[^\s/'\"<>:,;]+/)+([^\s/'\"<>:,;]*)")
_WINDOWS_PATH = re.compile(r"(?<!\w)(?:[A-Za-z]:|\\)\\(?:[^\\\s'\"<>:,;]+\\)*([^\\\s'\"<>:,;]*)")
_OPAQUE = re.compile(r"case-[0-9a-f]{12}|line \d+")


def without_paths(text: str) -> str:
    """``text`` with every absolute path cut to its last part: ``/home/ann/x.zip`` is ``…/x.zip``."""
    text = _FILE_URL.sub("/", text)
    return _WINDOWS_PATH.sub(r"…/\1", _PATH.sub(r"…/\1", text))


def opaque(name: str) -> str:
    """A stable stand-in for a file or record whose name may identify a patient."""
    if not name or _OPAQUE.fullmatch(name):
        return name
    return "name-" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
