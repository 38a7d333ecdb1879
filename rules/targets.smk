"""
Named targets: one track up to its section of the report, or one stage of every track.

REQUIRED INPUTS:
    TARGETS, which the stages fill
OUTPUTS:
    none of their own
"""


rule rare:
    input:
        needs("rare", TARGETS["section"]["rare"], TARGETS["train"]["rare"]),
    localrule: True


rule tissue:
    input:
        needs("tissue", TARGETS["section"]["tissue"], TARGETS["train"]["tissue"], TARGETS["verify"]),
    localrule: True


# The slides cut into tiles, and no more: the stage that people try first.
rule tiles:
    input:
        needs("tissue", TARGETS["tiles"]),
    localrule: True


# What comes from outside; to be fetched where the network is reached, see docs/deployment.md.
rule downloads:
    input:
        target("downloads"),
    localrule: True


rule cohort:
    input:
        target("cohort"),
    localrule: True


rule teacher:
    input:
        target("teacher"),
    localrule: True


rule preferences:
    input:
        target("preferences"),
    localrule: True


rule train:
    input:
        target("train"),
    localrule: True


rule evaluate:
    input:
        target("evaluate"),
    localrule: True


rule figures:
    input:
        target("figures"),
        TARGETS["workflow"],
    localrule: True


# A further cohort, with the adapters as they are.
rule external:
    input:
        further_cohort,
    localrule: True
