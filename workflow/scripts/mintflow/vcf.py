"""Variants of one patient from a VCF or BCF that SnpEff or VEP has annotated (read with cyvcf2).

Annotation fields: ANN as in "Variant annotations in VCF format" 1.0 (SnpEff), CSQ as VEP writes it, its
columns named by the header.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import vcf_size
from .variants import most_severe, severity

# Columns of ANN are fixed by its specification; those of CSQ by the header.
_ANN_COLUMNS = ("Allele", "Annotation", "Annotation_Impact", "Gene_Name")
_ANN_HGVS_C = 9
_UNKNOWN_ALLELE = -1


class UnreadableVcf(Exception):
    """A VCF cannot be used for this patient; ``field`` says which part of it."""

    def __init__(self, field: str, value: object, reason: str) -> None:
        self.field, self.value, self.reason = field, value, reason
        super().__init__(reason)


@dataclass(frozen=True)
class VcfVariant:
    """One variant that changes a gene: the most severe annotated effect on it."""

    gene_symbol: str
    hgvs_c: str | None
    zygosity: str
    consequence: str


@dataclass(frozen=True)
class VcfContent:
    """Variants of a sample in file order, and how many calls were passed over.

    ``filtered``: calls that failed the caller's filter; ``no_gene``: without an annotated effect on a gene.
    """

    variants: list[VcfVariant]
    filtered: int
    no_gene: int


def read(
    path: str | Path, sample: str, *, max_variants: int, max_records: int, max_line_mb: int
) -> VcfContent:
    """Read the variants that ``sample`` carries.

    A call counts if one of its alleles is an alternative one and the record passed the filters. A
    record with effects on several genes gives one variant for each.

    Args:
        path: VCF, bgzipped VCF or BCF; no index is needed.
        sample: name in the header; "" for the only sample of a single-sample file.
        max_variants: most calls of the sample.
        max_records: most records, whoever carries them; a small file may unpack to very many.
        max_line_mb: most megabytes (2^20 bytes) of the unpacked header, and of a record.

    Raises:
        UnreadableVcf: the file, the sample or the annotation is missing, the file is broken, or there is
            more than allowed.
    """
    if not os.path.isfile(path):  # False, not an error, for a name that no file can have
        raise UnreadableVcf("(file)", Path(path).name, "no such file")
    from cyvcf2 import VCF

    try:
        vcf_size.check(path, max_line_mb << 20, max_records)
    except vcf_size.TooLarge as error:
        raise UnreadableVcf("(file)", error, f"more than rare.genotypes.{error.limit} allows") from error
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise UnreadableVcf("(file)", error, "not a readable VCF") from error
    with _nothing_said():
        try:
            reader = VCF(str(path), strict_gt=True)
        except Exception as error:  # cyvcf2 raises OSError or bare Exception, by kind of damage
            raise UnreadableVcf("(file)", error, "not a readable VCF") from error
        try:
            return _collect(reader, _sample(reader, sample), max_variants)
        except UnreadableVcf:
            raise
        except Exception as error:
            raise UnreadableVcf("(record)", error, "a record cannot be read") from error
        finally:
            reader.close()


@contextlib.contextmanager
def _nothing_said() -> Iterator[None]:
    """Silence htslib, which tells paths, sample names and cells to the process's standard error."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _sample(reader: Any, sample: str) -> int:
    names = list(reader.samples)
    if not sample and len(names) == 1:
        return 0
    if sample not in names:
        raise UnreadableVcf("#CHROM header", sample, f"no such sample among the {len(names)} of the file")
    return names.index(sample)


def _collect(reader: Any, position: int, max_variants: int) -> VcfContent:
    annotation = _Annotation.of(reader.raw_header)
    variants: list[VcfVariant] = []
    calls = filtered = no_gene = 0
    for record in reader:
        alleles = record.genotypes[position][:-1]
        carried = {allele for allele in alleles if allele > 0}
        if not carried:
            continue
        # FILTER is None for PASS and for "."
        if record.FILTER is not None:
            filtered += 1
            continue
        calls += 1
        if calls > max_variants:
            reason = "more variants than rare.genotypes.max_vcf_variants"
            raise UnreadableVcf("(records)", f"more than {max_variants}", reason)
        found = list(annotation.effects(record, carried))
        no_gene += not found
        state = _zygosity(alleles)
        variants += [VcfVariant(gene, hgvs_c, state, effect) for gene, hgvs_c, effect in found]
    return VcfContent(variants, filtered, no_gene)


def _zygosity(alleles: list[int]) -> str:
    """Zygosity of a call with an alternative allele; two different ones are heterozygous."""
    if len(alleles) == 1:
        return "hemizygous"
    if _UNKNOWN_ALLELE in alleles:
        return "unknown"
    return "homozygous" if len(set(alleles)) == 1 else "heterozygous"


@dataclass(frozen=True)
class _Annotation:
    """Where an annotator put allele, effect, gene and HGVS name."""

    key: str
    allele: int
    effect: int
    gene: int
    hgvs_c: int | None
    allele_number: int | None

    @classmethod
    def of(cls, header: str) -> _Annotation:
        if re.search(r"^##INFO=<ID=ANN,", header, re.MULTILINE):
            places = {name: place for place, name in enumerate(_ANN_COLUMNS)}
            return cls("ANN", places["Allele"], places["Annotation"], places["Gene_Name"], _ANN_HGVS_C, None)
        if match := re.search(r"^##INFO=<ID=CSQ,.*Format: ([^\">]+)", header, re.MULTILINE):
            places = {name.strip(): place for place, name in enumerate(match[1].split("|"))}
            if {"Allele", "Consequence", "SYMBOL"} <= set(places):
                return cls(
                    "CSQ",
                    places["Allele"],
                    places["Consequence"],
                    places["SYMBOL"],
                    places.get("HGVSc"),
                    places.get("ALLELE_NUM"),
                )
        raise UnreadableVcf("INFO", "", "neither SnpEff's ANN nor VEP's CSQ with SYMBOL in the header")

    def effects(self, record: Any, carried: set[int]) -> Iterator[tuple[str, str | None, str]]:
        """Gene, transcript change and class of the most severe effect on each gene, by gene."""
        worst: dict[str, tuple[int, str | None, str]] = {}
        for entry in (record.INFO.get(self.key) or "").split(","):
            fields = entry.split("|")
            if len(fields) <= max(self.effect, self.gene) or not self._concerns(fields, record, carried):
                continue
            terms, gene = fields[self.effect].split("&"), fields[self.gene].strip()
            found = most_severe(terms)
            if not gene or found is None:
                continue
            name = fields[self.hgvs_c] if self.hgvs_c is not None and self.hgvs_c < len(fields) else ""
            if gene not in worst or severity(terms) < worst[gene][0]:
                worst[gene] = (severity(terms), name or None, found)
        for gene in sorted(worst):
            yield gene, worst[gene][1], worst[gene][2]

    def _concerns(self, fields: list[str], record: Any, carried: set[int]) -> bool:
        """Whether the annotation is of an allele that the sample carries."""
        if len(record.ALT) == 1:
            return True
        if self.allele_number is not None and fields[self.allele_number].isdigit():
            return int(fields[self.allele_number]) in carried
        return fields[self.allele] in {_named(record, number, self.key) for number in carried}


def _named(record: Any, number: int, key: str) -> str:
    """How the annotator names an alternative allele: VEP cuts the first base that all alleles share."""
    alternative = record.ALT[number - 1]
    if key == "ANN":
        return alternative
    alleles = [record.REF, *record.ALT]
    shared = {allele[0] for allele in alleles}
    if any(len(allele) != len(record.REF) for allele in alleles) and len(shared) == 1:
        return alternative[1:] or "-"
    return alternative
