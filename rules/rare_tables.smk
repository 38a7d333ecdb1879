"""
Tidy tables of arms, trainings and example patients, for figures and report.

REQUIRED INPUTS:
    results/{run}/rare/metrics.csv, student/{arm}/{training.json,log.jsonl}, teacher/, evaluation/
OUTPUTS:
    training        = results/{run}/rare/training.csv            one row a training: what it was and cost
    curves          = results/{run}/rare/training_curves.csv     training, arm, seed, step, pairs, quantity, value
    calibration     = results/{run}/rare/calibration.csv         arm, bin, confidence, accuracy, n, value, ci_*
    variants        = results/{run}/rare/{sweeps,sizes}.csv      where the run has variants that vary one thing
    examples        = results/{run}/rare/case_view.csv           patients by number, with everyone's lists
"""

TARGETS["evaluate"]["rare"] += [f"{RARE}/training.csv", f"{RARE}/calibration.csv"]


rule tabulate_trainings:
    """What every training was and cost, those of a learning rate search included, and its course."""
    input:
        code=code("tabulate_trainings"),
        summaries=expand(f"{RARE}/student/{{arm}}/training.json", arm=JOBS["rare"]),
        logs=expand(f"{RARE}/student/{{arm}}/log.jsonl", arm=TRAINED),
    output:
        training=report(
            f"{RARE}/training.csv",
            caption="../workflow/report/training.rst",
            category="Rare diseases",
            labels={"table": "Trainings"},
        ),
        curves=f"{RARE}/training_curves.csv",
    log:
        f"logs/{RUN}/rare/tabulate_trainings.log",
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        settings=packed({name: job.seed for name, job in JOBS["rare"].items()}),
        folder=lambda wildcards, input: Path(input.summaries[0]).parent.parent,
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --folder {params.folder:q} \
            --output-training {output.training:q} \
            --output-curves {output.curves:q} 2>&1 | tee {log:q}
        """


rule measure_calibration:
    """Confidence against accuracy, of the teacher's scores and the students' rankings."""
    input:
        code=code("measure_calibration"),
        cases=f"{RARE}/cohort/cases.parquet",
        candidates=f"{RARE}/knowledge/candidates.parquet",
        mondo="resources/mondo.parquet",
        scores=by_arm(f"{RARE}/teacher", TEACHER_ARMS),
        rankings=by_arm(f"{RARE}/evaluation/rankings", RANKING),
    output:
        calibration=report(
            f"{RARE}/calibration.csv",
            caption="../workflow/report/calibration.rst",
            category="Rare diseases",
            labels={"table": "Calibration"},
        ),
    log:
        f"logs/{RUN}/rare/measure_calibration.log",
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(15),
    params:
        settings=settings_of_calibration("rare", "disease_id"),
        scores=lambda wildcards, input: named(input.scores),
        rankings=lambda wildcards, input: ["--rankings", *named(input.rankings)] if RANKING else [],
        names=lambda wildcards, input: ["--candidates", input.candidates, "--mondo", input.mondo],
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --cases {input.cases:q} \
            --scores {params.scores:q} \
            {params.rankings:q} {params.names:q} \
            --output {output.calibration:q} 2>&1 | tee {log:q}
        """


rule choose_cases:
    """A few test patients, named by the user or drawn by seed whatever the result, and what everyone says of them."""
    input:
        code=code("choose_cases"),
        cases=f"{RARE}/cohort/cases.parquet",
        phenotypes=f"{RARE}/cohort/phenotypes.parquet",
        candidates=f"{RARE}/knowledge/candidates.parquet",
        mondo="resources/mondo.parquet",
        teacher=f"{RARE}/teacher/teacher.parquet",
        grounded=rules.evaluate_arms.output.grounded,
    output:
        cases=f"{RARE}/case_view.csv",
    log:
        f"logs/{RUN}/rare/choose_cases.log",
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        settings=packed(
            {
                "k": config["rare"]["preferences"]["k"],
                "arms": [arm.name for arm in PLANS["rare"].arms.values() if not arm.parent],
                **part("rare.evaluation", ("report_cases", "report_case_ids", "seed")),
            }
        ),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --cases {input.cases:q} \
            --phenotypes {input.phenotypes:q} \
            --candidates {input.candidates:q} \
            --mondo {input.mondo:q} \
            --teacher {input.teacher:q} \
            --grounded {input.grounded:q} \
            --output {output.cases:q} 2>&1 | tee {log:q}
        """


if VARIED["rare"]["sweeps"] or VARIED["rare"]["sizes"]:

    rule tabulate_variants:
        """Metrics against what the variants vary, and against the size of their base model."""
        input:
            code=code("tabulate_variants"),
            metrics=rules.evaluate_arms.output.metrics,
            training=rules.tabulate_trainings.output.training,
            folders=sorted({str(Path(path).parent) for path in size_cards("rare").values()}),
        output:
            sweeps=f"{RARE}/sweeps.csv",
            sizes=f"{RARE}/sizes.csv",
        log:
            f"logs/{RUN}/rare/tabulate_variants.log",
        conda:
            "../envs/tables.yaml"
        resources:
            mem_mb=memory(1500),
            runtime=minutes(10),
        params:
            settings=packed(VARIED["rare"]),
            bases=lambda wildcards: [f"{name}={path}" for name, path in size_cards("rare").items()],
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
