"""Rankings of patients that a finished run has never met, by its own teacher and yardsticks.

Nothing but a table of scores is kept of a teacher. Its training takes seconds and is deterministic, so
it is fitted once more on the run's own patients; the run's stored scores of its test patients show that
it is the same teacher. Patients that are new lend nothing to it: they are in no training split, and what
of their variants was never seen before is shown to it as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .errors import InputError
from .evidence import Evidence
from .features import Cohort
from .scores import guess_among_equals
from .yardsticks import GUESSING, YARDSTICKS, yardstick

# scores are rounded to 1e-6; another processor may sum in another order and stop an epoch elsewhere
TOLERANCE = 0.01
UNKNOWN = "unknown"


def gather(
    everyone: pd.DataFrame,
    new: Sequence[str],
    disease_ids: Sequence[str],
    phenotypes: tuple[pd.DataFrame, pd.DataFrame],
    genotypes: tuple[pd.DataFrame, pd.DataFrame],
    images: np.ndarray | None = None,
) -> Cohort:
    """One cohort of the run's patients and the new ones.

    Args:
        everyone: the run's cases, then the new ones (fold -1, disease_id null where it is no candidate).
        new: case_id of the new ones.
        disease_ids: the candidates.
        phenotypes: normalised terms of the run's patients and of the new ones.
        genotypes: the same of their variants, decoys included.
        images: embeddings in order of ``everyone``.
    """
    fresh = set(new)
    known, others = genotypes
    known = known[~known["case_id"].isin(fresh)]
    others = others[others["case_id"].isin(fresh)].copy()
    for column in ("zygosity", "consequence"):
        # sizes and first weights of the encoder hang on the classes that occur
        seen = sorted(set(known[column]))
        stand_in = UNKNOWN if UNKNOWN in seen or not seen else seen[0]
        others[column] = others[column].where(others[column].isin(seen), stand_in)
    terms = [phenotypes[0][~phenotypes[0]["case_id"].isin(fresh)], phenotypes[1]]
    # nobody reads the diagnosis of a patient outside the training split; it only has to be a candidate
    cases = everyone.assign(disease_id=everyone["disease_id"].fillna(disease_ids[0]))

    def rows(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
        both = pd.concat(tables, ignore_index=True)
        return both[both["case_id"].isin(cases["case_id"])].reset_index(drop=True)

    return Cohort(cases.reset_index(drop=True), rows(terms), rows([known, others]), images)


def rank(
    arm: str,
    cohort: Cohort,
    disease_ids: Sequence[str],
    evidence: Evidence,
    teacher: Mapping[str, Any],
    seed: int,
) -> np.ndarray:
    """Scores of an arm as it scores patients outside the training split.

    Args:
        arm: one of ``YARDSTICKS``, or a teacher.
        cohort: as ``gather`` makes it.
        disease_ids: the candidates.
        evidence: the run's knowledge.
        teacher: the section ``rare.teacher``, with the modalities of the arm.
        seed: of guesses among equals.

    Returns:
        Scores, cases x diseases; those of training patients mean nothing.

    Raises:
        InputError: the teacher is a file of scores, which holds none of the new patients.
    """
    kind = teacher["kind"]
    if arm not in YARDSTICKS and kind == "encoder":
        return _encoder(cohort, disease_ids, evidence, teacher)
    if arm not in YARDSTICKS and kind != "likelihood-ratio":
        raise InputError(f"a teacher of kind {kind} cannot score new patients", field="rare.teacher.kind")
    # folds serve training patients alone; in one fold everything is built once
    whole = Cohort(cohort.cases.assign(fold=-1), cohort.phenotypes, cohort.genotypes, cohort.images)
    scores = yardstick(arm if arm in YARDSTICKS else kind, whole, disease_ids, evidence)
    return guess_among_equals(scores, seed) if arm in GUESSING else scores


def _encoder(
    cohort: Cohort, disease_ids: Sequence[str], evidence: Evidence, teacher: Mapping[str, Any]
) -> np.ndarray:
    import torch

    from .teacher import fit
    from .teacher_inputs import Problem, Settings

    # as in training: with more threads sums change their order
    torch.set_num_threads(1)
    settings = Settings.read(teacher)
    train = cohort.in_split("train")
    problem = Problem(cohort, disease_ids, evidence, train, evidence.held_out(cohort), settings)
    fitted = fit(problem, settings, cohort.in_split("validation"))
    scores = np.zeros((len(cohort), len(disease_ids)))
    scores[~train] = fitted.score(np.flatnonzero(~train))
    return scores


def difference(
    scores: np.ndarray, cohort: Cohort, disease_ids: Sequence[str], new: Sequence[str], stored: pd.DataFrame
) -> float:
    """Largest difference from the run's stored scores (case_id, disease_id, score) of its test patients.

    Raises:
        InputError: it is larger than ``TOLERANCE``: the run's scores are of another teacher.
    """
    old = ~cohort.in_split("train") & ~cohort.cases["case_id"].isin(set(new)).to_numpy()
    ids = cohort.cases.loc[old, "case_id"]
    before = stored.pivot(index="case_id", columns="disease_id", values="score")
    before = before.reindex(index=ids, columns=list(disease_ids)).to_numpy(float)
    if not before.size:
        return 0.0
    found = float(np.abs(scores[old] - before).max())
    if not found <= TOLERANCE:
        problem = (
            f"scores of the run's own test patients differ by {found:.3g} from those that it kept: "
            "they were made by other code or on other data; run the target teacher first"
        )
        raise InputError(problem, field="rare.teacher")
    return found
