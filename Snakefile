"""mintflow: preference alignment of a unimodal language model to a multimodal teacher.

Data flows one way, one rule file a stage:
cohort -> teacher -> preferences -> student -> evaluation -> figures.
"""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "rules/common.smk"
include: "rules/knowledge.smk"
include: "rules/cohort.smk"
include: "rules/teacher.smk"
include: "rules/preferences.smk"
include: "rules/student.smk"
include: "rules/evaluation.smk"
include: "rules/figures.smk"


wildcard_constraints:
    run="[A-Za-z0-9][A-Za-z0-9_-]*",
    arm="[a-z][a-z0-9-]*",


localrules:
    all,
    cohort,
    teacher,
    preferences,
    train,
    evaluate,
    figures,


rule all:
    default_target: True
    input:
        f"results/{RUN}/report.html",


# Named targets: the DAG up to the end of one stage.
rule cohort:
    input:
        COHORT_FILES,


rule teacher:
    input:
        expand(f"{RARE}/teacher/{{arm}}.parquet", arm=TEACHER_ARMS),


rule preferences:
    input:
        f"{RARE}/preferences/README.md",


rule train:
    input:
        f"{RARE}/student/orpo/training.json",


rule evaluate:
    input:
        f"{RARE}/metrics.csv",
        f"{RARE}/comparisons.csv",


rule figures:
    input:
        expand(f"{RARE}/figures/{{name}}.{{kind}}", name=FIGURES, kind=["svg", "png"]),
