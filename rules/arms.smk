"""
The students of each track as the configuration lists them: arms, seeds, learning rates on trial.

Helper functions only: what the jobs of one student read. No rule is here.
"""

from mintflow.arms import CONTROLS as KINDS_OF_CONTROL, DEFAULT_PAIRS, PRIMARY, RATE, SEED, Plan
from mintflow.sweeps import sizes, sweeps

PLANS = {track: Plan(config[track], track) for track in ("rare", "tissue")}
# Every adapter: those of the results, and those that only serve to choose a learning rate.
JOBS = {track: plan.trainings() | plan.trials() for track, plan in PLANS.items()}
TRAINED = list(PLANS["rare"].trainings())
VISION_TRAINED = list(PLANS["tissue"].trainings())
# Of these, the ones that were trained while their learning rate was searched, and all others.
FROM_TRIAL = {t: [name for name in JOBS[t] if JOBS[t][name].was_trial] for t in JOBS}
ANEW = {t: [name for name in JOBS[t] if name not in FROM_TRIAL[t]] for t in JOBS}
# What the variants vary: figures of it exist only where there is something to draw.
VARIED = {
    track: {"sweeps": sweeps(plan, config[track]), "sizes": sizes(plan, config[track])}
    for track, plan in PLANS.items()
}


def controls(track):
    """Arms that show what the primary one does without its input."""
    names = [f"{PRIMARY}-{name}" for name in config[track]["evaluation"]["controls"]]
    seeds = PLANS[track].arms[PRIMARY].seeds[1:]
    return [*names, *(f"{name}{SEED}{seed}" for name in names for seed in seeds)]


ANSWERING = [*PLANS["rare"].answering(), *controls("rare")]
VISION_ARMS = [*PLANS["tissue"].answering(), *controls("tissue")]
RANKING, VISION_RANKING = (PLANS[track].ranking() for track in ("rare", "tissue"))

# Who ranks every candidate without a language model, as in metrics.csv.
SCORING = TEACHER_ARMS + YARDSTICKS
READING = any(arm.retrieval for arm in PLANS["rare"].arms.values())  # profiles that are retrieved
if READING:
    SCORING.append("retrieval")

# Base models by folder name; arms and tracks may share one.
BASES = {
    arm.student["base"]["name"]: arm.student["base"]
    for track in TRACKS
    for arm in PLANS[track].arms.values()
}


def any_of(names):
    """A wildcard constraint: one of these names; of none, nothing."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


def students(track):
    """Names of all that can be asked: arms with their seeds, controls, and learning rates on trial."""
    return [*(ANSWERING if track == "rare" else VISION_ARMS), *PLANS[track].trials()]


def of_arm(track, key):
    """A key of the student section of a job's arm, for threads, resources and params."""
    return lambda wildcards: PLANS[track].arm_of(wildcards.arm).student[key]


def training_settings(track, leave_out):
    """What a training depends on, as canonical JSON."""
    return lambda wildcards: canonical(JOBS[track][wildcards.arm].settings(leave_out))


def inference_settings(
    track, evaluation, further={}, keys=("device", "attention", "chat_template_kwargs")
):
    """What answers depend on; learning rates and the like reach them through the adapter."""

    def found(wildcards):
        arm = PLANS[track].arm_of(wildcards.arm)
        own = {"base": {"dtype": arm.student["base"]["dtype"]}}
        if any(key.startswith("ranking") for key in evaluation):
            own["list_length"] = arm.list_length
        return canonical(
            {
                "student": {key: arm.student[key] for key in keys} | own,
                "k": config[track]["preferences"]["k"],
                "evaluation": part(f"{track}.evaluation", evaluation),
                **further,
            }
        )

    return found


def base_of(track):
    """The base model's folder of a job's arm; the composed one is the tissue track's own."""

    def base(wildcards):
        model = PLANS[track].arm_of(wildcards.arm).student["base"]
        if track == "tissue" and model["kind"] in ("embedded", "random"):
            return f"{TISSUE}/student/base"
        return f"resources/models/{model['name']}"

    return base


def pairs_in(folder, track, split):
    """The preference pairs of a job's arm."""
    return lambda wildcards: f"{folder}/{JOBS[track][wildcards.arm].arm.pairs}/{split}.parquet"


def standard_in(folder, track):
    """The pairs that set the token budget of a job, where its own are others."""
    path = f"{folder}/{DEFAULT_PAIRS}/train.parquet"
    return lambda job: path if JOBS[track][job.arm].arm.pairs != DEFAULT_PAIRS else []


def objective_of(track):
    """What a job minimises."""
    return lambda wildcards: JOBS[track][wildcards.arm].arm.kind


def learning_rate_in(folder, track):
    """Where the learning rate of a job was chosen; none where it is given."""

    def path(wildcards):
        job = JOBS[track][wildcards.arm]
        return f"{folder}/student/{job.arm.rate_from}/learning_rate.json" if job.chosen else []

    return path


def adapter_in(folder, track):
    """The adapter folder of an arm or of its control; none for a base model."""

    def adapter(wildcards):
        found = PLANS[track].adapter_of(wildcards.arm)
        return f"{folder}/student/{found}/adapter" if found else []

    return adapter


def control_of(wildcards):
    """Which input the arm is given."""
    arm = wildcards.arm.partition(SEED)[0]
    return next((name for name in KINDS_OF_CONTROL if arm.endswith(f"-{name}")), "none")


def split_of(wildcards):
    """Learning rates are chosen by answers to validation cases; all else answers test cases."""
    return "validation" if RATE in wildcards.arm else "test"


def trials_of(path, track):
    """A file of every learning rate on trial for an arm; ``path`` holds {} for its name."""

    def files(wildcards):
        trials = PLANS[track].trials().values()
        return [path.format(trial.name) for trial in trials if trial.arm.name == wildcards.arm]

    return files


def trial_flag(wildcards):
    """A learning rate on trial may diverge."""
    return "--trial" if RATE in wildcards.arm else ""


def prompts_in(folder):
    """What an arm of the rare track reads of each patient."""
    texts = {True: f"{folder}/retrieval/prompts.parquet", False: f"{folder}/prompts.parquet"}
    return lambda wildcards: texts[PLANS["rare"].arm_of(wildcards.arm).retrieval]


def variants_of(track):
    """Command-line arguments variant=arm."""
    return [f"{arm.name}={arm.parent}" for arm in PLANS[track].arms.values() if arm.parent]


def variant_figures(track):
    """Names of the figures of variants that a track has."""
    variants = ["metrics_by_variant"] if variants_of(track) else []
    return variants + [name for name, rows in VARIED[track].items() if rows]


def size_cards(track):
    """What is known of every base model of a comparison of sizes, as name=path."""
    found = {}
    for row in VARIED[track]["sizes"]:
        model = PLANS[track].arms[row["arm"]].student["base"]
        composed = track == "tissue" and model["kind"] in ("embedded", "random")
        folder = f"{TISSUE}/student/base" if composed else f"resources/models/{model['name']}"
        found[row["base"]] = f"{folder}/base_model.json"
    return found


def settings_of_calibration(track, label):
    """What a calibration depends on, as canonical JSON."""
    keys = {"unit": "bootstrap_unit", "samples": "bootstrap_samples", "seed": "seed"}
    options = config[track]["evaluation"]
    return packed({"label": label} | {name: options[key] for name, key in keys.items()})
