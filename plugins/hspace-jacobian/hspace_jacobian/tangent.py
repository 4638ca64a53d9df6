"""The tangent space of h at one x_t: projecting a direction of h on it, and lifting it to x_t."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hspace import Backbone
from hspace.errors import UsageError
from hspace_jacobian.maps import build_map
from hspace_jacobian.products import MapProducts
from hspace_jacobian.svd import topk_jacobian_svd

Lift = Literal["project", "pinv", "grad"]
LIFTS: tuple[Lift, ...] = ("project", "pinv", "grad")


@dataclass(frozen=True)
class Tangent:
    """The k leading singular triplets of J = dh/dx_t at x_t (1, C, H, W), as rows: U (k, m), S (k,), V (k, n).

    `pull` gives the rows J'u (b, n) for the rows u of (b, m).
    """

    U: Tensor
    S: Tensor
    V: Tensor
    pull: Callable[[Tensor], Tensor]


def lift_of(name: str) -> Lift:
    """The lift of that name. Raises UsageError for another name."""
    for lift in LIFTS:
        if lift == name:
            return lift
    raise UsageError(f"lift must be one of {', '.join(LIFTS)}; {name!r} was given")


def tangent_at(backbone: Backbone, x_t: Tensor, t: int, k: int, *, seed: int = 0) -> Tangent:
    """The tangent space of h around x_t (1, C, H, W) at timestep t. Raises as `topk_jacobian_svd` does."""
    map = build_map("encoder", backbone, x_t, t)
    svd = topk_jacobian_svd(map.f, map.z, k, generator=torch.Generator().manual_seed(seed))

    def pull(U: Tensor) -> Tensor:
        return MapProducts(map.f, map.z).vjp(U)

    return Tangent(svd.U.flatten(1), svd.S, svd.V.flatten(1), pull)


def projected(tangent: Tangent, u: Tensor) -> tuple[Tensor, float]:
    """(U U'u, unit (m,); its norm before): a unit u (m,) of h in the tangent space, and how much of it is left there.

    What is left is in [0, 1]; where it is 0 there is no direction, and the zero vector comes back.
    """
    inside = (tangent.U @ u) @ tangent.U
    left = float(inside.norm())
    return inside / max(left, torch.finfo(u.dtype).tiny), left


def lifted(tangent: Tangent, u: Tensor, lift: Lift) -> Tensor:
    """The direction v (n,) of x_t that moves h along u (m,), which need not be in the tangent space; J is dh/dx_t.

    - "project": V U'u, with all singular values taken for equal (Park et al., arXiv:2307.12868).
    - "pinv": V S^-1 U'u, the shortest step whose J v is U U'u: exact to first order.
    - "grad": J'u, the steepest ascent of <u, h>.

    Along each <u, h> grows: <u, J v> > 0 unless u is orthogonal to what h can do.
    """
    if lift == "grad":
        return tangent.pull(u[None])[0]
    inside = tangent.U @ u
    return (inside if lift == "project" else inside / tangent.S) @ tangent.V
