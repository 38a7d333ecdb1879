"""What a variant does and in how many copies: classes from HGVS, Sequence Ontology and GENO terms.

HGVS names follow the HGVS Nomenclature 21.1 (https://hgvs-nomenclature.org). The classes are coarse on
purpose: a patient's record often holds no more, and finer ones would only identify the paper.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

CONSEQUENCES = (
    "missense",
    "nonsense",
    "frameshift",
    "splice",
    "synonymous",
    "inframe",
    "start_lost",
    "stop_lost",
    "deletion",
    "duplication",
    "structural",
    "regulatory",
    "unknown",
)
ZYGOSITIES = ("heterozygous", "homozygous", "hemizygous", "unknown")

# GENO allelic states; 0000402 compound and 0000458 simple heterozygous, 0000604/5 X- and Y-linked.
_ZYGOSITY = {
    "GENO:0000135": "heterozygous",
    "GENO:0000402": "heterozygous",
    "GENO:0000458": "heterozygous",
    "GENO:0000136": "homozygous",
    "GENO:0000134": "hemizygous",
    "GENO:0000604": "hemizygous",
    "GENO:0000605": "hemizygous",
}

# Sequence Ontology terms that annotators (VEP, SnpEff) write, the most severe first.
# A term that is not here (intron_variant, upstream_gene_variant...) says nothing about the gene.
_SEQUENCE_ONTOLOGY = {
    "transcript_ablation": "deletion",
    "exon_loss_variant": "deletion",
    "feature_truncation": "deletion",
    "transcript_amplification": "duplication",
    "duplication": "duplication",
    "chromosome_number_variation": "structural",
    "gene_fusion": "structural",
    "bidirectional_gene_fusion": "structural",
    "rearranged_at_DNA_level": "structural",
    "splice_acceptor_variant": "splice",
    "splice_donor_variant": "splice",
    "stop_gained": "nonsense",
    "frameshift_variant": "frameshift",
    "stop_lost": "stop_lost",
    "start_lost": "start_lost",
    "initiator_codon_variant": "start_lost",
    "missense_variant": "missense",
    "inframe_insertion": "inframe",
    "inframe_deletion": "inframe",
    "conservative_inframe_insertion": "inframe",
    "conservative_inframe_deletion": "inframe",
    "disruptive_inframe_insertion": "inframe",
    "disruptive_inframe_deletion": "inframe",
    "protein_altering_variant": "inframe",
    "splice_donor_5th_base_variant": "splice",
    "splice_donor_region_variant": "splice",
    "splice_polypyrimidine_tract_variant": "splice",
    "splice_region_variant": "splice",
    "synonymous_variant": "synonymous",
    "stop_retained_variant": "synonymous",
    "start_retained_variant": "synonymous",
    "5_prime_UTR_variant": "regulatory",
    "3_prime_UTR_variant": "regulatory",
    "5_prime_UTR_premature_start_codon_gain_variant": "regulatory",
    "regulatory_region_variant": "regulatory",
    "TF_binding_site_variant": "regulatory",
}
_SEVERITY = {term: rank for rank, term in enumerate(_SEQUENCE_ONTOLOGY)}

# Bases of an intron that count as splice site or splice region (SO:0001630: 3-8 bases).
_SPLICE_REGION = 8

_ACCESSION = re.compile(r"^[^:]*:")
_POSITION = r"(?P<{0}>[-*]?\d+)(?P<{0}_offset>[+-]\d+)?"
_CODING = re.compile("^" + _POSITION.format("start") + "(?:_" + _POSITION.format("end") + ")?(?P<change>.*)$")
_SUBSTITUTION = re.compile(r"^[ACGTN]>[ACGTN]$")
_STOP = r"(?:Ter|\*|X)"
_MISSENSE = re.compile(r"^([A-Z][a-z]{2}|[A-Z])\d+([A-Z][a-z]{2}|[A-Z])$")
_INFRAME = re.compile(r"^[A-Z][A-Za-z]*\d+(?:_[A-Z][A-Za-z]*\d+)?(?:del|dup|ins|\[)")


def zygosity(geno_id: str | None) -> str:
    """Zygosity class of a GENO identifier, one of ``ZYGOSITIES``."""
    return _ZYGOSITY.get(geno_id or "", "unknown")


def consequence(
    hgvs_p: str | None = None, hgvs_c: str | None = None, structural_type: str | None = None
) -> str:
    """Consequence class, one of ``CONSEQUENCES``: protein change first, then transcript, then structure.

    Args:
        hgvs_p: protein change, with or without accession and parentheses.
        hgvs_c: transcript change; only ``c.`` numbering can be interpreted without the sequence.
        structural_type: name of a structural variant type, e.g. "chromosomal_deletion".
    """
    found = _from_protein(hgvs_p or "")
    if found == "unknown":
        found = _from_transcript(hgvs_c or "")
    if found == "unknown" and structural_type:
        found = structural_class(structural_type)
    return found


def structural_class(text: str) -> str:
    """deletion, duplication, or structural where the text names neither or both."""
    words = text.lower()
    deleted = re.search(r"(?:(?<![a-z])|micro)del(?:etions?|eted)?(?![a-z])", words) is not None
    duplicated = re.search(r"(?:(?<![a-z])|micro)dup(?:lications?|licated)?(?![a-z])", words) is not None
    if deleted != duplicated:
        return "deletion" if deleted else "duplication"
    return "structural"


def most_severe(terms: Iterable[str]) -> str | None:
    """Class of the most severe Sequence Ontology term; None if none of them touches a gene's product."""
    known = [term for term in terms if term in _SEVERITY]
    return _SEQUENCE_ONTOLOGY[min(known, key=_SEVERITY.__getitem__)] if known else None


def severity(terms: Iterable[str]) -> int:
    """Rank of the most severe term, 0 the worst; larger than any rank if none is known."""
    return min((_SEVERITY[term] for term in terms if term in _SEVERITY), default=len(_SEVERITY))


def _from_protein(text: str) -> str:
    change = _ACCESSION.sub("", text.strip()).removeprefix("p.").replace("(", "").replace(")", "")
    if not change or change in {"?", "0?", "="}:
        return "unknown"
    if re.match(r"^[A-Z*][A-Za-z]*\d+[A-Za-z]*fs", change):
        return "frameshift"
    if change == "0" or re.match(r"^(?:Met|M)1(?!\d)", change):
        return "start_lost"
    if re.match(rf"^{_STOP}\d+(?:[A-Z]|ext)", change):
        return "stop_lost"
    if change.endswith("="):
        return "synonymous"
    if re.search(rf"\d{_STOP}$", change) or re.search(r"(?:delins|ins)\w*(?:Ter|\*)", change):
        return "nonsense"
    if match := _MISSENSE.match(change):
        return "synonymous" if match[1] == match[2] else "missense"
    return "inframe" if _INFRAME.match(change) else "unknown"


def _from_transcript(text: str) -> str:
    name = _ACCESSION.sub("", text.strip())
    if not name.startswith("c."):
        return "unknown"
    name = name.removeprefix("c.")
    if "?" in name:
        # breakpoints that nobody sequenced: whole exons
        found = structural_class(re.sub(r"[^a-z]", " ", name))
        return "unknown" if found == "structural" else found
    match = _CODING.match(name)
    if match is None:
        return "unknown"
    start, end = match["start"], match["end"] or match["start"]
    start_offset = int(match["start_offset"] or 0)
    end_offset = int(match["end_offset"] or 0) if match["end"] else start_offset
    if start_offset or end_offset:
        return _from_intron(start != end, start_offset, end_offset, match["change"])
    if start.startswith("*") or end.startswith("-"):
        return "regulatory"
    if _SUBSTITUTION.match(match["change"]):
        # codon 1; elsewhere the codon, and so missense or nonsense, needs the sequence
        return "start_lost" if int(start) in (1, 2, 3) else "regulatory" if int(start) < 0 else "unknown"
    if start.startswith("-") or end.startswith("*"):
        return "unknown"
    return _from_length(int(end) - int(start) + 1, match["change"])


def _from_intron(spans: bool, start_offset: int, end_offset: int, change: str) -> str:
    if spans and start_offset < 0 < end_offset and change.startswith(("del", "dup")):
        # from one intron into another: the exon between them goes, or comes twice
        return "deletion" if change.startswith("del") else "duplication"
    # a range with one end in the exon crosses the splice site
    nearest = min(abs(start_offset), abs(end_offset))
    return "splice" if nearest <= _SPLICE_REGION else "unknown"


def _from_length(span: int, change: str) -> str:
    """Frame of an insertion, deletion or duplication of ``span`` coding bases."""
    inserted = re.match(r"^(?:del[ACGTN]*)?ins([ACGTN]+)$", change)
    if re.match(r"^del(?:[ACGTN]*|\d+)$", change):
        shift = -span
    elif re.match(r"^dup(?:[ACGTN]*|\d+)$", change):
        shift = span
    elif inserted:
        shift = len(inserted[1]) - (span if change.startswith("del") else 0)
    else:
        return "unknown"
    return "inframe" if shift % 3 == 0 else "frameshift"
