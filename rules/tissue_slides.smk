"""
Tiles: cut out of whole slides, batch by batch, or read from ready-made tile sets.

REQUIRED INPUTS:
    tissue.slides.sheet and the slides it names, or nothing (source synthetic)
    tissue.tile_sets, folders or data sets of the hub
OUTPUTS:
    tiles           = results/{run}/tissue/tiles/{batch}/{slide}.parquet, .png (overlay)
    manifest        = results/{run}/tissue/tiles/{batch}.manifest.parquet   one row a slide
    tile sets       = results/{run}/tissue/tile_sets/{name}.parquet
"""

from mintflow import sheets

SLIDES = config["tissue"]["slides"]
TILE_SETS = {entry["name"]: entry for entry in config["tissue"]["tile_sets"]}
_drawn = f"{TISSUE}/slides"

# The slides are known before anything runs: no checkpoint, and a new slide re-runs its batch alone.
if "tissue" not in TRACKS or SLIDES["source"] == "none":
    SHEET, SLIDE_ROWS = [], []
elif SLIDES["source"] == "synthetic":
    SHEET, SLIDE_ROWS = f"{_drawn}/slides.tsv", sheets.synthetic_rows(SLIDES["synthetic"], _drawn)
else:
    SHEET = SLIDES["sheet"]
    try:
        SLIDE_ROWS = sheets.read_sheet(SHEET)[0]
    except InputError as error:
        raise WorkflowError(str(error)) from None
BATCH_ROWS = {name: [] for name in sheets.batch_names(SLIDES["batches"])}
for _row in SLIDE_ROWS:
    BATCH_ROWS[sheets.batch_of(_row.slide, SLIDES["batches"])].append(_row)
BATCHES = [name for name, rows in BATCH_ROWS.items() if rows]
TILE_FOLDERS = [f"{TISSUE}/tiles/{name}" for name in BATCHES]
TILE_FILES = TILE_FOLDERS + [f"{TISSUE}/tile_sets/{name}.parquet" for name in TILE_SETS]
TARGETS["downloads"]["tissue"].extend(
    f"resources/tile_sets/{name}" for name in TILE_SETS if TILE_SETS[name]["hub"]
)

_place = ("path", "hub", "revision")


rule make_slides:
    """Synthetic H&E-like slides with regions of interest, and their sample sheet."""
    input:
        code=code("make_slides"),
    output:
        slides=directory(_drawn),
    log:
        f"logs/{RUN}/tissue/make_slides.log",
    benchmark:
        f"benchmarks/{RUN}/tissue/make_slides.tsv"
    conda:
        "../envs/slides.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        settings=section("tissue.slides.synthetic"),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --output {output.slides:q} 2>&1 | tee {log:q}
        """


rule tile_slides:
    """Tiles of one batch of slides, an overlay picture of each, and what became of it."""
    input:
        code=code("tile_slides"),
        sheet=lambda wildcards: [] if SLIDES["source"] == "synthetic" else ancient(SHEET),
        slides=slide_files,
    output:
        tiles=directory(f"{TISSUE}/tiles/{{batch}}"),
        manifest=f"{TISSUE}/tiles/{{batch}}.manifest.parquet",
    log:
        f"logs/{RUN}/tissue/tile_slides/{{batch}}.log",
    benchmark:
        f"benchmarks/{RUN}/tissue/tile_slides/{{batch}}.tsv"
    wildcard_constraints:
        batch=r"\d+",
    conda:
        "../envs/slides.yaml"
    threads: SLIDES["threads"]
    resources:
        mem_mb=memory(1500 + 1000 * SLIDES["threads"]),
        runtime=minutes(240),
    params:
        settings=section("tissue.tiling"),
        rows=lambda wildcards: canonical([row.tiling for row in BATCH_ROWS[wildcards.batch]]),
        sheet=SHEET,
        batches=SLIDES["batches"],
        cache=f"{TISSUE}/tiles/.finished",
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --sheet {params.sheet:q} \
            --batch {wildcards.batch} --batches {params.batches} \
            --workers {threads} \
            --cache {params.cache:q} \
            --output-tiles {output.tiles:q} \
            --output-manifest {output.manifest:q} 2>&1 | tee {log:q}
        """


rule fetch_tile_set:
    """Download the parquet files of a data set of the hub at a revision."""
    input:
        code=code("fetch_hub"),
    output:
        folder=directory("resources/tile_sets/{name}"),
    log:
        "logs/fetch_tile_set/{name}.log",
    wildcard_constraints:
        name="|".join(name for name in TILE_SETS if TILE_SETS[name]["hub"]) or "none",
    retries: 2
    conda:
        "../envs/fetch_hub.yaml"
    resources:
        mem_mb=memory(1500),
        runtime=minutes(240),
    params:
        hub=lambda wildcards: TILE_SETS[wildcards.name]["hub"],
        revision=lambda wildcards: TILE_SETS[wildcards.name]["revision"],
    shell:
        r"""
        python {input.code[0]:q} \
            --kind dataset \
            --hub {params.hub:q} \
            --revision {params.revision:q} \
            --key tissue.tile_sets.{wildcards.name}.hub \
            --output {output.folder:q} 2>&1 | tee {log:q}
        """


rule read_tile_set:
    """A ready-made tile set in the form of extracted tiles."""
    input:
        code=code("read_tile_set"),
        source=tile_set_source,
    output:
        tiles=f"{TISSUE}/tile_sets/{{name}}.parquet",
        quarantine=f"{TISSUE}/tile_sets/{{name}}.quarantine.tsv",
    log:
        f"logs/{RUN}/tissue/read_tile_set/{{name}}.log",
    wildcard_constraints:
        name="|".join(TILE_SETS) or "none",
    conda:
        "../envs/slides.yaml"
    resources:
        mem_mb=memory(3000),
        runtime=minutes(60),
    params:
        settings=lambda wildcards, input: canonical(
            {key: value for key, value in TILE_SETS[wildcards.name].items() if key not in _place}
            | {"path": str(input.source)}
        ),
    shell:
        r"""
        python {input.code[0]:q} \
            --settings {params.settings:q} \
            --output-tiles {output.tiles:q} \
            --output-quarantine {output.quarantine:q} 2>&1 | tee {log:q}
        """
