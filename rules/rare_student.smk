"""
The student: preference training of an adapter on its base model.

REQUIRED INPUTS:
    resources/models/{name}/
    results/{run}/rare/preferences/{train,validation}.parquet
OUTPUTS:
    adapter         = results/{run}/rare/student/{arm}/adapter/      PEFT, with a model card
    log             = results/{run}/rare/student/{arm}/log.jsonl
    summary         = results/{run}/rare/student/{arm}/training.json
"""

# What training depends on; threads, launcher and GPUs change its speed, not its result.
_speed = ("threads", "launcher", "gpus")
_training = {key: value for key, value in STUDENT.items() if key not in _speed}
TARGETS["train"] = {"rare": [f"{RARE}/student/{arm}/training.json" for arm in TRAINED]}

_merged = {"merged": directory(f"{RARE}/student/{{arm}}/merged")} if STUDENT["merge"] else {}


rule train_student:
    """ORPO on the teacher's pairs; goes on from its last checkpoint when it was interrupted."""
    input:
        code=code("train_student"),
        base=BASE,
        train=f"{RARE}/preferences/train.parquet",
        validation=f"{RARE}/preferences/validation.parquet",
    output:
        **_merged,
        adapter=directory(f"{RARE}/student/{{arm}}/adapter"),
        events=f"{RARE}/student/{{arm}}/log.jsonl",
        summary=f"{RARE}/student/{{arm}}/training.json",
    log:
        f"logs/{RUN}/rare/train_student/{{arm}}.log",
    benchmark:
        f"benchmarks/{RUN}/rare/train_student/{{arm}}.tsv"
    wildcard_constraints:
        arm="|".join(TRAINED),
    conda:
        "../envs/train_student.yaml"
    threads: STUDENT["threads"]
    resources:
        mem_mb=memory(8000),
        runtime=minutes(240),
        gpu=STUDENT["gpus"],
    params:
        settings=packed(_training),
        launcher=STUDENT["launcher"],
        checkpoints=f"{RARE}/student/{{arm}}/checkpoints",
        merged=lambda wildcards, output: optional("--output-merged", output.get("merged")),
        images=[],
    shell:
        r"""
        export OMP_NUM_THREADS={threads}
        {params.launcher} {input.code[0]:q} \
            --settings {params.settings:q} \
            --base {input.base:q} \
            --train {input.train:q} \
            --validation {input.validation:q} {params.images:q} \
            --checkpoints {params.checkpoints:q} \
            --threads {threads} \
            --output-adapter {output.adapter:q} {params.merged:q} \
            --output-log {output.events:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """
