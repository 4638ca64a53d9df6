"""A backbone's own curves: how far P_t and x_t are from the finished picture. They are measured once and kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hspace import Backbone
from hspace.errors import HspaceError
from hspace.fingerprint import identity
from hspace.sampling import ddim_step, predict_x0
from hspace.schedule import alpha_at, generation
from hspace.storage import cache_folder, tensor_sha256, write_bytes
from hspace_asyrp.distance import Distance
from hspace_asyrp.window import Curves

PICTURES = 16
"""How many latents a curve is measured on, where there are as many."""


def curves_of(
    backbone: Backbone,
    distance: Distance,
    x_T: Tensor,
    steps: int,
    *,
    batch: int = 8,
    callback: Callable[[int, int], None] | None = None,
) -> Curves:
    """The curves of a backbone on the first 16 of x_T (N, C, H, W), from the cache where they were measured before.

    `callback` gets (latents done, latents in all) and is not called for curves from the cache.
    """
    known = curves_before(backbone, distance, x_T, steps)
    if known is not None:
        return known
    curves = measure(backbone, distance, x_T[:PICTURES], steps, batch=batch, callback=callback)
    with suppress(HspaceError):  # a cache that cannot be written costs time alone
        write_bytes(_path(backbone, distance, x_T, steps), json.dumps(asdict(curves)).encode())
    return curves


def curves_before(backbone: Backbone, distance: Distance, x_T: Tensor, steps: int) -> Curves | None:
    """The curves that `curves_of` kept; None where there are none, or their file is damaged."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        content = json.loads(_path(backbone, distance, x_T, steps).read_text(encoding="utf-8"))
        return _curves(content)
    return None


@torch.no_grad()
def measure(
    backbone: Backbone,
    distance: Distance,
    x_T: Tensor,
    steps: int,
    *,
    batch: int = 8,
    callback: Callable[[int, int], None] | None = None,
) -> Curves:
    """The curves along the unedited generation from x_T (N, C, H, W), a network pass per latent and step.

    Where x_T was inverted, x_0 is the picture as it comes back. Source: Kwon et al., Asyrp; the released code measures
    along the inversion, and books P_t under the timestep after its own.
    """
    pairs = generation("asyrp", steps, len(backbone.alphas_cumprod))
    sums = torch.zeros(2, len(pairs), dtype=torch.float64)
    done = 0
    for x_t in torch.split(x_T, batch):
        on_the_way: list[tuple[Tensor, Tensor]] = []
        for t, t_next in pairs:
            a_t, a_next = alpha_at(backbone.alphas_cumprod, t), alpha_at(backbone.alphas_cumprod, t_next)
            eps = backbone(x_t, torch.full((len(x_t),), float(t), device=x_t.device))
            on_the_way.append((predict_x0(x_t, eps, a_t), x_t))
            x_t = ddim_step(x_t, eps, a_t, a_next)
        far = distance.measured_from(backbone.x0_to_image(x_t))
        for step, both in enumerate(on_the_way):
            for kind, one in enumerate(both):
                sums[kind, step] += far(backbone.x0_to_image(one)).double().sum().cpu()
        done += len(x_t)
        if callback is not None:
            callback(done, len(x_T))
    P_t, noisy = (tuple(row) for row in (sums / done).tolist())
    return Curves(tuple(t for t, _ in pairs), P_t, noisy, distance.name, distance.lpips, done)


def _path(backbone: Backbone, distance: Distance, x_T: Tensor, steps: int) -> Path:
    told = [identity(backbone), distance.digest, tensor_sha256(x_T[:PICTURES]), list(x_T[:PICTURES].shape), steps]
    return cache_folder() / "curves" / f"{sha256(json.dumps(told).encode()).hexdigest()}.json"


def _curves(content: dict[str, Any]) -> Curves:
    """The curves in a file of the cache. Raises TypeError or ValueError where it holds none."""
    timesteps, P_t, x_t = (tuple(content.pop(key)) for key in ("timesteps", "P_t", "x_t"))
    curves = Curves(timesteps, P_t, x_t, **content)
    if not len(curves.timesteps) == len(curves.P_t) == len(curves.x_t) > 0:
        raise ValueError("the curves are of different lengths")
    return curves
