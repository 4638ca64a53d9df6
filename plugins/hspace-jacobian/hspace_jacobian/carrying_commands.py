"""`hspace transport` and `hspace shoot`: directions carried to another sample."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hspace.cli.output import (
    BackboneName,
    Bind,
    Device,
    Json,
    Offline,
    Weights,
    load_bound,
    pick_device,
    print_json,
    print_table,
    say,
)

if TYPE_CHECKING:
    from hspace import Backbone, Direction
    from hspace_jacobian.target import Target

Carried = Annotated[str, typer.Argument(metavar="DIRECTION", help="An id, with #k for one of a basis; a folder.")]
To = Annotated[Path | None, typer.Option(help="The picture to carry it to, inverted.")]
Seed = Annotated[int | None, typer.Option(help="The seed that draws the sample to carry it to, in place of --to.")]
At = Annotated[int | None, typer.Option(help="The timestep to look at [default: where the direction was found].")]
K = Annotated[int, typer.Option("-k", min=1, help="How many singular vectors span the tangent space.")]
LiftName = Annotated[str, typer.Option("--lift", help="How it is lifted to x_t: project, pinv or grad.")]
Steps = Annotated[int, typer.Option(min=2, help="Sampling steps.")]
Name = Annotated[str | None, typer.Option(help="What to call it [default: after the direction and the sample].")]
Out = Annotated[Path, typer.Option(help="Where the sheet goes.")]


@dataclass(frozen=True)
class Asked:
    """What both commands start from."""

    backbone: Backbone
    direction: Direction
    target: Target


def transport(
    direction: Carried,
    to: To = None,
    seed: Seed = None,
    at: At = None,
    k: K = 50,
    lift: LiftName = "project",
    move: Annotated[
        str | None, typer.Option(help="How it then moves x_t: guidance or one-shot [default: its own, or guidance].")
    ] = None,
    backbone: BackboneName = None,
    weights: Weights = None,
    offline: Offline = False,
    bind: Bind = None,
    steps: Steps = 40,
    name: Name = None,
    out: Out = Path("hspace-out"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Carry a direction to another sample, and store what it is there; says how much of it is left."""
    from hspace_jacobian import carrying
    from hspace_jacobian.in_x import move_of
    from hspace_jacobian.tangent import lift_of
    from hspace_jacobian.target import stored

    moving, lifting = None if move is None else move_of(move, 1, gamma=1.0, iterations=16), lift_of(lift)
    with ExitStack() as stack:
        sample, model = (to, seed, at), (backbone, bind, device, weights, offline)
        one = _asked(stack, direction, sample, steps, model, out, as_json)
        found = carrying.transport(one.backbone, one.direction, one.target, k=k, lift=lifting, move=moving, name=name)
        kept, folder, sheet = stored(one.backbone, found, one.target, out, _stage(stack, "drawing", as_json))
    answer = {**_told(kept, folder, sheet), "retained": kept.meta.metrics[0].value}
    if as_json:
        print_json(answer)
        return
    print_table(("id", "t", "retained"), [(kept.id, kept.meta.t_edit, answer["retained"])])
    _next(kept, sheet)


def shoot(
    direction: Carried,
    to: To = None,
    seed: Seed = None,
    at: At = None,
    k: K = 50,
    lift: LiftName = "project",
    reach: Annotated[float, typer.Option(min=0.01, help="To which strength to go, on both sides.")] = 2.0,
    n: Annotated[int, typer.Option("-n", min=1, help="In how many steps.")] = 10,
    rebase: Annotated[int, typer.Option(min=1, help="A new basis after so many steps.")] = 1,
    backbone: BackboneName = None,
    weights: Weights = None,
    offline: Offline = False,
    bind: Bind = None,
    steps: Steps = 40,
    name: Name = None,
    out: Out = Path("hspace-out"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Follow a direction from a sample by geodesic shooting, and store the path; says how much is left on the way."""
    from hspace_jacobian import carrying
    from hspace_jacobian.tangent import lift_of
    from hspace_jacobian.target import stored

    lifting = lift_of(lift)
    with ExitStack() as stack:
        sample, model = (to, seed, at), (backbone, bind, device, weights, offline)
        one = _asked(stack, direction, sample, steps, model, out, as_json)
        found, sides = carrying.shot_along(
            one.backbone, one.direction, one.target, k=k, lift=lifting, reach=reach, steps=n, rebase=rebase, name=name,
            callback=_stage(stack, "shooting", as_json),
        )  # fmt: skip
        kept, folder, sheet = stored(one.backbone, found, one.target, out, _stage(stack, "drawing", as_json))
    rows = [
        {"strength": sign * index * rebase * reach / n, "retained": left}
        for sign, side in sides.items()
        for index, left in enumerate(side.retained)
    ]
    if as_json:
        told = {**_told(kept, folder, sheet), "strength": kept.meta.strength.model_dump(), "bases": rows}
        print_json({**told, "stopped": {"down": sides[-1].stopped, "up": sides[1].stopped}})
        return
    print_table(("new basis at strength", "retained"), [tuple(row.values()) for row in rows])
    low, high = kept.meta.strength.min, kept.meta.strength.max
    say(f"\n{kept.id} goes from strength {low:g} to {high:g}, at t = {kept.meta.t_edit}")
    _next(kept, sheet)


def _asked(
    stack: ExitStack, direction: str, sample: tuple[Path | None, int | None, int | None], steps: int,
    model: tuple[str | None, list[str] | None, str, Path | None, bool], out: Path, quiet: bool,
) -> Asked:  # fmt: skip
    from hspace.loading import load_direction
    from hspace.storage import require_writable
    from hspace_jacobian.target import found_at, target_of

    (to, seed, at), (name, bind, device, weights, offline) = sample, model
    found = load_direction(direction)
    require_writable(out)
    backbone = load_bound(name or found.meta.backbone.id, bind, pick_device(device), weights, offline)
    found.check(backbone)
    when = found_at(found) if at is None else at
    inverting = _stage(stack, "inverting", quiet)
    return Asked(backbone, found, target_of(backbone, to, seed, at=when, steps=steps, callback=inverting))


def _stage(stack: ExitStack, what: str, quiet: bool) -> Any:
    from hspace.progress import progress

    return stack.enter_context(progress(what, quiet=quiet))


def _told(kept: Direction, folder: Path, sheet: Path) -> dict[str, Any]:
    return {"id": kept.id, "path": str(folder), "sheet": str(sheet), "t": kept.meta.t_edit}


def _next(kept: Direction, sheet: Path) -> None:
    say(f"\nsheet: {sheet}")
    say(f"next:  hspace edit FACE.png --direction '{kept.id}={kept.meta.strength.default:g}'")
