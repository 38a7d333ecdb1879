"""What the card of the tissue preference data says beyond the figures that every task has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from .dataset_card import REJECTED, measure_lengths, measure_teacher, render_card

_FIELDS = """\
- `case_id`: id of the tile.
- `prompt`: the chat messages before the answer, the same for every tile; the image stands in front of the
  user's text.
- `chosen`: one assistant message, the teacher's {k} best labels, best first.
- `rejected`: one assistant message in the same format, {rejected_ones}.
- `chosen_ids`, `rejected_ids`: the label ids of the two lists.
- `truth`: one assistant message in the same format, the true label alone; for baselines, not for preference
  training.
- `ranked`, `ranked_scores`: names of all candidates, best first, and the teacher's scores of them.
- `image`: id of the tile that is shown.
- `image_file`, `image_row`: where its encoded image lies (parquet, column `image`), relative to the folder
  that the workflow ran in. Images are referred to, not copied."""

_MADE = """\
A teacher that sees the image ranked all {labels} labels. A trained teacher scored its training tiles out of
fold: by a model that had seen no tile of their patient. Scores made elsewhere were taken as they are. The
lists are the teacher's, right or wrong: the label of the tile is used in the column `truth` alone. Equal
scores are ordered by label id.

Only tiles of training and validation patients are here; no patient gave tiles to both.

Left out: pairs whose teacher scores are all equal, and, where a maximum is set, training pairs beyond it
(k {k}, q {q}, maximum {max_pairs}, sampling seed {seed})."""

_SIMULATED = """\
**{share} synthetic.** Synthetic tiles are drawn, not photographed: they show that training works, and
nothing about tissue."""

_REAL = "Every tile comes from a real slide."

_LIMITS = """\
For research on preference training. Not for diagnosis. A teacher's errors are in the lists."""


def summarize_split(pairs: pd.DataFrame, cases: pd.DataFrame, dropped: Mapping[str, int]) -> dict[str, Any]:
    """Figures of one split.

    Args:
        pairs: those kept, as `preferences.build_pairs` gives them, ``item_id`` being the tile.
        cases: case_id, label_id, patient_id, simulated.
        dropped: what was left out, and how many.
    """
    mine = cases[cases["case_id"].isin(pairs["item_id"])]
    return {
        "pairs": len(pairs),
        **dropped,
        "labels": int(mine["label_id"].nunique()),
        "patients": int(mine["patient_id"].nunique()),
        "synthetic_tiles": int(mine["simulated"].sum()),
        **measure_teacher(pairs, cases.set_index("case_id")["label_id"]),
        "lists_parted_by_a_tie": int(pairs["tied"].sum()),
        "lengths": measure_lengths(pairs),
    }


def describe_dataset(
    counts: Mapping[str, Mapping[str, Any]],
    labels: pd.DataFrame,
    settings: Mapping[str, Any],
    sources: list[str],
) -> str:
    """The card: Markdown with the YAML header of ``datasets``.

    Args:
        counts: split to figures, as from `summarize_split`.
        labels: label_id, name.
        settings: k, q, max_pairs, seed.
        sources: where the tiles come from: ``slide`` or names of tile sets.
    """
    synthetic = sum(figures["synthetic_tiles"] for figures in counts.values())
    total = sum(figures["pairs"] for figures in counts.values())
    share = "All tiles are" if synthetic == total else f"{synthetic} of {total} tiles are"
    values = {
        **settings,
        "rejected_ones": REJECTED[settings["rejected"]].format(q=settings["q"], things="labels"),
        "max_pairs": settings["max_pairs"] or "none",
        "labels": len(labels),
    }
    named = [name for name in sources if name != "slide"]
    origin = ["whole slides, cut by this workflow"] * ("slide" in sources) + [
        f"tile set {name}" for name in named
    ]
    return render_card(
        "Tissue preferences",
        ["orpo", "dpo", "histology", "image", *(["synthetic"] if synthetic else [])],
        counts,
        {
            "Tiles": _SIMULATED.format(share=share) if synthetic else _REAL,
            "How the pairs were made": _MADE.format(**values),
            "Columns": _FIELDS.format(**values),
            "Labels": ", ".join(labels["name"]) + ".",
            "Sources and terms": f"From {'; '.join(origin)}. Their owners' terms hold.",
            "Use": _LIMITS,
        },
    )
