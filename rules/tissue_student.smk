"""
The vision student: composed and aligned on captions (embedded), then preference training with images.

REQUIRED INPUTS:
    resources/models/{name}/
    results/{run}/tissue/cohort/{cases,descriptions}.parquet
    results/{run}/tissue/preferences/{train,validation}.parquet
OUTPUTS:
    base            = results/{run}/tissue/student/base/              of the embedded kind
    adapter         = results/{run}/tissue/student/{arm}/adapter/     PEFT, with a model card
    log             = results/{run}/tissue/student/{arm}/log.jsonl
    summary         = results/{run}/tissue/student/{arm}/training.json
    description     = results/{run}/tissue/student/{arm}/inference.json   what predict.py needs
"""

VISION = config["tissue"]["student"]
TARGETS["train"]["tissue"] = [
    f"{TISSUE}/student/{arm}/{name}.json"
    for arm in VISION_TRAINED
    for name in ("training", "inference")
]

# The embedded and the random model are composed and aligned here; any other sees already.
ALIGNED = VISION["base"]["kind"] in ("embedded", "random")
_vision_merged = (
    {"merged": directory(f"{TISSUE}/student/{{arm}}/merged")} if VISION["merge"] else {}
)
# Keys that preference training does not read; speed as in the rare track.
_unlearned = (*_speed, "vision", "alignment")
_composing = ("vision", "alignment", "device", "precision", "attention", "chat_template_kwargs")


rule align_student:
    """A vision tower and a projector on the language model, trained on captions that name no tissue."""
    input:
        code=code("align_student"),
        language=f"resources/models/{VISION['base']['name']}",
        cases=f"{TISSUE}/cohort/cases.parquet",
        descriptions=f"{TISSUE}/cohort/descriptions.parquet",
        images=TILE_FILES,
    output:
        model=directory(f"{TISSUE}/student/base"),
        events=f"{TISSUE}/student/alignment.jsonl",
        summary=f"{TISSUE}/student/alignment.json",
    log:
        f"logs/{RUN}/tissue/align_student.log",
    benchmark:
        f"benchmarks/{RUN}/tissue/align_student.tsv"
    conda:
        "../envs/train_student.yaml"
    threads: VISION["threads"]
    resources:
        mem_mb=memory(8000),
        runtime=minutes(240),
        gpu=VISION["gpus"],
    params:
        settings=packed(
            {key: VISION[key] for key in _composing} | {"dtype": VISION["base"]["dtype"]}
        ),
        checkpoints=f"{TISSUE}/student/alignment_checkpoints",
    shell:
        r"""
        export OMP_NUM_THREADS={threads}
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --language {input.language:q} \
            --cases {input.cases:q} \
            --descriptions {input.descriptions:q} \
            --checkpoints {params.checkpoints:q} \
            --threads {threads} \
            --output {output.model:q} \
            --output-log {output.events:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """


use rule train_student as train_vision_student with:
    input:
        code=code("train_student"),
        base=base_of("tissue"),
        train=pairs_in(TISSUE, "tissue", "train"),
        validation=pairs_in(TISSUE, "tissue", "validation"),
        standard=standard_in(TISSUE, "tissue"),
        rate=learning_rate_in(TISSUE, "tissue"),
        cases=f"{TISSUE}/cohort/cases.parquet",
        images=TILE_FILES,
    output:
        **_vision_merged,
        adapter=directory(f"{TISSUE}/student/{{arm}}/adapter"),
        events=f"{TISSUE}/student/{{arm}}/log.jsonl",
        summary=f"{TISSUE}/student/{{arm}}/training.json",
    log:
        f"logs/{RUN}/tissue/train_student/{{arm}}.log",
    benchmark:
        f"benchmarks/{RUN}/tissue/train_student/{{arm}}.tsv"
    wildcard_constraints:
        arm=any_of(ANEW["tissue"]),
    threads: of_arm("tissue", "threads")
    resources:
        mem_mb=memory(8000),
        runtime=minutes(240),
        gpu=of_arm("tissue", "gpus"),
    params:
        settings=training_settings("tissue", _unlearned),
        launcher=of_arm("tissue", "launcher"),
        objective=objective_of("tissue"),
        rate=lambda wildcards, input: optional("--learning-rate", input.rate),
        standard=lambda wildcards, input: optional("--standard", input.standard),
        trial=trial_flag,
        checkpoints=f"{TISSUE}/student/{{arm}}/checkpoints",
        merged=lambda wildcards, output: optional("--output-merged", output.get("merged")),
        images=["--track", "tissue", "--images", f"{TISSUE}/cohort/cases.parquet"],


use rule take_trial as take_vision_trial with:
    input:
        code=code("take_trial"),
        rate=f"{TISSUE}/student/{{arm}}/learning_rate.json",
        trials=trials_of(f"{TISSUE}/student/{{}}/adapter", "tissue"),
    output:
        **_vision_merged,
        adapter=directory(f"{TISSUE}/student/{{arm}}/adapter"),
        events=f"{TISSUE}/student/{{arm}}/log.jsonl",
        summary=f"{TISSUE}/student/{{arm}}/training.json",
    log:
        f"logs/{RUN}/tissue/take_trial/{{arm}}.log",
    wildcard_constraints:
        arm=any_of(FROM_TRIAL["tissue"]),


use rule choose_learning_rate as choose_vision_rate with:
    input:
        code=code("choose_learning_rate"),
        answers=trials_of(f"{TISSUE}/evaluation/answers/{{}}.parquet", "tissue"),
        summaries=trials_of(f"{TISSUE}/student/{{}}/training.json", "tissue"),
        cases=f"{TISSUE}/cohort/cases.parquet",
        labels=f"{TISSUE}/cohort/labels.parquet",
    output:
        rate=f"{TISSUE}/student/{{arm}}/learning_rate.json",
    log:
        f"logs/{RUN}/tissue/choose_learning_rate/{{arm}}.log",
    params:
        answers=lambda wildcards, input: named(input.answers),
        summaries=lambda wildcards, input: named_by_folder(input.summaries),
        label="label_id",


use rule write_inference as write_vision_inference with:
    input:
        code=code("write_inference"),
        base=base_of("tissue"),
        adapter=f"{TISSUE}/student/{{arm}}/adapter",
        labels=f"{TISSUE}/cohort/labels.parquet",
    output:
        description=f"{TISSUE}/student/{{arm}}/inference.json",
    log:
        f"logs/{RUN}/tissue/write_inference/{{arm}}.log",
    wildcard_constraints:
        arm=any_of(VISION_TRAINED),
    params:
        settings=inference_settings(
            "tissue",
            ("max_new_tokens", "generation_batch_size"),
            {
                "prompt": config["tissue"]["prompt"],
                # ready-made tile sets are cut as their makers chose
                "tiles": (
                    None
                    if SLIDES["source"] == "none"
                    else part("tissue.tiling", ("tile_size", "mpp", "stain"))
                ),
            },
            ("attention", "chat_template_kwargs"),
        ),
        track="tissue",
        files=lambda wildcards, input: [f"labels={input.labels}"],
