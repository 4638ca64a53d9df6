"""The page itself: what was collected, through a template that escapes all of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from hspace.errors import RefusedError
from hspace.report.collect import Content, collect
from hspace.report.curves import HEIGHT, WIDTH
from hspace.storage import write_bytes

MARK = 'name="generator" content="hspace'
"""What a page of ours says near its beginning, so that only such a page is written over."""


@dataclass(frozen=True)
class Report:
    """Where a report was written, how many bytes it has, and what it shows."""

    path: Path
    size: int
    content: Content


def write_report(folder: Path, out: Path | None = None, force: bool = False) -> Report:
    """One self-contained HTML page on all that a run left in a folder, written to `out` (`<folder>/report.html`).

    Pictures are inlined; the page asks for nothing else, and forbids itself to. Raises NotFoundError where there is no
    folder or nothing in it to show, RefusedError for a broken file in it, and for another file that is in the way
    unless `force`; HspaceError when the page cannot be written.
    """
    path = out or folder / "report.html"
    content = collect(folder, path)
    if path.exists() and not force and not _ours(path):
        raise RefusedError(f"{path} exists and is no report of hspace's; choose another --out, or use --force")
    page = render(folder.resolve().name, content).encode()
    write_bytes(path, page)
    return Report(path, len(page), content)


def render(title: str, content: Content) -> str:
    """The HTML of a page."""
    from jinja2 import Environment, StrictUndefined

    source = files("hspace.report").joinpath("page.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    page = environment.from_string(source)
    return page.render(title=title, content=content, version=version("hspace"), made=made, width=WIDTH, height=HEIGHT)


def _ours(path: Path) -> bool:
    with path.open("rb") as file:
        return MARK.encode() in file.read(1000)
