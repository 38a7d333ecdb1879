"""
Inputs that are asked for before they are given: a target that this run cannot make ends at once, and says why.

needs(track, *files)        files of a track, for the targets of that track
tiles_to_learn_from         tiles with their images, for the student
further_cohort              what the target external makes
"""


def needs(track, *files):
    """Files of a track; an error if the run has another one alone."""

    def found(wildcards):
        if track not in TRACKS:
            raise WorkflowError(f"this target needs the track {track}: add it to the key tracks")
        return [path for part in files for path in ([part] if isinstance(part, str) else part)]

    return found


def tiles_to_learn_from(wildcards):
    """Tiles as the student sees them; coordinates alone are for the target tiles."""
    if SLIDES["source"] != "none" and config["tissue"]["tiling"]["format"] == "coordinates":
        raise WorkflowError(
            "tissue.tiling.format: the student needs images, png or jpeg; coordinates are for the target tiles"
        )
    return TILE_FILES


def further_cohort(wildcards):
    """What the target external makes; without a cohort it ends at once."""
    if not config["external"]:
        raise WorkflowError(
            "the target external needs a cohort: set the key external to a folder or zip of "
            "phenopackets or to a TSV of patients, e.g. snakemake external --config external=PATH"
        )
    tables = ("metrics.csv", "comparisons.csv", "set_aside.tsv", "rank_by_disease.csv")
    figures = [f"figures/rank_by_disease.{kind}" for kind in ("svg", "png")]
    names = (*tables, "summary.json", *figures, "pheval")
    return needs("rare", [f"{EXTERNAL}/{name}" for name in names])(wildcards)
