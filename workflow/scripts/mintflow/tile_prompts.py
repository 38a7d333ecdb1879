"""What the student of the tissue track is asked about a tile, and which tile it is shown.

The text is the same for every tile. What differs is the image, named by the case that it belongs to;
the encoder puts it in front of the user's text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .conversations import Messages
from .errors import InputError
from .placeholders import check_tile_prompt
from .prompts import BLANK, NONE, SHUFFLED

TESTED = "test"
ASKED = ("train", "validation", TESTED, "unlabelled")


def question(template: Mapping[str, Any], labels: Sequence[str], k: int) -> Messages:
    """The chat messages of every tile.

    Args:
        template: the slice tissue.prompt: ``system``, ``user``.
        labels: names of the closed set; they stand in alphabetical order, which tells nothing.
        k: how many are asked for.

    Raises:
        InputError: ``user`` has an unknown placeholder, a stray brace, or is empty.
    """
    wrong = set(template) ^ {"system", "user"}
    if wrong:
        raise InputError(f"missing or unknown key(s): {', '.join(sorted(wrong))}", field="tissue.prompt")
    check_tile_prompt(template["user"])
    user = template["user"].format(labels=", ".join(sorted(labels)), k=k)
    system = [{"role": "system", "content": template["system"]}] if template["system"] else []
    return [*system, {"role": "user", "content": user}]


def choose_donors(cases: pd.DataFrame, seed: int) -> dict[str, str]:
    """For every case another tile, of another label and another patient, drawn uniformly.

    Where the test tiles are all of one patient (of a tile set that does not say who gave which, say), of
    another label alone.

    Args:
        cases: case_id (unique), label_id, patient_id.
        seed: of the draw.

    Raises:
        InputError: a case has no such other tile.
    """
    cases = cases.sort_values("case_id", ignore_index=True)
    ids, labels, patients = (cases[name].to_numpy(object) for name in ("case_id", "label_id", "patient_id"))
    rng = np.random.default_rng(seed)
    donors = {}
    alone = len(set(patients)) == 1
    for case, label, patient in zip(ids, labels, patients, strict=True):
        others = ids[(labels != label) & ((patients != patient) | alone)]
        if not len(others):
            raise InputError(
                "no test tile of another label and another patient to show instead: leave shuffled out",
                record=case,
                field="tissue.evaluation.controls",
            )
        donors[case] = rng.choice(others)
    return donors


def build_tile_prompts(
    cases: pd.DataFrame,
    labels: pd.DataFrame,
    template: Mapping[str, Any],
    k: int,
    controls: Sequence[str],
    seed: int,
) -> pd.DataFrame:
    """One prompt for every tile, and one more a control for every test tile.

    The controls show what the answer owes to the image: ``blank`` shows none, ``shuffled`` the tile of
    another patient and label. The text stays the same.

    Args:
        cases: case_id, label_id, patient_id, split.
        labels: label_id, name.
        template: the slice tissue.prompt.
        k: how many labels are asked for.
        controls: any of ``blank``, ``shuffled``.
        seed: of the shuffling.

    Returns:
        case_id, split, control, prompt (messages), image (case_id of the tile shown, None for a blank
        image); sorted by case_id and control.

    Raises:
        InputError: an unknown control, or as for the parts.
    """
    unknown = sorted(set(controls) - {BLANK, SHUFFLED})
    if unknown:
        raise InputError(f"unknown control(s): {', '.join(unknown)}", field="tissue.evaluation.controls")
    prompt = question(template, labels["name"].tolist(), k)
    tested = cases[cases["split"] == TESTED]
    donors = choose_donors(tested, seed) if SHUFFLED in controls and len(tested) else {}
    rows = []
    for case in cases[cases["split"].isin(ASKED)].sort_values("case_id").itertuples(index=False):
        for control in sorted([NONE, *(controls if case.split == TESTED else ())]):
            image = {NONE: case.case_id, BLANK: None, SHUFFLED: donors.get(case.case_id)}[control]
            rows.append((case.case_id, case.split, control, prompt, image))
    return pd.DataFrame(rows, columns=["case_id", "split", "control", "prompt", "image"])
