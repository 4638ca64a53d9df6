"""The maps of a backbone whose Jacobian is looked at, around one x_t at one timestep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hspace import Backbone, State
from hspace.errors import UsageError
from hspace.sampling import predict_x0
from hspace.schedule import alpha_at
from hspace_jacobian.engines import Map
from hspace_jacobian.masks import checked
from hspace_jacobian.products import MapProducts
from hspace_jacobian.result import JacobianSVD

MapName = Literal["encoder", "decoder", "x0", "pmp"]
Pool = Literal["none", "sum", "mean"]
SOURCES = {
    "encoder": "Park et al., arXiv:2307.12868; with sum-pooled h arXiv:2302.12469",
    "decoder": "Haas et al., arXiv:2303.11073",
    "x0": "Park et al., arXiv:2307.12868",
    "pmp": "Chen et al. (LOCO-Edit), arXiv:2409.02374",
}


@dataclass(frozen=True)
class JacobianMap:
    """A map f of a batch, the point z (1, *domain) to look at it, and what its singular vectors mean in h.

    `to_h(svd)` gives a unit shift of h (k, Ch, Hh, Wh) for every triplet: its singular vector in h, or what a step
    along its singular vector in x_t does to h at first. `complement` is the same map restricted to
    what a mask leaves out, where one was given and its singular vectors are to be projected out.
    """

    name: MapName
    f: Map
    z: Tensor
    to_h: Callable[[JacobianSVD], Tensor]
    complement: JacobianMap | None = None


def build_map(
    name: MapName, backbone: Backbone, x_t: Tensor, t: int, mask: Tensor | None = None, pool: Pool = "none"
) -> JacobianMap:
    """The map of that name around x_t (1, C, H, W) at timestep t.

    - "encoder": x_t -> h, or with `pool` its sum or mean over space (C numbers).
    - "decoder": h -> eps, with the skips held at x_t; `mask` (1, 1, H, W) keeps the rows where it is not 0.
    - "x0": h -> P_t, the predicted x_0 = (x_t - sqrt(1 - a_t) eps) / sqrt(a_t); the same vectors as "decoder", with
      sigma times sqrt((1 - a_t) / a_t).
    - "pmp": x_t -> P_t, the posterior mean predictor; with a mask, the directions that change the rest of P_t are to
      be projected out (`outside`).

    Sources: `SOURCES`. Raises UsageError where t is not a timestep, the name is not one of these, the mask does not
    fit x_t or selects nothing, or a map takes no mask or pool.
    """
    T = len(backbone.alphas_cumprod)
    if not 0 <= t < T:
        raise UsageError(f"t must be a timestep from 0 to {T - 1}; {t} was given")
    if name not in SOURCES:
        raise UsageError(f"there is no map {name!r}; there are {', '.join(SOURCES)}")
    if mask is not None and name == "encoder":
        raise UsageError("the map 'encoder' has no picture to mask; decoder, x0 and pmp have one")
    if pool not in ("none", "sum", "mean"):
        raise UsageError(f"pool must be none, sum or mean; {pool!r} was given")
    if pool != "none" and name != "encoder":
        raise UsageError(f"pool={pool} is for the h of the map 'encoder', not for {name!r}")
    if mask is not None and mask.shape[-2:] != x_t.shape[-2:]:
        raise UsageError(f"the mask is {tuple(mask.shape[-2:])}, x_t {tuple(x_t.shape[-2:])}; resize it")
    keep = None if mask is None else checked(mask).to(x_t)
    if name == "encoder":
        return _encoder(backbone, x_t, t, pool)
    if name == "pmp":
        return _pmp(backbone, x_t, t, keep)
    return _decoder(name, backbone, x_t, t, keep)


def outside(V: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """(V (k, *domain) without its part in the span of the orthonormal `others` (q, *domain), unit; what was left (k,)).

    What is left is the length of the unit vector before it is scaled back, in [0, 1]. Source: LOCO-Edit,
    arXiv:2409.02374: v_Ω minus its projection on the leading directions of the complement.
    """
    rows, away = V.flatten(1), others.flatten(1)
    rest = rows - (rows @ away.mT) @ away
    left = rest.norm(dim=1)
    return (rest / left.clamp_min(torch.finfo(left.dtype).tiny)[:, None]).reshape(V.shape), left


def _encoder(backbone: Backbone, x_t: Tensor, t: int, pool: Pool) -> JacobianMap:
    with torch.no_grad():
        height, width = backbone.encode_h(x_t, _times(t, x_t)).h.shape[2:]

    def f(x_t: Tensor) -> Tensor:
        h = backbone.encode_h(x_t, _times(t, x_t)).h
        pooled: Tensor = h if pool == "none" else h.sum((2, 3)) if pool == "sum" else h.mean((2, 3))
        return pooled

    def to_h(svd: JacobianSVD) -> Tensor:
        if pool == "none":
            return svd.U
        everywhere: Tensor = svd.U[:, :, None, None] / (height * width) ** 0.5
        return everywhere.expand(-1, -1, height, width)

    return JacobianMap("encoder", f, x_t, to_h)


def _decoder(
    name: Literal["decoder", "x0"], backbone: Backbone, x_t: Tensor, t: int, mask: Tensor | None
) -> JacobianMap:
    with torch.no_grad():
        state = backbone.encode_h(x_t, _times(t, x_t))
    a = alpha_at(backbone.alphas_cumprod, t)

    def f(h: Tensor) -> Tensor:
        eps = backbone.decode_h(repeated(state, len(h)), h - state.h)
        out = eps if name == "decoder" else predict_x0(x_t, eps, a)
        return out if mask is None else out * mask

    return JacobianMap(name, f, state.h, lambda svd: svd.V)


def _pmp(backbone: Backbone, x_t: Tensor, t: int, mask: Tensor | None) -> JacobianMap:
    a = alpha_at(backbone.alphas_cumprod, t)

    def restricted(rows: Tensor | None) -> Map:
        def f(x_t: Tensor) -> Tensor:
            x_0 = predict_x0(x_t, backbone(x_t, _times(t, x_t)), a)
            return x_0 if rows is None else x_0 * rows

        return f

    def to_h(svd: JacobianSVD) -> Tensor:
        encoder = MapProducts(_encoder(backbone, x_t, t, "none").f, x_t)
        shifts = encoder.jvp(svd.V.flatten(1))
        return normalize(shifts, dim=1).reshape(len(shifts), *encoder.codomain)

    whole = JacobianMap("pmp", restricted(mask), x_t, to_h)
    if mask is None:
        return whole
    return replace(whole, complement=JacobianMap("pmp", restricted(1 - mask), x_t, to_h))


def repeated(state: State, count: int) -> State:
    """The state of one sample as that of `count` equal ones."""
    grown: State = _repeated(state, count)
    return grown


def _repeated(part: Any, count: int) -> Any:
    if isinstance(part, Tensor):
        return part.expand(count, *part.shape[1:]) if part.ndim and len(part) == 1 else part
    if isinstance(part, State):
        return State(*(_repeated(one, count) for one in (part.x_t, part.t, part.h, part.temb, part.tape)))
    if isinstance(part, dict):
        return {key: _repeated(value, count) for key, value in part.items()}
    if isinstance(part, tuple | list):
        return type(part)(_repeated(one, count) for one in part)
    return part


def _times(t: int, x_t: Tensor) -> Tensor:
    return torch.full((len(x_t),), float(t), device=x_t.device)
