"""The answer format: a numbered list of names, one a line, written and read here only."""

from __future__ import annotations

import re
from collections.abc import Sequence

# "1." "1)" "(1)" "#1:"; a digit right after the dot is a decimal ("1.5 Mb deletion"), not a marker
_NUMBER = re.compile(r"[*_#>(\s]*\d{1,3}\s?[.):](?:[*_]*\s+|[*_]*(?=\D)|$)")
_BULLET = re.compile(r"\s*(?:[-+•–]|\*(?!\*))\s+")
_BOLD = re.compile(r"(\*\*|__)(.+?)\1")
# a sentence about the name, or its phenotypes as a retrieved profile lists them, behind ": ", ". " or " - "
_EXPLAINED = re.compile(
    r"(?:[:.]|\s[-–—])\s+(?=(?:\S+\s+){3}\S)((?:an?|the|this|it)\s.*|(?:[^:.]*\s)?is\s+an?\s.*|phenotypes:.*)",
    re.IGNORECASE,
)
# what a sentence may say to name another subtype than the bare name stands for
_SUBTYPE = re.compile(
    r"\d|\b(?:sub)?types?\b|\b(?:variant|form|group|recessive|dominant|autosomal|linked|gene|unlikely|not)\b|onset",
    re.IGNORECASE,
)
_ABBREVIATED = re.compile(r"\s*\(([A-Za-z]{2,10})\)$")
_SMALL_WORDS = {"and", "by", "due", "from", "in", "of", "or", "the", "to", "with"}
_QUOTES = {"'": "'", '"': '"', "`": "`", "“": "”", "‘": "’", "«": "»"}


def format_list(names: Sequence[str]) -> str:
    """Write ``1. Name`` lines, numbered from 1, without a final newline.

    Raises:
        ValueError: there is no name, or one is empty or spans lines (it could not be read back).
    """
    if not names:
        raise ValueError("a list needs at least one name")
    for name in names:
        if not name.strip() or len(name.splitlines()) > 1:
            raise ValueError(f"not a name on one line: {name!r}")
    return "\n".join(f"{number}. {name}" for number, name in enumerate(names, start=1))


def parse_list(text: str, limit: int) -> list[str]:
    """Read at most ``limit`` names, in the order in which they stand.

    Numbered lines are read; bulleted ones only where no line is numbered. Quotes
    and bold around a name go, as does anything after a bold name. Repeats stay.
    Text without a list gives an empty one: a parse failure, which the caller counts.

    Raises:
        ValueError: ``limit`` is below 1.
    """
    if limit < 1:
        raise ValueError(f"limit is {limit}, expected at least 1")
    lines = text.splitlines()
    for marker in (_NUMBER, _BULLET):
        marked = [(line, found.end()) for line in lines if (found := marker.match(line))]
        if marked:
            names = (_bare(line[end:]) for line, end in marked)
            return [name for name in names if name][:limit]
    return []


def without_gloss(item: str) -> str:
    """An item of a list less a sentence behind the name, and less the name's initials in parentheses.

    For items that are no name as they stand: untuned models explain what they name ("Cystic fibrosis (CF) - a
    disease of the lungs"). What may tell subtypes or genes apart stays: "(AR)", "(GALE)", "- type 5".
    """
    if explained := _EXPLAINED.search(item):
        told = explained[1]
        if told.lower().startswith("phenotypes:") or not _SUBTYPE.search(told):
            item = item[: explained.start()].rstrip()
    abbreviated = _ABBREVIATED.search(item)
    if abbreviated and abbreviated[1].lower() in _initials(item[: abbreviated.start()]):
        item = item[: abbreviated.start()]
    return item


def _initials(name: str) -> set[str]:
    words = re.findall(r"[^\W\d_]+", name.lower())
    return {
        "".join(word[0] for word in chosen)
        for chosen in (words, [word for word in words if word not in _SMALL_WORDS])
    }


def _bare(item: str) -> str:
    """The name without bold, wrapping quotes and closing punctuation."""
    item = item.strip()
    if bold := _BOLD.match(item):
        item = bold[2]
    item = item.strip(" \t*_").rstrip(".,;:").rstrip()
    if len(item) > 1 and _QUOTES.get(item[0]) == item[-1]:
        item = item[1:-1]
    return " ".join(item.split())
