"""What every command-line program of the workflow shares."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from .errors import InputError
from .private import without_paths

Item = TypeVar("Item")

log = logging.getLogger("mintflow")


def settings(text: str) -> dict[str, Any]:
    """Parse ``--settings``: JSON text, or the path of a JSON file.

    Raises:
        argparse.ArgumentTypeError: neither; the message says what was found.
    """
    try:
        source = text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8")
        content = json.loads(source)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"expected JSON or a JSON file: {error}") from error
    if not isinstance(content, dict):
        raise argparse.ArgumentTypeError("expected a JSON object")
    return content


def parser(description: str | None, *, with_settings: bool = True) -> argparse.ArgumentParser:
    """An argument parser with ``--settings`` (a slice of the configuration)."""
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if with_settings:
        result.add_argument(
            "--settings",
            type=settings,
            required=True,
            help="slice of the configuration as JSON, or a JSON file (see config/README.md)",
        )
    return result


def run(main: Callable[[argparse.Namespace], None], arguments: argparse.ArgumentParser) -> None:
    """Parse, run, and end with exit code 2 and one clear line on a user's error, 1 on one of ours.

    Paths of the machine are cut in all that is logged.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    args = arguments.parse_args()
    known = _paths_in([os.getcwd(), str(Path.home()), *sys.argv[1:]])

    made = logging.getLogRecordFactory()

    def cut(*parts: Any, **more: Any) -> logging.LogRecord:
        # here, not in a filter: libraries have handlers of their own
        record = made(*parts, **more)
        text = record.getMessage()
        if record.exc_info and record.exc_info[0]:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info))
        record.msg, record.args, record.exc_info = without_paths(text, known), (), None
        return record

    logging.setLogRecordFactory(cut)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    # without the file that warns
    warnings.formatwarning = lambda message, category, *_: (
        f"{category.__name__}: {without_paths(str(message), known)}\n"
    )
    try:
        main(args)
    except InputError as error:
        log.error("ERROR: %s", _of_track(error, getattr(args, "track", "rare")))
        sys.exit(2)
    except Exception:
        log.error("unexpected error\n%s", traceback.format_exc())
        sys.exit(1)


def _paths_in(arguments: Iterable[str]) -> set[str]:
    """Absolute paths among arguments, within ``name=path`` and within JSON, too."""
    found: set[str] = set()
    for text in arguments:
        if text.lstrip().startswith("{"):
            with contextlib.suppress(ValueError):
                found |= _paths_in(_texts(json.loads(text)))
        else:
            found |= {part for part in (text, text.partition("=")[2]) if os.path.isabs(part)}
    return found


def _texts(value: Any) -> Iterator[str]:
    """Every text in nested mappings and lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def with_track(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add ``--track`` to a program that serves every track; its errors name that track's keys."""
    parser.add_argument(
        "--track", default="rare", help="section of the configuration that --settings is from"
    )
    return parser


def with_student(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add what a program asks that opens a trained student and shows it prompts."""
    parser.add_argument("--base", required=True, help="base folder, from prepare_base_model.py")
    parser.add_argument("--adapter", help="PEFT folder; none for the base model itself")
    parser.add_argument("--prompts", required=True, help="prompts.parquet")
    return parser


def _of_track(error: InputError, track: str) -> InputError:
    """Library modules that all tracks share name keys of the first one."""
    if track == "rare" or not str(error.field or "").startswith("rare."):
        return error
    field = str(error.field).replace("rare.", f"{track}.")
    return InputError(error.problem, file=error.file, record=error.record, field=field)


def by_arm(pairs: Sequence[str], flag: str) -> dict[str, str]:
    """Split arguments ``arm=path``.

    Raises:
        InputError: one has another form, or an arm is given twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        arm, equals, path = pair.partition("=")
        if not (arm and equals and path) or arm in found:
            raise InputError("expected ARM=PATH, each arm once", record=pair, field=flag)
        found[arm] = path
    return dict(sorted(found.items()))


def progress(items: Iterable[Item], total: int, what: str, every: float = 5.0) -> Iterator[Item]:
    """Yield ``items``; log a line every ``every`` seconds, and one at the end."""
    started = last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - last >= every and done < total:
            left = (now - started) / done * (total - done)
            log.info("%s: %d/%d (%.0f %%), about %.0f s left", what, done, total, 100 * done / total, left)
            last = now
    log.info("%s: %d done in %.1f s", what, done, time.monotonic() - started)
