"""Moving x_t at one timestep, between one step of sampling and the next, and keeping what was moved in range."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt

import torch
from torch import Tensor

from hspace.backbone import Backbone
from hspace.errors import UsageError, not_found
from hspace.meta import Move as Described
from hspace.sampling import Saturation, Step, at, predict_x0
from hspace.schedule import alpha_at

QUANTILE = 0.995
"""Which part of the pixels of P_t `clamp` takes for its range."""
ROUNDING = 1e-5


def one_shot(x_t: Tensor, v: Tensor) -> Tensor:
    """x_t + v. Source: Chen et al. (LOCO-Edit), arXiv:2409.02374."""
    return x_t + v


def guide(backbone: Backbone, x_t: Tensor, t: int, v: Tensor, *, gamma: float, iterations: int) -> Tensor:
    """x-space guidance: x <- x + gamma [eps(x + v) - eps(x)], so many times, from x_t (B, C, H, W).

    v, which broadcasts to x_t, stays the same. To first order each time adds gamma (d eps / d x) v. Costs two network
    calls a time. Source: Park et al., arXiv:2307.12868.
    """
    times = at(t, x_t)
    for _ in range(iterations):
        x_t = x_t + gamma * (backbone(x_t + v, times) - backbone(x_t, times))
    return x_t


def along(x_t: Tensor, points: Tensor, strengths: Sequence[float], strength: Tensor) -> Tensor:
    """x_t (B, C, H, W) plus the displacement at `strength` (B or 1, ...), on straight legs between points (P, C, H, W).

    `strengths` (P) says how far along each point is. Raises UsageError beyond the ends of the path.
    """
    places, wanted = torch.tensor(strengths, device=x_t.device), strength.flatten().float()
    slack = ROUNDING * (strengths[-1] - strengths[0])
    if bool(((wanted < places[0] - slack) | (wanted > places[-1] + slack)).any()):
        far = float(wanted[wanted.abs().argmax()])
        raise UsageError(f"the path goes from strength {strengths[0]:g} to {strengths[-1]:g}; {far:g} was asked for")
    upper = torch.searchsorted(places, wanted).clamp(1, len(places) - 1)
    share = ((wanted - places[upper - 1]) / (places[upper] - places[upper - 1])).clamp(0, 1).to(x_t.dtype)
    return x_t + torch.lerp(points[upper - 1], points[upper], share.reshape(-1, 1, 1, 1))


def step_of(move: Described, vectors: Tensor) -> Step:
    """The step that a direction's `move` describes, with its vector (C, H, W), or its points (P, C, H, W) of a path."""

    def step(backbone: Backbone, x_t: Tensor, t: int, strength: Tensor) -> Tensor:
        v = vectors.to(x_t)
        if move.kind == "path":
            return along(x_t, v, move.strengths, strength)
        if move.kind == "guidance":
            return guide(backbone, x_t, t, strength * v, gamma=move.gamma, iterations=move.iterations)
        return one_shot(x_t, strength * v)

    return step


def clamp(backbone: Backbone, x_t: Tensor, moved: Tensor, t: int) -> Tensor:
    """`moved`, with its P_t clamped to +-q, where a share of QUANTILE of the pixels of x_t's own |P_t| is at most q."""
    before, after = _predicted(backbone, x_t, t), _predicted(backbone, moved, t)
    size = before.abs().flatten(1)
    q = size.kthvalue(ceil(QUANTILE * size.shape[1]), dim=1).values.reshape(-1, 1, 1, 1)
    return _repainted(backbone, moved, t, after, after.clamp(-q, q))


def contrast(backbone: Backbone, x_t: Tensor, moved: Tensor, t: int) -> Tensor:
    """`moved`, with each channel of its P_t given the mean and standard deviation that it has in x_t's own P_t.

    After arXiv:2302.12469.
    """
    before, after = _predicted(backbone, x_t, t), _predicted(backbone, moved, t)
    std, mean = torch.std_mean(before, dim=(2, 3), keepdim=True)
    own_std, own_mean = torch.std_mean(after, dim=(2, 3), keepdim=True)
    matched = mean + (after - own_mean) * std / own_std.clamp_min(torch.finfo(std.dtype).tiny)
    return _repainted(backbone, moved, t, after, matched)


def length(backbone: Backbone, x_t: Tensor, moved: Tensor, t: int) -> Tensor:
    """`moved`, as long as x_t."""
    norms = [one.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1) for one in (x_t, moved)]
    scaled: Tensor = moved * (norms[0] / norms[1])
    return scaled


SATURATIONS: dict[str, Saturation] = {"clamp": clamp, "contrast": contrast, "length": length}


def saturation_of(name: str | None) -> Saturation | None:
    """The way of that name to keep a moved x_t in range. Raises NotFoundError for an unknown name."""
    if name is not None and name not in SATURATIONS:
        raise not_found("saturation", name, SATURATIONS, "It is how a moved x_t is kept in range.")
    return None if name is None else SATURATIONS[name]


def _predicted(backbone: Backbone, x_t: Tensor, t: int) -> Tensor:
    return predict_x0(x_t, backbone(x_t, at(t, x_t)), alpha_at(backbone.alphas_cumprod, t))


def _repainted(backbone: Backbone, x_t: Tensor, t: int, x_0: Tensor, wanted: Tensor) -> Tensor:
    """x_t moved so that its P_t goes from x_0 to `wanted`, to first order along the change.

    With delta = wanted - x_0 this is x_t + c sqrt(a_t) delta, where c is what a trial step with c = 1 says is needed:
    a denoiser of unit Gaussian pixels asks for 1 / a_t, and no more than that is given.
    """
    a_t = alpha_at(backbone.alphas_cumprod, t)
    delta = wanted - x_0
    answer = _predicted(backbone, x_t + sqrt(a_t) * delta, t) - x_0
    gain = (answer * delta).flatten(1).sum(dim=1) / answer.square().flatten(1).sum(dim=1)
    c = gain.nan_to_num(0.0).clamp(0, 1 / a_t).reshape(-1, 1, 1, 1)
    return x_t + c * sqrt(a_t) * delta
