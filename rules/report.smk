"""
The report: one page that opens offline, made of the sections of the tracks.

REQUIRED INPUTS:
    results/{run}/{track}/section.html, section.json
OUTPUTS:
    report          = results/{run}/report.html
    workflow        = results/{run}/figures/workflow.svg, .png, results/{run}/workflow.csv
"""

TARGETS["workflow"] = [f"results/{RUN}/figures/workflow.{kind}" for kind in ("svg", "png")]


rule plot_workflow:
    """The rules of the workflow, stage by stage."""
    input:
        code=code("plot_workflow"),
        rules=[
            os.path.relpath(path)
            for path in sorted((_root / "rules").glob("*.smk"))
            if path.stem.partition("_")[0] in (*TRACKS, "models", "report")
            or (path.stem.startswith("external") and "rare" in TRACKS)
        ],
    output:
        table=f"results/{RUN}/workflow.csv",
        svg=report(
            f"results/{RUN}/figures/workflow.svg",
            category="Workflow",
            caption="../workflow/report/workflow_rules.rst",
        ),
        png=f"results/{RUN}/figures/workflow.png",
    log:
        f"logs/{RUN}/plot_workflow.log",
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    shell:
        r"""
        python {input.code[0]:q} \
            --rules {input.rules:q} \
            --output-table {output.table:q} \
            --output-svg {output.svg:q} \
            --output-png {output.png:q} 2>&1 | tee {log:q}
        """


rule render_report:
    """What every track found on top, then its section in full."""
    input:
        code=code("render_report"),
        template=report_texts("page.html.j2"),
        sections=[path for track in TRACKS for path in TARGETS["section"][track]],
        headlines=expand("results/{run}/{track}/section.json", run=RUN, track=TRACKS),
    output:
        html=f"results/{RUN}/report.html",
    log:
        f"logs/{RUN}/render_report.log",
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(10),
    params:
        run=RUN,
        sections=lambda wildcards, input: [
            f"{Path(path).parent.name}={path}" for path in input.sections
        ],
    shell:
        r"""
        python {input.code[0]:q} \
            --run {params.run:q} \
            --template {input.template:q} \
            --sections {params.sections:q} \
            --output {output.html:q} 2>&1 | tee {log:q}
        """
