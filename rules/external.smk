"""
A further cohort, evaluated by what the run has trained: `snakemake external --config external=PATH`.

REQUIRED INPUTS:
    external (configuration): phenopackets in a folder or zip, or a TSV of patients
    results/{run}/rare/: cohort, knowledge, teacher, student/{arm}/adapter/
OUTPUTS, of each cohort under the name of its file or folder:
    metrics         = results/{run}/external/{cohort}/{metrics,comparisons}.csv
    set aside       = results/{run}/external/{cohort}/set_aside.tsv   patients that are not clean, with reasons
    summary         = results/{run}/external/{cohort}/summary.json
    places          = results/{run}/external/{cohort}/rank_by_disease.csv
    PhEval          = results/{run}/external/{cohort}/pheval/         disease results, phenopackets, benchmark.yaml
"""

_given = config["external"]
_name = re.sub(r"\.(zip|tsv|txt|tab)$", "", Path(_given or "").name, flags=re.IGNORECASE)
_cohort = re.sub(r"[^A-Za-z0-9._-]+", "-", _name).strip("-.") or "cohort"
EXTERNAL = f"results/{RUN}/external/{_cohort}"

_external_reading = part("rare.cohort", _reading) | {
    "source": "external",
    "path": _given,
    "url": None,
    "sha256": None,
}
# Scores that came from a file are of the run's patients alone.
_fitted_anew = YARDSTICKS if TEACHER["kind"] == "scores" else TEACHER_ARMS + YARDSTICKS
EXTERNAL_SCORING = _fitted_anew + (["retrieval"] if READING else [])


use rule read_cohort as external_read_cohort with:
    input:
        code=code("read_cohort"),
        terms=f"{HPO}/terms.parquet",
        hpoa=f"{HPO}/hpoa.parquet",
        genes=f"{HPO}/gene_disease.parquet",
        mondo="resources/mondo.parquet",
        source=given(_given),
    output:
        cases=f"{EXTERNAL}/cohort/raw/cases.parquet",
        phenotypes=f"{EXTERNAL}/cohort/raw/phenotypes.parquet",
        variants=f"{EXTERNAL}/cohort/raw/variants.parquet",
        vcfs=f"{EXTERNAL}/cohort/raw/vcfs.parquet",
        quarantine=f"{EXTERNAL}/cohort/raw/quarantine.tsv",
    log:
        f"logs/{RUN}/external/{_cohort}/read_cohort.log",
    benchmark:
        f"benchmarks/{RUN}/external/{_cohort}/read_cohort.tsv"
    params:
        settings=packed(_external_reading),
        contents=lambda wildcards: contents(_given),


use rule normalize_phenotypes as external_normalize_phenotypes with:
    input:
        code=code("normalize_phenotypes"),
        cases=f"{EXTERNAL}/cohort/raw/cases.parquet",
        phenotypes=f"{EXTERNAL}/cohort/raw/phenotypes.parquet",
        terms=f"{HPO}/terms.parquet",
    output:
        phenotypes=f"{EXTERNAL}/cohort/phenotypes.parquet",
        changes=f"{EXTERNAL}/cohort/phenotype_changes.tsv",
        quarantine=f"{EXTERNAL}/cohort/quarantine_phenotypes.tsv",
    log:
        f"logs/{RUN}/external/{_cohort}/normalize_phenotypes.log",
    benchmark:
        f"benchmarks/{RUN}/external/{_cohort}/normalize_phenotypes.tsv"


rule screen_external:
    """Patients that the run may have learned from are set aside, and so is what it cannot rank."""
    input:
        code=code("screen_external"),
        cases=f"{EXTERNAL}/cohort/raw/cases.parquet",
        phenotypes=f"{EXTERNAL}/cohort/phenotypes.parquet",
        variants=f"{EXTERNAL}/cohort/raw/variants.parquet",
        quarantine=[
            f"{EXTERNAL}/cohort/raw/quarantine.tsv",
            f"{EXTERNAL}/cohort/quarantine_phenotypes.tsv",
        ],
        run_cases=f"{RARE}/cohort/cases.parquet",
        run_phenotypes=f"{RARE}/cohort/phenotypes.parquet",
        run_variants=f"{RARE}/cohort/raw/variants.parquet",
        candidates=f"{RARE}/knowledge/candidates.parquet",
        hpoa=f"{HPO}/hpoa.parquet",
        mondo="resources/mondo.parquet",
    output:
        cases=f"{EXTERNAL}/cohort/cases.parquet",
        set_aside=f"{EXTERNAL}/set_aside.tsv",
        counts=f"{EXTERNAL}/cohort/cohort.json",
        everyone=f"{EXTERNAL}/cohort/with_run/cases.parquet",
        variants=f"{EXTERNAL}/cohort/with_run/variants.parquet",
    log:
        f"logs/{RUN}/external/{_cohort}/screen_external.log",
        set_aside=f"logs/{RUN}/external/{_cohort}/set_aside.tsv",
    conda:
        "../envs/tables.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(15),
    params:
        settings=section("rare.knowledge"),
        name=fixed(Path(_given or "").name),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --name {params.name:q} \
            --cases {input.cases:q} \
            --phenotypes {input.phenotypes:q} \
            --variants {input.variants:q} \
            --quarantine {input.quarantine:q} \
            --run-cases {input.run_cases:q} \
            --run-phenotypes {input.run_phenotypes:q} \
            --run-variants {input.run_variants:q} \
            --candidates {input.candidates:q} \
            --hpoa {input.hpoa:q} \
            --mondo {input.mondo:q} \
            --output-cases {output.cases:q} \
            --output-set-aside {output.set_aside:q} \
            --output-counts {output.counts:q} \
            --output-everyone {output.everyone:q} \
            --output-variants {output.variants:q} \
            --log-set-aside {log.set_aside:q} 2>&1 | tee {log[0]:q}
        """


# With the run's patients, so that decoys look as they did there and come from the run's candidates.
use rule annotate_genotypes as external_annotate_genotypes with:
    input:
        code=code("annotate_genotypes"),
        cases=f"{EXTERNAL}/cohort/with_run/cases.parquet",
        variants=f"{EXTERNAL}/cohort/with_run/variants.parquet",
        vcfs=f"{EXTERNAL}/cohort/raw/vcfs.parquet",
        genes=f"{HPO}/gene_disease.parquet",
        sheet=[],
    output:
        genotypes=f"{EXTERNAL}/cohort/with_run/genotypes.parquet",
        quarantine=f"{EXTERNAL}/cohort/quarantine_genotypes.tsv",
    log:
        f"logs/{RUN}/external/{_cohort}/annotate_genotypes.log",
    params:
        settings=section("rare.genotypes"),
        sheet=fixed([]),
