"""
Patients whom nobody has labelled, drawn from the run's leak-free profiles: the teacher ranks them, too.

REQUIRED INPUTS:
    results/{run}/rare/knowledge/{profiles,candidates,information_content}.parquet
    results/{run}/rare/cohort/*, results/{run}/rare/teacher/{arm}.parquet
OUTPUTS:
    patients        = results/{run}/rare/unlabelled/{cases,phenotypes,genotypes}.parquet
    prompts         = results/{run}/rare/unlabelled/prompts.parquet
    scores          = results/{run}/rare/unlabelled/teacher/{arm}.parquet
"""

UNLABELLED = f"{RARE}/unlabelled"


rule draw_unlabelled:
    """Terms by frequency, as many as training patients have, some imprecise; also of unmet diseases."""
    input:
        code=code("draw_unlabelled"),
        profiles=f"{RARE}/knowledge/profiles.parquet",
        candidates=f"{RARE}/knowledge/candidates.parquet",
        cases=f"{RARE}/cohort/cases.parquet",
        phenotypes=f"{RARE}/cohort/phenotypes.parquet",
        variants=f"{RARE}/cohort/raw/variants.parquet",
        terms=f"{HPO}/terms.parquet",
        leakage=f"{RARE}/knowledge/leakage.json",
        hpoa=f"{HPO}/hpoa.parquet",
        genes=f"{HPO}/gene_disease.parquet",
    output:
        cases=f"{UNLABELLED}/cases.parquet",
        phenotypes=f"{UNLABELLED}/raw/phenotypes.parquet",
        vcfs=f"{UNLABELLED}/raw/vcfs.parquet",
        everyone=f"{UNLABELLED}/with_run/cases.parquet",
        variants=f"{UNLABELLED}/with_run/variants.parquet",
    log:
        f"logs/{RUN}/rare/draw_unlabelled.log",
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(20),
    params:
        settings=section("rare.unlabelled"),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --profiles {input.profiles:q} \
            --candidates {input.candidates:q} \
            --cases {input.cases:q} \
            --phenotypes {input.phenotypes:q} \
            --variants {input.variants:q} \
            --terms {input.terms:q} \
            --leakage {input.leakage:q} \
            --hpoa {input.hpoa:q} \
            --genes {input.genes:q} \
            --output-cases {output.cases:q} \
            --output-phenotypes {output.phenotypes:q} \
            --output-vcfs {output.vcfs:q} \
            --output-everyone {output.everyone:q} \
            --output-variants {output.variants:q} 2>&1 | tee {log:q}
        """


use rule normalize_phenotypes as unlabelled_normalize_phenotypes with:
    input:
        code=code("normalize_phenotypes"),
        cases=f"{UNLABELLED}/cases.parquet",
        phenotypes=f"{UNLABELLED}/raw/phenotypes.parquet",
        terms=f"{HPO}/terms.parquet",
    output:
        phenotypes=f"{UNLABELLED}/phenotypes.parquet",
        changes=f"{UNLABELLED}/phenotype_changes.tsv",
        quarantine=f"{UNLABELLED}/quarantine_phenotypes.tsv",
    log:
        f"logs/{RUN}/rare/unlabelled_normalize_phenotypes.log",
    benchmark:
        f"benchmarks/{RUN}/rare/unlabelled_normalize_phenotypes.tsv"


# With the run's patients, so that decoys look as they do there and come from the run's candidates.
use rule annotate_genotypes as unlabelled_annotate_genotypes with:
    input:
        code=code("annotate_genotypes"),
        cases=f"{UNLABELLED}/with_run/cases.parquet",
        variants=f"{UNLABELLED}/with_run/variants.parquet",
        vcfs=f"{UNLABELLED}/raw/vcfs.parquet",
        genes=f"{HPO}/gene_disease.parquet",
        sheet=[],
    output:
        genotypes=f"{UNLABELLED}/with_run/genotypes.parquet",
        quarantine=f"{UNLABELLED}/quarantine_genotypes.tsv",
    log:
        f"logs/{RUN}/rare/unlabelled_annotate_genotypes.log",
    params:
        settings=section("rare.genotypes"),
        sheet=fixed([]),


use rule build_prompts as unlabelled_build_prompts with:
    input:
        code=code("build_prompts"),
        cases=f"{UNLABELLED}/cases.parquet",
        phenotypes=f"{UNLABELLED}/phenotypes.parquet",
        ic=f"{RARE}/knowledge/information_content.parquet",
    output:
        prompts=f"{UNLABELLED}/prompts.parquet",
    log:
        f"logs/{RUN}/rare/unlabelled_build_prompts.log",
    params:
        settings=packed(
            {
                "prompt": config["rare"]["prompt"],
                "k": config["rare"]["preferences"]["k"],
                "controls": [],
                "seed": config["seed"],
            }
        ),


use rule score_external as score_unlabelled with:
    input:
        **_ranking_inputs
        | {
            "cases": f"{UNLABELLED}/with_run/cases.parquet",
            "new_cases": f"{UNLABELLED}/cases.parquet",
            "new_phenotypes": f"{UNLABELLED}/phenotypes.parquet",
            "new_genotypes": f"{UNLABELLED}/with_run/genotypes.parquet",
            "run_scores": f"{RARE}/teacher/{{arm}}.parquet",
        },
        code=code("score_external"),
        images=[],
    output:
        scores=f"{UNLABELLED}/teacher/{{arm}}.parquet",
        summary=f"{UNLABELLED}/teacher/{{arm}}.json",
    log:
        f"logs/{RUN}/rare/score_unlabelled/{{arm}}.log",
    benchmark:
        f"benchmarks/{RUN}/rare/score_unlabelled/{{arm}}.tsv"
    wildcard_constraints:
        arm=any_of(TEACHER_ARMS),
