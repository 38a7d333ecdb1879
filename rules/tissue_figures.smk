"""
Figures of the tissue track from tidy tables and tiles, and its section of the report.

REQUIRED INPUTS:
    results/{run}/tissue/{metrics,comparisons,confusion,training_curves}.csv, cohort/*
OUTPUTS:
    figures         = results/{run}/tissue/figures/{name}.{svg,png}
    section         = results/{run}/tissue/section.html
"""

TISSUE_FIGURES = [
    *("tissue_by_arm", "agreement", *variant_figures("tissue"), "confusion", "calibration"),
    *("training_curves", "training_costs", "tile_examples"),
]
if SLIDE_ROWS:
    TISSUE_FIGURES.append("tiles_per_slide")
if ALIGNED:
    TISSUE_FIGURES.append("alignment")
TARGETS["figures"]["tissue"] = expand(
    f"{TISSUE}/figures/{{name}}.{{kind}}", name=TISSUE_FIGURES, kind=["svg", "png"]
)
TARGETS["section"]["tissue"] = [f"{TISSUE}/section.html"]
_drawn_slides = str(SLIDES["source"] == "synthetic").lower()


use rule plot_metrics as plot_tissue with:
    input:
        code=code("plot_metrics"),
        metrics=rules.evaluate_tiles.output.metrics,
    output:
        svg=report(
            f"{TISSUE}/figures/tissue_by_arm.svg",
            caption="../workflow/report/tissue_by_arm.rst",
            category="Tissue",
            labels={"figure": "Metrics by arm"},
        ),
        png=f"{TISSUE}/figures/tissue_by_arm.png",
    log:
        f"logs/{RUN}/tissue/plot_metrics.log",
    params:
        simulated=_drawn_slides,
        track="tissue",


use rule plot_training as plot_vision_training with:
    input:
        code=code("plot_training"),
        table=f"{TISSUE}/training_curves.csv",
    output:
        svg=report(
            f"{TISSUE}/figures/training_curves.svg",
            caption="../workflow/report/training_curves.rst",
            category="Tissue",
            labels={"figure": "Training curves"},
        ),
        png=f"{TISSUE}/figures/training_curves.png",
    log:
        f"logs/{RUN}/tissue/plot_training.log",
    params:
        simulated=_drawn_slides,
        track="tissue",


rule plot_alignment:
    """Does the base model see? Caption loss in training, and held out with and without the right image."""
    input:
        code=code("plot_alignment"),
        events=rules.align_student.output.events,
        summary=rules.align_student.output.summary,
    output:
        svg=report(
            f"{TISSUE}/figures/alignment.svg",
            caption="../workflow/report/alignment.rst",
            category="Tissue",
            labels={"figure": "Alignment"},
        ),
        png=f"{TISSUE}/figures/alignment.png",
    log:
        f"logs/{RUN}/tissue/plot_alignment.log",
    conda:
        "../envs/plot_tiles.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        simulated=_drawn_slides,
    shell:
        r"""
        python {input.code[0]:q} \
            --log {input.events:q} \
            --summary {input.summary:q} \
            --simulated {params.simulated:q} \
            --output-svg {output.svg:q} \
            --output-png {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_tiles:
    """Tiles per slide, and why others were dropped."""
    input:
        code=code("plot_tiles"),
        manifest=rules.collect_tiles.output.manifest,
    output:
        svg=report(
            f"{TISSUE}/figures/tiles_per_slide.svg",
            caption="../workflow/report/tiles_per_slide.rst",
            category="Tissue",
            labels={"figure": "Tiles per slide"},
        ),
        png=f"{TISSUE}/figures/tiles_per_slide.png",
    log:
        f"logs/{RUN}/tissue/plot_tiles.log",
    conda:
        "../envs/plot_tiles.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        simulated=_drawn_slides,
    shell:
        r"""
        python {input.code[0]:q} \
            --manifest {input.manifest:q} \
            --simulated {params.simulated:q} \
            --output-svg {output.svg:q} \
            --output-png {output.png:q} 2>&1 | tee {log:q}
        """


rule plot_confusion:
    """What teacher and student name first for every tissue."""
    input:
        code=code("plot_confusion"),
        confusion=rules.evaluate_tiles.output.confusion,
        labels=f"{TISSUE}/cohort/labels.parquet",
    output:
        svg=report(
            f"{TISSUE}/figures/confusion.svg",
            caption="../workflow/report/confusion.rst",
            category="Tissue",
            labels={"figure": "Confusion"},
        ),
        png=f"{TISSUE}/figures/confusion.png",
    log:
        f"logs/{RUN}/tissue/plot_confusion.log",
    conda:
        "../envs/plot_tiles.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        simulated=_drawn_slides,
    shell:
        r"""
        python {input.code[0]:q} \
            --confusion {input.confusion:q} \
            --labels {input.labels:q} \
            --simulated {params.simulated:q} \
            --output-svg {output.svg:q} \
            --output-png {output.png:q} 2>&1 | tee {log:q}
        """
