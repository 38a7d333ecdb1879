"""Figure of a further cohort: in which place each arm puts the true disease, disease by disease."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from . import labels
from .errors import InputError
from .figure_style import INK, blank, header, settle, style

# those drawn unless others are named: three fit a column, the table has all
PANELS = 3
_ALWAYS, _BESIDE = ("teacher", "orpo"), ("sft", "sft-truth", "base")
MOST = 40  # diseases in rows of their own
_PLACES = {"1": "1", "2-3": "2–3", "4-10": "4–10", ">10/not named": "beyond"}
_LONGEST = 26


def rank_figure(ranks: pd.DataFrame, *, arms: Sequence[str] | None = None, simulated: bool = False) -> Figure:
    """Heat maps of disease by place, one an arm; numbers are patients, shade is the share of the row.

    Args:
        ranks: rank_by_disease.csv: arm, disease_id, name, bucket, count. Of more than ``MOST`` diseases those
            with the most patients are drawn, the others as one row.
        arms: those drawn; by default the teacher, ORPO and one more, the first that is there of SFT, SFT on
            the truth and the base model.
        simulated: whether the patients are simulated; written on the figure.

    Raises:
        InputError: the table lacks one of ``arms``.
    """
    if ranks.empty:
        return _nobody(simulated)
    known = labels.in_order(ranks["arm"])
    there = {one.key for one in known}
    missing = sorted(set(arms or ()) - there)
    if missing:
        raise InputError("has no row of this arm", file="rank_by_disease.csv", record=missing[0])
    chosen = arms or [*_ALWAYS, *[arm for arm in _BESIDE if arm in there][:1]]
    shown = [one for one in known if one.key in chosen] or known[:PANELS]
    first = ranks[ranks["arm"] == shown[0].key]
    sizes = (
        first.groupby("disease_id")["count"].sum().sort_index().sort_values(ascending=False, kind="stable")
    )
    own = list(sizes.index if len(sizes) <= MOST else sizes.index[: MOST - 1])
    names = dict(zip(first["disease_id"], first["name"].fillna(first["disease_id"]), strict=True))
    rows = [(disease, f"{_short(names[disease])} ({sizes[disease]})") for disease in own]
    rest = len(sizes) - len(own)
    titles = [title for _, title in rows]
    if rest:
        titles.append(f"{rest} further diseases ({sizes.iloc[len(own) :].sum()})")
    with style():
        figure = blank(0.135 * len(titles) + 0.95)
        panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for axes, one in zip(panels, shown, strict=True):
            table = (
                ranks[ranks["arm"] == one.key]
                .pivot(index="disease_id", columns="bucket", values="count")
                .reindex(columns=list(_PLACES))
                .fillna(0)
            )
            counts = table.reindex(own).fillna(0).to_numpy()
            if rest:
                counts = np.vstack([counts, table.drop(index=own, errors="ignore").sum().to_numpy()])
            shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
            axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
            for (row, column), count in np.ndenumerate(counts):
                if count:
                    shade = "white" if shares[row, column] > 0.55 else INK
                    axes.text(
                        column, row, f"{count:g}", ha="center", va="center_baseline", fontsize=6, color=shade
                    )
            axes.set_xticks(range(len(_PLACES)), list(_PLACES.values()), rotation=90)
            axes.set_yticks(range(len(titles)), titles)
            axes.tick_params(length=0, labelsize=6)
            axes.set_title(one.label.partition(",")[0].replace(" student", ""), fontsize=6.5)
            for spine in axes.spines.values():
                spine.set_visible(False)
        figure.get_layout_engine().set(rect=(0.03, 0, 0.97, 1))  # the longest names need a little more
        figure.supxlabel("place of the true disease", fontsize=7)
        header(figure, "Further cohort", simulated)
        figure.draw_without_rendering()  # turned names need one more pass
        settle(figure)
    return figure


def _nobody(simulated: bool) -> Figure:
    with style():
        figure = blank(0.9)
        told = "No patient has a disease that the run can name."
        figure.text(0.5, 0.35, told, ha="center", va="center", fontsize=7, color=INK)
        header(figure, "Further cohort", simulated)
        settle(figure)
    return figure


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
