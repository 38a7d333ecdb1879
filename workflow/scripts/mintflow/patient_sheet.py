"""Patients from a tab-separated table, one row a patient: for cohorts that exist in no other form.

Columns, in any order: ``case_id``, ``disease_id``, ``hpo_ids``; optional ``disease_name``,
``publication``, ``excluded_hpo_ids``, ``genes``, ``sex``, ``age_years``. Several values of a cell are
separated by ``;``, HPO ids and genes also by ``,``; behind an HPO id its label may stand. A row that cannot
be used goes to the quarantine; the others go on.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from . import cohort, sheet_text
from .archives import MEGABYTE
from .errors import InputError
from .gene_symbols import GeneSymbols
from .phenopackets import SEXES, disease_identifier
from .publications import publications_in
from .quarantine import Quarantine

REQUIRED = ("case_id", "disease_id", "hpo_ids")
OPTIONAL = ("disease_name", "publication", "excluded_hpo_ids", "genes", "sex", "age_years")
SUFFIXES = (".tsv", ".txt", ".tab")
WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")

_KEY = "external"  # of the configuration, which names the table
_SHOWN = 80

_SEXES = {"M": "MALE", "F": "FEMALE", "U": "UNKNOWN", "": "UNKNOWN", "UNKNOWN": "UNKNOWN"} | SEXES
_OLDEST = 130.0
_TERM = re.compile(r"\s*HP[:_]([0-9]{7})(?:\s+|(?=\()|$)(.*)", re.IGNORECASE | re.DOTALL)
_ANY_TERM = re.compile(r"HP[:_][0-9]", re.IGNORECASE)
# as the whole label or a part of it that stands by itself: "Absent speech" is a finding
_NOT_OBSERVED = re.compile(
    "(?:(?:both|all) )?"
    "(?:absent|excluded|excl|negated|negative|neg|none|no|n|not|never|denied|ruled out|false|0"
    "|not (?:found|observed|present|known|tested|assessed|reported|detected|seen|examined|applicable)"
    "|n a|na|unknown|uncertain|unclear|possible|suspected)"
)
_PARTS = re.compile(r"[\[\](){}<>,;:=|\"*\u2014\u2212]|\s[-\u2013/]|[-\u2013/]\s|--|->")
_BOTH = re.compile(r"\b(?:both|all) (?:absent|excluded|negative|not)\b", re.IGNORECASE)
_FLAG = re.compile(r"\b(?:absent|excluded|negated|observed|present)\s*[:=]", re.IGNORECASE)

_DOUBT = "marked as absent or uncertain; absent findings belong in excluded_hpo_ids"
_UNREAD = "holds a character that cannot be read: save the table as UTF-8"

Note = Callable[[str, str, str], None]


def is_sheet(path: str) -> bool:
    """Whether a path names a table; anything else is a folder or zip of phenopackets."""
    return path.lower().endswith(SUFFIXES)


def is_workbook(path: str) -> bool:
    """Whether a path names a workbook of a spreadsheet, which is often a zip, but none of phenopackets."""
    return path.lower().endswith(WORKBOOKS)


def read(
    path: str | Path, quarantine: Quarantine, *, max_mb: float, genes: Iterable[str] = ()
) -> cohort.RawCohort:
    """Read the table.

    Args:
        path: the table, in an encoding of ``sheet_text``.
        quarantine: receives rows, and single values of rows, that cannot be used.
        max_mb: a larger file is refused (10^6 bytes).
        genes: symbols of the knowledge, in whose spelling those of the table are given back.

    Raises:
        InputError: not readable, too large, a column is missing or unknown, or no usable row.
    """
    path = Path(path)
    header, lines = _lines(path, max_mb)
    symbols = GeneSymbols(genes)
    cases, phenotypes, variants = [], [], []
    seen: set[str] = set()
    for number, cells in lines:
        record = f"line {number}"
        if len(cells) > len(header):
            _refuse(quarantine, path, record, "(line)", len(cells), f"more than {len(header)} cells")
            continue
        row = {name: "" for name in (*REQUIRED, *OPTIONAL)}
        row |= dict(zip(header, cells, strict=False))
        disease = disease_identifier(row["disease_id"])
        if not row["case_id"]:
            _refuse(quarantine, path, record, "case_id", "", "no case_id")
            continue
        if sheet_text.LOST in row["case_id"]:
            _refuse(quarantine, path, record, "case_id", "", _UNREAD)
            continue
        if row["case_id"] in seen:
            _refuse(quarantine, path, record, "case_id", "", "the case_id of an earlier line, which is kept")
            continue
        if disease is None:
            problem = "not an OMIM, MONDO or ORPHA identifier of a disease"
            _refuse(quarantine, path, record, "disease_id", row["disease_id"], problem)
            continue
        identifier = cohort.case_id(row["case_id"])
        kept: list[tuple[str, str, str]] = []
        terms = _terms(row, lambda *said, kept=kept: kept.append(said))
        if not terms:
            _refuse(quarantine, path, record, "hpo_ids", row["hpo_ids"], "no phenotypes")
            continue
        publications = _publications(row, identifier, lambda *said, kept=kept: kept.append(said))
        named = _genes(row, symbols, lambda *said, kept=kept: kept.append(said))
        sex, age = _person(row, lambda *said, kept=kept: kept.append(said))
        for field, value, reason in kept:
            told = f"{reason}; the field is left out, the patient kept"
            quarantine.add(file=path.name, record=record, field=field, value=value, reason=told)
        seen.add(row["case_id"])
        name = row["disease_name"] or disease
        case = (identifier, row["case_id"], f"{path.name}:{number}", publications[0], publications)
        cases.append((*case, disease, name, sex, age, False))
        phenotypes += [(identifier, term, "", excluded) for term, excluded in terms]
        nothing = (None, None, None, None)
        for gene in named:
            variants.append((identifier, gene, *nothing, "unknown", None, "unknown", "sheet"))
    if not cases:
        problem, where, field = "holds no usable patient", None, _KEY
        if quarantine.rows:
            _, _, where, field, _, reason = quarantine.rows[-1]
            problem += f"; the last: {reason}"
        raise InputError(problem, file=path.name, record=where, field=field)
    return cohort.RawCohort(
        cases=cohort.table(cases, cohort.CASES, ["case_id"]),
        phenotypes=cohort.table(phenotypes, cohort.PHENOTYPES, ["case_id"]),
        variants=cohort.table(variants, cohort.VARIANTS, ["case_id"]),
        vcfs=cohort.table([], cohort.VCFS, ["case_id"]),
    )


def _lines(path: Path, max_mb: float) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Column names, and number and cells of each line that is not empty."""
    try:
        if path.is_dir():
            raise InputError("is a folder; a table of patients is a file", file=path.name, field=_KEY)
        if path.stat().st_size > max_mb * MEGABYTE:
            raise InputError("is larger than is allowed", file=path.name, field="rare.cohort.max_total_mb")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path.name, field=_KEY) from error
    text = sheet_text.decode(data, file=path.name, field=_KEY)
    # NUL would end the parser; line ends of every system
    source = io.StringIO(text.replace("\0", " "), newline=None)
    rows = csv.reader(source, delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        lines = [(rows.line_num, [sheet_text.cell(cell) for cell in cells]) for cells in rows]
    except csv.Error as error:
        raise InputError(f"cannot be read as a table: {error}", file=path.name, field=_KEY) from error
    lines = [(number, cells) for number, cells in lines if any(cells)]
    header = _header(lines[0][1] if lines else [], path.name)
    return header, [(number, _without_end(cells, len(header))) for number, cells in lines[1:]]


def _header(cells: list[str], file: str) -> list[str]:
    names = _without_end(cells, 0)
    header = [name.casefold() for name in names]
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        problem = f"lacks column(s) {', '.join(missing)}{_other_separator(names)}"
        raise InputError(problem, file=file, field=_KEY)
    for place, name in enumerate(header):
        if not name:
            raise InputError(f"column {place + 1} has no name", file=file, field=_KEY)
        if name not in (*REQUIRED, *OPTIONAL) or header.count(name) > 1:
            known = ", ".join((*REQUIRED, *OPTIONAL))
            problem = f"column {names[place]!r} is unknown or there twice; columns are {known}"
            raise InputError(problem, file=file, field=_KEY)
    return header


def _without_end(cells: list[str], least: int) -> list[str]:
    """Without the empty cells that spreadsheets leave at the end of a line, but for the first ``least``."""
    end = len(cells)
    while end > least and not cells[end - 1]:
        end -= 1
    return cells[:end]


def _other_separator(names: list[str]) -> str:
    # a first line that names no column is a patient's: it is not shown
    if len(names) != 1 or not any(name in names[0].casefold() for name in REQUIRED):
        return ""
    separator = max(";,| ", key=names[0].count)
    if separator not in names[0]:
        return ""
    shown = names[0] if len(names[0]) <= _SHOWN else f"{names[0][:_SHOWN]}…"
    return f"; one column {shown!r}: separated by {separator!r}? A sheet is separated by tabs"


def _refuse(quarantine: Quarantine, path: Path, record: str, field: str, value: object, reason: str) -> None:
    quarantine.add(file=path.name, record=record, field=field, value=value, reason=reason)


def _values(cell: str) -> list[str]:
    return [value.strip() for value in cell.split(";") if value.strip()]


def _terms(row: Mapping[str, str], note: Note) -> list[tuple[str, bool]]:
    terms: list[tuple[str, bool]] = []
    for field, excluded in (("hpo_ids", False), ("excluded_hpo_ids", True)):
        mine: list[str] = []
        behind = False  # whether what a continuation speaks of was taken
        heading = False  # "Absent: HP:0001250, HP:0002000"
        for value in _term_values(row[field]):
            match = _TERM.match(value)
            inside = _ANY_TERM.search(value) if match is None else None
            if inside and not excluded and _is_doubt(value[: inside.start()]):
                heading = True
            doubt = heading or (not excluded and _is_doubt(match[2] if match else value))
            if match is None:
                note(
                    field,
                    value,
                    _DOUBT if heading else "no HPO identifier; a label with a comma belongs in brackets",
                )
                if doubt and behind and mine and not inside:  # "HP:0001250 Seizure, absent"
                    note(field, mine.pop(), _DOUBT)
                    behind = False
                continue
            behind = False
            if _ANY_TERM.search(match[2]):
                note(field, value, "several HPO identifiers; separate them by ';'")
            elif doubt:
                # read as observed it would be the opposite
                note(field, value, _DOUBT)
            else:
                behind = True
                mine.append(f"HP:{match[1]}")
        if mine and not excluded and _BOTH.search(row[field]):
            note(field, row[field], _DOUBT)
            mine = []
        terms += [(term, excluded) for term in mine]
    return terms


def _is_doubt(label: str) -> bool:
    parts = [label, label.rpartition("/")[2], *_PARTS.split(label)]
    words = (re.sub(r"[\W_]+", " ", part).strip().casefold() for part in parts)
    return "?" in label or _FLAG.search(label) is not None or any(map(_NOT_OBSERVED.fullmatch, words))


def _term_values(cell: str) -> list[str]:
    """Parts between ``;`` and ``,``, but for those in the brackets of a label."""
    groups: list[list[str]] = []
    depth = 0
    for part in re.split("[;,]", cell):
        if depth > 0 and not _TERM.match(part):
            groups[-1].append(part)
        else:
            groups.append([part])
            depth = 0
        depth += part.count("(") - part.count(")")
    values = []
    for group in groups:
        whole = ",".join(group)
        # a bracket that nobody closed holds nothing together
        values += [whole] if whole.count("(") <= whole.count(")") else group
    return [value.strip() for value in values if value.strip()]


def _genes(row: Mapping[str, str], symbols: GeneSymbols, note: Note) -> list[str]:
    found: dict[str, None] = {}
    for value in _values(row["genes"].replace(",", ";")):
        symbol, problem = symbols.find(value)
        if symbol is None:
            note("genes", value, problem)
        else:
            found[symbol] = None
    return list(found)


def _publications(row: Mapping[str, str], identifier: str, note: Note) -> list[str]:
    """Every publication of the cell; a mark where one was not read, or where there is none."""
    cell = row["publication"]
    if sheet_text.LOST in cell:
        note("publication", cell, _UNREAD)
        return [f"{cohort.UNREAD}{identifier}"]
    found = publications_in(cell, numbers=True)
    unread = found.unread or (cell != "" and not found.names)
    if unread:
        note("publication", cell, "no PMID, DOI or PMC id, or not that alone")
    mark = [f"{cohort.UNREAD}{identifier}"] if unread else []
    return [*found.names, *mark] or [f"{cohort.NO_PUBLICATION}{identifier}"]


def _person(row: Mapping[str, str], note: Note) -> tuple[str, float | None]:
    sex = _SEXES.get(row["sex"].upper())
    if sex is None:
        note("sex", row["sex"], "none of male, female, unknown")
    age = None
    if row["age_years"]:
        try:
            age = float(row["age_years"])
        except ValueError:
            age = math.nan
        if not 0 <= age <= _OLDEST:
            note("age_years", row["age_years"], f"no number of years from 0 to {_OLDEST:.0f}")
            age = None
    return sex or "UNKNOWN", age
