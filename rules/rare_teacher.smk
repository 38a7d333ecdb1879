"""
Everyone who ranks the candidate diseases without a language model.

REQUIRED INPUTS:
    results/{run}/rare/cohort/{cases,phenotypes,genotypes}.parquet
    results/{run}/rare/knowledge/*.parquet
OUTPUTS:
    scores          = results/{run}/rare/teacher/{arm}.parquet   case_id, disease_id, score, rank
    summary         = results/{run}/rare/teacher/{arm}.json
"""

TEACHER = config["rare"]["teacher"]
TARGETS["teacher"] = {"rare": by_arm(f"{RARE}/teacher", TEACHER_ARMS)}
IMAGES = config["rare"]["cohort"]["image_embeddings"]
MODALITIES = {"teacher": TEACHER["modalities"], "teacher-phenotype": ["phenotype"]}

_ranking_inputs = {
    "cases": f"{RARE}/cohort/cases.parquet",
    "phenotypes": f"{RARE}/cohort/phenotypes.parquet",
    "genotypes": f"{RARE}/cohort/genotypes.parquet",
    "terms": f"{HPO}/terms.parquet",
    "hpoa": f"{HPO}/hpoa.parquet",
    "candidates": f"{RARE}/knowledge/candidates.parquet",
    "profiles": f"{RARE}/knowledge/profiles.parquet",
    "ic": f"{RARE}/knowledge/information_content.parquet",
    "leakage": f"{RARE}/knowledge/leakage.json",
}


rule train_teacher:
    """The multimodal teacher (or one of its stand-ins); training patients are scored out of fold."""
    input:
        **_ranking_inputs,
        code=code("train_teacher"),
        mondo="resources/mondo.parquet",
        images=given(IMAGES),
        external=given(TEACHER["scores"]),
    output:
        scores=f"{RARE}/teacher/{{arm}}.parquet",
        summary=f"{RARE}/teacher/{{arm}}.json",
    log:
        f"logs/{RUN}/rare/train_teacher/{{arm}}.log",
    benchmark:
        f"benchmarks/{RUN}/rare/train_teacher/{{arm}}.tsv"
    wildcard_constraints:
        arm="|".join(TEACHER_ARMS),
    conda:
        "../envs/train_teacher.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        settings=section("rare.teacher"),
        modalities=lambda wildcards: MODALITIES[wildcards.arm],
        images=fixed(optional("--images", IMAGES)),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --modalities {params.modalities} \
            --cases {input.cases:q} \
            --phenotypes {input.phenotypes:q} \
            --genotypes {input.genotypes:q} \
            --terms {input.terms:q} \
            --hpoa {input.hpoa:q} \
            --candidates {input.candidates:q} \
            --profiles {input.profiles:q} \
            --ic {input.ic:q} \
            --leakage {input.leakage:q} \
            --mondo {input.mondo:q} {params.images:q} \
            --output-scores {output.scores:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """


rule score_yardstick:
    """Rankings that need no training: what the student must be compared with."""
    input:
        **_ranking_inputs,
        code=code("score_yardstick"),
    output:
        scores=f"{RARE}/teacher/{{arm}}.parquet",
        summary=f"{RARE}/teacher/{{arm}}.json",
    log:
        f"logs/{RUN}/rare/score_yardstick/{{arm}}.log",
    benchmark:
        f"benchmarks/{RUN}/rare/score_yardstick/{{arm}}.tsv"
    wildcard_constraints:
        arm="|".join(YARDSTICKS),
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=minutes(30),
    params:
        seed=config["seed"],
    shell:
        r"""
        python {input.code[0]:q} \
            --arm {wildcards.arm:q} \
            --seed {params.seed} \
            --cases {input.cases:q} \
            --phenotypes {input.phenotypes:q} \
            --genotypes {input.genotypes:q} \
            --terms {input.terms:q} \
            --hpoa {input.hpoa:q} \
            --candidates {input.candidates:q} \
            --profiles {input.profiles:q} \
            --ic {input.ic:q} \
            --leakage {input.leakage:q} \
            --output-scores {output.scores:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """
