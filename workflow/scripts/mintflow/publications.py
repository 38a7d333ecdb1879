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


def citation(reference: str) -> str:
    """One spelling of any reference, those that are no publication (``OMIM:...``) included."""
    return publication_identifier(reference) or reference.strip().lower()
