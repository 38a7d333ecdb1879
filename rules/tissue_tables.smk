"""
Tidy tables of arms and trainings of the tissue track, for figures and report.

REQUIRED INPUTS:
    results/{run}/tissue/metrics.csv, student/{arm}/{training.json,log.jsonl}, teacher/teacher.parquet
    results/{run}/tissue/evaluation/rankings/{arm}.parquet
OUTPUTS:
    training        = results/{run}/tissue/training.csv            one row a training: what it was and cost
    curves          = results/{run}/tissue/training_curves.csv     training, arm, seed, step, pairs, quantity, value
    calibration     = results/{run}/tissue/calibration.csv         arm, bin, confidence, accuracy, n, value, ci_*
    variants        = results/{run}/tissue/{sweeps,sizes}.csv      where the run has variants that vary one thing
"""

TARGETS["evaluate"]["tissue"] += [f"{TISSUE}/training.csv", f"{TISSUE}/calibration.csv"]


use rule tabulate_trainings as tabulate_vision_trainings with:
    input:
        code=code("tabulate_trainings"),
        summaries=expand(f"{TISSUE}/student/{{arm}}/training.json", arm=JOBS["tissue"]),
        logs=expand(f"{TISSUE}/student/{{arm}}/log.jsonl", arm=VISION_TRAINED),
    output:
        training=report(
            f"{TISSUE}/training.csv",
            caption="../workflow/report/training.rst",
            category="Tissue",
            labels={"table": "Trainings"},
        ),
        curves=f"{TISSUE}/training_curves.csv",
    log:
        f"logs/{RUN}/tissue/tabulate_trainings.log",
    params:
        settings=packed({name: job.seed for name, job in JOBS["tissue"].items()}),
        folder=lambda wildcards, input: Path(input.summaries[0]).parent.parent,


use rule measure_calibration as measure_tile_calibration with:
    input:
        code=code("measure_calibration"),
        cases=f"{TISSUE}/cohort/cases.parquet",
        scores=by_arm(f"{TISSUE}/teacher", ["teacher"]),
        rankings=by_arm(f"{TISSUE}/evaluation/rankings", VISION_RANKING),
    output:
        calibration=report(
            f"{TISSUE}/calibration.csv",
            caption="../workflow/report/calibration.rst",
            category="Tissue",
            labels={"table": "Calibration"},
        ),
    log:
        f"logs/{RUN}/tissue/measure_calibration.log",
    params:
        settings=settings_of_calibration("tissue", "label_id"),
        scores=lambda wildcards, input: named(input.scores),
        rankings=lambda wildcards, input: (
            ["--rankings", *named(input.rankings)] if VISION_RANKING else []
        ),
        names=[],


if VARIED["tissue"]["sweeps"] or VARIED["tissue"]["sizes"]:

    rule tabulate_tissue_variants:
        """Metrics against what the variants vary, and against the size of their base model."""
        input:
            code=code("tabulate_variants"),
            metrics=rules.evaluate_tiles.output.metrics,
            training=rules.tabulate_vision_trainings.output.training,
            folders=sorted({str(Path(path).parent) for path in size_cards("tissue").values()}),
        output:
            sweeps=f"{TISSUE}/sweeps.csv",
            sizes=f"{TISSUE}/sizes.csv",
        log:
            f"logs/{RUN}/tissue/tabulate_variants.log",
        conda:
            "../envs/tables.yaml"
        resources:
            mem_mb=memory(1500),
            runtime=minutes(10),
        params:
            settings=packed(VARIED["tissue"]),
            bases=lambda wildcards: [
                f"{name}={path}" for name, path in size_cards("tissue").items()
            ],
        shell:
            r"""
            python {input.code[0]:q} \
                --settings {params.settings:q} \
                --metrics {input.metrics:q} \
                --training {input.training:q} \
                --bases {params.bases:q} \
                --output-sweeps {output.sweeps:q} \
                --output-sizes {output.sizes:q} 2>&1 | tee {log:q}
            """
