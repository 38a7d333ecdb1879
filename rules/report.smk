"""
The report: one page that opens offline, made of the sections of the tracks.

REQUIRED INPUTS:
    results/{run}/{track}/section.html, section.json
OUTPUTS:
    report          = results/{run}/report.html
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
