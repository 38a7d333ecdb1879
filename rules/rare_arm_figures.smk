"""
Figures of arms, variants, calibration, patients and trainings, each from one tidy table.

REQUIRED INPUTS:
    results/{run}/rare/{metrics,calibration,case_view,training,sweeps,sizes}.csv
OUTPUTS:
    figures         = results/{run}/rare/figures/{name}.{svg,png}
"""


rule plot_agreement:
    """Coverage, avoidance and CAR by arm."""
    input:
        code=code("plot_agreement"),
        table=rules.evaluate_arms.output.metrics,
    output:
        svg=report(
            f"{RARE}/figures/agreement.svg",
            caption="../workflow/report/agreement.rst",
            category="Rare diseases",
            labels={"figure": "Agreement with the teacher"},
        ),
        png=f"{RARE}/figures/agreement.png",
    log:
        f"logs/{RUN}/rare/plot_agreement.log",
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        simulated=SIMULATED,
        track="rare",
    shell:
        r"""
        python {input.code[0]:q} \
            --table {input.table:q} \
            --simulated {params.simulated:q} \
            --track {params.track} \
            --output-svg {output.svg:q} \
            --output-png {output.png:q} 2>&1 | tee {log:q}
        """


use rule plot_agreement as plot_calibration with:
    input:
        code=code("plot_calibration"),
        table=rules.measure_calibration.output.calibration,
    output:
        svg=report(
            f"{RARE}/figures/calibration.svg",
            caption="../workflow/report/calibration.rst",
            category="Rare diseases",
            labels={"figure": "Calibration"},
        ),
        png=f"{RARE}/figures/calibration.png",
    log:
        f"logs/{RUN}/rare/plot_calibration.log",


use rule plot_agreement as plot_costs with:
    input:
        code=code("plot_costs"),
        table=rules.tabulate_trainings.output.training,
    output:
        svg=report(
            f"{RARE}/figures/training_costs.svg",
            caption="../workflow/report/training_costs.rst",
            category="Rare diseases",
            labels={"figure": "Cost of training"},
        ),
        png=f"{RARE}/figures/training_costs.png",
    log:
        f"logs/{RUN}/rare/plot_costs.log",


rule plot_cases:
    """Test patients with the lists of teacher and students."""
    input:
        code=code("plot_cases"),
        table=rules.choose_cases.output.cases,
    output:
        svg=report(
            f"{RARE}/figures/case_view.svg",
            caption="../workflow/report/case_view.rst",
            category="Rare diseases",
            labels={"figure": "Test patients"},
        ),
        png=f"{RARE}/figures/case_view.png",
    log:
        f"logs/{RUN}/rare/plot_cases.log",
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        simulated=SIMULATED,
    shell:
        r"""
        python {input.code[0]:q} \
            --table {input.table:q} \
            --simulated {params.simulated:q} \
            --output-svg {output.svg:q} \
            --output-png {output.png:q} 2>&1 | tee {log:q}
        """


if variants_of("rare"):

    use rule plot_metrics as plot_variants with:
        output:
            svg=report(
                f"{RARE}/figures/metrics_by_variant.svg",
                caption="../workflow/report/metrics_by_variant.rst",
                category="Rare diseases",
                labels={"figure": "Metrics by variant"},
            ),
            png=f"{RARE}/figures/metrics_by_variant.png",
        log:
            f"logs/{RUN}/rare/plot_variants.log",
        params:
            simulated=SIMULATED,
            track=["rare", "--variants"],


if VARIED["rare"]["sweeps"]:

    use rule plot_agreement as plot_sweeps with:
        input:
            code=code("plot_sweeps"),
            table=rules.tabulate_variants.output.sweeps,
        output:
            svg=report(
                f"{RARE}/figures/sweeps.svg",
                caption="../workflow/report/sweeps.rst",
                category="Rare diseases",
                labels={"figure": "What was varied"},
            ),
            png=f"{RARE}/figures/sweeps.png",
        log:
            f"logs/{RUN}/rare/plot_sweeps.log",


if VARIED["rare"]["sizes"]:

    use rule plot_agreement as plot_sizes with:
        input:
            code=code("plot_sizes"),
            table=rules.tabulate_variants.output.sizes,
        output:
            svg=report(
                f"{RARE}/figures/sizes.svg",
                caption="../workflow/report/sizes.rst",
                category="Rare diseases",
                labels={"figure": "By size of the base model"},
            ),
            png=f"{RARE}/figures/sizes.png",
        log:
            f"logs/{RUN}/rare/plot_sizes.log",
