"""What the commands that apply directions share: their options, and how ID=STRENGTH is read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hspace.errors import UsageError

if TYPE_CHECKING:
    from hspace.jobs import Weighed

Directions = Annotated[
    list[str] | None, typer.Option("--direction", help="ID or ID=STRENGTH; repeatable, they add up.")
]
Steps = Annotated[int, typer.Option(min=2, help="Sampling steps.")]
TEdit = Annotated[int | None, typer.Option(help="Edit from this timestep up; each direction's own by default.")]
TBoost = Annotated[int | None, typer.Option(help="Add noise below here; the directions' highest by default.")]
FixedPoint = Annotated[int, typer.Option(min=0, help="Refinements per inversion step; 0 as published.")]
Symmetric = Annotated[
    bool | None, typer.Option("--symmetric/--asymmetric", help="The edited eps for both terms, or for x_0 alone.")
]
Normalise = Annotated[bool, typer.Option("--normalise", help="Divide the sum of N directions by sqrt(N).")]
Saturation = Annotated[
    str | None,
    typer.Option(help="Keep an x_t that was moved in range: clamp or contrast of P_t, or length [default: off]."),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite other pictures of the same name.")]


def parse_direction(text: str) -> tuple[str, float | None]:
    """The id and the strength of `ID[=STRENGTH]`. Raises UsageError when the strength is not a number."""
    id, equals, strength = text.partition("=")
    try:
        value = float(strength) if equals else None
    except ValueError:
        value = float("nan")
    if value is not None and not abs(value) < float("inf"):
        raise UsageError(f"--direction {text!r}: the strength after '=' must be a number; {strength!r} was given")
    return id, value


def load_weighed(asked: Sequence[tuple[str, float | None]]) -> "Weighed":
    """The directions of (id, strength), a strength that is not said being the direction's own default."""
    from hspace.loading import load_direction

    loaded = [(load_direction(id), strength) for id, strength in asked]
    return [(one, one.meta.strength.default if strength is None else strength) for one, strength in loaded]


def written(strengths: dict[str, float]) -> str:
    """Strengths by id as they are written on the command line."""
    return ", ".join(f"{id}={strength:g}" for id, strength in strengths.items())
