"""How publications are named: one spelling, whoever cites them.

Patients and annotations are compared by it, so it decides what the leakage control finds.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

# the HPO annotation file also writes PMID:20037588P
_PMID = re.compile(
    r"^(?:(?:PMID|PubMed)(?::\s*|\s+)|(?:pubmed\.ncbi\.nlm\.nih\.gov|ncbi\.nlm\.nih\.gov/pubmed)/)0*([1-9]\d*)P?$",
    re.IGNORECASE,
)
_DOI = re.compile(r"^(?:DOI:\s*|(?:dx\.)?doi\.org/)(\S+)$|^(10\.\d{4,}/\S+)$", re.IGNORECASE)
_PMC = re.compile(
    r"^(?:PMC(?:ID)?:\s*|(?:pmc\.)?ncbi\.nlm\.nih\.gov/(?:pmc/)?articles/)(\S+)$|^(PMC\d+)$", re.IGNORECASE
)
# anywhere in a text, a PMID with the numbers strung behind it; MED: and MED/ are of Europe PMC
_WITHIN = re.compile(
    r"(?<![A-Za-z])(?:(?:PMID|PubMed)s?(?:\.ncbi\.nlm\.nih\.gov)?(?:[\s:_/#-]|\?term=)*|MED[:/])"
    r"(?P<PMID>\d{1,9}(?!\d)(?:\.0\b)?(?:P?\s*(?:[,;+&|]|and\b)\s*\d{1,9}(?![\d/]|\.\d{4}))*)"
    r"|(?<![A-Za-z])(?:PMC(?:ID)?[\s:_/-]*)?(?P<PMC>PMC\d+)"
    r"|(?P<DOI>(?:10\.\d{4,9}|(?:(?<=doi\.org/)|(?<=doi:)|(?<=doi: ))10\.\d+)/[^\s,;|\"<>]+)",
    re.IGNORECASE,
)
# what makes one reference two
_FURTHER = re.compile(
    r"[\s;,|]\s*(?:PMIDs?\b|PubMed|PMC|doi\b|https?:|10\.\d{4,}/|\d{5,9}\s*(?:$|[;,|]))", re.IGNORECASE
)
_ASIDE = re.compile(r"\s\([^()]*\)")
_LONG_NUMBER = re.compile(r"(?<![\w.])\d{5,9}(?![\w])")
_HINT = re.compile(r"pmid|pubmed|europepmc|\bpmc|\bdoi\b|doi\.org|\b10\.\d{4,}/", re.IGNORECASE)
_ADDRESS = re.compile(r"^https?://(?:www\.)?", re.IGNORECASE)


def publication_identifier(text: str) -> str | None:
    """``PMID:1``, ``DOI:...`` or ``PMC:...`` of a reference or its address, or None if it is none of them."""
    text = text.strip()
    if address := _ADDRESS.match(text):  # as often copied, with what a browser adds
        text = unquote(re.split(r"[?#]", text[address.end() :])[0]).rstrip("/.")
    if match := _PMID.match(text):
        return f"PMID:{match[1]}"
    for kind, form in (("DOI", _DOI), ("PMC", _PMC)):
        if match := form.match(text):
            return f"{kind}:{(match[1] or match[2]).lower()}"
    return None


class Publications(NamedTuple):
    """What a text names.

    Attributes:
        names: in order of appearance, each once.
        unread: whether it seems to name one more, which was not understood.
    """

    names: list[str]
    unread: bool


def publications_in(text: str) -> Publications:
    """Every publication that a text names, however it is strung together.

    ``PMID:1, 2``, ``DOI:10.1000/x;PMID:2``, ``PMID_1``, ``PMID:1 (Smith 2004)`` and addresses of searches and
    of Europe PMC are read, too: a training publication that is missed would make its patients look new.
    """
    text = _ASIDE.sub(_kept_aside, text).strip()
    whole = publication_identifier(text)
    if whole and not _FURTHER.search(text):
        return Publications([whole], False)
    found: dict[str, None] = {}
    text = unquote(text)
    for match in _WITHIN.finditer(text):
        if match["PMID"]:
            found |= {
                f"PMID:{int(number)}": None for number in re.findall(r"\d+", match["PMID"]) if int(number)
            }
        else:
            kind = "PMC" if match["PMC"] else "DOI"
            value = re.split(r"[?#]", match[kind])[0].rstrip(".,;)]}>'\"").lower()
            found[f"{kind}:{value}"] = None
    rest = _WITHIN.sub(" ", text)
    only_numbers = bool(re.search(r"\d", rest)) and not re.search(r"[A-Za-z]", rest)
    unread = bool(_LONG_NUMBER.search(rest)) or only_numbers if found else may_name_publication(text)
    return Publications(list(found), unread)


def _kept_aside(match: re.Match[str]) -> str:
    """What stands in brackets behind a reference is its author and year, unless it is another one."""
    inside = match[0]
    return inside if may_name_publication(inside) or _LONG_NUMBER.search(inside) else " "


def may_name_publication(text: str) -> bool:
    """Whether a text seems to name a publication, read or not."""
    return bool(_HINT.search(text))


def citation(reference: str) -> str:
    """One spelling of any reference, those that are no publication (``OMIM:...``) included."""
    return publication_identifier(reference) or reference.strip().lower()
