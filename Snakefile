"""mintflow: preference alignment of a unimodal language model to a multimodal teacher.

Data flows one way, one rule file a track and stage:
cohort -> teacher -> preferences -> student -> evaluation -> figures.
"""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "rules/common.smk"


if config["container"]:

    containerized: config["container"]


include: "rules/refusals.smk"
include: "rules/arms.smk"
include: "rules/models.smk"
include: "rules/rare_knowledge.smk"
include: "rules/rare_cohort.smk"
include: "rules/rare_teacher.smk"
include: "rules/rare_preferences.smk"
include: "rules/rare_retrieval.smk"
include: "rules/rare_student.smk"
include: "rules/rare_evaluation.smk"
include: "rules/rare_tables.smk"
include: "rules/rare_figures.smk"
include: "rules/rare_arm_figures.smk"
include: "rules/external.smk"
include: "rules/external_students.smk"
include: "rules/external_evaluation.smk"
include: "rules/rare_unlabelled.smk"
include: "rules/tissue_slides.smk"
include: "rules/tissue_cohort.smk"
include: "rules/tissue_teacher.smk"
include: "rules/tissue_preferences.smk"
include: "rules/tissue_student.smk"
include: "rules/tissue_evaluation.smk"
include: "rules/tissue_figures.smk"
include: "rules/tissue_tables.smk"
include: "rules/tissue_arm_figures.smk"
include: "rules/tissue_report.smk"
include: "rules/report.smk"
include: "rules/targets.smk"


wildcard_constraints:
    run="[A-Za-z0-9][A-Za-z0-9_-]*",
    arm="[a-z][a-z0-9.+-]*",


# Every track of the run, up to the report, and its students ready for use.
rule all:
    default_target: True
    input:
        f"results/{RUN}/report.html",
        target("train"),
        TARGETS["verify"],
        TARGETS["workflow"],
    localrule: True
