"""Decoy genes: look-alikes that keep a patient's gene from giving the diagnosis away.

A published patient's record names one gene, the causative one; a clinic's list names several. Each
patient gets ``decoys`` further genes that are not linked to the patient's own disease.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .errors import InputError

# What is copied from a real patient's gene, so that a decoy cannot be told by its looks.
LOOKS = ["zygosity", "structural_type", "consequence", "hgvs_c", "source"]

Block = list[dict[str, Any]]


def add_decoys(
    genotypes: pd.DataFrame, cases: pd.DataFrame, gene_disease: pd.DataFrame, settings: Mapping[str, Any]
) -> pd.DataFrame:
    """Genotypes with ``decoys`` more genes for every patient, but for those of a further cohort without any.

    In a run no gene at all would give away the diseases that none is known for; of a further patient, who may
    never have been sequenced, decoys alone would be wrong evidence.

    A disease is drawn uniformly, then one of its genes, until there are enough different ones. Genes of the
    patient's own disease, in the release or in any patient's record, are never drawn. A decoy looks like
    a real one: it copies all rows (two for a compound heterozygote) of a training patient with
    this gene, or where there is none, of a training patient with any gene, then without HGVS name.

    Args:
        genotypes: real rows: case_id, gene_symbol (may be null) and ``LOOKS``.
        cases: case_id, disease_id, split, and further if known.
        gene_disease: gene_symbol, disease_id of the HPO release.
        settings: ``decoys`` and ``decoy_source`` ("candidates": diseases of ``cases``; "hpo": all of the
            release), ``seed``.

    Returns:
        Real and decoy rows with is_decoy, sorted so that the order tells nothing.

    Raises:
        InputError: fewer genes to draw from than decoys wanted.
    """
    real = genotypes.assign(is_decoy=False)
    if not settings["decoys"] or real["gene_symbol"].isna().all():
        return _sorted(real)
    genes_of = _genes_of_diseases(genotypes, cases, gene_disease)
    pool = genes_of
    if settings["decoy_source"] == "candidates":
        candidates = set(cases["disease_id"])
        pool = {disease: genes for disease, genes in genes_of.items() if disease in candidates}
    available = {gene for genes in pool.values() for gene in genes}
    templates = _templates(genotypes, cases)
    everything = [block for gene in sorted(templates) for block in templates[gene]]
    carried = genotypes.groupby("case_id")["gene_symbol"].agg(lambda genes: set(genes.dropna()))
    rows: Block = []
    further = cases["further"] if "further" in cases else [False] * len(cases)
    for case_id, disease, new in zip(cases["case_id"], cases["disease_id"], further, strict=True):
        if new and not carried.get(case_id):
            continue
        # one generator per patient: the others' presence changes nothing but the pool
        digest = hashlib.sha256(case_id.encode()).digest()
        rng = np.random.default_rng([settings["seed"], int.from_bytes(digest[:8], "big")])
        barred = set(carried.get(case_id, set())) | set(genes_of.get(disease, []))
        if len(available - barred) < settings["decoys"]:
            raise InputError(
                f"{len(available - barred)} gene(s) to draw {settings['decoys']} decoys from; "
                "lower it or set rare.genotypes.decoy_source to hpo",
                record=case_id,
                field="rare.genotypes.decoys",
            )
        for gene in _draw(pool, barred, settings["decoys"], rng):
            blocks = templates.get(gene)
            block = (blocks or everything)[int(rng.integers(len(blocks or everything)))]
            rows += [
                {
                    **row,
                    "case_id": case_id,
                    "gene_symbol": gene,
                    "hgvs_c": row["hgvs_c"] if blocks else None,
                    "is_decoy": True,
                }
                for row in block
            ]
    return _sorted(pd.concat([real, pd.DataFrame(rows, columns=list(real)).astype(real.dtypes)]))


def _sorted(rows: pd.DataFrame) -> pd.DataFrame:
    order = ["case_id", "gene_symbol", "consequence", "zygosity", "hgvs_c", "structural_type", "source"]
    return rows.sort_values(order, kind="stable", ignore_index=True)


def _genes_of_diseases(
    genotypes: pd.DataFrame, cases: pd.DataFrame, gene_disease: pd.DataFrame
) -> dict[str, list[str]]:
    """Genes of each disease: of the release, and of its patients' records (a VCF's genes are not)."""
    reported = genotypes[genotypes["gene_symbol"].notna() & (genotypes["source"] != "vcf")]
    reported = reported.merge(cases[["case_id", "disease_id"]], on="case_id")
    links = pd.concat([gene_disease[["disease_id", "gene_symbol"]], reported[["disease_id", "gene_symbol"]]])
    links = links.drop_duplicates().sort_values(["disease_id", "gene_symbol"])
    return links.groupby("disease_id")["gene_symbol"].agg(list).to_dict()


def _templates(genotypes: pd.DataFrame, cases: pd.DataFrame) -> dict[str, list[Block]]:
    """For each gene the rows of every training patient that has it (of all patients if none has any)."""
    rows = genotypes[genotypes["gene_symbol"].notna()]
    training = rows[rows["case_id"].isin(cases.loc[cases["split"] == "train", "case_id"])]
    rows = training if len(training) else rows
    rows = rows.sort_values(["gene_symbol", "case_id"], kind="stable")
    found: dict[str, list[Block]] = {}
    for (gene, _), block in rows.groupby(["gene_symbol", "case_id"], sort=True):
        found.setdefault(str(gene), []).append(block[LOOKS].to_dict("records"))
    return found


def _draw(
    pool: Mapping[str, Sequence[str]], barred: Collection[str], count: int, rng: np.random.Generator
) -> list[str]:
    """Distinct genes outside ``barred``: of a disease drawn uniformly one of its genes, ``count`` times."""
    diseases = list(pool)
    drawn: list[str] = []
    while len(drawn) < count:
        genes = pool[diseases[int(rng.integers(len(diseases)))]]
        gene = genes[int(rng.integers(len(genes)))]
        if gene not in barred and gene not in drawn:
            drawn.append(gene)
    return drawn
