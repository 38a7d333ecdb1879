"""
Figures of arms, variants, calibration and trainings of the tissue track, each from one tidy table.

REQUIRED INPUTS:
    results/{run}/tissue/{metrics,calibration,training,sweeps,sizes}.csv
OUTPUTS:
    figures         = results/{run}/tissue/figures/{name}.{svg,png}
"""


use rule plot_agreement as plot_tissue_agreement with:
    input:
        code=code("plot_agreement"),
        table=rules.evaluate_tiles.output.metrics,
    output:
        svg=report(
            f"{TISSUE}/figures/agreement.svg",
            caption="../workflow/report/agreement.rst",
            category="Tissue",
            labels={"figure": "Agreement with the teacher"},
        ),
        png=f"{TISSUE}/figures/agreement.png",
    log:
        f"logs/{RUN}/tissue/plot_tissue_agreement.log",
    params:
        simulated=_drawn_slides,
        track="tissue",


use rule plot_agreement as plot_tile_calibration with:
    input:
        code=code("plot_calibration"),
        table=rules.measure_tile_calibration.output.calibration,
    output:
        svg=report(
            f"{TISSUE}/figures/calibration.svg",
            caption="../workflow/report/calibration.rst",
            category="Tissue",
            labels={"figure": "Calibration"},
        ),
        png=f"{TISSUE}/figures/calibration.png",
    log:
        f"logs/{RUN}/tissue/plot_tile_calibration.log",
    params:
        simulated=_drawn_slides,
        track="tissue",


use rule plot_agreement as plot_vision_costs with:
    input:
        code=code("plot_costs"),
        table=rules.tabulate_vision_trainings.output.training,
    output:
        svg=report(
            f"{TISSUE}/figures/training_costs.svg",
            caption="../workflow/report/training_costs.rst",
            category="Tissue",
            labels={"figure": "Cost of training"},
        ),
        png=f"{TISSUE}/figures/training_costs.png",
    log:
        f"logs/{RUN}/tissue/plot_vision_costs.log",
    params:
        simulated=_drawn_slides,
        track="tissue",


if variants_of("tissue"):

    use rule plot_metrics as plot_tissue_variants with:
        input:
            code=code("plot_metrics"),
            metrics=rules.evaluate_tiles.output.metrics,
        output:
            svg=report(
                f"{TISSUE}/figures/metrics_by_variant.svg",
                caption="../workflow/report/metrics_by_variant.rst",
                category="Tissue",
                labels={"figure": "Metrics by variant"},
            ),
            png=f"{TISSUE}/figures/metrics_by_variant.png",
        log:
            f"logs/{RUN}/tissue/plot_tissue_variants.log",
        params:
            simulated=_drawn_slides,
            track=["tissue", "--variants"],


if VARIED["tissue"]["sweeps"]:

    use rule plot_agreement as plot_tissue_sweeps with:
        input:
            code=code("plot_sweeps"),
            table=rules.tabulate_tissue_variants.output.sweeps,
        output:
            svg=report(
                f"{TISSUE}/figures/sweeps.svg",
                caption="../workflow/report/sweeps.rst",
                category="Tissue",
                labels={"figure": "What was varied"},
            ),
            png=f"{TISSUE}/figures/sweeps.png",
        log:
            f"logs/{RUN}/tissue/plot_tissue_sweeps.log",
        params:
            simulated=_drawn_slides,
            track="tissue",


if VARIED["tissue"]["sizes"]:

    use rule plot_agreement as plot_tissue_sizes with:
        input:
            code=code("plot_sizes"),
            table=rules.tabulate_tissue_variants.output.sizes,
        output:
            svg=report(
                f"{TISSUE}/figures/sizes.svg",
                caption="../workflow/report/sizes.rst",
                category="Tissue",
                labels={"figure": "By size of the base model"},
            ),
            png=f"{TISSUE}/figures/sizes.png",
        log:
            f"logs/{RUN}/tissue/plot_tissue_sizes.log",
        params:
            simulated=_drawn_slides,
            track="tissue",
