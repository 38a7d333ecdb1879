"""All arms of the tissue track on the same test tiles: answers grounded, every metric, confusion matrices.

An arm is a written answer a tile (students), or a score a tile and label (teacher, prior). What a student
would say of every label is its ranking by likelihood, measured beside its answers as ``rank_*``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from . import macro_f1, statistics
from .arms import by_arm
from .errors import InputError
from .evaluation import MAX_ITEMS, arm_pairs, mean_of_seeds, read_answers
from .io import read_parquet
from .lists import parse_list, without_gloss
from .metrics import (
    BOUNDS,
    UNIT,
    Labels,
    TeacherLists,
    score_closed_set,
    score_list,
    score_ranks,
    teacher_lists,
)
from .names import normalize_name
from .statistics import Bounds

TEACHER = "teacher"
SUFFIXES = {"test": ""}
NO_LABEL = "(none)"
CUTOFFS = (1, 3, 5)
MACRO_F1 = "macro_f1"
OF_LABEL = "top1@"  # and the label's id: top-1 on the tiles of one tissue

CASE_COLUMNS = ["case_id", "label_id", "patient_id", "split"]
PER_CASE = ["arm", "case_id", "label_id", "patient_id", "split", "metric", "value"]
GROUNDED = ["arm", "case_id", "position", "text", "label_id"]
_LENIENT, _OUTSIDE = "_lenient", "out_of_set"  # tissues have no families, and no names outside the set

Ranks = dict[str, dict[str, int]]


def ground(text: str, labels: Mapping[str, str]) -> str | None:
    """The label that a list item names exactly, up to case, punctuation, accents and gloss; None if none.

    Args:
        text: the item.
        labels: normalised name to label id.
    """
    return labels.get(normalize_name(text)) or labels.get(normalize_name(without_gloss(text)))


def name_keys(labels: pd.DataFrame) -> dict[str, str]:
    """Normalised name to label id.

    Raises:
        InputError: two labels have the same name once normalised.
    """
    keys: dict[str, str] = {}
    for label in labels.sort_values("label_id").itertuples(index=False):
        key = normalize_name(label.name)
        if key in keys or not key:
            raise InputError(
                f"{label.name!r} cannot be told apart from {keys.get(key, 'nothing')!r}",
                record=label.label_id,
                field="name",
            )
        keys[key] = label.label_id
    return keys


def ground_answers(answers: pd.DataFrame, arm: str, keys: Mapping[str, str]) -> pd.DataFrame:
    """List items with the label that each names, columns ``GROUNDED``."""
    rows = [
        (arm, answer.case_id, position, name, ground(name, keys))
        for answer in answers.itertuples(index=False)
        for position, name in enumerate(parse_list(answer.text, MAX_ITEMS), start=1)
    ]
    return pd.DataFrame(rows, columns=GROUNDED).astype(
        {"arm": "str", "case_id": "str", "position": "int64", "text": "str", "label_id": "str"}
    )


def read_ranks(path: str | Path, arm: str, case_ids: Sequence[str], labels: Collection[str]) -> Ranks:
    """Rank of every label for each of ``case_ids``.

    Raises:
        InputError: a case, a label of a case or a rank is missing, or a label is there twice; names arm
            and file.
    """
    table = read_parquet(path, ["case_id", "label_id", "rank"])
    table = table[table["case_id"].isin(set(case_ids))]
    bad = table["rank"].isna() | table.duplicated(["case_id", "label_id"])
    if bad.any():
        problem = f"arm {arm} lacks a rank, or ranks a label twice"
        raise InputError(problem, file=path, record=table.loc[bad, "case_id"].iloc[0])
    ranks: Ranks = {
        str(case): dict(zip(rows["label_id"], rows["rank"].astype(int).tolist(), strict=True))
        for case, rows in table.groupby("case_id", sort=False)
    }
    if missing := sorted(set(case_ids) - ranks.keys()):
        raise InputError(
            f"arm {arm} lacks {len(missing)} of {len(case_ids)} test tiles", file=path, record=missing[0]
        )
    for case, found in sorted(ranks.items()):
        if wrong := set(labels) ^ found.keys():
            raise InputError(f"arm {arm} ranks {min(wrong)} wrongly or not", file=path, record=case)
    return ranks


class Evaluation:
    """Measures arms on the test tiles of one run.

    Args:
        cases: ``CASE_COLUMNS``; only the split test counts.
        labels: label_id, name.
        teacher: the teacher's ranks of every test tile.
        k, q, car_lambda: lengths of the teacher's lists, and the weight of coverage in CAR.

    Raises:
        InputError: there is no test tile, one's label is not in the closed set, or k + q exceeds the labels.
    """

    def __init__(
        self, cases: pd.DataFrame, labels: pd.DataFrame, teacher: Ranks, *, k: int, q: int, car_lambda: float
    ) -> None:
        self.cases = tested(cases)
        self.ids = sorted(labels["label_id"])
        self.keys = name_keys(labels)
        strange = self.cases[~self.cases["label_id"].isin(self.ids)]
        if len(strange):
            raise InputError("has a label outside the closed set", record=strange["case_id"].iloc[0])
        if k + q > len(self.ids):
            raise InputError(
                f"k + q = {k + q} exceeds the {len(self.ids)} labels",
                field="tissue.preferences.k, tissue.preferences.q",
            )
        self.labels = Labels(frozenset(self.ids))
        self.options = {"k": k, "q": q, "car_lambda": car_lambda, "cutoffs": CUTOFFS}
        self.lists: dict[str, TeacherLists] = {
            case: teacher_lists(teacher[case], k, q) for case in self.cases["case_id"]
        }
        self._found: dict[str, dict[str, dict[str, float]]] = {}
        self._ranked: dict[str, dict[str, dict[str, float]]] = {}
        self._first: dict[str, dict[str, str | None]] = {}
        self.grounded: list[pd.DataFrame] = []

    @property
    def case_ids(self) -> list[str]:
        """The test tiles."""
        return self.cases["case_id"].tolist()

    def add_answers(self, arm: str, path: str | Path) -> None:
        """Measure an arm that writes lists; answers to other tiles are grounded, not measured."""
        everyone = read_parquet(path, ["case_id", "text", "finished"])
        grounded = ground_answers(everyone, arm, self.keys)
        self.grounded.append(grounded)
        written = read_answers(path, arm, self.case_ids).set_index("case_id")
        items: dict[str, list[str | None]] = {case: [] for case in self.case_ids}
        for case, label in zip(grounded["case_id"], grounded["label_id"], strict=True):
            if case in items:
                items[case].append(label if isinstance(label, str) else None)
        found = {}
        for case in self.cases.itertuples(index=False):
            scored = score_list(
                items[case.case_id],
                case.label_id,
                self.labels,
                self.lists[case.case_id],
                finished=bool(written.loc[case.case_id, "finished"]),
                **self.options,
            )
            found[case.case_id] = scored
        self._keep(arm, found, {case: next(iter(names), None) for case, names in items.items()})

    def add_scores(self, arm: str, ranks: Ranks) -> None:
        """Measure an arm that ranks every label."""
        found = {
            case.case_id: score_ranks(
                ranks[case.case_id], case.label_id, self.labels, self.lists[case.case_id], **self.options
            )
            for case in self.cases.itertuples(index=False)
        }
        first = {
            case: next((name for name in self.ids if ranks[case][name] == 1), None) for case in self.case_ids
        }
        self._keep(arm, found, first)

    def add_ranking(self, arm: str, ranks: Ranks) -> None:
        """Also measure where an arm ranks the right label, as ``rank_*``; of the tiles in ``ranks`` alone."""
        mine = self._ranked.setdefault(arm, {})
        for case in self.cases.itertuples(index=False):
            if case.case_id in ranks:
                mine[case.case_id] = score_closed_set(
                    ranks[case.case_id], case.label_id, self.labels, CUTOFFS
                )

    def _keep(self, arm: str, found: dict[str, dict[str, float]], first: Mapping[str, str | None]) -> None:
        self._found[arm] = {
            case: {name: value for name, value in values.items() if _wanted(name)}
            for case, values in found.items()
        }
        self._first[arm] = dict(first)

    def per_case(self) -> pd.DataFrame:
        """Every metric of every arm and tile, ``PER_CASE``, top-1 also under the name of the tissue."""
        rows = []
        for arm in sorted(self._found):
            for case in self.cases.itertuples(index=False):
                values = self._found[arm][case.case_id]
                values = values | {f"{OF_LABEL}{case.label_id}": values["top1"]}
                values |= self._ranked.get(arm, {}).get(case.case_id, {})
                rows += [(arm, *case, metric, value) for metric, value in sorted(values.items())]
        return pd.DataFrame(rows, columns=PER_CASE)

    def confusion(self) -> pd.DataFrame:
        """arm, truth, predicted, count: what each arm names first; every pair of labels is there."""
        rows = []
        for arm, first in sorted(self._first.items()):
            predicted = [first[case] or NO_LABEL for case in self.case_ids]
            counts = pd.crosstab(self.cases["label_id"].to_numpy(), np.array(predicted, dtype=object))
            counts = counts.reindex(index=self.ids, columns=[*self.ids, NO_LABEL], fill_value=0)
            rows += [
                (arm, truth, name, int(counts.loc[truth, name])) for truth in counts.index for name in counts
            ]
        return pd.DataFrame(rows, columns=["arm", "truth", "predicted", "count"])

    def matrices(self, arm: str, unit: str) -> np.ndarray:
        """Confusion matrices of an arm by cluster, see `macro_f1.confusions`."""
        position = {name: index for index, name in enumerate(self.ids)}
        none = len(self.ids)
        return macro_f1.confusions(
            self.cases["label_id"].map(position).to_numpy(np.intp),
            np.array([position.get(self._first[arm][case] or "", none) for case in self.case_ids], np.intp),
            self.cases[{"patient": "patient_id", "case": "case_id"}[unit]],
            none,
        )

    def summarise(
        self,
        *,
        unit: str,
        samples: int,
        seed: int,
        variants: Mapping[str, str] | None = None,
        asked: Collection[Sequence[str]] = (),
    ) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """metrics.csv, comparisons.csv and seeds.csv.

        The seeds of an arm are put together: values of a tile and macro F1 are means over seeds.
        """
        per_case, seeds = mean_of_seeds(self.per_case(), SUFFIXES)
        common = {"unit": unit, "samples": samples, "seed": seed, "stratum": "label_id"}
        bounds: dict[str, Bounds] = dict.fromkeys(per_case["metric"], UNIT) | {
            name: bound for name, bound in BOUNDS.items() if bound is None
        }
        metrics = statistics.summarise(per_case, SUFFIXES, bounds, **common)
        arms = {
            arm: np.stack([self.matrices(run, unit) for run in runs])
            for arm, runs in by_arm(sorted(self._found)).items()
        }
        pairs = arm_pairs(arms, variants, asked)
        comparisons = statistics.compare(per_case, list(pairs), SUFFIXES, bounds, families=pairs, **common)
        metrics, comparisons = (
            table[~table["metric"].str.match(rf"{OF_LABEL}.*_macro$")] for table in (metrics, comparisons)
        )
        rows = []
        for arm, runs in arms.items():
            found = macro_f1.estimate(runs, samples, statistics.stream(seed, "summary", arm, MACRO_F1))
            rows.append((arm, MACRO_F1, found.value, found.low, found.high, len(self.cases)))
        metrics = pd.concat([metrics, pd.DataFrame(rows, columns=metrics.columns)])
        rows = []
        for one, other in pairs:
            rng = statistics.stream(seed, "difference", one, other, MACRO_F1)
            found, p_value = macro_f1.difference(arms[one], arms[other], samples, rng)
            rows.append(
                (one, other, MACRO_F1, found.value, found.low, found.high, p_value, 0.0, len(self.cases))
            )
        table = pd.DataFrame(rows, columns=comparisons.columns)
        for family in set(pairs.values()):
            mine = [pairs[pair] == family for pair in zip(table["arm_a"], table["arm_b"], strict=True)]
            table.loc[mine, "p_adjusted"] = statistics.holm(table.loc[mine, "p_value"].tolist())
        rows = [
            (arm, run, MACRO_F1, macro_f1.mean_over_runs(arms[arm][[place]]), len(self.cases))
            for arm, names in by_arm(sorted(self._found)).items()
            for place, run in enumerate(names)
            if len(names) > 1
        ]
        if rows:
            seeds = pd.concat([seeds, pd.DataFrame(rows, columns=seeds.columns)], ignore_index=True)
        comparisons = pd.concat([comparisons, table])
        return (
            metrics.sort_values(["arm", "metric"], ignore_index=True),
            comparisons.sort_values(["metric", "arm_a", "arm_b"], ignore_index=True),
            seeds,
        )


def tested(cases: pd.DataFrame) -> pd.DataFrame:
    """The test tiles, ``CASE_COLUMNS``, sorted by case_id.

    Raises:
        InputError: there is none.
    """
    found = cases[cases["split"].isin(SUFFIXES)][CASE_COLUMNS].sort_values("case_id", ignore_index=True)
    if found.empty:
        raise InputError("holds no test tile", field="split")
    return found


def _wanted(metric: str) -> bool:
    return not metric.endswith(_LENIENT) and metric != _OUTSIDE
