"""Errors that a user can act on: each says what was asked, what was found, and the way out."""

from collections.abc import Iterable
from difflib import get_close_matches


class HspaceError(Exception):
    """Something failed; the command line prints the message without a traceback and exits with `exit_code`."""

    exit_code = 1


class HspaceWarning(UserWarning):
    """Something was left out, or done otherwise than asked; the command line prints it as one line on stderr."""


class UsageError(HspaceError):
    """The call itself is wrong: an option, a number, or a combination of them."""

    exit_code = 2


class RefusedError(HspaceError):
    """The input was understood and refused: the wrong backbone, or an unsafe or corrupt file."""

    exit_code = 3


class NotFoundError(HspaceError):
    """Nothing has the name or the path that was asked for."""

    exit_code = 4


def not_found(kind: str, asked: str, known: Iterable[str], way_out: str) -> NotFoundError:
    """A NotFoundError that names the close matches of `asked` among `known`, or else all of them."""
    names = sorted(known)
    close = get_close_matches(asked, names, n=3, cutoff=0.5)
    if close:
        hint = f"did you mean {' or '.join(repr(name) for name in close)}?"
    elif names:
        hint = f"there are {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}."
    else:
        hint = "there are none."
    return NotFoundError(f"no {kind} is called {asked!r}; {hint} {way_out}")
