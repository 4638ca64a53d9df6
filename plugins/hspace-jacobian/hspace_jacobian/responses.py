"""How strongly a map answers a direction in h at each timestep: what a shift may be scaled with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from hspace import Backbone, Task
from hspace_jacobian.local import Look
from hspace_jacobian.maps import build_map
from hspace_jacobian.products import MapProducts
from hspace_jacobian.rows import Rows
from hspace_jacobian.walking import Window, visits

Scale = Literal["none", "sigma"]


def scaled_by_sigma(
    backbone: Backbone,
    task: Task,
    x_T: Tensor,
    rows: Rows,
    look: Look,
    window: Window,
    mask: Tensor | None,
    callback: Callable[[int, int], None] | None = None,
) -> Rows:
    """Rows sigma_tau u at every sampling step tau of the window, u being the nearest of the rows given.

    sigma_tau = |J_tau u| is measured, the root mean square over the latents x_T (N, C, H, W) along their unedited
    trajectories. Source: Haas et al., arXiv:2303.11073: delta_h_tau = alpha sigma_{i,tau} u_{i,t0}.
    """
    grown = rows.at(window.timesteps(backbone, task.steps))
    index = {t: place for place, t in enumerate(grown.timesteps)}
    squares = torch.zeros(grown.vectors.shape[:2], dtype=torch.float64)
    for t, state in visits(backbone, x_T, task.steps, window, callback):
        shifts = grown.vectors[:, index[t]].to(state.x_t)
        for x_t in torch.split(state.x_t, 1):
            squares[:, index[t]] += response(backbone, x_t, t, shifts, look, mask).double().cpu().square()
    sigma = (squares / len(x_T)).sqrt().to(grown.vectors)
    return Rows(sigma[:, :, None, None, None] * grown.vectors, grown.timesteps)


def response(backbone: Backbone, x_t: Tensor, t: int, shifts: Tensor, look: Look, mask: Tensor | None) -> Tensor:
    """|J u| (k,) of shifts u (k, Ch, Hh, Wh) of h at x_t (1, C, H, W).

    J is that of h -> eps for the map "decoder" and of h -> P_t for "x0" and "pmp", with the rows of the mask; for
    "encoder", whose directions are where it leads to, it is the transpose of x_t -> h.
    """
    if look.map == "encoder":
        one = build_map("encoder", backbone, x_t, t)
        answers = MapProducts(one.f, one.z, look.chunk).vjp(shifts.flatten(1))
    else:
        one = build_map("decoder" if look.map == "decoder" else "x0", backbone, x_t, t, mask)
        answers = MapProducts(one.f, one.z, look.chunk).jvp(shifts.flatten(1))
    length: Tensor = answers.norm(dim=1)
    return length
