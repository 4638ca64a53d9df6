"""How commands answer: a table for people, one JSON object for programs."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hspace.processes import is_main

if TYPE_CHECKING:
    from hspace.backbone import Backbone

SCHEMA_VERSION = 1
PIPED_WIDTH = 160
"""How wide a table may be where no terminal says how wide it is."""

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout instead of a table.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps; auto takes the first accelerator there is.")]
Bind = Annotated[
    list[str] | None,
    typer.Option("--bind", metavar="KEY=VALUE", help="A condition, as label=207; scale=3 guides. Repeatable."),
]
BackboneName = Annotated[str | None, typer.Option("--backbone", help="A name from list-backbones, or a folder.")]

Weights = Annotated[
    Path | None, typer.Option("--weights", metavar="FILE", help="Your copy of the backbone's published file.")
]
Offline = Annotated[bool, typer.Option("--offline", help="Download nothing; use what is in the cache.")]


def print_json(answer: Mapping[str, Any]) -> None:
    """Prints the one JSON object of a command, with its schema version."""
    sys.stdout.write(json.dumps({"schema_version": SCHEMA_VERSION, **answer}, indent=2, default=str) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """Prints a table; what nobody knows is a dash."""
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, no_wrap=index == 0, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell(value)) for value in row))
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, PIPED_WIDTH)
    console.print(table)


def say(text: str) -> None:
    """Prints a line for people on stdout."""
    Console(highlight=False, soft_wrap=True).print(text, markup=False)


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if value is None or value in ("", (), []):
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (tuple, list)):
        numbers = all(isinstance(one, int) for one in value)
        return ("x" if numbers else ", ").join(map(str, value))
    return str(value)


@contextmanager
def told_where_it_stopped() -> Iterator[None]:
    """Ctrl-C inside ends with what the work says of how far it came, on stderr; the exit code is 130."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if is_main():
            sys.stderr.write(f"interrupted: {interrupt or 'the same call begins anew, with what is in the cache'}\n")
        raise


def load_bound(
    name: str, bind: Sequence[str] | None, device: str, weights: Path | None = None, offline: bool = False
) -> "Backbone":
    """The backbone of that name or folder, under the conditions of --bind."""
    from hspace.binding import bound, parse_conditions
    from hspace.loading import load_backbone

    conditions = parse_conditions(bind or ())
    return bound(load_backbone(name, device=device, weights=weights, offline=offline), conditions, device)


def pick_device(name: str) -> str:
    """The torch device that a --device option means, to each of several processes its own.

    Raises UsageError when it is not there.
    """
    import torch

    from hspace.errors import UsageError
    from hspace.processes import own_device

    there = [kind for kind, on in (("cuda", torch.cuda.is_available()), ("mps", torch.mps.is_available())) if on]
    if name == "auto":
        return own_device([*there, "cpu"][0])
    if name.partition(":")[0] not in (*there, "cpu"):
        raise UsageError(f"device {name!r} is not there; this machine has {', '.join(['cpu', *there])}")
    return own_device(name)
