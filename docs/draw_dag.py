"""Draw the rule graph, one colour a stage; thick frames are the tissue track.

``snakemake --rulegraph dot -F | python docs/draw_dag.py | tred | dot -Tsvg > docs/images/rulegraph.svg``
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from mintflow.code import rules_in  # noqa: E402

COLOURS = {
    "knowledge": "#dddddd",
    "cohort": "#bbe0f5",
    "teacher": "#f7dfa5",
    "preferences": "#f5cfe3",
    "student": "#b9e6d3",
    "evaluation": "#f6c6a8",
    "figures": "#d6d3ee",
}


# files that are named otherwise than their stage
STAGES = {"models": "student", "report": "figures", "slides": "cohort", "tables": "figures"}


def file_of() -> dict[str, str]:
    """Rule name to the stem of the file that defines it."""
    rules = ROOT / "rules"
    return {name: path.stem for path in rules.glob("*.smk") for name in rules_in(path.read_text("utf-8"))}


def recolour(dot: str) -> str:
    """Fill each node with its stage's colour, and name the stages."""
    files = file_of()

    def node(match: re.Match[str]) -> str:
        name = match["name"]
        if name == "all":
            return f'{match["id"]}[label="report.html", shape=note, fillcolor="white"];'
        stage = files[name].rpartition("_")[2]
        colour = COLOURS[STAGES.get(stage, stage)]
        frame = ", penwidth=2.2" if files[name].startswith("tissue") else ""
        return f'{match["id"]}[label="{name}", fillcolor="{colour}"{frame}];'

    dot = re.sub(r'(?P<id>\d+)\[label = "(?P<name>\w+)"[^\]]*\];', node, dot)
    dot = re.sub(r"^\s*(graph|node|edge)\[.*$", "", dot, flags=re.M)
    style = (
        "graph[bgcolor=white, margin=0.05, ranksep=0.28, nodesep=0.2];\n"
        'node[shape=box, style="filled,rounded", fontname="Helvetica", fontsize=11];\n'
        'node[color="#666666", height=0.32];\n'
        'edge[color="#888888", arrowsize=0.6];\n'
    )
    legend = "".join(
        f'"{name}"[shape=plaintext, style=filled, fillcolor="{colour}", fontsize=10, height=0.22];\n'
        for name, colour in COLOURS.items()
    )
    order = " -> ".join(f'"{name}"' for name in COLOURS)
    cluster = f"subgraph cluster_legend {{ style=invis;\n{legend}{order}[style=invis];\n}}\n"
    return dot.replace("{", "{\n" + style + cluster, 1)


if __name__ == "__main__":
    sys.stdout.write(recolour(sys.stdin.read()))
