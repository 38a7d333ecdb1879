"""
The student: training of an adapter on its base model, one for every arm and seed.

REQUIRED INPUTS:
    resources/models/{name}/
    results/{run}/rare/preferences/{train,validation}.parquet
OUTPUTS:
    adapter         = results/{run}/rare/student/{arm}/adapter/      PEFT, with a model card
    log             = results/{run}/rare/student/{arm}/log.jsonl
    summary         = results/{run}/rare/student/{arm}/training.json
    learning rate   = results/{run}/rare/student/{arm}/learning_rate.json    where rates are searched
    description     = results/{run}/rare/student/{arm}/inference.json   what predict.py needs
"""

# What training depends on; threads, launcher and GPUs change its speed, not its result.
_speed = ("threads", "launcher", "gpus")
STUDENT = config["rare"]["student"]
TARGETS["train"] = {
    "rare": [
        f"{RARE}/student/{arm}/{name}.json" for arm in TRAINED for name in ("training", "inference")
    ]
}

_merged = {"merged": directory(f"{RARE}/student/{{arm}}/merged")} if STUDENT["merge"] else {}


rule train_student:
    """One arm on the teacher's lists; goes on from its last checkpoint when it was interrupted."""
    input:
        code=code("train_student"),
        base=base_of("rare"),
        train=pairs_in(RARE, "rare", "train"),
        validation=pairs_in(RARE, "rare", "validation"),
        standard=standard_in(RARE, "rare"),
        rate=learning_rate_in(RARE, "rare"),
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
        arm=any_of(ANEW["rare"]),
    conda:
        "../envs/train_student.yaml"
    threads: of_arm("rare", "threads")
    resources:
        mem_mb=memory(8000),
        runtime=minutes(240),
        gpu=of_arm("rare", "gpus"),
    params:
        settings=training_settings("rare", _speed),
        launcher=of_arm("rare", "launcher"),
        objective=objective_of("rare"),
        rate=lambda wildcards, input: optional("--learning-rate", input.rate),
        standard=lambda wildcards, input: optional("--standard", input.standard),
        trial=trial_flag,
        checkpoints=f"{RARE}/student/{{arm}}/checkpoints",
        merged=lambda wildcards, output: optional("--output-merged", output.get("merged")),
        images=[],
    shell:
        r"""
        export OMP_NUM_THREADS={threads}
        {params.launcher} {input.code[0]:q} \
            --settings {params.settings:q} \
            --arm {params.objective} {params.rate:q} {params.trial} \
            --base {input.base:q} \
            --train {input.train:q} \
            --validation {input.validation:q} {params.standard:q} {params.images:q} \
            --checkpoints {params.checkpoints:q} \
            --threads {threads} \
            --output-adapter {output.adapter:q} {params.merged:q} \
            --output-log {output.events:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """


rule take_trial:
    """The first seed of an arm whose rate was searched: the trial with that rate is this training."""
    input:
        code=code("take_trial"),
        rate=f"{RARE}/student/{{arm}}/learning_rate.json",
        trials=trials_of(f"{RARE}/student/{{}}/adapter", "rare"),
    output:
        **_merged,
        adapter=directory(f"{RARE}/student/{{arm}}/adapter"),
        events=f"{RARE}/student/{{arm}}/log.jsonl",
        summary=f"{RARE}/student/{{arm}}/training.json",
    log:
        f"logs/{RUN}/rare/take_trial/{{arm}}.log",
    wildcard_constraints:
        arm=any_of(FROM_TRIAL["rare"]),
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        trials=lambda wildcards, input: [
            f"{Path(path).parent.name}={Path(path).parent}" for path in input.trials
        ],
        merged=lambda wildcards, output: optional("--output-merged", output.get("merged")),
    shell:
        r"""
        python {input.code[0]:q} \
            --learning-rate {input.rate:q} \
            --trials {params.trials:q} \
            --output-adapter {output.adapter:q} {params.merged:q} \
            --output-log {output.events:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """


rule choose_learning_rate:
    """Of the rates on trial, the one whose answers to the validation cases are best."""
    input:
        code=code("choose_learning_rate"),
        answers=trials_of(f"{RARE}/evaluation/answers/{{}}.parquet", "rare"),
        summaries=trials_of(f"{RARE}/student/{{}}/training.json", "rare"),
        cases=f"{RARE}/cohort/cases.parquet",
        labels=f"{RARE}/knowledge/candidates.parquet",
    output:
        rate=f"{RARE}/student/{{arm}}/learning_rate.json",
    log:
        f"logs/{RUN}/rare/choose_learning_rate/{{arm}}.log",
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        answers=lambda wildcards, input: named(input.answers),
        summaries=lambda wildcards, input: named_by_folder(input.summaries),
        label="disease_id",
    shell:
        r"""
        python {input.code[0]:q} \
            --answers {params.answers:q} \
            --summaries {params.summaries:q} \
            --cases {input.cases:q} \
            --labels {input.labels:q} \
            --label {params.label} \
            --output {output.rate:q} 2>&1 | tee {log:q}
        """


rule write_inference:
    """What a student needs to answer new patients: its prompt, its lengths, and where its files lie."""
    input:
        code=code("write_inference"),
        base=base_of("rare"),
        adapter=f"{RARE}/student/{{arm}}/adapter",
        candidates=f"{RARE}/knowledge/candidates.parquet",
        vocabulary=f"{RARE}/knowledge/vocabulary.parquet",
        information_content=f"{RARE}/knowledge/information_content.parquet",
        hpo=f"{HPO}/terms.parquet",
        mondo="resources/mondo.parquet",
    output:
        description=f"{RARE}/student/{{arm}}/inference.json",
    log:
        f"logs/{RUN}/rare/write_inference/{{arm}}.log",
    wildcard_constraints:
        arm=any_of(TRAINED),
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        settings=inference_settings(
            "rare",
            ("max_new_tokens", "generation_batch_size", "ranking_score", "ranking_chunk"),
            {"prompt": config["rare"]["prompt"]},
            ("attention", "chat_template_kwargs"),
        ),
        track="rare",
        files=lambda wildcards, input: [
            f"{name}={input[name]}"
            for name in ("candidates", "vocabulary", "information_content", "hpo", "mondo")
        ],
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --track {params.track} \
            --arm {wildcards.arm} \
            --base {input.base:q} \
            --adapter {input.adapter:q} \
            --file {params.files:q} \
            --output {output.description:q} 2>&1 | tee {log:q}
        """
