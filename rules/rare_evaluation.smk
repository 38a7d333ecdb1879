"""
Answers and rankings of every student arm, then all metrics of all arms.

REQUIRED INPUTS:
    resources/models/{name}/, results/{run}/rare/student/{arm}/adapter/
    results/{run}/rare/prompts.parquet, results/{run}/rare/teacher/{arm}.parquet
OUTPUTS:
    metrics         = results/{run}/rare/metrics.csv         arm, metric, value, ci_low, ci_high, n
    comparisons     = results/{run}/rare/comparisons.csv     paired tests between arms
    seeds           = results/{run}/rare/seeds.csv         arm, run, metric, value, n
    per case        = results/{run}/rare/evaluation/{per_case,grounded}.parquet
"""

EVALUATION = config["rare"]["evaluation"]
TARGETS["evaluate"] = {"rare": [f"{RARE}/metrics.csv", f"{RARE}/comparisons.csv"]}

_generation = ("max_new_tokens", "generation_batch_size")
_ranking = ("ranking_cases", "ranking_score", "ranking_depth", "ranking_chunk", "seed")


rule generate_answers:
    """Free answers of one arm to every test patient."""
    input:
        code=code("generate_answers"),
        base=base_of("rare"),
        adapter=adapter_in(RARE, "rare"),
        prompts=prompts_in(RARE),
    output:
        answers=f"{RARE}/evaluation/answers/{{arm}}.parquet",
    log:
        f"logs/{RUN}/rare/generate_answers/{{arm}}.log",
    benchmark:
        f"benchmarks/{RUN}/rare/generate_answers/{{arm}}.tsv"
    wildcard_constraints:
        arm=any_of(students("rare")),
    conda:
        "../envs/infer_student.yaml"
    threads: of_arm("rare", "threads")
    resources:
        mem_mb=memory(6000),
        runtime=minutes(120),
        gpu=of_arm("rare", "gpus"),
    params:
        settings=inference_settings("rare", _generation),
        control=control_of,
        split=split_of,
        adapter=lambda wildcards, input: optional("--adapter", input.adapter),
        images=[],
    shell:
        r"""
        export OMP_NUM_THREADS={threads}
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --base {input.base:q} {params.adapter:q} \
            --prompts {input.prompts:q} {params.images:q} \
            --control {params.control:q} \
            --split {params.split} \
            --output {output.answers:q} 2>&1 | tee {log:q}
        """


rule rank_candidates:
    """Closed-set ranking of one arm by likelihood, in float32."""
    input:
        code=code("rank_candidates"),
        base=base_of("rare"),
        adapter=adapter_in(RARE, "rare"),
        prompts=prompts_in(RARE),
        candidates=f"{RARE}/knowledge/candidates.parquet",
        cases=f"{RARE}/cohort/cases.parquet",
    output:
        rankings=f"{RARE}/evaluation/rankings/{{arm}}.parquet",
    log:
        f"logs/{RUN}/rare/rank_candidates/{{arm}}.log",
    benchmark:
        f"benchmarks/{RUN}/rare/rank_candidates/{{arm}}.tsv"
    wildcard_constraints:
        arm=any_of(RANKING),
    conda:
        "../envs/infer_student.yaml"
    threads: of_arm("rare", "threads")
    resources:
        mem_mb=memory(6000),
        runtime=minutes(240),
        gpu=of_arm("rare", "gpus"),
    params:
        settings=inference_settings("rare", _ranking),
        adapter=lambda wildcards, input: optional("--adapter", input.adapter),
    shell:
        r"""
        export OMP_NUM_THREADS={threads}
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --base {input.base:q} {params.adapter:q} \
            --prompts {input.prompts:q} \
            --candidates {input.candidates:q} \
            --cases {input.cases:q} \
            --output {output.rankings:q} 2>&1 | tee {log:q}
        """


rule evaluate_arms:
    """Metrics with intervals, and paired tests, of every arm on the same patients."""
    input:
        code=code("evaluate_arms"),
        cases=f"{RARE}/cohort/cases.parquet",
        candidates=f"{RARE}/knowledge/candidates.parquet",
        vocabulary=f"{RARE}/knowledge/vocabulary.parquet",
        mondo="resources/mondo.parquet",
        answers=by_arm(f"{RARE}/evaluation/answers", ANSWERING),
        rankings=by_arm(f"{RARE}/evaluation/rankings", RANKING),
        scores=by_arm(f"{RARE}/teacher", SCORING),
    output:
        metrics=report(
            f"{RARE}/metrics.csv",
            caption="../workflow/report/metrics.rst",
            category="Rare diseases",
            labels={"table": "Metrics by arm"},
        ),
        comparisons=report(
            f"{RARE}/comparisons.csv",
            caption="../workflow/report/comparisons.rst",
            category="Rare diseases",
            labels={"table": "Paired comparisons"},
        ),
        seeds=f"{RARE}/seeds.csv",
        per_case=f"{RARE}/evaluation/per_case.parquet",
        grounded=f"{RARE}/evaluation/grounded.parquet",
    log:
        f"logs/{RUN}/rare/evaluate_arms.log",
    benchmark:
        f"benchmarks/{RUN}/rare/evaluate_arms.tsv"
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
            --candidates {input.candidates:q} \
            --vocabulary {input.vocabulary:q} \
            --mondo {input.mondo:q} \
            --answers {params.answers:q} \
            {params.rankings:q} \
            --scores {params.scores:q} \
            --variants {params.variants:q} \
            --output-metrics {output.metrics:q} \
            --output-comparisons {output.comparisons:q} \
            --output-seeds {output.seeds:q} \
            --output-per-case {output.per_case:q} \
            --output-grounded {output.grounded:q} 2>&1 | tee {log:q}
        """
