"""The full Jacobian in float64 as the truth, and how far vectors are from it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from math import degrees

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

Map = Callable[[Tensor], Tensor]
CHUNK = 32


@dataclass(frozen=True)
class Truth:
    """The leading singular values (r,) and right singular vectors (r, n) of a Jacobian."""

    sigma: Tensor
    V: Tensor


def truth(f: Map, z: Tensor, rank: int) -> Truth:
    """The leading `rank` triplets of f's Jacobian at z (1, ...), both float64, from all of its rows or columns.

    By plain reverse or forward mode, and the eigenvectors of the smaller Gram matrix: none of the code under test.
    """
    with sdpa_kernel(SDPBackend.MATH):
        m, n = f(z).numel(), z.numel()
        J = _rows(f, z, m) if m <= n else _columns(f, z, n).T
    gram = J @ J.T if m <= n else J.T @ J
    values, vectors = torch.linalg.eigh(gram)
    sigma, leading = values.flip(0)[:rank].sqrt(), vectors.flip(1)[:, :rank]
    V = (J.T @ leading / sigma).T if m <= n else leading.T
    return Truth(sigma, V)


def _rows(f: Map, z: Tensor, m: int) -> Tensor:
    Z = z.repeat(CHUNK, *[1] * (z.ndim - 1)).requires_grad_()
    H = f(Z).flatten(1)
    rows = []
    for start in range(0, m, CHUNK):
        C = torch.zeros_like(H)
        places = range(start, min(start + CHUNK, m))
        C[range(len(places)), places] = 1
        rows.append(torch.autograd.grad(H, Z, C, retain_graph=True)[0].flatten(1)[: len(places)])
    return torch.cat(rows)


def _columns(f: Map, z: Tensor, n: int) -> Tensor:
    def one(v: Tensor) -> Tensor:
        tangent: Tensor = torch.func.jvp(f, (z,), (v,))[1]
        return tangent.flatten()

    eye = torch.eye(n, dtype=z.dtype).reshape(n, *z.shape)
    with torch.no_grad():
        columns: Tensor = torch.vmap(one, chunk_size=CHUNK)(eye)
    return columns


def angle(V: Tensor, exact: Tensor) -> float:
    """The largest principal angle, in degrees, between the spans of rows V and of orthonormal rows `exact`."""
    Q = torch.linalg.qr(V.double().T).Q
    return degrees(float(torch.linalg.matrix_norm(Q.T - (Q.T @ exact.T) @ exact, ord=2).clamp(max=1).asin()))


def doubled(model: torch.nn.Module) -> torch.nn.Module:
    """A copy of a model in float64."""
    return deepcopy(model).double()
