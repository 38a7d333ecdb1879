"""What the sections of all tracks share, and the one page that holds them.

A section is HTML without a frame, made by a program of its track, with a small summary beside it. The page
puts the summaries on top and the sections below; it opens offline.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from .errors import InputError
from .private import without_paths

_IMAGE_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
SUMMARY = ("title", "headline", "lines", "simulated")


def fill(template: str | Path, values: Mapping[str, Any]) -> str:
    """A template filled in: all text escaped, absolute paths cut out, every name needed.

    Raises:
        InputError: the template is not there.
    """
    template = Path(template)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_presentable,
    )
    try:
        page = environment.get_template(template.name)
    except jinja2.TemplateNotFound as error:
        raise InputError("the report's template is not there", file=template.name) from error
    return page.render(values)


def _presentable(value: Any) -> Any:
    """Cut absolute paths out of every text that reaches the page; markup is ours and passes."""
    return without_paths(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def assemble(run: str, sections: Sequence[tuple[str, str, Mapping[str, Any]]], template: str | Path) -> str:
    """The page.

    Args:
        run: name of the run.
        sections: (track, HTML of its section, its summary: ``SUMMARY``), in order.
        template: page.html.j2.

    Raises:
        InputError: a summary lacks a key.
    """
    tracks = []
    for name, section, summary in sections:
        if missing := [key for key in SUMMARY if key not in summary]:
            raise InputError(f"lacks {', '.join(missing)}", file=f"{name}/section.json")
        # the section was escaped when it was made
        tracks.append({"name": name, "section": Markup(section), **summary})
    simulated = [track["simulated"] for track in tracks if track["simulated"]]
    return fill(template, {"run": run, "tracks": tracks, "simulated": simulated})


def setting(config: Mapping[str, Any], dotted: str) -> Any:
    """The value of one configuration key.

    Raises:
        InputError: the key is missing.
    """
    value: Any = config
    for part in dotted.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise InputError("is missing (--settings)", file="configuration", field=dotted)
        value = value[part]
    return value


def figure(path: Path, captions: Path) -> dict[str, Any]:
    """One figure as a data URI, with its caption.

    Raises:
        InputError: neither SVG nor PNG, or not readable.
    """
    kind = _IMAGE_TYPES.get(path.suffix)
    if kind is None:
        raise InputError("a figure must be .svg or .png", file=path.name)
    try:
        content = base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path.name) from error
    caption = captions / f"{path.stem}.rst"
    return {
        "name": path.stem,
        "title": path.stem.replace("_", " ").capitalize(),
        "uri": Markup(f"data:{kind};base64,{content}"),  # base64 text: nothing in it to escape
        "caption": " ".join(caption.read_text(encoding="utf-8").split()) if caption.exists() else "",
    }


def counts(table: pd.DataFrame, by: list[str]) -> list[tuple[Any, ...]]:
    """Number of rows of each combination of ``by``, most frequent first."""
    if table.empty:
        return []
    sizes = table.groupby(by, sort=True).size().rename("count").reset_index()
    ordered = sizes.sort_values(["count", *by], ascending=[False] + [True] * len(by))
    return list(ordered.itertuples(index=False, name=None))


def flatten(content: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """A nested summary as (dotted path, text) in order of keys; long lists are cut to their length."""
    if isinstance(content, Mapping):
        for key in sorted(content):
            yield from flatten(content[key], f"{path}.{key}" if path else str(key))
    elif isinstance(content, (list, tuple)):
        simple = len(content) <= 12 and not any(isinstance(item, (list, dict)) for item in content)
        yield path, ", ".join(_text(item) for item in content) if simple else f"{len(content):,} entries"
    else:
        yield path, _text(content)


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
