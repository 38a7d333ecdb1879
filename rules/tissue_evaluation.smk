"""
Answers and rankings of every vision arm, then all metrics of all arms.

REQUIRED INPUTS:
    results/{run}/tissue/prompts.parquet, student/, teacher/
OUTPUTS:
    metrics         = results/{run}/tissue/metrics.csv         arm, metric, value, ci_low, ci_high, n
    comparisons     = results/{run}/tissue/comparisons.csv     paired tests between arms
    confusion       = results/{run}/tissue/confusion.csv       arm, truth, predicted, count
    seeds           = results/{run}/tissue/seeds.csv         arm, run, metric, value, n
    per case        = results/{run}/tissue/evaluation/{per_case,grounded}.parquet
    rankings        = results/{run}/tissue/evaluation/rankings/{arm}.parquet   case_id, label_id, logp_sum, rank
"""

TARGETS["evaluate"]["tissue"] = [
    f"{TISSUE}/{name}.csv" for name in ("metrics", "comparisons", "confusion")
]


use rule generate_answers as answer_tiles with:
    input:
        code=code("generate_answers"),
        base=base_of("tissue"),
        adapter=adapter_in(TISSUE, "tissue"),
        prompts=f"{TISSUE}/prompts.parquet",
        cases=f"{TISSUE}/cohort/cases.parquet",
        images=TILE_FILES,
    output:
        answers=f"{TISSUE}/evaluation/answers/{{arm}}.parquet",
    log:
        f"logs/{RUN}/tissue/generate_answers/{{arm}}.log",
    benchmark:
        f"benchmarks/{RUN}/tissue/generate_answers/{{arm}}.tsv"
    wildcard_constraints:
        arm=any_of(students("tissue")),
    threads: of_arm("tissue", "threads")
    resources:
        mem_mb=memory(6000),
        runtime=minutes(120),
        gpu=of_arm("tissue", "gpus"),
    params:
        settings=inference_settings("tissue", _generation),
        control=control_of,
        split=split_of,
        adapter=lambda wildcards, input: optional("--adapter", input.adapter),
        images=["--track", "tissue", "--images", f"{TISSUE}/cohort/cases.parquet"],


rule rank_tissues:
    """Closed-set ranking of the labels by one arm's likelihood, in float32."""
    input:
        code=code("rank_tissues"),
        base=base_of("tissue"),
        adapter=adapter_in(TISSUE, "tissue"),
        prompts=f"{TISSUE}/prompts.parquet",
        cases=f"{TISSUE}/cohort/cases.parquet",
        labels=f"{TISSUE}/cohort/labels.parquet",
        images=TILE_FILES,
    output:
        rankings=f"{TISSUE}/evaluation/rankings/{{arm}}.parquet",
    log:
        f"logs/{RUN}/tissue/rank_tissues/{{arm}}.log",
    benchmark:
        f"benchmarks/{RUN}/tissue/rank_tissues/{{arm}}.tsv"
    wildcard_constraints:
        arm=any_of(VISION_RANKING),
    conda:
        "../envs/infer_student.yaml"
    threads: of_arm("tissue", "threads")
    resources:
        mem_mb=memory(6000),
        runtime=minutes(120),
        gpu=of_arm("tissue", "gpus"),
    params:
        settings=inference_settings("tissue", ("ranking_cases", "generation_batch_size", "seed")),
        adapter=lambda wildcards, input: optional("--adapter", input.adapter),
    shell:
        r"""
        export OMP_NUM_THREADS={threads}
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --base {input.base:q} {params.adapter:q} \
            --prompts {input.prompts:q} \
            --cases {input.cases:q} \
            --labels {input.labels:q} \
            --output {output.rankings:q} 2>&1 | tee {log:q}
        """


rule evaluate_tiles:
    """Metrics with intervals, and paired tests, of every arm on the same tiles."""
    input:
        code=code("evaluate_tiles"),
        cases=f"{TISSUE}/cohort/cases.parquet",
        labels=f"{TISSUE}/cohort/labels.parquet",
        answers=by_arm(f"{TISSUE}/evaluation/answers", VISION_ARMS),
        rankings=by_arm(f"{TISSUE}/evaluation/rankings", VISION_RANKING),
        scores=by_arm(f"{TISSUE}/teacher", ["teacher", "prior"]),
    output:
        metrics=report(
            f"{TISSUE}/metrics.csv",
            caption="../workflow/report/tissue_metrics.rst",
            category="Tissue",
            labels={"table": "Metrics by arm"},
        ),
        comparisons=report(
            f"{TISSUE}/comparisons.csv",
            caption="../workflow/report/comparisons.rst",
            category="Tissue",
            labels={"table": "Paired comparisons"},
        ),
        confusion=f"{TISSUE}/confusion.csv",
        seeds=f"{TISSUE}/seeds.csv",
        per_case=f"{TISSUE}/evaluation/per_case.parquet",
        grounded=f"{TISSUE}/evaluation/grounded.parquet",
    log:
        f"logs/{RUN}/tissue/evaluate_tiles.log",
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        settings=settings(evaluation="tissue.evaluation", preferences="tissue.preferences"),
        answers=lambda wildcards, input: named(input.answers),
        rankings=lambda wildcards, input: (
            ["--rankings", *named(input.rankings)] if VISION_RANKING else []
        ),
        scores=lambda wildcards, input: named(input.scores),
        variants=variants_of("tissue"),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --cases {input.cases:q} \
            --labels {input.labels:q} \
            --answers {params.answers:q} \
            {params.rankings:q} \
            --scores {params.scores:q} \
            --variants {params.variants:q} \
            --output-metrics {output.metrics:q} \
            --output-comparisons {output.comparisons:q} \
            --output-confusion {output.confusion:q} \
            --output-seeds {output.seeds:q} \
            --output-per-case {output.per_case:q} \
            --output-grounded {output.grounded:q} 2>&1 | tee {log:q}
        """
