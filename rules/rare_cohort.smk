"""
Patients: read or simulated, phenotypes normalised, split by publication, genotypes attached.

REQUIRED INPUTS:
    rare.cohort.path (source phenopackets), or nothing (source hpoa)
    resources/hpo/*.parquet
OUTPUTS:
    cases           = results/{run}/rare/cohort/cases.parquet     with split and fold
    phenotypes      = results/{run}/rare/cohort/phenotypes.parquet
    genotypes       = results/{run}/rare/cohort/genotypes.parquet
    quarantine      = results/{run}/rare/cohort/**/quarantine*.tsv
"""

TARGETS["cohort"] = {
    "rare": [
        f"{RARE}/cohort/cases.parquet",
        f"{RARE}/cohort/phenotypes.parquet",
        f"{RARE}/cohort/genotypes.parquet",
        f"{RARE}/knowledge/candidates.parquet",
    ]
}


if config["rare"]["cohort"]["url"] and not config["rare"]["cohort"]["path"]:
    TARGETS["downloads"]["rare"].append(f"{RARE}/cohort/raw/cases.parquet")

# Which keys of rare.cohort a rule reads: the others re-run nothing.
_choosing = ("source", "min_terms", "min_cases", "min_publications", "max_diseases")
_reading = (
    *("source", "path", "url", "sha256", "max_file_mb", "max_total_mb", "vcf_folder"),
    *("min_terms", "min_publications", "max_diseases", "simulation"),
)


rule read_cohort:
    """Raw patient tables from either source; what cannot be used goes to the quarantine."""
    input:
        code=code("read_cohort"),
        terms=f"{HPO}/terms.parquet",
        hpoa=f"{HPO}/hpoa.parquet",
        genes=f"{HPO}/gene_disease.parquet",
        mondo="resources/mondo.parquet",
        source=given(config["rare"]["cohort"]["path"]),
    output:
        cases=f"{RARE}/cohort/raw/cases.parquet",
        phenotypes=f"{RARE}/cohort/raw/phenotypes.parquet",
        variants=f"{RARE}/cohort/raw/variants.parquet",
        vcfs=f"{RARE}/cohort/raw/vcfs.parquet",
        quarantine=f"{RARE}/cohort/raw/quarantine.tsv",
    log:
        f"logs/{RUN}/rare/read_cohort.log",
    benchmark:
        f"benchmarks/{RUN}/rare/read_cohort.tsv"
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(20),
    params:
        settings=packed(part("rare.cohort", _reading)),
        contents=lambda wildcards: contents(config["rare"]["cohort"]["path"]),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --terms {input.terms:q} \
            --hpoa {input.hpoa:q} \
            --genes {input.genes:q} \
            --mondo {input.mondo:q} \
            --output-cases {output.cases:q} \
            --output-phenotypes {output.phenotypes:q} \
            --output-variants {output.variants:q} \
            --output-vcfs {output.vcfs:q} \
            --output-quarantine {output.quarantine:q} 2>&1 | tee {log:q}
        """


rule normalize_phenotypes:
    """One consistent set of HPO terms per patient, with a table of every change."""
    input:
        code=code("normalize_phenotypes"),
        cases=rules.read_cohort.output.cases,
        phenotypes=rules.read_cohort.output.phenotypes,
        terms=f"{HPO}/terms.parquet",
    output:
        phenotypes=f"{RARE}/cohort/phenotypes.parquet",
        changes=f"{RARE}/cohort/phenotype_changes.tsv",
        quarantine=f"{RARE}/cohort/quarantine_phenotypes.tsv",
    log:
        f"logs/{RUN}/rare/normalize_phenotypes.log",
    benchmark:
        f"benchmarks/{RUN}/rare/normalize_phenotypes.tsv"
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(20),
    shell:
        r"""
        python {input.code[0]:q} \
            --cases {input.cases:q} \
            --phenotypes {input.phenotypes:q} \
            --terms {input.terms:q} \
            --output-phenotypes {output.phenotypes:q} \
            --output-changes {output.changes:q} \
            --output-quarantine {output.quarantine:q} 2>&1 | tee {log:q}
        """


rule split_cohort:
    """Choose diseases and patients, then split by publication; some diseases are held out whole."""
    input:
        code=code("split_cohort"),
        cases=rules.read_cohort.output.cases,
        phenotypes=rules.normalize_phenotypes.output.phenotypes,
    output:
        cases=f"{RARE}/cohort/cases.parquet",
        summary=f"{RARE}/cohort/cohort.json",
    log:
        f"logs/{RUN}/rare/split_cohort.log",
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        settings=packed(
            {"cohort": part("rare.cohort", _choosing), "split": config["rare"]["split"]}
        ),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --cases {input.cases:q} \
            --phenotypes {input.phenotypes:q} \
            --output-cases {output.cases:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """


rule annotate_genotypes:
    """Variants of the chosen patients, from phenopacket and VCF, with decoy genes."""
    input:
        code=code("annotate_genotypes"),
        cases=rules.split_cohort.output.cases,
        variants=rules.read_cohort.output.variants,
        vcfs=rules.read_cohort.output.vcfs,
        genes=f"{HPO}/gene_disease.parquet",
        sheet=given(config["rare"]["cohort"]["sample_sheet"]),
    output:
        genotypes=f"{RARE}/cohort/genotypes.parquet",
        quarantine=f"{RARE}/cohort/quarantine_genotypes.tsv",
    log:
        f"logs/{RUN}/rare/annotate_genotypes.log",
    conda:
        "../envs/annotate_genotypes.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        settings=section("rare.genotypes"),
        sheet=fixed(optional("--sample-sheet", config["rare"]["cohort"]["sample_sheet"])),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --cases {input.cases:q} \
            --variants {input.variants:q} \
            --vcfs {input.vcfs:q} \
            --genes {input.genes:q} {params.sheet:q} \
            --output-genotypes {output.genotypes:q} \
            --output-quarantine {output.quarantine:q} 2>&1 | tee {log:q}
        """
