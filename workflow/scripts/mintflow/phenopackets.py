"""GA4GH phenopackets v2 (JSON), from a folder or a zip such as a Phenopacket Store release.

Source of the field names: phenopacket-schema 2.0 (https://phenopacket-schema.readthedocs.io). Files come
from strangers: every field may be missing or of another type, every zip header may lie. What cannot be
used goes to the quarantine with file and field; the rest of the patient, and every other one, goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Any

from . import cohort, variants
from .archives import json_members, shown_name
from .errors import InputError
from .publications import publications_in
from .quarantine import Quarantine
from .vcf_places import VcfPlaces

SEXES = {"MALE": "MALE", "FEMALE": "FEMALE"}
_SEXES_OF_THE_STANDARD = ("MALE", "FEMALE", "OTHER_SEX", "UNKNOWN_SEX")

HPO_ID = re.compile(r"^HP:\d{7}$")
_DISEASE_ID = re.compile(r"^(?:OMIM:\d{6}|MONDO:\d{7}|ORPHA:\d+)$")
_VOCABULARIES = ("OMIM", "ORPHA", "MONDO")
_PMID_IN_ID = re.compile(r"^PMID[_:]0*([1-9]\d*)(?!\d)")
# of these the diagnosis is a suspicion, or there is none
_OPEN = ("UNSOLVED", "IN_PROGRESS")
_DURATION = re.compile(
    r"^P(?:(\d+(?:\.\d+)?)Y)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?(?:T[\dHMS.]+)?$"
)
_DAYS_PER_YEAR = 365.25
_OLDEST = 130.0

# Fields of phenopackets version 1 that version 2 replaced.
_VERSION_1 = ("htsFiles", "genes", "variants")

# Types of what is read, for the fields whose loss would otherwise go unnoticed.
_SHAPE = {
    "subject": {"id": "", "sex": "", "timeAtLastEncounter": {}},
    "interpretations": [{"diagnosis": {"disease": {}, "genomicInterpretations": [{}]}}],
    "diseases": [{"term": {}}],
    "files": [{"fileAttributes": {}, "individualToFileIdentifiers": {}}],
    "metaData": {"externalReferences": [{"id": "", "reference": ""}]},
    "phenotypicFeatures": [{"evidence": [{"reference": {"id": "", "reference": ""}}]}],
}


@dataclass
class _Rows:
    """What one phenopacket holds; kept only if the whole of it can be used."""

    case: tuple[object, ...] = ()
    phenotypes: list[tuple[object, ...]] = field(default_factory=list)
    variants: list[tuple[object, ...]] = field(default_factory=list)
    vcfs: list[tuple[object, ...]] = field(default_factory=list)


class _Refused(Exception):
    """The patient cannot be used; says which field and why."""

    def __init__(self, place: str, value: object, reason: str) -> None:
        self.place, self.value, self.reason = place, value, reason
        super().__init__(reason)


def read(
    path: str | Path,
    quarantine: Quarantine,
    *,
    max_file_mb: float,
    max_total_mb: float,
    vcf_folder: str | Path | None = None,
    same: Callable[[str], str] = str,
) -> cohort.RawCohort:
    """Read every phenopacket of a folder or a zip.

    Of two phenopackets with the same id the first in order of file name is kept.

    Args:
        path: the folder or the zip. Only ``*.json`` members are opened; none is written to disk.
        quarantine: receives what cannot be used.
        max_file_mb: a larger file is quarantined unread (10^6 bytes).
        max_total_mb: a larger sum of files is refused (10^6 bytes).
        vcf_folder: a further folder of VCFs that phenopackets name; they may always name those beside them.
        same: gives the id that stands for an id; a diagnosis in several vocabularies is one diagnosis.

    Raises:
        InputError: nothing there, no zip, no JSON in it, more than ``max_total_mb``, or no usable patient.
    """
    path = Path(path)
    collected = _Rows()
    cases: list[tuple[object, ...]] = []
    first: dict[str, str] = {}
    members = 0
    for name, data in json_members(path, quarantine, max_file_mb=max_file_mb, max_total_mb=max_total_mb):
        members += 1
        if data is None:
            continue
        try:
            rows = _parse(data, name, quarantine, VcfPlaces(path, name, vcf_folder), same)
            source_id = str(rows.case[1])
            if source_id in first:
                raise _Refused("id", first[source_id], "the id of another phenopacket, which is kept")
        except _Refused as problem:
            quarantine.add(
                file=name, record=name, field=problem.place, value=problem.value, reason=problem.reason
            )
            continue
        first[source_id] = name
        cases.append(rows.case)
        collected.phenotypes += rows.phenotypes
        collected.variants += rows.variants
        collected.vcfs += rows.vcfs
    if not members:
        raise InputError("holds no JSON file", file=shown_name(path), field="rare.cohort.path")
    if not cases:
        # the file by its place: its name may be a patient's, and this goes into a log
        _, _, _, place, _, reason = quarantine.rows[-1]
        number = f"JSON file {members} of {members}, by name"
        problem = f"holds no usable phenopacket; {reason}"
        raise InputError(problem, file=shown_name(path), record=number, field=place)
    return cohort.RawCohort(
        cases=cohort.table(cases, cohort.CASES, ["case_id"]),
        phenotypes=cohort.table(collected.phenotypes, cohort.PHENOTYPES, ["case_id"]),
        variants=cohort.table(collected.variants, cohort.VARIANTS, ["case_id"]),
        vcfs=cohort.table(collected.vcfs, cohort.VCFS, ["case_id", "vcf"]),
    )


@dataclass(frozen=True)
class Patient:
    """What a student may read of one phenopacket; nothing that names the patient.

    Attributes:
        sex: MALE, FEMALE or UNKNOWN.
        age_years: at the last encounter, if known.
        terms: HPO ids as they stand there, and whether each is excluded.
        left_out: fields that were passed over, and why.
    """

    sex: str
    age_years: float | None
    terms: tuple[tuple[str, bool], ...]
    left_out: tuple[tuple[str, str], ...]


def read_patient(data: bytes) -> Patient:
    """The phenotypes, sex and age of one phenopacket; id, publication and diagnosis are not needed.

    Raises:
        InputError: no phenopacket of version 2, or without phenotypes; names the field, not the patient.
    """
    aside = Quarantine("predict")
    notes = _Notes(aside, "", "")
    try:
        packet = _opened(data)
        rows = _features(packet, "", notes)
    except _Refused as problem:
        raise InputError(problem.reason, field=problem.place) from None
    subject = _mapping(packet.get("subject"))
    age = _age(subject, notes)
    return Patient(
        sex=SEXES.get(_text(subject.get("sex")), "UNKNOWN"),
        age_years=age,
        terms=tuple((str(hpo_id), bool(excluded)) for _, hpo_id, _, excluded in rows),
        left_out=tuple((place, reason) for _, _, _, place, _, reason in aside.rows),
    )


def years(duration: str) -> float | None:
    """Years of an ISO 8601 duration such as P3Y6M; the part below a day is left out. None if it is none."""
    match = _DURATION.match(duration)
    if match is None or duration.startswith("PT") or not any(match.groups()):
        return None
    y, m, w, d = (float(part or 0) for part in match.groups())
    return y + m / 12 + (7 * w + d) / _DAYS_PER_YEAR


def disease_identifier(text: str) -> str | None:
    """An OMIM, MONDO or ORPHA id in the spelling of the tables (``Orphanet:1`` is ``ORPHA:1``), or None."""
    identifier = re.sub(r"^Orphanet:", "ORPHA:", text.strip(), flags=re.IGNORECASE)
    return identifier if _DISEASE_ID.match(identifier) else None


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    """The string, without surrogates that no file can hold; "" for anything else."""
    if not isinstance(value, str):
        return ""
    return value.strip().encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True)
class _Notes:
    """Sets single fields of one patient aside."""

    quarantine: Quarantine
    file: str
    case_id: str

    def leave_out(self, place: str, value: object, reason: str) -> None:
        self.quarantine.add(
            file=self.file,
            record=self.case_id,
            field=place,
            value=value,
            reason=f"{reason}; the field is left out, the patient kept",
        )


def _opened(data: bytes) -> dict[str, Any]:
    try:
        packet = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _Refused("(file)", error, "broken JSON") from error
    if not isinstance(packet, dict):
        raise _Refused("(file)", type(packet).__name__, "not a JSON object")
    _check_version(packet)
    return packet


def _parse(
    data: bytes, name: str, quarantine: Quarantine, places: VcfPlaces, same: Callable[[str], str]
) -> _Rows:
    packet = _opened(data)
    source_id = _text(packet.get("id"))
    if not source_id:
        raise _Refused("id", packet.get("id"), "no id")
    identifier = cohort.case_id(source_id)
    notes = _Notes(quarantine, name, identifier)
    disease_id, disease_name = _diagnosis(packet, same)
    rows = _Rows()
    rows.phenotypes = _features(packet, identifier, notes)
    publications = _publications(packet, source_id, identifier, notes)
    subject = _mapping(packet.get("subject"))
    rows.case = (
        identifier,
        source_id,
        name,
        publications[0],
        publications,
        disease_id,
        disease_name,
        _sex(subject, notes),
        _age(subject, notes),
        False,
    )
    rows.variants = _variants(packet, identifier, notes)
    rows.vcfs = _vcfs(packet, subject, identifier, notes, places)
    for place, value in _misshapen(packet, _SHAPE):
        notes.leave_out(place, value, "of another type than phenopackets give it")
    return rows


def _misshapen(value: object, shape: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Where something there is has another type than in ``shape``, and what stands there."""
    if value is None:
        return
    if not isinstance(value, type(shape)):
        yield place, value
    elif isinstance(shape, list):
        for i, item in enumerate(_list(value)):
            yield from _misshapen(item, shape[0], f"{place}[{i}]")
    elif isinstance(shape, dict):
        for key, sub in shape.items():
            yield from _misshapen(_mapping(value).get(key), sub, f"{place}.{key}" if place else key)


def _check_version(packet: dict[str, Any]) -> None:
    version = _text(_mapping(packet.get("metaData")).get("phenopacketSchemaVersion"))
    old = [key for key in _VERSION_1 if key in packet]
    if version.startswith("1") or old:
        place = "metaData.phenopacketSchemaVersion" if version.startswith("1") else old[0]
        raise _Refused(place, version or old[0], "a phenopacket of version 1; version 2 is expected")
    for key in ("proband", "members"):
        if key in packet:
            raise _Refused(key, "", "a family or a cohort, not a phenopacket")


def _diagnosis(packet: dict[str, Any], same: Callable[[str], str]) -> tuple[str, str]:
    """The one disease: of the interpretations, or where they name none, of the diseases.

    An interpretation that is not concluded is a suspicion, and no truth to learn or to be measured by.
    """
    found: list[tuple[str, object, str]] = []
    suspected: list[tuple[str, str]] = []
    for i, interpretation in enumerate(_list(packet.get("interpretations"))):
        term = _mapping(_mapping(_mapping(interpretation).get("diagnosis")).get("disease"))
        status = _text(_mapping(interpretation).get("progressStatus"))
        if term.get("id") and status in _OPEN:
            suspected.append((f"interpretations[{i}].progressStatus", status))
        elif term.get("id"):
            place = f"interpretations[{i}].diagnosis.disease.id"
            found.append((place, term["id"], _text(term.get("label"))))
    if suspected and not found:
        raise _Refused(*suspected[0], "the diagnosis is not concluded")
    if not found:
        for i, disease in enumerate(_list(packet.get("diseases"))):
            term = _mapping(_mapping(disease).get("term"))
            if term.get("id") and not _mapping(disease).get("excluded"):
                found.append((f"diseases[{i}].term.id", term["id"], _text(term.get("label"))))
    if not found:
        raise _Refused("interpretations[].diagnosis.disease.id", "", "no diagnosis")
    diseases: dict[str, str] = {}
    for place, value, label in found:
        identifier = disease_identifier(_text(value))
        if identifier is None:
            raise _Refused(place, value, "not an OMIM, MONDO or ORPHA identifier of a disease")
        diseases.setdefault(identifier, label)
        if len(set(map(same, diseases))) > 1:
            raise _Refused(place, " ".join(diseases), "two different diagnoses")
    # of several names that which most annotations have
    identifier = min(diseases, key=lambda found: _VOCABULARIES.index(found.partition(":")[0]))
    label = diseases[identifier]
    return intern(identifier), intern(label or identifier)


def _features(packet: dict[str, Any], identifier: str, notes: _Notes) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for i, feature in enumerate(_list(packet.get("phenotypicFeatures"))):
        place = f"phenotypicFeatures[{i}]"
        term = _mapping(_mapping(feature).get("type"))
        excluded = _mapping(feature).get("excluded")
        hpo_id = _text(term.get("id"))
        if not HPO_ID.match(hpo_id):
            notes.leave_out(f"{place}.type.id", term.get("id", ""), "no HPO identifier")
        elif not (excluded is None or isinstance(excluded, bool)):
            # observed or absent: a guess would turn a finding into its opposite
            notes.leave_out(f"{place}.excluded", excluded, "neither true nor false")
        elif "negated" in feature:
            notes.leave_out(f"{place}.negated", feature["negated"], "a field of version 1")
        else:
            rows.append((identifier, intern(hpo_id), intern(_text(term.get("label"))), bool(excluded)))
    if not rows:
        raise _Refused("phenotypicFeatures", packet.get("phenotypicFeatures", ""), "no phenotypes")
    return rows


def _publications(packet: dict[str, Any], source_id: str, identifier: str, notes: _Notes) -> list[str]:
    """PMIDs in order of appearance, then DOIs and PMC ids; a mark where one was not read, or there is none.

    Of the external references, the evidence of phenotypes and the packet's id. A patient is split, and
    cleared of leaks, by them alone: what cannot be read is noted.
    """
    found: dict[str, None] = {}
    unread: list[tuple[str, str, bool]] = []
    for place, reference in _references(packet):
        texts = [text for key in ("id", "reference") if (text := _text(_mapping(reference).get(key)))]
        read = [publications_in(text) for text in texts]
        names = [name for one in read for name in one.names]
        found |= dict.fromkeys(names)
        doubtful = any(one.unread for one in read)
        if texts and (doubtful or not names):
            unread.append((place, " ".join(texts), doubtful))
    if match := _PMID_IN_ID.match(source_id):
        found[f"PMID:{match[1]}"] = None
    for place, text, doubtful in unread:
        if doubtful or not found:
            notes.leave_out(place, text, "no PMID, DOI or PMC id")
    pmids = [name for name in found if name.startswith("PMID:")]
    others = [name for name in found if not name.startswith("PMID:")]
    mark = [f"{cohort.UNREAD}{identifier}"] if any(doubtful for *_, doubtful in unread) else []
    return [*pmids, *others, *mark] or [f"{cohort.NO_PUBLICATION}{identifier}"]


def _references(packet: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Place and content of everything that may cite a publication of the patient."""
    for i, reference in enumerate(_list(_mapping(packet.get("metaData")).get("externalReferences"))):
        yield f"metaData.externalReferences[{i}]", reference
    for i, feature in enumerate(_list(packet.get("phenotypicFeatures"))):
        for j, evidence in enumerate(_list(_mapping(feature).get("evidence"))):
            yield f"phenotypicFeatures[{i}].evidence[{j}].reference", _mapping(evidence).get("reference")


def _sex(subject: dict[str, Any], notes: _Notes) -> str:
    told = _text(subject.get("sex"))
    if told and told not in _SEXES_OF_THE_STANDARD:
        notes.leave_out("subject.sex", told, f"none of {', '.join(_SEXES_OF_THE_STANDARD)}")
    return SEXES.get(told, "UNKNOWN")


def _age(subject: dict[str, Any], notes: _Notes) -> float | None:
    last = _mapping(subject.get("timeAtLastEncounter"))
    span = _mapping(last.get("ageRange"))
    texts = [_mapping(entry).get("iso8601duration") for entry in (span.get("start"), span.get("end"))]
    place = "subject.timeAtLastEncounter.ageRange"
    if "age" in last:
        texts = [_mapping(last["age"]).get("iso8601duration")]
        place = "subject.timeAtLastEncounter.age.iso8601duration"
    elif not span:
        return None
    ages = [years(_text(text)) for text in texts]
    known = [age for age in ages if age is not None and age <= _OLDEST]
    if len(known) < len(ages):
        notes.leave_out(place, texts, f"no ISO 8601 duration below {_OLDEST:.0f} years")
        return None
    return sum(known) / len(known)


def _variants(packet: dict[str, Any], identifier: str, notes: _Notes) -> list[tuple[object, ...]]:
    rows: dict[tuple[object, ...], None] = {}
    for i, interpretation in enumerate(_list(packet.get("interpretations"))):
        diagnosis = _mapping(_mapping(interpretation).get("diagnosis"))
        for j, genomic in enumerate(_list(diagnosis.get("genomicInterpretations"))):
            entry = _mapping(genomic)
            if _text(entry.get("interpretationStatus")) == "REJECTED":
                continue
            interpreted = _mapping(entry.get("variantInterpretation"))
            row = _variant(_mapping(interpreted.get("variationDescriptor")), _mapping(entry.get("gene")))
            if row is None:
                place = f"interpretations[{i}].diagnosis.genomicInterpretations[{j}]"
                notes.leave_out(place, genomic, "no gene, no HGVS expression and no structural type")
            else:
                rows[(identifier, *row, "phenopacket")] = None
    return list(rows)


def _variant(variation: dict[str, Any], gene: dict[str, Any]) -> tuple[object, ...] | None:
    gene = _mapping(variation.get("geneContext")) or gene
    symbol, hgnc = _text(gene.get("symbol")), _text(gene.get("valueId"))
    expressions: dict[str, str] = {}
    for expression in _list(variation.get("expressions")):
        syntax, value = (_text(_mapping(expression).get(key)) for key in ("syntax", "value"))
        if syntax.startswith("hgvs") and value:
            expressions.setdefault(_hgvs_kind(syntax, value), value)
    structure = _mapping(variation.get("structuralType"))
    structural_type = _text(structure.get("label")) or _text(structure.get("id"))
    if not (symbol or expressions or structural_type):
        return None
    state = variants.zygosity(_text(_mapping(variation.get("allelicState")).get("id")))
    found = variants.consequence(expressions.get("p"), expressions.get("c"), structural_type)
    if found == "structural":
        # the type is often generic where the free-text label says deletion or duplication
        found = variants.structural_class(_text(variation.get("label")))
    values = (symbol, hgnc, expressions.get("c"), expressions.get("g"), expressions.get("p"))
    return (*(value or None for value in values), state, structural_type or None, found)


def _hgvs_kind(syntax: str, value: str) -> str:
    """c, g or p. The store writes n. and m. names under hgvs.c; plain "hgvs" tells by the name itself."""
    kind = syntax.removeprefix("hgvs").removeprefix(".")
    if not kind:
        match = re.search(r"(?:^|:)([cgnmp])\.", value)
        kind = match[1] if match else "other"
    return {"n": "c", "m": "g"}.get(kind, kind)


def _vcfs(
    packet: dict[str, Any], subject: dict[str, Any], identifier: str, notes: _Notes, places: VcfPlaces
) -> list[tuple[object, ...]]:
    rows: dict[tuple[object, ...], None] = {}
    subject_id = _text(subject.get("id"))
    for i, entry in enumerate(_list(packet.get("files"))):
        uri = _text(_mapping(entry).get("uri"))
        attributes = _mapping(_mapping(entry).get("fileAttributes"))
        kind = _text(attributes.get("fileFormat")).lower()
        if kind not in {"", "vcf"} or (not kind and not uri.lower().endswith((".vcf", ".vcf.gz", ".bcf"))):
            continue
        vcf, problem = places.resolve(uri) if uri else (None, "no file name")
        if vcf is None:
            notes.leave_out(f"files[{i}].uri", uri, problem)
            continue
        names = _mapping(_mapping(entry).get("individualToFileIdentifiers"))
        rows[(identifier, vcf, _text(names.get(subject_id)) or subject_id)] = None
    return list(rows)
