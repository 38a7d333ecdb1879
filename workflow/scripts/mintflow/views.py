"""A patient to be trained on shown again and again, each time with another part of the phenotypes.

What is left out at random is to keep a student from learning a patient by heart: it must name the disease
from what remains, as word dropout asks of a classifier of texts (Iyyer et al., ACL 2015). A view has the
lists of its patient, so it costs no label and no call of the teacher.
"""

from __future__ import annotations

import pandas as pd

from . import unlabelled
from .prompts import Template, build_prompts
from .statistics import stream


def thin(phenotypes: pd.DataFrame, leave_out: float, seed: int, view: int) -> pd.DataFrame:
    """Leave out each term of each patient with probability ``leave_out``; one observed term always stays.

    Args:
        phenotypes: case_id, hpo_id, excluded.
        leave_out: at least 0, below 1.
        seed: of the draw; a patient's depends on nobody else's.
        view: number of the view, for each draws anew.
    """
    phenotypes = phenotypes.sort_values(["case_id", "excluded", "hpo_id"], ignore_index=True)
    lots = phenotypes.groupby("case_id", sort=False)["hpo_id"].transform(
        lambda terms: stream(seed, f"view {view}", str(terms.name)).random(len(terms))
    )
    observed = lots.where(~phenotypes["excluded"])
    last = observed == observed.groupby(phenotypes["case_id"]).transform("max")
    return phenotypes[(lots >= leave_out) | last]


def build_views(
    cases: pd.DataFrame,
    phenotypes: pd.DataFrame,
    information_content: pd.DataFrame,
    template: Template,
    k: int,
    count: int,
    leave_out: float,
    seed: int,
) -> pd.DataFrame:
    """``count`` further prompts of every patient to be trained on.

    Args:
        cases: as for `prompts.build_prompts`; others than training and drawn patients are ignored.
        phenotypes: case_id, hpo_id, name, excluded.
        information_content: hpo_id, ic.
        template: the wording, as of the patients' own prompts.
        k: how many diseases are asked for.
        count: views of a patient.
        leave_out: as for `thin`.
        seed: of the draw.

    Returns:
        case_id, view (from 1), prompt; sorted by both. One that left nothing out shows the
        whole patient.

    Raises:
        InputError: as for `prompts.build_prompts`.
    """
    cases = cases[cases["split"].isin(["train", unlabelled.SPLIT])]
    phenotypes = phenotypes[phenotypes["case_id"].isin(cases["case_id"])]
    parts = [
        build_prompts(
            cases, thin(phenotypes, leave_out, seed, view), information_content, template, k, [], 0
        ).assign(view=view)
        for view in range(1, count + 1)
    ]
    table = pd.concat(parts, ignore_index=True)[["case_id", "view", "prompt"]]
    return table.sort_values(["case_id", "view"], ignore_index=True)
