"""`hspace toyfaces measure`: what a direction does to faces whose attributes are known."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hspace.cli.output import BackboneName, Device, Json, Offline, Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hspace_toyfaces.measuring_directions import Measured
    from hspace_toyfaces.naming import Dominant

COLUMNS = {
    "strength": "strength",
    "effect": "effect",
    "regressor_effect": "by regressor",
    "success": ">= .5 SD",
    "moved": ">= 1 SD",
    "residual": "residual",
    "counterfactual": "cf",
    "outside": "out_px",
    "entanglement": "entanglement",
    "identity": "identity",
}
NOTE = "effects and identity in SD; effect by renderer fit. A '!' marks a regressor that is over 30 % off the fit."


def measure(
    direction: Annotated[str, typer.Argument(metavar="DIRECTION", help="An id, with #k for one of a basis; a folder.")],
    target: Annotated[str | None, typer.Option(help="The attribute it is meant to change, such as smile.")] = None,
    backbone: BackboneName = None,
    weights: Weights = None,
    offline: Offline = False,
    n: Annotated[int, typer.Option("-n", min=1, help="How many faces.")] = 32,
    strengths: Annotated[str | None, typer.Option(help="As in -2,-1,1,2 [default: half and all of its range].")] = None,
    steps: Annotated[int, typer.Option(min=2, help="Sampling steps.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the faces.")] = 1,
    record: Annotated[bool, typer.Option("--record", help="Write the measures into the direction.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure a direction on rendered faces whose attributes are known; without --target, name what it changes."""
    from hspace.cli.output import pick_device, print_json
    from hspace.errors import UsageError
    from hspace.loading import load_backbone, load_direction
    from hspace.progress import progress
    from hspace.sheets import parts
    from hspace_toyfaces.inverted_faces import inverted_faces
    from hspace_toyfaces.measuring_directions import measure_direction
    from hspace_toyfaces.naming import dominant_attributes
    from hspace_toyfaces.regressor import load_regressor

    asked = parse_strengths(strengths) if strengths else None
    if record and target is None:
        raise UsageError("--record writes what was measured on a --target; name one")
    found = load_direction(direction)
    every = [found] if found.component is not None else parts([found])
    name = backbone or found.meta.backbone.id
    model = load_backbone(name, device=pick_device(device), weights=weights, offline=offline)
    regressor = load_regressor()
    with progress("inverting", quiet=as_json) as callback:
        faces = inverted_faces(model, n, seed, steps, callback)
    measured: list[Measured] = []
    named: list[Dominant] = []
    with progress("measuring", quiet=as_json) as callback:
        for done, one in enumerate(every, start=1):
            if target is None:
                at = max(map(abs, asked)) if asked else None
                named += dominant_attributes(model, one, strength=at, faces=faces, regressor=regressor)
            else:
                at_each = asked or one.meta.strength.sides()
                measured.append(
                    measure_direction(model, one, target, strengths=at_each, faces=faces, regressor=regressor)
                )
            callback(done, len(every))
    if record:
        from hspace_toyfaces.recorded import record as written

        written(direction, found, measured)
    if as_json:
        print_json({"measured": [_plain(each) for each in measured], "dominant": [_named(each) for each in named]})
    elif target is None:
        print_names(named)
    else:
        print_measures(measured)


def parse_strengths(text: str) -> list[float]:
    """The numbers of a comma-separated list. Raises UsageError when one is not a number, or is 0."""
    from hspace.errors import UsageError

    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--strengths takes numbers, as in -2,-1,1,2; {text!r} was given") from error
    if not all(0 < abs(number) < float("inf") for number in numbers):
        raise UsageError(f"--strengths takes finite numbers other than 0; {text!r} was given")
    return numbers


def print_measures(measured: Sequence[Measured]) -> None:
    """Prints a table per direction: a row per strength, and the lines through the effects below."""
    from hspace.cli.output import print_table, say

    for one in measured:
        rows = []
        for row in one.rows:
            cells = [getattr(row, key) for key in COLUMNS]
            if row.disputed:
                cells[2] = f"{row.regressor_effect:.4g} !"
            rows.append(cells)
        print_table(tuple(COLUMNS.values()), rows, title=f"{one.direction} on {one.target}")
        for side, line in (("negative", one.negative), ("positive", one.positive)):
            if line is not None:
                say(f"{side} strengths: slope {line.slope:.3g} SD per unit, R^2 {line.r2:.3f}")
        say("")
    say(f"{measured[0].protocol}; {NOTE}")


def print_names(named: Sequence[Dominant]) -> None:
    """Prints one table: what each direction, at each sign, changes most."""
    from hspace.cli.output import print_table, say

    columns = ("direction", "strength", "name", "most changed", "mean D", "selectivity")
    print_table(
        columns,
        [(one.direction, one.strength, one.name, one.attribute, one.change, one.selectivity) for one in named],
    )
    say(f"{named[0].protocol}; D in SD by the regressor; below 0.5 SD a direction is unnamed")


def _plain(one: Measured) -> dict[str, Any]:
    answer = asdict(one)
    for row, plain in zip(one.rows, answer["rows"], strict=True):
        plain["disputed"] = row.disputed
    return answer


def _named(one: Dominant) -> dict[str, Any]:
    return {**asdict(one), "name": one.name}
