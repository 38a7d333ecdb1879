"""HPO annotations of diseases (phenotype.hpoa): rows, frequencies, profiles, information content.

Everything that is computed here takes the annotation table as an argument, so that a caller can
drop the rows of held-out publications first (``drop_publications``).
File format: https://hpo-annotation-qc.readthedocs.io, annotation format.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .errors import InputError

if TYPE_CHECKING:
    from .ontology import Ontology

# Mid-points of the ranges that the terms below HP:0040279 are defined by.
FREQUENCY_TERMS = {
    "HP:0040280": 1.0,  # obligate, 100 %
    "HP:0040281": 0.895,  # very frequent, 80-99 %
    "HP:0040282": 0.545,  # frequent, 30-79 %
    "HP:0040283": 0.17,  # occasional, 5-29 %
    "HP:0040284": 0.025,  # very rare, 1-4 %
    "HP:0040285": 0.0,  # excluded
}

# For a positive annotation without a frequency: about the mean of the n/m that the release states
# (0.62 over 89,578 rows of 2025-01-16). A constant, so that nothing is learnt from held-out rows.
UNSTATED_FREQUENCY = 0.6

COLUMNS = [
    "row_id",
    "disease_id",
    "disease_name",
    "negated",
    "hpo_id",
    "reference",
    "evidence",
    "n",
    "m",
    "frequency",
    "aspect",
]
_FILE_COLUMNS = [
    "database_id",
    "disease_name",
    "qualifier",
    "hpo_id",
    "reference",
    "evidence",
    "frequency",
    "aspect",
]


def parse_hpoa(path: str | Path) -> pd.DataFrame:
    """Read phenotype.hpoa; one row per annotation and reference, columns ``COLUMNS``.

    A row that cites several references appears once for each, with the same ``row_id`` (its
    position in the file, from 0); one that cites none appears once with reference "".

    Raises:
        InputError: not such a file, or a frequency in no known form.
    """
    try:
        with open(path, encoding="utf-8") as handle:
            header = 0
            while (line := handle.readline()).startswith("#"):
                header += 1
        table = pd.read_csv(path, sep="\t", skiprows=header, dtype=str, keep_default_na=False, quoting=3)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as HPO annotations: {error}", file=Path(path).name) from error
    missing = [name for name in _FILE_COLUMNS if name not in line.rstrip("\n").split("\t")]
    if missing:
        raise InputError(f"lacks column(s) {', '.join(missing)}", file=Path(path).name)
    n, m, frequency = parse_frequencies(table["frequency"])
    rows = pd.DataFrame(
        {
            "row_id": np.arange(len(table), dtype=np.int64),
            "disease_id": table["database_id"],
            "disease_name": table["disease_name"],
            "negated": table["qualifier"] == "NOT",
            "hpo_id": table["hpo_id"],
            "reference": table["reference"].str.split(";"),
            "evidence": table["evidence"],
            "n": n,
            "m": m,
            "frequency": frequency,
            "aspect": table["aspect"],
        }
    ).explode("reference", ignore_index=True)
    rows["reference"] = rows["reference"].str.strip()
    return rows.drop_duplicates(["row_id", "reference"], ignore_index=True)[COLUMNS]


def parse_frequencies(text: pd.Series) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Counts n, m (nullable integers) and frequency (nullable float, 0 to 1) of HPOA frequency fields.

    Known forms: "", "n/m", "x%" and the terms of ``FREQUENCY_TERMS``.

    Raises:
        InputError: any other form, m = 0, n > m, or more than 100 %.
    """
    counts = text.str.extract(r"^(\d+)/(\d+)$").astype("Int64")
    n, m = counts[0], counts[1]
    percent = pd.to_numeric(text.str.extract(r"^(\d+(?:\.\d+)?)\s*%$")[0]) / 100
    # m = 0 must not divide; it is reported below
    frequency = n.astype("Float64") / m.where(m > 0).astype("Float64")
    frequency = frequency.fillna(percent.astype("Float64"))
    frequency = frequency.fillna(text.map(FREQUENCY_TERMS).astype("Float64"))
    wrong = (text != "") & (frequency.isna() | (frequency > 1).fillna(False))
    if wrong.any():
        raise InputError(
            f"{text[wrong].iloc[0]!r} is no frequency (expected n/m, a percentage or an HPO term)",
            record=f"row {int(wrong.to_numpy().argmax())}",
            field="frequency",
        )
    return n, m, frequency


def parse_gene_disease(path: str | Path) -> pd.DataFrame:
    """Distinct gene-disease links of genes_to_phenotype.txt, sorted.

    Returns:
        gene_symbol, ncbi_gene_id, disease_id. The file's phenotype columns are left out: they repeat
        the annotations without saying which publication they come from.

    Raises:
        InputError: not such a file.
    """
    columns = ["gene_symbol", "ncbi_gene_id", "disease_id"]
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, quoting=3, usecols=columns)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as gene annotations: {error}", file=Path(path).name) from error
    table = table[(table["gene_symbol"] != "") & (table["gene_symbol"] != "-")]
    order = ["gene_symbol", "disease_id", "ncbi_gene_id"]
    return table[columns].drop_duplicates().sort_values(order, ignore_index=True)


def drop_publications(hpoa: pd.DataFrame, publications: Iterable[str]) -> pd.DataFrame:
    """The table without every row that cites any of ``publications``, its other references included."""
    citing = hpoa.loc[hpoa["reference"].isin(set(publications)), "row_id"].unique()
    return hpoa[~hpoa["row_id"].isin(citing)].reset_index(drop=True)


def disease_names(hpoa: pd.DataFrame) -> pd.Series:
    """Each disease's name: the one most rows carry, ties by alphabet. Indexed by ``disease_id``, sorted."""
    rows = hpoa.drop_duplicates("row_id")
    counts = rows.groupby(["disease_id", "disease_name"], sort=True).size().reset_index(name="rows")
    counts = counts.sort_values(["disease_id", "rows", "disease_name"], ascending=[True, False, True])
    return counts.drop_duplicates("disease_id").set_index("disease_id")["disease_name"]


def pooled_frequencies(rows: pd.DataFrame, by: list[str], unstated: float) -> pd.DataFrame:
    """One frequency per group of annotation rows (one line per ``row_id``).

    Rows with counts are pooled (sum of n over sum of m); a group without counts takes the mean of
    the frequencies that are stated; a group where none is stated takes ``unstated``.

    Returns:
        ``by``, frequency (float), n_rows (int); sorted by ``by``.
    """
    counted = rows["m"].notna()
    values = rows[by].assign(
        n=rows["n"].where(counted, 0).astype("int64"),
        m=rows["m"].where(counted, 0).astype("int64"),
        stated=rows["frequency"].astype("float64"),
        n_rows=1,
    )
    how = {"n": "sum", "m": "sum", "stated": "mean", "n_rows": "sum"}
    groups = values.groupby(by, sort=True, as_index=False).agg(how)
    pooled = groups["n"] / groups["m"].where(groups["m"] > 0)
    groups["frequency"] = pooled.fillna(groups["stated"]).fillna(unstated)
    return groups[[*by, "frequency", "n_rows"]]


def disease_profiles(hpoa: pd.DataFrame, unstated: float = UNSTATED_FREQUENCY) -> pd.DataFrame:
    """What each disease looks like: its positive phenotype annotations (aspect P).

    Terms that were looked for and never seen (0/m, "excluded") are left out.

    Returns:
        disease_id, hpo_id, frequency in (0, 1], n_rows; sorted by disease and term.
    """
    rows = hpoa[(hpoa["aspect"] == "P") & ~hpoa["negated"].astype(bool)].drop_duplicates("row_id")
    profiles = pooled_frequencies(rows, ["disease_id", "hpo_id"], unstated)
    return profiles[profiles["frequency"] > 0].reset_index(drop=True)


def information_content(profiles: pd.DataFrame, ontology: Ontology, prefix: str = "OMIM:") -> pd.DataFrame:
    """How much a term says about which disease it is: -ln(share of diseases annotated with it).

    Resnik's measure over the diseases whose id starts with ``prefix``; a disease counts for a term
    if it is annotated with the term or anything below it. Terms of no disease get the maximum, ln(number of
    diseases), which is that of a term of one disease; profile terms that are not current are ignored.

    Returns:
        hpo_id (every current term, sorted), ic (float, natural logarithm).

    Raises:
        InputError: no profile of such a disease.
    """
    rows = profiles[profiles["disease_id"].str.startswith(prefix) & profiles["hpo_id"].isin(ontology.index)]
    diseases, names = pd.factorize(rows["disease_id"])
    if not len(names):
        raise InputError(f"no annotated disease with an id like {prefix}...: no information content")
    terms = rows["hpo_id"].map(ontology.index).to_numpy()
    indptr, indices = ontology.closure
    lengths = np.diff(indptr)[terms]
    starts = np.repeat(indptr[terms] - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths)
    closed = indices[starts + np.arange(lengths.sum())].astype(np.int64)
    pairs = np.unique(np.repeat(diseases, lengths) * len(ontology) + closed)
    annotated = np.bincount(pairs % len(ontology), minlength=len(ontology))
    # + 0.0 turns the root's -0.0 into 0.0
    ic = -np.log(np.maximum(annotated, 1) / len(names)) + 0.0
    return pd.DataFrame({"hpo_id": ontology.ids, "ic": ic})
