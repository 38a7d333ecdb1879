"""A small synthetic cohort on which teachers can be trained in a second."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from mini_ontology import record
from mintflow.evidence import Evidence
from mintflow.features import Cohort
from mintflow.hpoa import information_content
from mintflow.knowledge import profiles_without
from mintflow.ontology import Ontology, compile_terms
from patients import annotation, annotations

DISEASES = [f"OMIM:10000{i}" for i in range(5)]
LEAVES = [f"HP:00010{i:02d}" for i in range(40)]

SETTINGS = {
    "kind": "encoder",
    "scores": None,
    "modalities": ["phenotype", "genotype"],
    "dim": 8,
    "dropout": 0.3,
    "modality_dropout": 0.2,
    "excluded_weight": 0.2,
    "learning_rate": 0.003,
    "weight_decay": 0.01,
    "batch_size": 16,
    "epochs": 3,
    "patience": 2,
    "seed": 1,
}


def terms() -> pd.DataFrame:
    """Forty findings in eight groups of five below the phenotype root."""
    groups = [record(f"HP:00002{i:02d}", "HP:0000118") for i in range(8)]
    leaves = [record(leaf, f"HP:00002{i // 5:02d}") for i, leaf in enumerate(LEAVES)]
    return compile_terms([record("HP:0000001"), record("HP:0000118", "HP:0000001"), *groups, *leaves])


@cache
def ontology() -> Ontology:
    """Made once."""
    return Ontology(terms())


def hpoa() -> pd.DataFrame:
    """Each disease has eight findings, each from one of its own publications; the unseen one's from OMIM."""
    rows = [
        annotation(10 * d + i, disease, LEAVES[(8 * d + i) % 40], f"PMID:{d}{i % 6}" if d < 4 else disease)
        for d, disease in enumerate(DISEASES)
        for i in range(8)
    ]
    return annotations(rows)


def cohort(images: bool = False) -> Cohort:
    """Four diseases of six publications with three patients each, and a disease never seen in training.

    Publications 0-3 are for training (fold = number modulo 2), 4 for validation, 5 for testing.
    """
    random = np.random.default_rng(0)
    cases, phenotypes, genotypes = [], [], []
    for d, disease in enumerate(DISEASES):
        for publication in range(6):
            for _ in range(3):
                case = f"case-{len(cases):03d}"
                part = ("train",) * 4 + ("validation", "test")
                split = "test_unseen" if d == 4 else part[publication]
                fold = publication % 2 if split == "train" else -1
                cases.append((case, f"PMID:{d}{publication}", disease, f"disease {d}", split, fold))
                own = [LEAVES[(8 * d + i) % 40] for i in range(8)]
                seen = set(random.choice(own, 4, replace=False)) | set(
                    random.choice(LEAVES, 2, replace=False)
                )
                absent = set(random.choice(LEAVES, 3, replace=False)) - seen
                phenotypes += [(case, term, False) for term in sorted(seen)]
                phenotypes += [(case, term, True) for term in sorted(absent)]
                genes = {f"GENE{d}", f"GENE{random.integers(9)}"}
                genotypes += [
                    (case, gene, "heterozygous", "missense", gene != f"GENE{d}") for gene in sorted(genes)
                ]
    columns = ["case_id", "publication", "disease_id", "disease_name", "split", "fold"]
    pictures = None
    if images:
        pictures = random.normal(size=(len(cases), 6)).astype(np.float32)
        for row, (_, _, disease, *_) in enumerate(cases):
            pictures[row, DISEASES.index(disease)] += 8
        pictures[::7] = np.nan
    return Cohort(
        pd.DataFrame(cases, columns=columns),
        pd.DataFrame(phenotypes, columns=["case_id", "hpo_id", "excluded"]),
        pd.DataFrame(genotypes, columns=["case_id", "gene_symbol", "zygosity", "consequence", "is_decoy"]),
        pictures,
    )


def evidence(patients: Cohort, table: pd.DataFrame | None = None) -> Evidence:
    """Evidence without the publications outside the training split."""
    table = hpoa() if table is None else table
    held_out = patients.publications(~patients.in_split("train"))
    profiles = profiles_without(table, held_out, ontology())
    links = pd.DataFrame({"gene_symbol": [f"GENE{d}" for d in range(5)], "disease_id": DISEASES})
    return Evidence(ontology(), table, profiles, information_content(profiles, ontology()), links)
