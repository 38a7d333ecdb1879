"""
A further cohort, second part: prompts, retrieved profiles, and what the students that are there say.

REQUIRED INPUTS:
    results/{run}/external/{cohort}/cohort/{cases,phenotypes}.parquet
    results/{run}/rare/: knowledge, student/{arm}/adapter/; the sentence encoder where an arm reads profiles
OUTPUTS:
    prompts         = results/{run}/external/{cohort}/{prompts,retrieval/prompts}.parquet
    similarities    = results/{run}/external/{cohort}/teacher/retrieval.parquet
    answers         = results/{run}/external/{cohort}/evaluation/{answers,rankings}/{arm}.parquet
"""

# Controls are for the run's own patients.
WRITING = PLANS["rare"].answering()
# Rankings by pmi need the blank prompt; nobody answers it.
_external_controls = ["blank"] if "blank" in EVALUATION["controls"] else []


use rule build_prompts as external_build_prompts with:
    input:
        code=code("build_prompts"),
        cases=f"{EXTERNAL}/cohort/cases.parquet",
        phenotypes=f"{EXTERNAL}/cohort/phenotypes.parquet",
        ic=f"{RARE}/knowledge/information_content.parquet",
    output:
        prompts=f"{EXTERNAL}/prompts.parquet",
    log:
        f"logs/{RUN}/external/{_cohort}/build_prompts.log",
    params:
        settings=packed(
            {
                "prompt": config["rare"]["prompt"],
                "k": config["rare"]["preferences"]["k"],
                "controls": _external_controls,
                "seed": config["seed"],
            }
        ),


# The run's leak-free profiles, nearest to the new patients.
use rule retrieve_profiles as external_retrieve_profiles with:
    input:
        code=code("retrieve_profiles"),
        encoder=given(ENCODER),
        cases=f"{EXTERNAL}/cohort/cases.parquet",
        phenotypes=f"{EXTERNAL}/cohort/phenotypes.parquet",
        terms=f"{HPO}/terms.parquet",
        candidates=f"{RARE}/knowledge/candidates.parquet",
        profiles=f"{RARE}/knowledge/profiles.parquet",
        ic=f"{RARE}/knowledge/information_content.parquet",
        prompts=f"{EXTERNAL}/prompts.parquet",
    output:
        prompts=f"{EXTERNAL}/retrieval/prompts.parquet",
        retrieved=f"{EXTERNAL}/retrieval/retrieved.parquet",
        scores=f"{EXTERNAL}/teacher/retrieval.parquet",
        summary=f"{EXTERNAL}/teacher/retrieval.json",
    log:
        f"logs/{RUN}/external/{_cohort}/retrieve_profiles.log",
    benchmark:
        f"benchmarks/{RUN}/external/{_cohort}/retrieve_profiles.tsv"
    params:
        settings=packed({**RETRIEVING, "controls": _external_controls}),


use rule generate_answers as external_generate_answers with:
    input:
        code=code("generate_answers"),
        base=base_of("rare"),
        adapter=adapter_in(RARE, "rare"),
        prompts=prompts_in(EXTERNAL),
    output:
        answers=f"{EXTERNAL}/evaluation/answers/{{arm}}.parquet",
    log:
        f"logs/{RUN}/external/{_cohort}/generate_answers/{{arm}}.log",
    benchmark:
        f"benchmarks/{RUN}/external/{_cohort}/generate_answers/{{arm}}.tsv"


use rule rank_candidates as external_rank_candidates with:
    input:
        code=code("rank_candidates"),
        base=base_of("rare"),
        adapter=adapter_in(RARE, "rare"),
        prompts=prompts_in(EXTERNAL),
        candidates=f"{RARE}/knowledge/candidates.parquet",
        cases=f"{EXTERNAL}/cohort/cases.parquet",
    output:
        rankings=f"{EXTERNAL}/evaluation/rankings/{{arm}}.parquet",
    log:
        f"logs/{RUN}/external/{_cohort}/rank_candidates/{{arm}}.log",
    benchmark:
        f"benchmarks/{RUN}/external/{_cohort}/rank_candidates/{{arm}}.tsv"
