"""Gene symbols as people write them, in the spelling of the knowledge, which everything later compares."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LONGEST = 24  # readthrough genes (ANKHD1-EIF4EBP3) are the longest names
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*")
# the one kind of human symbol with small letters
_OPEN_FRAME = re.compile(r"(C(?:[0-9]{1,2}|X|Y))ORF([0-9].*)")
_HGNC = re.compile(r"HGNC[:_ ]?[0-9]+")
_DATABASE = re.compile(r"ENS[GTP][0-9]{6,}|(?:NCBIGENE|ENTREZ|ENSEMBL|O?MIM)[:_ ]?[0-9]+")
_DATE = re.compile(r"[0-9]{1,2}-(?:MAR|SEP|DEC)|(?:MAR|SEP|DEC)-[0-9]{1,2}")
_NOTHING = frozenset({"NA", "NAN", "NIL", "NONE", "NULL", "UNKNOWN", "NEGATIVE"})

_EXPECTED = "a symbol is expected, such as FBN1"


class GeneSymbols:
    """Symbols of the knowledge.

    Args:
        known: as they are spelled there; without any, symbols get HGNC's letter case.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known = {symbol.casefold(): symbol for symbol in known}

    def find(self, text: str) -> tuple[str | None, str]:
        """The symbol, or None and why it is none; one that is not in the list may still be a gene."""
        text = text.strip()
        if text.casefold() in self._known:
            return self._known[text.casefold()], ""
        symbol = text.upper() if text.isascii() else ""
        if _HGNC.fullmatch(symbol):
            return None, f"an HGNC id, which no table here maps to a gene: {_EXPECTED}"
        if _DATABASE.fullmatch(symbol):
            return None, f"an identifier of another database: {_EXPECTED}"
        if _DATE.fullmatch(symbol):
            return None, f"a date, which spreadsheets make of some symbols: {_EXPECTED}"
        if not _SYMBOL.fullmatch(symbol) or len(symbol) > _LONGEST or symbol in _NOTHING:
            return None, f"no gene symbol: {_EXPECTED}"
        return _OPEN_FRAME.sub(r"\1orf\2", symbol), ""
