"""
The tissue cohort: all tiles in one table, chosen, split by patient, described.

REQUIRED INPUTS:
    results/{run}/tissue/tiles/, tile_sets/
OUTPUTS:
    manifest        = results/{run}/tissue/cohort/manifest.csv          one row a slide
    cases           = results/{run}/tissue/cohort/cases.parquet         split, fold, images by reference
    labels          = results/{run}/tissue/cohort/labels.parquet        the closed set
    descriptions    = results/{run}/tissue/cohort/descriptions.parquet  measured, with a caption
    quarantine      = results/{run}/tissue/cohort/quarantine.tsv
"""

TARGETS["tiles"] = [f"{TISSUE}/cohort/manifest.csv", *TILE_FILES]
TARGETS["verify"] = [f"{TISSUE}/slides_by_status.tsv"] if SLIDE_ROWS else []
TARGETS["cohort"]["tissue"] = [
    f"{TISSUE}/cohort/{name}" for name in ("cases.parquet", "descriptions.parquet", "manifest.csv")
]


rule collect_tiles:
    """One table of all tiles, one manifest of all slides; what failed goes to the quarantine."""
    input:
        code=code("collect_tiles"),
        sheet=_drawn if SLIDES["source"] == "synthetic" else given(SHEET or None),
        tiles=TILE_FOLDERS,
        manifests=expand(f"{TISSUE}/tiles/{{batch}}.manifest.parquet", batch=BATCHES),
        sets=expand(f"{TISSUE}/tile_sets/{{name}}.parquet", name=TILE_SETS),
    output:
        tiles=f"{TISSUE}/cohort/tiles.parquet",
        manifest=f"{TISSUE}/cohort/manifest.csv",
        quarantine=f"{TISSUE}/cohort/quarantine.tsv",
    log:
        f"logs/{RUN}/tissue/collect_tiles.log",
    conda:
        "../envs/slides.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        sheet=optional("--sheet", SHEET),
        simulated=str(SLIDES["source"] == "synthetic").lower(),
    shell:
        r"""
        python {input.code[0]:q} {params.sheet:q} \
            --simulated {params.simulated} \
            --manifests {input.manifests:q} \
            --tiles {input.tiles:q} \
            --sets {input.sets:q} \
            --output-tiles {output.tiles:q} \
            --output-manifest {output.manifest:q} \
            --output-quarantine {output.quarantine:q} 2>&1 | tee {log:q}
        """


rule split_tiles:
    """Choose labels and tiles, then split by whole patients."""
    input:
        code=code("split_tiles"),
        tiles=rules.collect_tiles.output.tiles,
        images=tiles_to_learn_from,
    output:
        cases=f"{TISSUE}/cohort/cases.parquet",
        labels=f"{TISSUE}/cohort/labels.parquet",
        summary=f"{TISSUE}/cohort/cohort.json",
    log:
        f"logs/{RUN}/tissue/split_tiles.log",
    conda:
        "../envs/slides.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(20),
    params:
        settings=settings(cohort="tissue.cohort", split="tissue.split"),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --tiles {input.tiles:q} \
            --output-cases {output.cases:q} \
            --output-labels {output.labels:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """


rule describe_tiles:
    """Nuclei, stain and structure of every tile, measured, and a caption that names no tissue."""
    input:
        code=code("describe_tiles"),
        cases=rules.split_tiles.output.cases,
        labels=rules.split_tiles.output.labels,
        images=TILE_FILES,
    output:
        descriptions=f"{TISSUE}/cohort/descriptions.parquet",
    log:
        f"logs/{RUN}/tissue/describe_tiles.log",
    benchmark:
        f"benchmarks/{RUN}/tissue/describe_tiles.tsv"
    conda:
        "../envs/slides.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    shell:
        r"""
        python {input.code[0]:q} \
            --cases {input.cases:q} \
            --labels {input.labels:q} \
            --output {output.descriptions:q} 2>&1 | tee {log:q}
        """


rule verify_slides:
    """Last of all: the run ends with an error when more slides failed than allowed."""
    input:
        code=code("verify_slides"),
        manifest=rules.collect_tiles.output.manifest,
        after=f"{TISSUE}/section.html",
    output:
        counts=f"{TISSUE}/slides_by_status.tsv",
    log:
        f"logs/{RUN}/tissue/verify_slides.log",
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        allowed=SLIDES["max_failed"],
    shell:
        r"""
        python {input.code[0]:q} \
            --manifest {input.manifest:q} \
            --max-failed {params.allowed} \
            --output {output.counts:q} 2>&1 | tee {log:q}
        """
