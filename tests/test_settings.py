"""A program takes exactly the keys it reads."""

from __future__ import annotations

import pytest

from mintflow.errors import InputError
from mintflow.settings import exact


def test_exact_keys_pass() -> None:
    assert exact({"a": 1, "b": None}, ("b", "a"), "rare.split") == {"a": 1, "b": None}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"a": 1}, "missing b"),
        ({"a": 1, "b": 2, "c": 3}, "unknown c"),
        ({"c": 3}, "missing a, b; unknown c"),
        ([1], "expected a mapping"),
    ],
)
def test_other_keys_are_named_with_their_section(settings: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        exact(settings, ("a", "b"), "rare.split")
    assert "rare.split" in str(caught.value)
