"""
Everyone who ranks the tissue types of a tile without a language model.

REQUIRED INPUTS:
    results/{run}/tissue/cohort/{cases,labels,descriptions}.parquet
    tissue.teacher.id (kind pretrained), tissue.teacher.scores (kind scores)
OUTPUTS:
    scores          = results/{run}/tissue/teacher/{arm}.parquet   case_id, label_id, score, rank
    summary         = results/{run}/tissue/teacher/{arm}.json
"""

TILE_TEACHER = config["tissue"]["teacher"]
TARGETS["teacher"]["tissue"] = by_arm(f"{TISSUE}/teacher", ["teacher", "prior"])

# A CLIP of the hub is downloaded once; a local folder is read where it lies.
_clip = TILE_TEACHER["id"] if TILE_TEACHER["kind"] == "pretrained" else None
_local = bool(_clip) and os.path.isdir(_clip)
_clip_name = re.sub(r"\W+", "-", _clip or "clip")
_clip_folder = _clip if _local or not _clip else f"resources/models/{_clip_name}"
if _clip and not _local:
    TARGETS["downloads"]["tissue"].append(_clip_folder)


rule fetch_clip:
    """Download a CLIP or SigLIP checkpoint (safetensors only) at its revision."""
    input:
        code=code("fetch_hub"),
    output:
        model=directory(f"resources/models/{_clip_name}"),
    log:
        "logs/fetch_clip.log",
    retries: 2
    conda:
        "../envs/fetch_hub.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        hub=TILE_TEACHER["id"],
        revision=TILE_TEACHER["revision"],
    shell:
        r"""
        python {input.code[0]:q} \
            --kind model \
            --hub {params.hub:q} \
            --revision {params.revision:q} \
            --key tissue.teacher.id \
            --output {output.model:q} 2>&1 | tee {log:q}
        """


rule train_tile_teacher:
    """A CLIP-type model ranks the labels of every tile; training tiles are scored out of fold."""
    input:
        code=code("train_tile_teacher"),
        cases=f"{TISSUE}/cohort/cases.parquet",
        labels=f"{TISSUE}/cohort/labels.parquet",
        descriptions=f"{TISSUE}/cohort/descriptions.parquet",
        images=TILE_FILES,
        model=given(_clip_folder),
        external=given(TILE_TEACHER["scores"]),
    output:
        scores=f"{TISSUE}/teacher/teacher.parquet",
        summary=f"{TISSUE}/teacher/teacher.json",
    log:
        f"logs/{RUN}/tissue/train_tile_teacher.log",
    benchmark:
        f"benchmarks/{RUN}/tissue/train_tile_teacher.tsv"
    conda:
        "../envs/train_tile_teacher.yaml"
    threads: 2
    resources:
        mem_mb=memory(6000),
        runtime=minutes(120),
        gpu=TILE_TEACHER["gpus"],
    params:
        settings=packed({key: value for key, value in TILE_TEACHER.items() if key != "gpus"}),
        model=optional("--model", _clip_folder),
    shell:
        r"""
        export OMP_NUM_THREADS={threads}
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --cases {input.cases:q} \
            --labels {input.labels:q} \
            --descriptions {input.descriptions:q} {params.model:q} \
            --threads {threads} \
            --output-scores {output.scores:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """


rule score_tile_prior:
    """Labels by their number of training tiles, whatever the image."""
    input:
        code=code("score_tile_prior"),
        cases=f"{TISSUE}/cohort/cases.parquet",
        labels=f"{TISSUE}/cohort/labels.parquet",
    output:
        scores=f"{TISSUE}/teacher/prior.parquet",
        summary=f"{TISSUE}/teacher/prior.json",
    log:
        f"logs/{RUN}/tissue/score_tile_prior.log",
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        seed=config["seed"],
    shell:
        r"""
        python {input.code[0]:q} \
            --seed {params.seed} \
            --cases {input.cases:q} \
            --labels {input.labels:q} \
            --output-scores {output.scores:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """
