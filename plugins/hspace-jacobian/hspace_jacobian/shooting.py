"""Geodesic shooting: following a direction of h along the manifold of x_t, by new bases on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hspace import Backbone
from hspace_jacobian.tangent import Lift, lifted, projected, tangent_at

FLOOR = 0.5
"""Below this part of u that a new basis retains, shooting stops: it would follow something else."""

Callback = Callable[[int, int], None]


@dataclass(frozen=True)
class Shot:
    """A path from x_t: its points (P, C, H, W) as displacements, the first 0, and what each new basis retained of u.

    `stopped` says whether it ended early, because the last of `retained` was below the floor.
    """

    points: Tensor
    retained: tuple[float, ...]
    stopped: bool


def shoot(
    backbone: Backbone,
    u: Tensor,
    x_t: Tensor,
    t: int,
    *,
    delta: float,
    steps: int,
    rebase: int = 1,
    k: int = 50,
    lift: Lift = "project",
    floor: float = FLOOR,
    callback: Callback | None = None,
) -> Shot:
    """Repeat: u <- U U'u, unit; x <- x + delta lift(u), unit, `steps` times from x_t (1, C, H, W) at timestep t.

    u (Ch, Hh, Wh) is a direction of h; U are the k leading left singular vectors of dh/dx_t at x, found anew every
    `rebase` steps. It stops where a new basis retains less than `floor` of u. Steps have the length delta whatever the
    lift. Raises as `topk_jacobian_svd` does. Source: arXiv:2302.12469.
    """
    x, points, retained = x_t, [torch.zeros_like(x_t)], list[float]()
    row = normalize(u.flatten().to(x_t), dim=0)
    for step in range(steps):
        if step % rebase == 0:
            tangent = tangent_at(backbone, x, t, k)
            row, left = projected(tangent, row)
            retained.append(left)
            if left < floor:
                return Shot(torch.cat(points), tuple(retained), stopped=True)
        v = normalize(lifted(tangent, row, lift), dim=0)
        x = x + delta * v.reshape(x.shape)
        points.append(x - x_t)
        if callback is not None:
            callback(step + 1, steps)
    return Shot(torch.cat(points), tuple(retained), stopped=False)
