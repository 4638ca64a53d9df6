"""Directions carried to another sample: transported to its tangent space, or shot along from there."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hspace import Backbone, Direction
from hspace.calibration import units_of
from hspace.errors import HspaceError, HspaceWarning
from hspace.meta import AlongPath, Guidance, Measurement, OneShot, Provenance, Strength
from hspace.moving import step_of
from hspace.sampling import Callback, Move
from hspace_jacobian.in_x import in_x, move_of
from hspace_jacobian.shooting import FLOOR, Shot, shoot
from hspace_jacobian.tangent import Lift, lifted, projected, tangent_at
from hspace_jacobian.target import Target, named, shift_of

MEASURED = {
    "transport": "|U'u| of the unit direction u of h, for the basis U of h at the sample",
    "shoot": "the least |U'u| of the unit direction u of h, over the bases U along the path",
}


def transport(
    backbone: Backbone,
    direction: Direction,
    target: Target,
    *,
    k: int = 50,
    lift: Lift = "project",
    move: Guidance | OneShot | None = None,
    name: str | None = None,
    seed: int = 0,
) -> Direction:
    """The direction of space "x" that `direction` is at another sample, with the part of it that is `retained` there.

    Its delta_h, unit, is u_0; it is projected on the k leading left singular vectors of dh/dx_t at the sample,
    u_1 = U U'u_0, and lifted to x_t (`tangent.lifted`), where `move` says how it moves: as the direction itself does,
    or by guidance. A warning says when less than half is retained. Raises
    HspaceError where nothing is, and as `target.shift_of` and `topk_jacobian_svd` do.
    Source: Park et al., arXiv:2307.12868, which calls it parallel transport and does not report what is retained.
    """
    u_0 = shift_of(direction, backbone, target)
    tangent = tangent_at(backbone, target.x_t, target.t, k, seed=seed)
    u_1, left = projected(tangent, u_0.flatten())
    if left < FLOOR:
        _tell(direction, left, "what was stored is mostly something else")
    v = lifted(tangent, u_0.flatten(), lift)
    if not bool(v.any()):
        raise HspaceError(f"nothing of {direction.id!r} is in the tangent space at the sample; ask for a larger -k")
    v = normalize(v, dim=0).reshape(target.x_t.shape)
    move = move or _own_move(direction)
    placed = in_x(backbone, move, v, u_1.reshape(1, *u_0.shape), target.x_t, target.t, target.x_T)
    config = {"lift": lift, "k": len(tangent.S), "t": target.t, "retained": left}
    return _bound(backbone, direction, target, "transport", name, config, left, Strength(min=-2, max=2), placed)


def shot_along(
    backbone: Backbone,
    direction: Direction,
    target: Target,
    *,
    k: int = 50,
    lift: Lift = "project",
    reach: float = 2.0,
    steps: int = 10,
    rebase: int = 1,
    name: str | None = None,
    callback: Callback | None = None,
) -> tuple[Direction, dict[int, Shot]]:
    """The path that geodesic shooting takes from a sample along a direction, to both sides, as one of space "x".

    Each side is the path of `shooting.shoot`, in `steps` steps to strength `reach`, where strength 1 is the length of
    a straight step that changes the picture by `calibration.CHANGE`; it is shorter where shooting stopped, of which a
    warning tells, and the strength's range ends there. Beside it the two sides by their sign. Raises HspaceError where
    not one step can be taken, and as `target.shift_of` and `topk_jacobian_svd` do.
    """
    u = shift_of(direction, backbone, target)
    delta = _unit(backbone, u, target, k, lift) * reach / steps
    sides = {}
    for half, sign in enumerate((-1, 1)):

        def advance(done: int, total: int, before: int = half * steps) -> None:
            if callback is not None:
                callback(before + done, 2 * total)

        sides[sign] = shoot(
            backbone, sign * u, target.x_t, target.t,
            delta=delta, steps=steps, rebase=rebase, k=k, lift=lift, callback=advance,
        )  # fmt: skip
    low, high = (len(sides[sign].points) - 1 for sign in (-1, 1))
    for sign, taken in ((-1, low), (1, high)):
        if sides[sign].stopped and taken:
            so = f"the path to strength {sign * reach:+g} ends after {taken} of {steps} steps"
            _tell(direction, sides[sign].retained[-1], so)
    strengths = tuple(index * reach / steps for index in range(-low, high + 1))
    path = torch.cat([sides[-1].points[1:].flip(0), sides[1].points])
    config: dict[str, object] = {
        "lift": lift,
        "k": k,
        "t": target.t,
        "delta": delta,
        "rebase": rebase,
        "steps": steps,
        "reach": reach,
    }
    config |= {"steps": steps, "reach": reach, "retained_down": sides[-1].retained, "retained_up": sides[1].retained}
    placed = {
        "space": "x",
        "move": AlongPath(strengths=strengths),
        "t_edit": target.t,
        "weights": {"vectors": path[None].float().cpu(), "shifts": u[None].float().cpu()},
    }
    least = min(*sides[-1].retained, *sides[1].retained)
    span = Strength(default=min(1.0, high * reach / steps), min=strengths[0], max=strengths[-1])
    return _bound(backbone, direction, target, "shoot", name, config, least, span, placed), sides


def _unit(backbone: Backbone, u: Tensor, target: Target, k: int, lift: Lift) -> float:
    """The length of a straight step of x_t along u that changes the picture by CHANGE, at most half of |x_t|.

    Raises HspaceError where too little of u is in the tangent space for a step.
    """
    tangent = tangent_at(backbone, target.x_t, target.t, k)
    inside, left = projected(tangent, u.flatten())
    if left < FLOOR:
        raise HspaceError(
            f"only {left:.2g} of the direction is in the tangent space at the sample, below {FLOOR}, so there is "
            f"nothing to follow; ask for a larger -k, another --at, or another sample"
        )
    v = normalize(lifted(tangent, inside, lift), dim=0).reshape(target.x_t.shape[1:])
    straight = Move(step_of(OneShot(), v), 1.0, target.t)
    return units_of(backbone, [straight], target.x_T, longest=float(target.x_t.norm()) / 2)[0]


def _own_move(direction: Direction) -> Guidance | OneShot:
    """How the direction itself moves x_t, where it does so along a vector; else guidance."""
    own = direction.meta.move
    if own is None or own.kind == "path":
        return move_of("guidance", 1, gamma=1.0, iterations=16)
    return own.model_copy(update={"components": 1})


def _bound(
    backbone: Backbone, direction: Direction, target: Target, finder: str, name: str | None,
    config: Mapping[str, object], retained: float, strength: Strength, placed: Mapping[str, Any],
) -> Direction:  # fmt: skip
    return Direction.bind(
        backbone,
        what=named(direction, target, name),
        finder=finder,
        steps=target.steps,
        scope=target.scope,
        strength=strength,
        metrics=(Measurement(name="retained", value=retained, n=1, protocol=MEASURED[finder]),),
        provenance=Provenance(finder=finder, config={"of": direction.id, **config}),
        **placed,
    )


def _tell(direction: Direction, left: float, so: str) -> None:
    message = f"only {left:.2g} of {direction.id!r} is in the tangent space there, below {FLOOR}: {so}"
    warnings.warn(message, HspaceWarning, stacklevel=3)
