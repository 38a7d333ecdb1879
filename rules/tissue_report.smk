"""
Example tiles, and the tissue track's section of the report.

REQUIRED INPUTS:
    results/{run}/tissue/{metrics,comparisons}.csv, cohort/*, figures/*.svg, student/*, teacher/*
OUTPUTS:
    examples        = results/{run}/tissue/figures/tile_examples.{svg,png}
    section         = results/{run}/tissue/section.html, section.json
"""


rule plot_tile_examples:
    """Test tiles with the lists of teacher and student."""
    input:
        code=code("plot_tile_examples"),
        cases=f"{TISSUE}/cohort/cases.parquet",
        labels=f"{TISSUE}/cohort/labels.parquet",
        grounded=rules.evaluate_tiles.output.grounded,
        teacher=f"{TISSUE}/teacher/teacher.parquet",
        images=TILE_FILES,
    output:
        svg=report(
            f"{TISSUE}/figures/tile_examples.svg",
            caption="../workflow/report/tile_examples.rst",
            category="Tissue",
            labels={"figure": "Example tiles"},
        ),
        png=f"{TISSUE}/figures/tile_examples.png",
    log:
        f"logs/{RUN}/tissue/plot_tile_examples.log",
    conda:
        "../envs/plot_tiles.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        simulated=_drawn_slides,
        settings=settings(
            k="tissue.preferences.k",
            report_cases="tissue.evaluation.report_cases",
            seed="tissue.evaluation.seed",
        ),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --cases {input.cases:q} \
            --labels {input.labels:q} \
            --grounded {input.grounded:q} \
            --teacher {input.teacher:q} \
            --simulated {params.simulated:q} \
            --output-svg {output.svg:q} \
            --output-png {output.png:q} 2>&1 | tee {log:q}
        """


rule render_tissue:
    """Which slides and tiles, with which result, does the student use the image, what was set aside."""
    input:
        code=code("render_tissue"),
        texts=report_texts(
            "tissue.html.j2", "macros.html.j2", *[f"{name}.rst" for name in TISSUE_FIGURES]
        ),
        metrics=rules.evaluate_tiles.output.metrics,
        comparisons=rules.evaluate_tiles.output.comparisons,
        grounded=rules.evaluate_tiles.output.grounded,
        manifest=rules.collect_tiles.output.manifest,
        cases=rules.split_tiles.output.cases,
        labels=rules.split_tiles.output.labels,
        cohort=rules.split_tiles.output.summary,
        quarantine=[
            rules.collect_tiles.output.quarantine,
            *expand(f"{TISSUE}/tile_sets/{{name}}.quarantine.tsv", name=TILE_SETS),
        ],
        scores=f"{TISSUE}/teacher/teacher.parquet",
        teacher=f"{TISSUE}/teacher/teacher.json",
        preferences=f"{TISSUE}/preferences/summary.json",
        training=f"{TISSUE}/student/orpo/training.json",
        alignment=f"{TISSUE}/student/alignment.json" if ALIGNED else [],
        figures=expand(f"{TISSUE}/figures/{{name}}.svg", name=TISSUE_FIGURES),
        tiles=TILE_FOLDERS,
        images=TILE_FILES,
    output:
        html=f"{TISSUE}/section.html",
        summary=f"{TISSUE}/section.json",
    log:
        f"logs/{RUN}/tissue/render_tissue.log",
    conda:
        "../envs/render_tissue.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        settings=packed({"run": RUN, "tissue": config["tissue"]}),
        alignment=lambda wildcards, input: optional("--alignment", input.alignment),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --template {input.texts[0]:q} \
            --metrics {input.metrics:q} \
            --comparisons {input.comparisons:q} \
            --grounded {input.grounded:q} \
            --manifest {input.manifest:q} \
            --cases {input.cases:q} \
            --labels {input.labels:q} \
            --cohort {input.cohort:q} \
            --quarantine {input.quarantine:q} \
            --scores {input.scores:q} \
            --teacher {input.teacher:q} \
            --preferences {input.preferences:q} \
            --training {input.training:q} {params.alignment:q} \
            --tiles {input.tiles:q} \
            --figures {input.figures:q} \
            --output {output.html:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """
