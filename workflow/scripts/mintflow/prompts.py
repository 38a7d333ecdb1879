"""What the student reads about a patient of the rare-disease track: chat messages of phenotype names.

A second task brings its own module of this kind; lists and preferences do not depend on this one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .conversations import Messages
from .errors import InputError
from .placeholders import check_patient_prompt

NONE, BLANK, SHUFFLED = "none", "blank", "shuffled"
UNAVAILABLE = "not available"
CONTROL_SPLITS = ("test", "test_unseen")
# patients of a further cohort out of the set, too: a ranking by pmi compares with the blank prompt
BLANK_SPLITS = (*CONTROL_SPLITS, "unlabelled")


@dataclass(frozen=True)
class Template:
    """The keys of ``rare.prompt``; ``user`` is filled in with `placeholders.PATIENT`.

    Raises:
        InputError: ``user`` has an unknown placeholder, a stray brace, or no ``{phenotypes}``.
    """

    system: str
    user: str
    max_terms: int
    max_excluded: int
    demographics: bool

    def __post_init__(self) -> None:
        """Check ``user``."""
        check_patient_prompt(self.user)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Template:
        """Make a template from ``rare.prompt``.

        Raises:
            InputError: a key is missing or unknown, or as for the class.
        """
        wrong = set(settings) ^ set(cls.__dataclass_fields__)
        if wrong:
            raise InputError(f"missing or unknown key(s): {', '.join(sorted(wrong))}", record="rare.prompt")
        return cls(**settings)

    def messages(self, observed: Sequence[str], excluded: Sequence[str], patient: str, k: int) -> Messages:
        """Chat messages; no ``observed`` name reads as "not available"."""
        user = self.user.format(
            patient=patient,
            phenotypes=", ".join(observed) or UNAVAILABLE,
            excluded=f" Absent: {', '.join(excluded)}." if excluded else "",
            k=k,
        )
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": user}]


def describe_patient(sex: str, age_years: float | None) -> str:
    """``"3-year-old female. "``: age (years, months below 2 years) and sex as far as known, else ``""``."""
    words = []
    if age_years is not None and not np.isnan(age_years):
        months = int(age_years * 12)
        if months >= 24:
            words.append(f"{int(age_years)}-year-old")
        else:
            words.append(f"{months}-month-old" if months else "newborn")
    if sex in ("MALE", "FEMALE"):
        words.append(sex.lower())
    return f"{' '.join(words)}. " if words else ""


def order_terms(phenotypes: pd.DataFrame, information_content: pd.DataFrame) -> pd.DataFrame:
    """Sort each patient's terms, the most telling first.

    That is high information content for an observed term, low for an excluded
    one (the absence of a common finding says more than that of a rare one);
    ties by ``hpo_id``.

    Args:
        phenotypes: case_id, hpo_id, name, excluded.
        information_content: hpo_id, ic (nats).

    Raises:
        InputError: a term has no information content.
    """
    ic = phenotypes["hpo_id"].map(information_content.set_index("hpo_id")["ic"])
    if ic.isna().any():
        missing = phenotypes.loc[ic.isna(), "hpo_id"].iloc[0]
        raise InputError("has no information content", record=missing, field="ic")
    weight = ic.where(phenotypes["excluded"], -ic)
    order = ["case_id", "excluded", "weight", "hpo_id"]
    return phenotypes.assign(weight=weight).sort_values(order).drop(columns="weight")


def choose_donors(cases: pd.DataFrame, seed: int) -> dict[str, str]:
    """For every case another one with another disease, drawn uniformly among ``cases``.

    Args:
        cases: case_id (unique), disease_id.
        seed: of the draw.

    Raises:
        InputError: there is only one disease.
    """
    cases = cases.sort_values("case_id", ignore_index=True)
    if cases["disease_id"].nunique() < 2:
        raise InputError(
            "the test patients have fewer than two diseases: leave shuffled out",
            record="rare.evaluation.controls",
        )
    rng = np.random.default_rng(seed)
    ids, diseases = cases["case_id"].to_numpy(object), cases["disease_id"].to_numpy(object)
    return {case: rng.choice(ids[diseases != disease]) for case, disease in zip(ids, diseases, strict=True)}


def build_prompts(
    cases: pd.DataFrame,
    phenotypes: pd.DataFrame,
    information_content: pd.DataFrame,
    template: Template,
    k: int,
    controls: Sequence[str],
    seed: int,
) -> pd.DataFrame:
    """One prompt for every case, and one more a control for every test case (blank: of ``BLANK_SPLITS``).

    The controls show what the student's answer owes to the phenotypes: ``blank``
    takes them away, ``shuffled`` gives those of another test patient with another
    disease. Sex and age, where shown, stay the patient's own.

    Args:
        cases: case_id, disease_id, split, sex, age_years (nullable).
        phenotypes: case_id, hpo_id, name, excluded; rows of other cases are ignored.
        information_content: hpo_id, ic.
        template: the wording.
        k: how many diseases are asked for.
        controls: any of ``blank``, ``shuffled``.
        seed: of the shuffling.

    Returns:
        case_id, split, control, prompt (list of messages), sorted by case_id and control.

    Raises:
        InputError: unknown control, a case without observed phenotype, or as for the parts.
    """
    unknown = sorted(set(controls) - {BLANK, SHUFFLED})
    if unknown:
        raise InputError(f"unknown control(s): {', '.join(unknown)}", record="rare.evaluation.controls")
    phenotypes = phenotypes[phenotypes["case_id"].isin(cases["case_id"])]
    terms = order_terms(phenotypes, information_content)
    observed = terms[~terms["excluded"]].groupby("case_id")["name"].agg(list).to_dict()
    excluded = terms[terms["excluded"]].groupby("case_id")["name"].agg(list).to_dict()
    tested = cases[cases["split"].isin(CONTROL_SPLITS)]
    donors = choose_donors(tested, seed) if SHUFFLED in controls and len(tested) else {}

    rows = []
    for case in cases.sort_values("case_id").itertuples(index=False):
        if case.case_id not in observed:
            raise InputError("has no observed phenotype", record=case.case_id, field="phenotypes")
        patient = describe_patient(case.sex, case.age_years) if template.demographics else ""
        given = {BLANK: BLANK_SPLITS, SHUFFLED: CONTROL_SPLITS}
        wanted = [NONE, *(control for control in controls if case.split in given[control])]
        for control in sorted(wanted):
            source = {NONE: case.case_id, BLANK: None, SHUFFLED: donors.get(case.case_id)}[control]
            shown = observed.get(source, [])[: template.max_terms]
            absent = excluded.get(source, [])[: template.max_excluded]
            prompt = template.messages(shown, absent, patient, k)
            rows.append((case.case_id, case.split, control, prompt))
    return pd.DataFrame(rows, columns=["case_id", "split", "control", "prompt"])
