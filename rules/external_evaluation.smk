"""
A further cohort, third part: scores of teacher and yardsticks, all metrics, and files for PhEval.

REQUIRED INPUTS:
    what external.smk and external_students.smk make; results/{run}/rare/{cohort,knowledge,teacher}/
OUTPUTS: see external.smk
"""


rule score_external:
    """The run's teacher or a yardstick on the new patients; checked against its scores in the run."""
    input:
        **_ranking_inputs
        | {
            "cases": f"{EXTERNAL}/cohort/with_run/cases.parquet",
            "new_cases": f"{EXTERNAL}/cohort/cases.parquet",
            "new_phenotypes": f"{EXTERNAL}/cohort/phenotypes.parquet",
            "new_genotypes": f"{EXTERNAL}/cohort/with_run/genotypes.parquet",
            "run_scores": f"{RARE}/teacher/{{arm}}.parquet",
        },
        code=code("score_external"),
        images=given(IMAGES),
    output:
        scores=f"{EXTERNAL}/teacher/{{arm}}.parquet",
        summary=f"{EXTERNAL}/teacher/{{arm}}.json",
    log:
        f"logs/{RUN}/external/{_cohort}/score_external/{{arm}}.log",
    benchmark:
        f"benchmarks/{RUN}/external/{_cohort}/score_external/{{arm}}.tsv"
    wildcard_constraints:
        arm=any_of(_fitted_anew),
    conda:
        "../envs/train_teacher.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        settings=lambda wildcards: canonical(
            {
                "teacher": TEACHER,
                "modalities": MODALITIES.get(wildcards.arm, TEACHER["modalities"]),
                "seed": config["seed"],
            }
        ),
        images=fixed(optional("--images", IMAGES)),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --arm {wildcards.arm:q} \
            --cases {input.cases:q} \
            --phenotypes {input.phenotypes:q} \
            --genotypes {input.genotypes:q} \
            --new-cases {input.new_cases:q} \
            --new-phenotypes {input.new_phenotypes:q} \
            --new-genotypes {input.new_genotypes:q} \
            --terms {input.terms:q} \
            --hpoa {input.hpoa:q} \
            --candidates {input.candidates:q} \
            --profiles {input.profiles:q} \
            --ic {input.ic:q} \
            --leakage {input.leakage:q} \
            --run-scores {input.run_scores:q} {params.images:q} \
            --output-scores {output.scores:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """


rule evaluate_external:
    """Metrics and paired tests of every arm on the clean patients, in the set and over all."""
    input:
        code=code("evaluate_external"),
        cases=f"{EXTERNAL}/cohort/cases.parquet",
        counts=f"{EXTERNAL}/cohort/cohort.json",
        candidates=f"{RARE}/knowledge/candidates.parquet",
        vocabulary=f"{RARE}/knowledge/vocabulary.parquet",
        mondo="resources/mondo.parquet",
        answers=by_arm(f"{EXTERNAL}/evaluation/answers", WRITING),
        rankings=by_arm(f"{EXTERNAL}/evaluation/rankings", RANKING),
        scores=by_arm(f"{EXTERNAL}/teacher", EXTERNAL_SCORING),
    output:
        metrics=f"{EXTERNAL}/metrics.csv",
        comparisons=f"{EXTERNAL}/comparisons.csv",
        per_case=f"{EXTERNAL}/evaluation/per_case.parquet",
        grounded=f"{EXTERNAL}/evaluation/grounded.parquet",
        by_disease=f"{EXTERNAL}/rank_by_disease.csv",
        summary=f"{EXTERNAL}/summary.json",
    log:
        f"logs/{RUN}/external/{_cohort}/evaluate_external.log",
    benchmark:
        f"benchmarks/{RUN}/external/{_cohort}/evaluate_external.tsv"
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        settings=settings(evaluation="rare.evaluation", preferences="rare.preferences"),
        answers=lambda wildcards, input: named(input.answers),
        rankings=lambda wildcards, input: ["--rankings", *named(input.rankings)] if RANKING else [],
        scores=lambda wildcards, input: named(input.scores),
        variants=variants_of("rare"),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --cases {input.cases:q} \
            --counts {input.counts:q} \
            --candidates {input.candidates:q} \
            --vocabulary {input.vocabulary:q} \
            --mondo {input.mondo:q} \
            --answers {params.answers:q} \
            {params.rankings:q} \
            --scores {params.scores:q} \
            --variants {params.variants:q} \
            --output-metrics {output.metrics:q} \
            --output-comparisons {output.comparisons:q} \
            --output-per-case {output.per_case:q} \
            --output-grounded {output.grounded:q} \
            --output-by-disease {output.by_disease:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """


rule export_pheval:
    """Standardised disease results, one folder an arm, and the phenopackets they belong to."""
    input:
        code=code("export_pheval"),
        source=given(_given),
        cases=f"{EXTERNAL}/cohort/cases.parquet",
        phenotypes=f"{EXTERNAL}/cohort/phenotypes.parquet",
        variants=f"{EXTERNAL}/cohort/raw/variants.parquet",
        mondo="resources/mondo.parquet",
        grounded=f"{EXTERNAL}/evaluation/grounded.parquet",
        rankings=by_arm(f"{EXTERNAL}/evaluation/rankings", RANKING),
        scores=by_arm(f"{EXTERNAL}/teacher", EXTERNAL_SCORING),
    output:
        folder=directory(f"{EXTERNAL}/pheval"),
    log:
        f"logs/{RUN}/external/{_cohort}/export_pheval.log",
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        settings=packed(part("rare.cohort", ("max_file_mb", "max_total_mb"))),
        answered=WRITING,
        rankings=lambda wildcards, input: ["--rankings", *named(input.rankings)] if RANKING else [],
        scores=lambda wildcards, input: named(input.scores),
        name=f"mintflow_{RUN}",
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --source {input.source:q} \
            --cases {input.cases:q} \
            --phenotypes {input.phenotypes:q} \
            --variants {input.variants:q} \
            --mondo {input.mondo:q} \
            --grounded {input.grounded:q} \
            --answered {params.answered:q} \
            {params.rankings:q} \
            --scores {params.scores:q} \
            --name {params.name:q} \
            --output {output.folder:q} 2>&1 | tee {log:q}
        """


rule plot_disease_ranks:
    """In which place the arms put each disease of the cohort."""
    input:
        code=code("plot_disease_ranks"),
        table=rules.evaluate_external.output.by_disease,
    output:
        svg=report(
            f"{EXTERNAL}/figures/rank_by_disease.svg",
            caption="../workflow/report/rank_by_disease.rst",
            category="Further cohort",
            labels={"figure": "Place of the true disease"},
        ),
        png=f"{EXTERNAL}/figures/rank_by_disease.png",
    log:
        f"logs/{RUN}/external/{_cohort}/plot_disease_ranks.log",
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        simulated="false",
    shell:
        r"""
        python {input.code[0]:q} \
            --table {input.table:q} \
            --simulated {params.simulated:q} \
            --output-svg {output.svg:q} \
            --output-png {output.png:q} 2>&1 | tee {log:q}
        """
