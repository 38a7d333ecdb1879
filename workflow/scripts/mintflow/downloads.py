"""Files from a URL: checked against their checksum, kept, and never half there."""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from .addresses import refused, shown
from .errors import InputError
from .io import sha256_file, whole_file

_BLOCK = 1 << 20
_TIMEOUT = 60.0


def fetch(url: str, sha256: str, folder: str | Path, *, max_mb: float) -> Path:
    """The file at ``url`` with this checksum, from ``folder`` if it was fetched before.

    Args:
        url: https, http or file address.
        sha256: checksum in hex.
        folder: where downloads are kept, under their checksum.
        max_mb: most megabytes (10^6 bytes) to download.

    Raises:
        InputError: not to be had, too large, or another checksum; names the configuration key.
    """
    if problem := refused(url):
        raise InputError(problem, field="rare.cohort.url")
    target = Path(folder) / f"{sha256}{Path(urlsplit(url).path).suffix or '.zip'}"
    if target.is_file() and sha256_file(target) == sha256:
        return target
    digest = hashlib.sha256()
    size = 0
    try:
        with whole_file(target) as temporary:
            with urllib.request.urlopen(url, timeout=_TIMEOUT) as source, open(temporary, "wb") as output:
                while block := source.read(_BLOCK):
                    size += len(block)
                    if size > max_mb * 1_000_000:
                        raise InputError(
                            "larger than allowed", file=shown(url), field="rare.cohort.max_total_mb"
                        )
                    digest.update(block)
                    output.write(block)
            if digest.hexdigest() != sha256:
                problem = f"has checksum {digest.hexdigest()}, not the expected {sha256}"
                raise InputError(problem, file=shown(url), field="rare.cohort.sha256")
    except (http.client.HTTPException, OSError, ValueError) as error:  # an address that is none, too
        # HTTPException repeats the address, so its kind alone is told
        told = error if isinstance(error, OSError) else type(error).__name__
        problem = f"cannot be downloaded: {told}"
        raise InputError(problem, file=shown(url), field="rare.cohort.url") from error
    return target
