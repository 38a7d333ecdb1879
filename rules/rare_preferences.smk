"""
Prompts for every patient, and the teacher's rankings turned into preference pairs.

REQUIRED INPUTS:
    results/{run}/rare/cohort/{cases,phenotypes}.parquet
    results/{run}/rare/teacher/teacher.parquet
    results/{run}/rare/knowledge/{candidates,information_content}.parquet, leakage.json
OUTPUTS:
    prompts         = results/{run}/rare/prompts.parquet
    views           = results/{run}/rare/{pairs}/views.parquet                 where preferences.views asks
    pairs           = results/{run}/rare/{pairs}/{train,validation}.parquet    preferences, or
    card            = results/{run}/rare/{pairs}/README.md                     preferences-{variant}
"""

PAIRS = PLANS["rare"].pairs()
TARGETS["preferences"] = {"rare": [f"{RARE}/{pairs}/README.md" for pairs in PAIRS]}


rule build_prompts:
    """What the student reads: phenotypes only, and the same with its input taken away."""
    input:
        code=code("build_prompts"),
        cases=f"{RARE}/cohort/cases.parquet",
        phenotypes=f"{RARE}/cohort/phenotypes.parquet",
        ic=f"{RARE}/knowledge/information_content.parquet",
    output:
        prompts=f"{RARE}/prompts.parquet",
    log:
        f"logs/{RUN}/rare/build_prompts.log",
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        settings=settings(
            prompt="rare.prompt",
            k="rare.preferences.k",
            controls="rare.evaluation.controls",
            seed="seed",
        ),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --cases {input.cases:q} \
            --phenotypes {input.phenotypes:q} \
            --ic {input.ic:q} \
            --output {output.prompts:q} 2>&1 | tee {log:q}
        """


rule build_views:
    """Patients to be trained on again, each time with another part of their phenotypes."""
    input:
        code=code("build_views"),
        cases=f"{RARE}/cohort/cases.parquet",
        phenotypes=f"{RARE}/cohort/phenotypes.parquet",
        more_cases=more_patients("cases"),
        more_phenotypes=more_patients("phenotypes"),
        ic=f"{RARE}/knowledge/information_content.parquet",
    output:
        views=f"{RARE}/{{pairs}}/views.parquet",
    log:
        f"logs/{RUN}/rare/build_views/{{pairs}}.log",
    wildcard_constraints:
        pairs=any_of(name for name, arm in PAIRS.items() if arm.preferences["views"]),
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        settings=lambda wildcards: canonical(
            {"prompt": config["rare"]["prompt"]}
            | {
                key: PAIRS[wildcards.pairs].preferences[key]
                for key in ("k", "views", "leave_out", "seed")
            }
        ),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --cases {input.cases:q} {input.more_cases:q} \
            --phenotypes {input.phenotypes:q} {input.more_phenotypes:q} \
            --ic {input.ic:q} \
            --output {output.views:q} 2>&1 | tee {log:q}
        """


rule build_preferences:
    """chosen = the teacher's top-k, rejected = its bottom-q, in the same format."""
    input:
        code=code("build_preferences"),
        prompts=rules.build_prompts.output.prompts,
        scores=lambda wildcards: f"{RARE}/teacher/{PAIRS[wildcards.pairs].teacher}.parquet",
        candidates=f"{RARE}/knowledge/candidates.parquet",
        cases=f"{RARE}/cohort/cases.parquet",
        versions=f"{HPO}/versions.json",
        leakage=f"{RARE}/knowledge/leakage.json",
        views=lambda wildcards: (
            f"{RARE}/{wildcards.pairs}/views.parquet"
            if PAIRS[wildcards.pairs].preferences["views"]
            else []
        ),
        more=more_patients("prompts", "teacher/{teacher}", "cases"),
    output:
        train=f"{RARE}/{{pairs}}/train.parquet",
        validation=f"{RARE}/{{pairs}}/validation.parquet",
        card=f"{RARE}/{{pairs}}/README.md",
        summary=f"{RARE}/{{pairs}}/summary.json",
    log:
        f"logs/{RUN}/rare/build_preferences/{{pairs}}.log",
    wildcard_constraints:
        pairs=any_of(PAIRS),
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(15),
    params:
        settings=lambda wildcards: canonical(PAIRS[wildcards.pairs].preferences),
        views=lambda wildcards, input: ["--views", input.views] if input.views else [],
        more=lambda wildcards, input: [
            word
            for flag, path in zip(("prompts", "scores", "cases"), input.more)
            for word in (f"--more-{flag}", path)
        ],
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --prompts {input.prompts:q} \
            --scores {input.scores:q} \
            --candidates {input.candidates:q} \
            --cases {input.cases:q} \
            --versions {input.versions:q} \
            --leakage {input.leakage:q} {params.views:q} {params.more:q} \
            --output-train {output.train:q} \
            --output-validation {output.validation:q} \
            --output-card {output.card:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """
