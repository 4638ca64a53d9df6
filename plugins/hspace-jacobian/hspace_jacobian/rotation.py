"""Turning a basis so that each of its directions does one thing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from hspace import Backbone
from hspace.building import build_head
from hspace.sampling import Edit, edit
from hspace_jacobian.walking import Window

STEPS = 10
"""Sampling steps of a picture that is only looked at for where it changes."""
ROUNDS = 200
SETTLED = 1e-7


def varimax(loadings: Tensor) -> Tensor:
    """The rotation Q (k, k) for which the columns of loadings (p, k) @ Q are few large numbers and many small ones.

    It maximises the variance of the squares in each column, summed over columns, from the identity on: by steps to the
    nearest rotation of the gradient, until a step changes its size by less than 1e-7. float64.
    Source: Kaiser, The varimax criterion for analytic rotation in factor analysis, 1958; the steps are those of the
    singular value decomposition that is common today.
    """
    loadings = loadings.double()
    p, k = loadings.shape
    Q = torch.eye(k, dtype=torch.float64)
    sizes = [0.0]
    for _ in range(ROUNDS):
        turned = loadings @ Q
        gradient = loadings.mT @ (turned**3 - turned * turned.square().sum(dim=0) / p)
        left, sigma, right = torch.linalg.svd(gradient)
        Q = left @ right
        sizes.append(float(sigma.sum()))
        before, now = list(pairwise(sizes))[-1]
        if now <= before * (1 + SETTLED):
            break
    return Q


@torch.no_grad()
def picture_changes(
    backbone: Backbone,
    shifts: Tensor,
    timesteps: tuple[int, ...],
    x_T: Tensor,
    length: float,
    window: Window,
    steps_found: int,
    callback: Callable[[int, int], None] | None = None,
) -> Tensor:
    """How the pictures of x_T (N, C, H, W) change along unit shifts (k, 1, Ch, Hh, Wh) of h: (k, N * 3 * S * S).

    Half the difference between both signs, `length` times the shift, in STEPS steps of sampling.
    Raises UsageError where none of these is in the window.
    """
    window.timesteps(backbone, STEPS)
    plus_minus = torch.tensor([length] * len(x_T) + [-length] * len(x_T))
    rows = []
    for done, shift in enumerate(shifts, start=1):
        head = build_head(backbone, "table", {"timesteps": list(timesteps)}, {"vectors": shift[None].float()})
        one = Edit(head, plus_minus, window.t_edit, steps_found, t_start=window.t_start)
        plus, minus = backbone.x0_to_image(edit(backbone, x_T.repeat(2, 1, 1, 1), [one], steps=STEPS)).chunk(2)
        rows.append(((plus - minus) / 2).flatten().double().cpu())
        if callback is not None:
            callback(done, len(shifts))
    return torch.stack(rows)


def spread_of(changes: Tensor) -> Tensor:
    """Over how much of the pictures each row of changes (k, p) is spread: (sum r^2)^2 / (p sum r^4), at most 1."""
    square = changes.square()
    spread: Tensor = square.sum(dim=1).square() / (changes.shape[1] * square.square().sum(dim=1))
    return spread
