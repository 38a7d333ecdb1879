"""Describe a trained student for those who use it: wording, lengths, and where everything it needs lies.

Settings: {prompt, k, student: attention, chat_template_kwargs, base.dtype; evaluation: lengths and batch
sizes; tiles (tissue): how the run's own tiles were cut, or null}.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mintflow import cli, io
from mintflow.inference_files import describe


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.with_track(cli.parser(__doc__))
    parser.add_argument("--arm", required=True, help="name of the trained student")
    parser.add_argument("--base", required=True, help="base folder, from prepare_base_model.py")
    parser.add_argument("--adapter", required=True, help="PEFT folder, from train_student.py")
    parser.add_argument("--file", nargs="+", required=True, metavar="NAME=PATH", help="tables that it needs")
    parser.add_argument("--output", required=True, help="JSON; its paths are relative to its folder")
    return parser


def main(args: argparse.Namespace) -> None:
    """Collect, write."""
    content = describe(
        args.track,
        args.arm,
        args.settings,
        base=args.base,
        adapter=args.adapter,
        files=cli.by_arm(args.file, "--file"),
        folder=Path(args.output).parent,
    )
    io.write_json(content, args.output)


if __name__ == "__main__":
    cli.run(main, arguments())
