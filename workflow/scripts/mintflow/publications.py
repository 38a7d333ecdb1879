"""How publications are named: one spelling, whoever cites them.

Patients and annotations are compared by it, so it decides what the leakage control finds.
"""

from __future__ import annotations

import re
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
# anywhere in a text; MED: and MED/ are of Europe PMC
_WITHIN = re.compile(
    r"(?<![A-Za-z])(?:(?:PMID|PubMed)(?:\.ncbi\.nlm\.nih\.gov)?(?:[\s:_/#-]|\?term=)*|MED[:/])"
    r"0*(?P<PMID>[1-9]\d{0,8})(?!\d)"
    r"|(?<![A-Za-z])(?:PMC(?:ID)?[\s:_/-]*)?(?P<PMC>PMC\d+)"
    r"|(?P<DOI>10\.\d{4,9}/[^\s,;|\"<>]+)",
    re.IGNORECASE,
)
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


def publications_in(text: str) -> list[str]:
    """Every publication that a text names, however it is strung together, in order of appearance.

    ``PMID:1, PMID:2``, ``PMID_1``, ``PMID:1 (Smith 2004)`` and addresses of searches and of Europe PMC are
    read, too: a training publication that is not recognised would make its patients look new.
    """
    if whole := publication_identifier(text):
        return [whole]
    found: dict[str, None] = {}
    for match in _WITHIN.finditer(unquote(text)):
        kind = next(kind for kind in ("PMID", "PMC", "DOI") if match[kind])
        value = match[kind].rstrip(".,;)]}>'\"").lower()
        found[f"{kind}:{value}"] = None
    return list(found)


def may_name_publication(text: str) -> bool:
    """Whether a text seems to name a publication, read or not."""
    return bool(_HINT.search(text))


def citation(reference: str) -> str:
    """One spelling of any reference, those that are no publication (``OMIM:...``) included."""
    return publication_identifier(reference) or reference.strip().lower()
