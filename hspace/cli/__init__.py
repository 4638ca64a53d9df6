"""The `hspace` command line: Typer commands that import what they need inside."""

import os
import sys

import typer

from hspace.cli import (
    discover,
    doctor,
    edit,
    generate,
    imports,
    interference,
    interpolate,
    listing,
    recipes,
    show,
    verify,
)
from hspace.errors import HspaceError
from hspace.plugins import plugins
from hspace.processes import is_main

HELP = "Find, see, store and apply semantic directions in the h-space of frozen diffusion models."


def app() -> typer.Typer:
    """The command line with the commands of core and of every plugin."""
    cli = typer.Typer(help=HELP, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=True)
    for group in (listing, show, discover, edit, interpolate, interference, generate, imports, recipes, verify, doctor):
        group.register(cli)
    plugins().call("hspace_commands", app=cli)
    return cli


def main() -> None:
    """Runs the command line; a user's mistake is one line on stderr and an exit code, never a traceback."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin for one another starve on a shared machine
    try:
        app()()
    except HspaceError as error:
        sys.exit(_fail(str(error), error.exit_code))
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        sys.exit(_fail(doctor.TORCHVISION_MISMATCH, 1))


def _fail(message: str, exit_code: int) -> int:
    if is_main() or exit_code == 1:  # a mistake of the user's is one in every process, and told once
        sys.stderr.write(f"error: {message}\n")
    return exit_code
