"""What programs that draw a figure from a table share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from . import cli, figure_style


def parser(description: str | None, *, track: bool = True) -> argparse.ArgumentParser:
    """Flags of a figure: what is simulated, the track, and where it goes."""
    result = cli.parser(description, with_settings=False)
    result.add_argument(
        "--simulated", required=True, choices=["true", "false"], help="is the data simulated?"
    )
    if track:
        result.add_argument("--track", default="rare", choices=["rare", "tissue"])
    result.add_argument("--output-svg", required=True)
    result.add_argument("--output-png", required=True)
    return result


def draw(figure: Callable[..., Any], table: Any, args: argparse.Namespace, **options: Any) -> None:
    """Draw ``figure`` of ``table`` as the flags say, and write it."""
    if hasattr(args, "track"):
        options["track"] = args.track
    made = figure(table, simulated=args.simulated == "true", **options)
    figure_style.save(made, args.output_svg, args.output_png)
