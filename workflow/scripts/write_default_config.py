"""Write config/config.yaml from the schema: every key with its meaning and its default."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mintflow import cli
from mintflow.config_schema import read_schema
from mintflow.io import write_text

HEADER = """\
# yaml-language-server: $schema=../workflow/schemas/config.schema.yaml
# The default run: rare diseases, simulated patients, SmolLM2-135M on a CPU.
# Every key with its meaning; your own file needs only what differs:
#   snakemake --configfile my.yaml
# Written from the schema by workflow/scripts/write_default_config.py; a test keeps both equal.
"""


def render(schema: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """Lines of YAML for the properties of one schema object, each under its description."""
    indent = "  " * depth
    for key, sub in schema["properties"].items():
        width = 100 - len(indent)
        yield from (f"{indent}# {line}" for line in textwrap.wrap(_described(sub), width - 2))
        if "properties" in sub:
            yield f"{indent}{key}:"
            yield from render(sub, depth + 1)
        else:
            yield f"{indent}{key}: {json.dumps(sub['default'], ensure_ascii=False)}"


def _described(schema: Mapping[str, Any]) -> str:
    allowed = f" One of: {', '.join(schema['enum'])}." if "enum" in schema else ""
    return schema["description"] + allowed


def main(args: argparse.Namespace) -> None:
    """Render and write."""
    write_text(HEADER + "\n".join(render(read_schema(args.schema))) + "\n", args.output)


def arguments() -> argparse.ArgumentParser:
    """Command line."""
    parser = cli.parser(__doc__, with_settings=False)
    parser.add_argument("--schema", type=Path, default=Path("workflow/schemas/config.schema.yaml"))
    parser.add_argument("--output", type=Path, default=Path("config/config.yaml"))
    return parser


if __name__ == "__main__":
    cli.run(main, arguments())
