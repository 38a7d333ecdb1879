"""The table of a page of the study, from tables of a run: a row an arm, a column a metric, p against one arm.

python docs/study/table.py docs/study/ orpo mrr teacher sft-truth sft orpo -- top1 top3 mrr ungrounded
python docs/study/table.py docs/study/ablations_ orpo mrr sft-truth orpo-q6 -- top1 mrr mrr_unseen

The first word is what metrics.csv, comparisons.csv and seeds.csv are preceded by. p is that of the paired
difference to the arm named next in the metric named third, adjusted as comparisons.csv has it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

from mintflow.arms import OBJECTIVES

HEADS = {"top1": "top-1", "top3": "top-3", "top10": "top-10", "mrr": "MRR", "macro_f1": "macro-F1"}


def cell(metrics: pd.DataFrame, arm: str, metric: str) -> str:
    """Value and 95 % interval; a dash where the arm has no such metric."""
    found = metrics[(metrics["arm"] == arm) & (metrics["metric"] == metric)]
    if found.empty:
        return "-"
    row = found.iloc[0]
    return f"{row['value']:.3f} ({row['ci_low']:.3f}-{row['ci_high']:.3f})"


def adjusted(comparisons: pd.DataFrame, arm: str, against: str, metric: str) -> str:
    """The adjusted p of ``arm`` and ``against``, whichever stands first; a dash where none was tested."""
    pairs = comparisons[comparisons["metric"] == metric]
    pair = pairs[
        ((pairs["arm_a"] == arm) & (pairs["arm_b"] == against))
        | ((pairs["arm_a"] == against) & (pairs["arm_b"] == arm))
    ]
    return "-" if pair.empty else f"{pair['p_adjusted'].iloc[0]:.2g}"


def table(start: str, against: str, tested: str, arms: list[str], metrics: list[str]) -> str:
    """Markdown; ``seeds`` counts the trainings of which a value is the mean."""
    values, pairs = (pd.read_csv(f"{start}{name}.csv") for name in ("metrics", "comparisons"))
    several = Path(f"{start}seeds.csv")  # of arms with several seeds, where there are any
    seeds = pd.read_csv(several) if several.exists() else pd.DataFrame({"arm": [], "run": []})
    lines = [
        ["arm", "seeds", *(HEADS.get(name, name) for name in metrics), "p"],
        ["---"] * (len(metrics) + 3),
    ]
    for arm in arms:
        runs = seeds.loc[seeds["arm"] == arm, "run"].nunique()
        shown = [cell(values, arm, metric) for metric in metrics]
        lines.append(
            [
                f"`{arm}`",
                str(runs or ("1" if arm.startswith(OBJECTIVES) and "+" not in arm else "-")),
                *shown,
                adjusted(pairs, arm, against, tested),
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(start: str, against: str, tested: str, *names: str) -> None:
    """Print the table."""
    if "--" not in names:
        sys.exit(f"arms, then --, then metrics:\n{__doc__}")
    at = names.index("--")
    if not Path(f"{start}metrics.csv").exists():
        sys.exit(f"there is no {start}metrics.csv")
    print(table(start, against, tested, list(names[:at]), list(names[at + 1 :])))


if __name__ == "__main__":
    main(*sys.argv[1:])
