from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mintflow.downloads import fetch
from mintflow.errors import InputError


def test_fetched_once_and_kept(tmp_path: Path) -> None:
    source = tmp_path / "store.zip"
    source.write_bytes(b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    found = fetch(source.as_uri(), digest, tmp_path / "kept", max_mb=1)
    assert found.read_bytes() == b"content" and found.name == f"{digest}.zip"
    source.unlink()
    assert fetch(source.as_uri(), digest, tmp_path / "kept", max_mb=1) == found


@pytest.mark.parametrize(
    ("url", "digest", "max_mb", "field"),
    [
        ("{source}", "0" * 64, 1, "rare.cohort.sha256"),
        ("{source}", "{digest}", 1e-6, "rare.cohort.max_total_mb"),
        ("{source}.missing", "{digest}", 1, "rare.cohort.url"),
        ("ftp://example.org/a.zip", "{digest}", 1, "rare.cohort.url"),
    ],
)
def test_refused_and_nothing_left(tmp_path: Path, url: str, digest: str, max_mb: float, field: str) -> None:
    source = tmp_path / "store.zip"
    source.write_bytes(b"content")
    names = {"source": source.as_uri(), "digest": hashlib.sha256(b"content").hexdigest()}
    with pytest.raises(InputError) as problem:
        fetch(url.format(**names), digest.format(**names), tmp_path / "kept", max_mb=max_mb)
    assert problem.value.field == field
    assert not list((tmp_path / "kept").glob("*")) if (tmp_path / "kept").exists() else True
