"""How others find these singular vectors: their algorithms and constants, in our words.

All run under the math attention kernel, which forward mode needs; their own repositories turned fused kernels off for
the same reason. `sweeps` counts passes over the block, `products` what they cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

Map = Callable[[Tensor], Tensor]
Watch = Callable[[Tensor], bool]


@dataclass
class Found:
    """Right (or for `semantic_diffusion` left) vectors (k, n), singular values, and what they took."""

    vectors: Tensor
    sigma: Tensor
    sweeps: int = 0
    counts: dict[str, int] = field(default_factory=lambda: {"primal": 0, "jvp": 0, "vjp": 0})


def pullback(
    f: Map,
    x: Tensor,
    k: int,
    *,
    chunk: int = 25,
    atol: float = 1e-4,
    at_least: int = 10,
    at_most: int = 50,
    seed: int = 0,
    enough: Watch | None = None,
) -> Found:
    """Subspace iteration as Diffusion-Pullback runs it, and LOCO-Edit on its own map.

    Each direction has a primal of its own in forward mode, each cotangent a backward pass of its own; the right
    factor of the SVD of Jᵀ J V goes on. It stops when no entry changes by `atol`, signs included, after more than
    `at_least` sweeps. `enough` (not theirs) looks at V after every sweep and may stop it.

    Source: Park et al., arXiv:2307.12868; Chen et al., arXiv:2409.02374; their public code.
    """
    n = x.numel()
    start = torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    V = torch.linalg.qr(start).Q.T.reshape(k, *x.shape[1:])
    found = Found(V, V.new_zeros(k))
    with sdpa_kernel(SDPBackend.MATH):
        for sweep in range(at_most):
            U = torch.cat([_along(f, x, part) for part in V.split(chunk)])
            W = _pulled(f, x, U)
            _, s, Vh = torch.linalg.svd(W.reshape(k, -1), full_matrices=False)
            before, V = V, Vh.reshape(V.shape)
            found.counts["primal"] += k + 1
            found.counts["jvp"] += k
            found.counts["vjp"] += k
            found.vectors, found.sigma, found.sweeps = V.reshape(k, -1), s.sqrt(), sweep + 1
            if enough is not None and enough(found.vectors):
                break
            if torch.allclose(before, V, atol=atol) and sweep > at_least:
                break
    return found


def _along(f: Map, x: Tensor, V: Tensor) -> Tensor:
    """J v (k, m) as the derivative of a -> f(x + a V) at a = 0."""
    U: Tensor = torch.func.jacfwd(lambda a: f(x + a * V))(x.new_zeros(()))
    return U.flatten(1).detach()


def _pulled(f: Map, x: Tensor, U: Tensor) -> Tensor:
    """Jᵀu (k, *domain) as the Jacobian of x -> <u_i, f(x)>, one backward pass for each i."""
    W: Tensor = torch.autograd.functional.jacobian(lambda x: U @ f(x).flatten(), x)
    return W.squeeze(1).detach()


def semantic_diffusion(
    full: Callable[[Tensor], Tensor],
    upper: Map,
    h: Tensor,
    k: int,
    *,
    change: float = 1e-5,
    hits: int = 10,
    at_most: int = 50,
    seed: int = 0,
) -> Found:
    """One vector after the other, as semantic-diffusion does it for h -> eps.

    v on the side of eps, q = Jᵀv on a kept graph of `upper` (h -> eps), w = J q by forward mode through the `full`
    network (h -> eps, with its encoder run again), w made orthogonal to what was found. It stops when ‖w‖ moved by
    less than `change`, which is absolute, more than `hits` times, and starts each vector from the one before it.

    Source: Haas et al., arXiv:2303.11073, and their public code.
    """
    found: list[Tensor] = []
    sigma, right, counts, sweeps = [], [], {"primal": 0, "jvp": 0, "vjp": 0}, 0
    with sdpa_kernel(SDPBackend.MATH):
        leaf = h.detach().clone().requires_grad_()
        eps = upper(leaf)
        v = torch.randn(eps.shape, generator=torch.Generator().manual_seed(seed), dtype=h.dtype)
        v = v / v.norm()
        for _ in range(k):
            last, quiet = None, 0
            for _ in range(at_most):
                (q,) = torch.autograd.grad(eps, leaf, v, retain_graph=True)
                w = torch.func.jvp(full, (h,), (q,))[1].detach()
                for other in found:
                    w = w - (w * other).sum() * other
                value = float(w.norm())
                v = w / value
                sweeps += 1
                counts["vjp"] += 1
                counts["jvp"] += 1
                counts["primal"] += 1
                quiet += last is not None and abs(value - last) < change
                last = value
                if quiet > hits:
                    break
            found.append(v)
            sigma.append(value**0.5)
            right.append(q.flatten() / q.norm())
    return Found(torch.stack(right), torch.tensor(sigma), sweeps, counts)
