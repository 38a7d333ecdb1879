"""What must not stand in a log or report: absolute paths, names that may be a patient's."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_FILE_URL = re.compile(r"file://+", re.IGNORECASE)
_QUOTED = re.compile(r"(['\"])(?:~[\w.-]*|[A-Za-z]:)?[\\/](?:[^'\"\n]*[\\/])?([^'\"\n]*)\1")
_PATH = re.compile(r"(?<![\w./…~])(?:~[\w.-]*)?(?:(?<!:)/)?/(?:[^\s/'\"<>:,;]+/)+([^\s/'\"<>:,;]*)")
_WINDOWS_PATH = re.compile(r"(?<!\w)(?:[A-Za-z]:|\\)\\(?:[^\\\s'\"<>:,;]+\\)*([^\\\s'\"<>:,;]*)")
_OPAQUE = re.compile(r"case-[0-9a-f]{12}|line \d+|all patients")


def without_paths(text: str, known: Iterable[str] = ()) -> str:
    """``text`` with every absolute path cut to its last part: ``/home/ann/x.zip`` is ``…/x.zip``.

    A path with blanks is told from words only in quotes, or if it or its beginning is among ``known``.
    """
    text = _FILE_URL.sub("/", text)
    for path in sorted({path.rstrip("/") for path in known}, key=len, reverse=True):
        if path.count("/") > 1:
            text = text.replace(path, f"…/{path.rpartition('/')[2]}")
    text = _QUOTED.sub(r"\1…/\2\1", text)
    return _WINDOWS_PATH.sub(r"…/\1", _PATH.sub(r"…/\1", text))


def opaque(name: str) -> str:
    """A stable stand-in for a file or record whose name may identify a patient."""
    if not name or _OPAQUE.fullmatch(name):
        return name
    return "name-" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
