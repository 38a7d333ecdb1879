"""
A further cohort, evaluated by what the run has trained: `snakemake external --config external=PATH`.

REQUIRED INPUTS:
    external (configuration): phenopackets in a folder or zip, or a TSV of patients
    results/{run}/rare/: cohort, knowledge, teacher, student/{arm}/adapter/
OUTPUTS:
    metrics         = results/{run}/external/{metrics,comparisons}.csv
    set aside       = results/{run}/external/set_aside.tsv       patients that are not clean, with reasons
    summary         = results/{run}/external/summary.json
    places          = results/{run}/external/rank_by_disease.csv
    PhEval          = results/{run}/external/pheval/             disease results, phenopackets, benchmark.yaml
"""

EXTERNAL = f"results/{RUN}/external"

_given = config["external"]
_external_reading = part("rare.cohort", _reading) | {
    "source": "external",
    "path": _given,
    "url": None,
    "sha256": None,
}
# Scores that came from a file are of the run's patients alone.
EXTERNAL_SCORING = YARDSTICKS if TEACHER["kind"] == "scores" else TEACHER_ARMS + YARDSTICKS
# Every arm but those that read retrieved text: retrieval is made for the run's own patients. Controls are for
# these, too.
WRITING = [name for name in PLANS["rare"].answering() if not PLANS["rare"].arm_of(name).retrieval]


use rule read_cohort as external_read_cohort with:
    input:
        code=code("read_cohort"),
        terms=f"{HPO}/terms.parquet",
        hpoa=f"{HPO}/hpoa.parquet",
        genes=f"{HPO}/gene_disease.parquet",
        source=given(_given),
    output:
        cases=f"{EXTERNAL}/cohort/raw/cases.parquet",
        phenotypes=f"{EXTERNAL}/cohort/raw/phenotypes.parquet",
        variants=f"{EXTERNAL}/cohort/raw/variants.parquet",
        vcfs=f"{EXTERNAL}/cohort/raw/vcfs.parquet",
        quarantine=f"{EXTERNAL}/cohort/raw/quarantine.tsv",
    log:
        f"logs/{RUN}/external/read_cohort.log",
    benchmark:
        f"benchmarks/{RUN}/external/read_cohort.tsv"
    params:
        settings=packed(_external_reading),


use rule normalize_phenotypes as external_normalize_phenotypes with:
    input:
        code=code("normalize_phenotypes"),
        cases=f"{EXTERNAL}/cohort/raw/cases.parquet",
        phenotypes=f"{EXTERNAL}/cohort/raw/phenotypes.parquet",
        terms=f"{HPO}/terms.parquet",
    output:
        phenotypes=f"{EXTERNAL}/cohort/phenotypes.parquet",
        changes=f"{EXTERNAL}/cohort/phenotype_changes.tsv",
        quarantine=f"{EXTERNAL}/cohort/quarantine_phenotypes.tsv",
    log:
        f"logs/{RUN}/external/normalize_phenotypes.log",
    benchmark:
        f"benchmarks/{RUN}/external/normalize_phenotypes.tsv"


rule screen_external:
    """Patients that the run may have learned from are set aside, and so is what it cannot rank."""
    input:
        code=code("screen_external"),
        cases=f"{EXTERNAL}/cohort/raw/cases.parquet",
        phenotypes=f"{EXTERNAL}/cohort/phenotypes.parquet",
        variants=f"{EXTERNAL}/cohort/raw/variants.parquet",
        quarantine=f"{EXTERNAL}/cohort/raw/quarantine.tsv",
        run_cases=f"{RARE}/cohort/cases.parquet",
        run_phenotypes=f"{RARE}/cohort/phenotypes.parquet",
        run_variants=f"{RARE}/cohort/raw/variants.parquet",
        candidates=f"{RARE}/knowledge/candidates.parquet",
        hpoa=f"{HPO}/hpoa.parquet",
        mondo="resources/mondo.parquet",
    output:
        cases=f"{EXTERNAL}/cohort/cases.parquet",
        set_aside=f"{EXTERNAL}/set_aside.tsv",
        counts=f"{EXTERNAL}/cohort/cohort.json",
        everyone=f"{EXTERNAL}/cohort/with_run/cases.parquet",
        variants=f"{EXTERNAL}/cohort/with_run/variants.parquet",
    log:
        f"logs/{RUN}/external/screen_external.log",
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
            --phenotypes {input.phenotypes:q} \
            --variants {input.variants:q} \
            --quarantine {input.quarantine:q} \
            --run-cases {input.run_cases:q} \
            --run-phenotypes {input.run_phenotypes:q} \
            --run-variants {input.run_variants:q} \
            --candidates {input.candidates:q} \
            --hpoa {input.hpoa:q} \
            --mondo {input.mondo:q} \
            --output-cases {output.cases:q} \
            --output-set-aside {output.set_aside:q} \
            --output-counts {output.counts:q} \
            --output-everyone {output.everyone:q} \
            --output-variants {output.variants:q} 2>&1 | tee {log:q}
        """


# With the run's patients, so that decoys look as they did there and come from the run's candidates.
use rule annotate_genotypes as external_annotate_genotypes with:
    input:
        code=code("annotate_genotypes"),
        cases=f"{EXTERNAL}/cohort/with_run/cases.parquet",
        variants=f"{EXTERNAL}/cohort/with_run/variants.parquet",
        vcfs=f"{EXTERNAL}/cohort/raw/vcfs.parquet",
        genes=f"{HPO}/gene_disease.parquet",
        sheet=[],
    output:
        genotypes=f"{EXTERNAL}/cohort/with_run/genotypes.parquet",
        quarantine=f"{EXTERNAL}/cohort/quarantine_genotypes.tsv",
    log:
        f"logs/{RUN}/external/annotate_genotypes.log",
    params:
        settings=section("rare.genotypes"),
        sheet=fixed([]),


use rule build_prompts as external_build_prompts with:
    input:
        code=code("build_prompts"),
        cases=f"{EXTERNAL}/cohort/cases.parquet",
        phenotypes=f"{EXTERNAL}/cohort/phenotypes.parquet",
        ic=f"{RARE}/knowledge/information_content.parquet",
    output:
        prompts=f"{EXTERNAL}/prompts.parquet",
    log:
        f"logs/{RUN}/external/build_prompts.log",
    params:
        settings=packed(
            {
                "prompt": config["rare"]["prompt"],
                "k": config["rare"]["preferences"]["k"],
                # rankings by pmi need the blank prompt; nobody answers it
                "controls": ["blank"] if "blank" in EVALUATION["controls"] else [],
                "seed": config["seed"],
            }
        ),


use rule generate_answers as external_generate_answers with:
    input:
        code=code("generate_answers"),
        base=base_of("rare"),
        adapter=adapter_in(RARE, "rare"),
        prompts=f"{EXTERNAL}/prompts.parquet",
    output:
        answers=f"{EXTERNAL}/evaluation/answers/{{arm}}.parquet",
    log:
        f"logs/{RUN}/external/generate_answers/{{arm}}.log",
    benchmark:
        f"benchmarks/{RUN}/external/generate_answers/{{arm}}.tsv"


use rule rank_candidates as external_rank_candidates with:
    input:
        code=code("rank_candidates"),
        base=base_of("rare"),
        adapter=adapter_in(RARE, "rare"),
        prompts=f"{EXTERNAL}/prompts.parquet",
        candidates=f"{RARE}/knowledge/candidates.parquet",
        cases=f"{EXTERNAL}/cohort/cases.parquet",
    output:
        rankings=f"{EXTERNAL}/evaluation/rankings/{{arm}}.parquet",
    log:
        f"logs/{RUN}/external/rank_candidates/{{arm}}.log",
    benchmark:
        f"benchmarks/{RUN}/external/rank_candidates/{{arm}}.tsv"
