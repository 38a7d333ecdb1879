"""
Figures of the rare track from tidy tables alone, and its section of the report.

REQUIRED INPUTS:
    results/{run}/rare/{metrics,comparisons,training,training_curves,case_view}.csv, cohort/*
OUTPUTS:
    figures         = results/{run}/rare/figures/{name}.{svg,png}
    section         = results/{run}/rare/section.html
"""

# A sample is of patients of seen diseases alone, and the figure is of all held-out ones, too.
ALL_RANKED = bool(RANKING) and EVALUATION["ranking_cases"] is None

FIGURES = [
    *("metrics_by_arm", *(["ranking_by_arm"] if ALL_RANKED else []), "agreement"),
    *(*variant_figures("rare"), "calibration"),
    *(["case_view"] if EVALUATION["report_cases"] or EVALUATION["report_case_ids"] else []),
    *("training_curves", "training_costs", "cohort_overview"),
]
TARGETS["figures"] = {
    "rare": expand(f"{RARE}/figures/{{name}}.{{kind}}", name=FIGURES, kind=["svg", "png"])
}
TARGETS["section"] = {"rare": [f"{RARE}/section.html"]}

SIMULATED = str(config["rare"]["cohort"]["source"] == "hpoa").lower()
QUARANTINES = [
    f"{RARE}/cohort/raw/quarantine.tsv",
    f"{RARE}/cohort/quarantine_phenotypes.tsv",
    f"{RARE}/cohort/quarantine_genotypes.tsv",
]


rule plot_metrics:
    """Accuracy, ungrounded names and CAR by arm."""
    input:
        code=code("plot_metrics"),
        metrics=rules.evaluate_arms.output.metrics,
    output:
        svg=report(
            f"{RARE}/figures/metrics_by_arm.svg",
            caption="../workflow/report/metrics_by_arm.rst",
            category="Rare diseases",
            labels={"figure": "Metrics by arm"},
        ),
        png=f"{RARE}/figures/metrics_by_arm.png",
    log:
        f"logs/{RUN}/rare/plot_metrics.log",
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
            --metrics {input.metrics:q} \
            --simulated {params.simulated:q} \
            --track {params.track} \
            --output-svg {output.svg:q} \
            --output-png {output.png:q} 2>&1 | tee {log:q}
        """


if ALL_RANKED:

    use rule plot_metrics as plot_ranking with:
        output:
            svg=report(
                f"{RARE}/figures/ranking_by_arm.svg",
                caption="../workflow/report/ranking_by_arm.rst",
                category="Rare diseases",
                labels={"figure": "All candidates ranked"},
            ),
            png=f"{RARE}/figures/ranking_by_arm.png",
        log:
            f"logs/{RUN}/rare/plot_ranking.log",
        params:
            simulated=SIMULATED,
            track=["rare", "--ranked"],


rule plot_training:
    """Losses, log-odds and held-out reward accuracy over the steps."""
    input:
        code=code("plot_training"),
        table=f"{RARE}/training_curves.csv",
    output:
        svg=report(
            f"{RARE}/figures/training_curves.svg",
            caption="../workflow/report/training_curves.rst",
            category="Rare diseases",
            labels={"figure": "Training curves"},
        ),
        png=f"{RARE}/figures/training_curves.png",
    log:
        f"logs/{RUN}/rare/plot_training.log",
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


rule plot_cohort:
    """Who the patients are and how they were split."""
    input:
        code=code("plot_cohort"),
        cohort=f"{RARE}/cohort/cohort.json",
        cases=f"{RARE}/cohort/cases.parquet",
        phenotypes=f"{RARE}/cohort/phenotypes.parquet",
    output:
        svg=report(
            f"{RARE}/figures/cohort_overview.svg",
            caption="../workflow/report/cohort_overview.rst",
            category="Rare diseases",
            labels={"figure": "Cohort"},
        ),
        png=f"{RARE}/figures/cohort_overview.png",
    log:
        f"logs/{RUN}/rare/plot_cohort.log",
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    shell:
        r"""
        python {input.code[0]:q} \
            --cohort {input.cohort:q} \
            --cases {input.cases:q} \
            --phenotypes {input.phenotypes:q} \
            --output-svg {output.svg:q} \
            --output-png {output.png:q} 2>&1 | tee {log:q}
        """


rule render_rare:
    """The rare track's section of the report: what ran, on whom, with which result, what was set aside."""
    input:
        code=code("render_rare"),
        texts=report_texts("rare.html.j2", "macros.html.j2", *[f"{name}.rst" for name in FIGURES]),
        metrics=rules.evaluate_arms.output.metrics,
        comparisons=rules.evaluate_arms.output.comparisons,
        cases=f"{RARE}/cohort/cases.parquet",
        shown=f"{RARE}/case_view.csv",
        cohort=f"{RARE}/cohort/cohort.json",
        leakage=f"{RARE}/knowledge/leakage.json",
        preferences=f"{RARE}/preferences/summary.json",
        training=f"{RARE}/student/orpo/training.json",
        quarantine=QUARANTINES,
        changes=f"{RARE}/cohort/phenotype_changes.tsv",
        figures=expand(f"{RARE}/figures/{{name}}.svg", name=FIGURES),
        versions=f"{HPO}/versions.json",
    output:
        html=f"{RARE}/section.html",
        summary=f"{RARE}/section.json",
    log:
        f"logs/{RUN}/rare/render_rare.log",
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        settings=packed({"run": RUN, "rare": config["rare"]}),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --template {input.texts[0]:q} \
            --metrics {input.metrics:q} \
            --comparisons {input.comparisons:q} \
            --cases {input.cases:q} \
            --shown {input.shown:q} \
            --cohort {input.cohort:q} \
            --leakage {input.leakage:q} \
            --preferences {input.preferences:q} \
            --training {input.training:q} \
            --quarantine {input.quarantine:q} \
            --changes {input.changes:q} \
            --figures {input.figures:q} \
            --versions {input.versions:q} \
            --output {output.html:q} \
            --output-summary {output.summary:q} 2>&1 | tee {log:q}
        """
