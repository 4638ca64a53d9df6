"""Encoders and other models by name, loaded once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from hspace import Encoder, load_encoder
from hspace.errors import UsageError

Named = Encoder | str | Path


def encoder_of(named: Named, device: str) -> Encoder:
    """The encoder of that name, folder or file; an encoder is itself. Raises as `hspace.load_encoder` does."""
    return named if isinstance(named, Encoder) else _loaded(str(named), device)


@cache
def _loaded(name: str, device: str) -> Encoder:
    return load_encoder(name, device=device)


@cache
def called(target: str, device: str, what: str) -> Any:
    """What the function at "module:attribute" returns for a device.

    Raises UsageError where there is no such function; `what` says what it was to give.
    """
    module, colon, attribute = target.partition(":")
    if not (module and colon and attribute):
        raise UsageError(f"{what} is named as MODULE:ATTRIBUTE, a function of the device; {target!r} was given")
    try:
        load = resolve_name(target)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"there is no {what} {target!r}: {error}") from error
    return load(device)
