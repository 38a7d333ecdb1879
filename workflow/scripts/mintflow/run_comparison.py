"""The same arms in two runs, on the cases that both have: what a change of the configuration brings."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from .errors import InputError
from .evaluation import SUFFIXES, TOGETHER, mean_of_seeds
from .metrics import BOUNDS, UNIT
from .statistics import compare

KEYS = ["case_id", "split", "metric"]
# what cases are resampled by, and what macro means are taken over, in either track
UNITS = {"publication": "publication", "patient_id": "patient"}
STRATA = ("disease_id", "label_id")


def compare_runs(
    first: pd.DataFrame, second: pd.DataFrame, *, arms: Sequence[str] = (), samples: int, seed: int
) -> tuple[pd.DataFrame, int]:
    """Paired differences ``first - second`` of every arm and metric that both runs have.

    Seeds of an arm are put together first. Publications (tiles: patients) are resampled whole.

    Args:
        first: per_case.parquet of a run.
        second: the same of another run; the same cases mean the same in both.
        arms: those to compare; all that both have if empty.
        samples: bootstrap samples, and sign patterns of the test.
        seed: of both.

    Returns:
        arm, metric, difference, ci_low, ci_high, p_value, p_adjusted (Holm over the arms of one metric), n;
        and the number of cases that only one run has, which are left out.

    Raises:
        InputError: another track, an arm that a run lacks, no shared case, or a case that is not the same.
    """
    for which, table in (("first", first), ("second", second)):
        needed = {"arm", *KEYS, "value"}
        if not needed <= set(table) or not set(UNITS) & set(table) or not set(STRATA) & set(table):
            raise InputError(f"the {which} table is no per_case.parquet of a run", field="columns")
    runs = [mean_of_seeds(table, SUFFIXES)[0] for table in (first, second)]
    runs = [table[table["split"].isin(SUFFIXES)] for table in runs]
    if set(runs[0].columns) != set(runs[1].columns):
        raise InputError("the runs are of two tracks", file="per_case.parquet")
    unit = next(name for name in UNITS if name in runs[0])
    stratum = next(name for name in STRATA if name in runs[0])
    shared = set(runs[0]["arm"]) & set(runs[1]["arm"])
    if lost := set(arms) - shared:
        raise InputError(
            f"only {', '.join(sorted(shared))} are in both runs", record=min(lost), field="--arms"
        )
    alone = len(set(runs[0]["case_id"]) ^ set(runs[1]["case_id"]))
    cases = [table[["case_id", "split", unit, stratum]].drop_duplicates() for table in runs]
    both = cases[0].merge(cases[1], on="case_id", suffixes=("_a", "_b"))
    if both.empty:
        raise InputError("the runs share no test case", file="per_case.parquet", field="case_id")
    for name in ("split", unit, stratum):
        if (differs := both[f"{name}_a"] != both[f"{name}_b"]).any():
            problem = f"differs between the runs for {int(differs.sum())} case(s)"
            raise InputError(problem, file="per_case.parquet", field=name)
    # a case may have a metric in one run alone, where it depends on the run's teacher
    kept = [table[table["case_id"].isin(both["case_id"])] for table in runs]
    parts, pairs = [], []
    for arm in sorted(arms or shared):
        of_arm = [table[table["arm"] == arm] for table in kept]
        common = of_arm[0][KEYS].merge(of_arm[1][KEYS], on=KEYS)
        names = (f"{arm} (first)", f"{arm} (second)")
        parts += [t.merge(common, on=KEYS).assign(arm=name) for t, name in zip(of_arm, names, strict=True)]
        pairs.append(names)
    table = pd.concat(parts, ignore_index=True)
    found = compare(
        table,
        pairs,
        SUFFIXES,
        {metric: BOUNDS.get(metric, UNIT) for metric in table["metric"].unique()},
        unit=UNITS[unit],
        samples=samples,
        seed=seed,
        stratum=stratum,
        together=TOGETHER,
    )
    found.insert(0, "arm", found["arm_a"].str.removesuffix(" (first)"))
    return found.drop(columns=["arm_a", "arm_b"]).sort_values(["arm", "metric"], ignore_index=True), alone
