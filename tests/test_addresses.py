from __future__ import annotations

import pytest

from mintflow.addresses import refused, shown

HOST = "https://example.org/store.zip"


@pytest.mark.parametrize(
    "address",
    [
        "https://me:pw@example.org/store.zip",
        "https://token@example.org/store.zip",
        "ftp://example.org/store.zip",
        "http://[broken",
        *(f"{HOST}?{query}" for query in ("sig=a", "a=1;token=b", "X-Amz-Signature=c", "apiKey=d", "pwd=e")),
        *(f"{HOST}?{query}" for query in ("access_token=f", "code=g", "jwt=h", "AWSAccessKeyId=i")),
        f"{HOST}#token=abc",
    ],
)
def test_what_would_give_a_secret_away(address: str) -> None:
    problem = refused(address)
    assert problem and "=" not in problem.partition(";")[2]


@pytest.mark.parametrize("query", ["", "?download=1", "?author=smith", "?design=2", "?monkey=3", "?v=4#top"])
def test_what_is_no_secret(query: str) -> None:
    assert refused(HOST + query) is None


def test_shown_without_user_and_query() -> None:
    assert shown("https://me:pw@example.org/a/b.zip?sig=x#y") == "https://example.org/a/b.zip"
