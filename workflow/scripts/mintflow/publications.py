"""How publications are named: one spelling, whoever cites them.

Patients and annotations are compared by it, so it decides what the leakage control finds.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

# anywhere in a text. A DOI ends where the next reference begins; of the SICI kind, at its check digit.
_DOI_WITHIN = re.compile(
    r"(?:doi[:\s]*|https?://)*(?:www\.)?(?:(?:dx\.)?doi\.org/|\bdoi:\s?)?"
    r"(?P<value>10\.\d{4,9}/(?:\(SICI\)[^\s]+?CO;2-\w|[^\s|\"]+)|(?:(?<=doi\.org/)|(?<=doi:)|(?<=doi:\s))10\.\d+/[^\s|\"]+)",
    re.IGNORECASE,
)
_NEXT = re.compile(
    r"[/;,|&+(\[]*(?:PMID|PubMed|PMC|doi\b|https?:|www\.|dx\.|MED:)|[;,|&+]+0*[1-9]\d{4,8}(?:P|\.0)?(?=$|[;,|&+])"
    r"|[;,|&+]+10\.\d{4,}/",
    re.IGNORECASE,
)
_PMC_WITHIN = re.compile(
    r"(?<![A-Za-z])(?:\S*articles?/(?:PMC/)?(?:PMC)?|PMC(?:ID)?[\s:_/-]*(?:PMC)?)(?P<value>\d+)(?:/pdf\S*|/)?",
    re.IGNORECASE,
)
# the HPO annotation file also writes PMID:20037588P
_STRUNG = r"(?:P|\.0)?\s?(?:[,;+&|]|and)\s?0*[1-9]\d{4,8}(?=(?:P|\.0)?(?!\w))"
_PMID_WITHIN = re.compile(
    r"(?:https?://\S*?)?(?<![A-Za-z])"
    r"(?:(?:PMIDs?|PubMed(?:[_ ]?IDs?)?)(?:\.ncbi\.nlm\.nih\.gov)?(?:[\s:_/#=.-]|\?term=)*"
    r"|(?<![A-Za-z] )MED[:/])"
    rf"(?P<value>\d{{1,9}}(?!\d|\.\d+E)(?:{_STRUNG})*(?:P|\.0)?(?!\d))",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?:^|(?<=[;,|]))\s*(?P<value>0*[1-9]\d{0,8})(?:\.0)?\s*(?=$|[;,|])")
_THOUSANDS = re.compile(r"(?<![\d.,/])\d{1,3}(?:,\d{3}){1,2}(?![\d,])")
_ASIDE = re.compile(r"\s\([^()]*\)")
_LONGEST = 2000  # characters that are read
_LONG_NUMBER = re.compile(r"(?<!\d)\d{5,9}(?!\d)")
_HINT = re.compile(r"pmid|pubmed|europepmc|\bpmc|\bdoi\b|doi\.org|\b10\.\d{4,}/|https?:", re.IGNORECASE)


class Publications(NamedTuple):
    """What a text names.

    Attributes:
        names: in order of appearance, each once.
        unread: whether it seems to name one more, which was not understood.
    """

    names: list[str]
    unread: bool


def publications_in(text: str, *, numbers: bool = False) -> Publications:
    """Every publication that a text names, however it is strung together.

    ``PMID:12345, 23456``, ``DOI:10.1000/x;PMID:2``, ``PMID_1``, ``PMID:1 (Smith 2004)`` and addresses of
    searches and of Europe PMC are read, too: a training publication that is missed would make its patients
    look new.

    Args:
        text: one reference or several.
        numbers: whether a number between separators is a PMID, as in a column of publications.
    """
    given, text = text, text[:_LONGEST]
    text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), " ".join(unquote(text).split()))
    text = _ASIDE.sub(_kept_aside, text).strip()
    found: list[tuple[int, str]] = []
    for kind, pattern in _KINDS if numbers else _KINDS[:-1]:
        place = 0
        while match := pattern.search(text, place):
            value, end = match["value"], match.end()
            if kind == "DOI":
                ahead = _NEXT.search(value)
                value = value[: ahead.start()] if ahead else value
                end = match.start("value") + len(value)
            found += [(match.start(), name) for name in _spelled(kind, value)]
            text = text[: match.start()] + " " * (end - match.start()) + text[end:]
            place = end
    names = list(dict.fromkeys(name for _, name in sorted(found, key=lambda one: one[0])))
    only_numbers = bool(re.search(r"\d", text)) and not re.search(r"[A-Za-z]", text)
    if not names:
        return Publications([], may_name_publication(given))
    odd = bool(_LONG_NUMBER.search(text) or _HINT.search(text) or only_numbers)
    return Publications(names, odd or len(given) > _LONGEST)


_KINDS = (("DOI", _DOI_WITHIN), ("PMC", _PMC_WITHIN), ("PMID", _PMID_WITHIN), ("PMID", _NUMBER))


def _spelled(kind: str, value: str) -> list[str]:
    if kind == "PMID":
        read = [int(number) for number in re.findall(r"(?<!\.)\d+", value)]
        return [f"PMID:{number}" for number in read if number]
    if kind == "PMC":
        return [f"PMC:pmc{int(value)}"]
    value = re.split(r"[?#]", value)[0].rstrip(".,;>'\"/")
    while value.endswith((")", "]")) and value.count("(") + value.count("[") < value.count(")") + value.count(
        "]"
    ):
        value = value[:-1].rstrip(".,;")
    return [f"DOI:{value.lower()}"]


def _kept_aside(match: re.Match[str]) -> str:
    """What stands in brackets behind a reference is its author and year, unless it is another one."""
    inside = match[0]
    return inside if may_name_publication(inside) or _LONG_NUMBER.search(inside) else " "


def may_name_publication(text: str) -> bool:
    """Whether a text seems to name a publication, read or not."""
    return bool(_HINT.search(re.sub(r"https?:", "", text[:_LONGEST])))


def citation(reference: str) -> str:
    """One spelling of any reference, those that are no publication (``OMIM:...``) included."""
    found = publications_in(reference)
    return found.names[0] if len(found.names) == 1 and not found.unread else reference.strip().lower()
