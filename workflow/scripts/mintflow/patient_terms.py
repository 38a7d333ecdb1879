"""HPO terms as a person writes them, ids or labels, turned into ids of the compiled release."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from .errors import InputError

_ID = re.compile(r"^HP[:_](\d{7})(?!\d)", re.IGNORECASE)
_ID_BEHIND = re.compile(r"\(HP[:_](\d{7})\)$", re.IGNORECASE)
_ANY_ID = re.compile(r"HP[:_]\d", re.IGNORECASE)
_LIKE_ID = re.compile(r"^HP[:_]", re.IGNORECASE)
_OBSOLETE = re.compile(r"^obsolete\s+", re.IGNORECASE)


@dataclass(frozen=True)
class GivenTerm:
    """One term as written.

    Attributes:
        text: as written.
        hpo_id: the id that it names, which may be an alternative or obsolete one; None if it names none.
        reason: why it names none.
    """

    text: str
    hpo_id: str | None
    reason: str = ""


class TermNames:
    """Labels and synonyms of the release; a label wins over a synonym, current over obsolete.

    Args:
        table: ``terms.parquet``: hpo_id, name, synonyms, is_obsolete.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        obsolete = table["is_obsolete"].astype(bool)
        current, old = table[~obsolete], table[obsolete]
        self._labels = {
            _key(name): term for term, name in zip(current["hpo_id"], current["name"], strict=True)
        }
        self._synonyms: dict[str, set[str]] = {}
        for term, names in zip(current["hpo_id"], current["synonyms"], strict=True):
            for name in names:
                self._synonyms.setdefault(_key(name), set()).add(term)
        self._old = {
            _key(_OBSOLETE.sub("", name)): term for term, name in zip(old["hpo_id"], old["name"], strict=True)
        }

    def find(self, text: str) -> GivenTerm:
        """The term that ``text`` names: an id (a label before or behind it is passed over), label or synonym.

        Spelling must be exact but for case and white space: a near miss may be another finding.
        """
        text = " ".join(text.split())
        if len(_ANY_ID.findall(text)) > 1:
            return GivenTerm(text, None, "several ids; separate them by commas")
        if match := _ID.match(text) or _ID_BEHIND.search(text):
            return GivenTerm(text, f"HP:{match[1]}")
        if _LIKE_ID.match(text):
            return GivenTerm(text, None, "no HPO id: HP: and seven digits")
        key = _key(text)
        if key in self._labels:
            return GivenTerm(text, self._labels[key])
        terms = sorted(self._synonyms.get(key, ()))
        if len(terms) > 1:
            return GivenTerm(text, None, f"a synonym of several terms: {', '.join(terms)}")
        if terms or key in self._old:
            return GivenTerm(text, terms[0] if terms else self._old[key])
        return GivenTerm(text, None, f"no label or synonym of this HPO release{self._hint(key)}")

    def _hint(self, key: str) -> str:
        alike = [label for label in self._labels if label[:1] == key[:1]]
        close = get_close_matches(key, alike, n=1, cutoff=0.8)
        return f"; did you mean {close[0]} ({self._labels[close[0]]})?" if close else ""

    def split(self, text: str) -> list[GivenTerm]:
        """The terms of a comma- or semicolon-separated list; labels may hold commas themselves.

        Of the ways to join neighbouring pieces the longest that names a term is taken.
        """
        found: list[GivenTerm] = []
        for part in text.split(";"):
            pieces = [piece.strip() for piece in part.split(",")]
            pieces = [piece for piece in pieces if piece]
            start = 0
            while start < len(pieces):
                # no label of the release has more than a handful of commas
                for end in range(min(len(pieces), start + 6), start + 1, -1):
                    joined = self._known(", ".join(pieces[start:end]))
                    if joined is not None:
                        break
                else:
                    end, joined = start + 1, self.find(pieces[start])
                found.append(joined)
                start = end
        return found

    def _known(self, text: str) -> GivenTerm | None:
        """A label or synonym, not an id with words behind it."""
        key = _key(text)
        if _LIKE_ID.match(text) or not (key in self._labels or key in self._synonyms or key in self._old):
            return None
        return self.find(text)


def _key(text: str) -> str:
    return " ".join(text.casefold().split())


def read_lines(path: str | Path) -> list[str]:
    """Terms of a text file, one a line; empty lines and those that start with # are passed over.

    Raises:
        InputError: it cannot be read as text.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8 text"
        raise InputError(f"cannot be read: {reason}", field="--terms-file") from None
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def ids_of(terms: Iterable[GivenTerm]) -> dict[str, list[str]]:
    """Ids to the texts that name them, in order."""
    found: dict[str, list[str]] = {}
    for term in terms:
        if term.hpo_id is not None:
            found.setdefault(term.hpo_id, []).append(term.text)
    return found
