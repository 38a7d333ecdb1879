"""
Prompts for every tile, and the teacher's rankings turned into preference pairs; images by reference.

REQUIRED INPUTS:
    results/{run}/tissue/cohort/{cases,labels}.parquet
    results/{run}/tissue/teacher/teacher.parquet
OUTPUTS:
    prompts         = results/{run}/tissue/prompts.parquet
    pairs           = results/{run}/tissue/{pairs}/{train,validation}.parquet    preferences, or
    card            = results/{run}/tissue/{pairs}/README.md                     preferences-{variant}
"""

TILE_PAIRS = PLANS["tissue"].pairs()
TARGETS["preferences"]["tissue"] = [f"{TISSUE}/{pairs}/README.md" for pairs in TILE_PAIRS]


rule build_tile_prompts:
    """What the student reads and which tile it is shown, and the same with the image taken away."""
    input:
        code=code("build_tile_prompts"),
        cases=f"{TISSUE}/cohort/cases.parquet",
        labels=f"{TISSUE}/cohort/labels.parquet",
    output:
        prompts=f"{TISSUE}/prompts.parquet",
    log:
        f"logs/{RUN}/tissue/build_tile_prompts.log",
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        settings=settings(
            prompt="tissue.prompt",
            k="tissue.preferences.k",
            controls="tissue.evaluation.controls",
            seed="seed",
        ),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --cases {input.cases:q} \
            --labels {input.labels:q} \
            --output {output.prompts:q} 2>&1 | tee {log:q}
        """


rule build_tile_preferences:
    """chosen = the teacher's top-k labels, rejected = its bottom-q, in the same format."""
    input:
        code=code("build_tile_preferences"),
        prompts=rules.build_tile_prompts.output.prompts,
        scores=f"{TISSUE}/teacher/teacher.parquet",
        labels=f"{TISSUE}/cohort/labels.parquet",
        cases=f"{TISSUE}/cohort/cases.parquet",
    output:
        train=f"{TISSUE}/{{pairs}}/train.parquet",
        validation=f"{TISSUE}/{{pairs}}/validation.parquet",
        card=f"{TISSUE}/{{pairs}}/README.md",
        summary=f"{TISSUE}/{{pairs}}/summary.json",
    log:
        f"logs/{RUN}/tissue/build_tile_preferences/{{pairs}}.log",
    wildcard_constraints:
        pairs=any_of(TILE_PAIRS),
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(15),
    params:
        settings=lambda wildcards: canonical(TILE_PAIRS[wildcards.pairs].preferences),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --prompts {input.prompts:q} \
            --scores {input.scores:q} \
            --labels {input.labels:q} \
            --cases {input.cases:q} \
            --output-train {output.train:q} \
            --output-validation {output.validation:q} \
            --output-card {output.card:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """
