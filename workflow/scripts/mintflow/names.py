"""Disease names: one key for spellings of the same name, grounding to ids, phenotypic series."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from .mondo import Mondo

# OMIM titles end in "; ABBREVIATION": one word with at least two capitals or digits
_ABBREVIATION = re.compile(r";\s*(?=\S*[A-Z0-9]\S*[A-Z0-9])[\w/.()-]{2,15}\s*$")
_APOSTROPHES = re.compile(r"['\u2019\u2018\u02bc`]")
_SEPARATORS = re.compile(r"[\W_]+")


@lru_cache(maxsize=1 << 16)
def normalize_name(text: str) -> str:
    """The key under which spellings of one disease name meet.

    A trailing "; ABBR" is cut, Greek letters are spelled out, accents and apostrophes go, letters are
    folded to lower case, and every run of other characters becomes one space. Word order, numbers
    and Roman numerals stay: "Usher syndrome, type 1B" and "Usher syndrome type IB" differ.
    """
    text = _ABBREVIATION.sub("", text.strip())
    text = "".join(_latin(letter) for letter in unicodedata.normalize("NFKD", text))
    text = _APOSTROPHES.sub("", text).casefold()
    return _SEPARATORS.sub(" ", text).strip()


def _latin(letter: str) -> str:
    if unicodedata.combining(letter):
        return ""
    if "\u0370" <= letter <= "\u03ff" and letter.isalpha():
        return unicodedata.name(letter).rsplit(" ", 1)[-1].lower()
    return letter


def build_vocabulary(names: pd.DataFrame, labels: pd.DataFrame, mondo: Mondo) -> pd.DataFrame:
    """Every name by which a disease may be answered.

    Args:
        names: disease_id, disease_name of the annotation table (only OMIM rows are used); several
            names of one disease are all kept.
        labels: disease_id, disease_name as the cohort's records call the diseases.
        mondo: gives each of these diseases the names of its equivalents, and ids that are not
            OMIM their OMIM id where there is one.

    Returns:
        key, disease_id, kind (``name``, ``label``, ``synonym``: the first that applies); sorted by
        key, then disease. A key may belong to several diseases.
    """
    named = names[names["disease_id"].str.startswith("OMIM:")]
    rows = [(name, mondo.canonical(disease), "name") for disease, name in _pairs(named)]
    rows += [(name, mondo.canonical(disease), "label") for disease, name in _pairs(labels)]
    diseases = sorted({disease for _, disease, _ in rows})
    rows += [(name, disease, "synonym") for disease in diseases for name in mondo.names(disease)]
    table = pd.DataFrame(rows, columns=["key", "disease_id", "kind"])
    table["key"] = table["key"].map(normalize_name)
    table = table[table["key"] != ""]
    # "name" < "label" < "synonym" is the order of the rows, and drop_duplicates keeps the first
    table = table.drop_duplicates(["key", "disease_id"])
    return table.sort_values(["key", "disease_id"], ignore_index=True)


def _pairs(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    distinct = table[["disease_id", "disease_name"]].dropna().drop_duplicates()
    yield from distinct.itertuples(index=False, name=None)


class Grounder:
    """Maps an answered name to a disease id: exact name or synonym after ``normalize_name``, or nothing.

    Where a key belongs to several diseases, candidates are preferred, then the smallest id.

    Attributes:
        ambiguous: how many calls of ``ground`` met a key of several diseases (of several candidates, if
            any of them is one).
    """

    def __init__(self, vocabulary: pd.DataFrame, candidates: Collection[str]) -> None:
        wanted = set(candidates)
        self.ambiguous = 0
        self._diseases: dict[str, list[str]] = {}
        for key, group in vocabulary.groupby("key", sort=True)["disease_id"]:
            diseases = sorted(set(group))
            self._diseases[key] = [disease for disease in diseases if disease in wanted] or diseases

    def ground(self, text: str) -> str | None:
        """The disease's id, or None for a name that the vocabulary does not hold."""
        diseases = self._diseases.get(normalize_name(text), [])
        self.ambiguous += len(diseases) > 1
        return diseases[0] if diseases else None


# what tells subtypes apart at the end of a name
_NUMERAL = r"\d+[a-z]?|[ivxlcdm]+[a-z]?|[a-z]"
_SUFFIX = re.compile(
    rf"(?:-\d+[a-z]?|[\s,]+(?:(?:type|subtype|group|form)(?:\s+\w{{1,5}})?|{_NUMERAL}))$", re.IGNORECASE
)


def base_name(name: str) -> str:
    """``name`` less its last numbers, letters, Roman numerals or "type ...": "X, type 1B" gives "X"."""
    text = _ABBREVIATION.sub("", name.strip())
    while (shorter := _SUFFIX.sub("", text).rstrip(" ,")) and shorter != text:
        text = shorter
    return text


def name_stems(name: str) -> list[str]:
    """Keys of ``name`` and of what is left when subtype endings are cut, longest first.

    Where ``base_name`` has nothing more to cut, the last comma clause goes. "Ehlers-Danlos syndrome,
    classic type, 1" gives the keys of itself, of "Ehlers-Danlos syndrome, classic" and of
    "Ehlers-Danlos syndrome".
    """
    stems = [_ABBREVIATION.sub("", name.strip())]
    while stems[-1]:
        shorter = base_name(stems[-1])
        stems.append(shorter if shorter != stems[-1] else shorter.rpartition(",")[0].rstrip())
    return list(dict.fromkeys(key for key in map(normalize_name, stems) if key))


def titled_series(names: Iterable[str], titles: Mapping[str, str]) -> str | None:
    """The series whose title is a stem of one of ``names``; ``titles`` maps normalised titles to ids."""
    stems = (stem for name in names for stem in name_stems(name))
    return next((titles[stem] for stem in stems if stem in titles), None)


def phenotypic_series(disease_id: str, name: str, mondo: Mondo) -> str | None:
    """A key that subtypes of one disease share, for lenient scoring. An approximation.

    The MONDO table holds the titles of OMIM's phenotypic series but not their members, so a member is
    known by its names only. In this order: a stem of any of the disease's names is a series' title
    (``OMIMPS:...``); diseases of the same base name mostly belong to one such series; else ``name:``
    and the base name, so that "X 1" and "X 2" still share a key. A disease without siblings has a key
    of its own; a member whose names are unlike its series' is missed. None if the name is empty.
    """
    found = titled_series([name, *mondo.names(disease_id)], mondo.series_titles)
    key = normalize_name(base_name(name))
    return found or mondo.series_bases.get(key) or (f"name:{key}" if key else None)
