"""Progress of long work, on stderr."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from hspace.processes import is_main

Advance = Callable[[int, int], None]
"""Called with (done, total)."""


@contextmanager
def progress(what: str, quiet: bool = False, in_bytes: bool = False) -> Iterator[Advance]:
    """A bar on stderr that the yielded function moves; silent when stderr is not a terminal, or `quiet`.

    Of several processes only the main one shows it.
    """
    console = Console(stderr=True)
    amount: tuple[ProgressColumn, ...] = (
        (DownloadColumn(), TransferSpeedColumn()) if in_bytes else (MofNCompleteColumn(),)
    )
    columns = (TextColumn("{task.description}"), BarColumn(), *amount, TimeRemainingColumn())
    hidden = quiet or not (console.is_terminal and is_main())
    with Progress(*columns, console=console, disable=hidden, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
