"""The `hspace` command line: Typer commands that import what they need inside."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import typer

from hspace.cli import (
    audit,
    benchmark,
    compare,
    discover,
    doctor,
    edit,
    evaluate,
    generate,
    imports,
    interference,
    interpolate,
    label,
    listing,
    recipes,
    report,
    show,
    verify,
)
from hspace.errors import HspaceError, HspaceWarning
from hspace.plugins import plugins
from hspace.processes import is_main

HELP = "Find, see, store and apply semantic directions in the h-space of frozen diffusion models."


def app() -> typer.Typer:
    """The command line with the commands of core and of every plugin."""
    cli = typer.Typer(help=HELP, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=True)
    seen, made, kept = (listing, show), (edit, interpolate, interference, generate), (imports, recipes, verify, doctor)
    measured = (compare, label, evaluate, audit, benchmark, report)
    for group in (*seen, discover, *made, *measured, *kept):
        group.register(cli)
    plugins().call("hspace_commands", app=cli)
    return cli


def main() -> None:
    """Runs the command line; a user's mistake is one line on stderr and an exit code, never a traceback."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin for one another starve on a shared machine
    try:
        with _warnings_in_one_line():
            app()()
    except HspaceError as error:
        sys.exit(_fail(str(error), error.exit_code))
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        sys.exit(_fail(doctor.TORCHVISION_MISMATCH, 1))


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Inside, our own warnings are said once each, as `warning: ...` on stderr; others as Python does it."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", HspaceWarning)
        others = warnings.showwarning

        def tell(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, HspaceWarning):
                if is_main():
                    sys.stderr.write(f"warning: {message}\n")
            else:
                others(message, category, filename, lineno, file, line)

        warnings.showwarning = tell
        yield


def _fail(message: str, exit_code: int) -> int:
    if is_main() or exit_code == 1:  # a mistake of the user's is one in every process, and told once
        sys.stderr.write(f"error: {message}\n")
    return exit_code
