"""Products of a Jacobian with blocks of vectors, without the Jacobian."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from math import ceil, prod
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from hspace.errors import HspaceError, UsageError

Map = Callable[[Tensor], Tensor]


@dataclass
class Counts:
    """How often the network was evaluated, pushed a tangent forward, and pulled a cotangent back (samples)."""

    primal: int = 0
    jvp: int = 0
    vjp: int = 0


class Products(Protocol):
    """A matrix J (m, n) known only by its products with blocks of row vectors."""

    engine: str
    counts: Counts
    z: Tensor  # (1, *domain): the point, and with it the precision and the device
    codomain: torch.Size

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n): the sizes of codomain and domain."""

    def jvp(self, V: Tensor) -> Tensor:
        """The rows J v (b, m) for the rows v of V (b, n)."""

    def vjp(self, U: Tensor) -> Tensor:
        """The rows Jᵀu (b, n) for the rows u of U (b, m)."""


class AutogradProducts:
    """Products with J = df/dz at one point z (1, *domain), by torch's own forward and reverse mode.

    `f` maps a batch (B, *domain) to (B, *codomain), row by row; whatever modules it closes over are left untouched.
    Up to `chunk` vectors travel at once.

    Raises UsageError where z is no single point in float32 or float64, f does not keep the batch, or f cuts the
    gradient; HspaceError where z, f(z) or a product is not finite.
    """

    engine = "vmap(jvp) + replicated vjp"

    def __init__(self, f: Map, z: Tensor, chunk: int | None = None) -> None:
        self.counts = Counts()
        self.chunk = (5 if z.device.type == "cpu" else 16) if chunk is None else chunk
        self._f = f
        self._graphs: dict[int, tuple[Tensor, Tensor]] = {}
        _check_point(z)
        if self.chunk < 1:
            raise UsageError(f"chunk={self.chunk}; at least 1 vector must go through the network at once")
        _load_forward_mode()
        with torch.inference_mode(False), torch.no_grad():
            self.z = z.detach().clone()
            h = self._primal(self.z)
        if h.ndim == 0 or len(h) != 1:
            raise UsageError(f"f must map (B, ...) to (B, ...); for B = 1 it returned the shape {tuple(h.shape)}")
        self.codomain = h.shape[1:]

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n): the sizes of codomain and domain."""
        return prod(self.codomain), self.z.numel()

    def jvp(self, V: Tensor) -> Tensor:
        """The rows J v (b, m) for the rows v of V (b, n), one primal per chunk."""

        def push(v: Tensor) -> Tensor:
            tangent: Tensor = torch.func.jvp(self._f, (self.z,), (v,))[1]
            return tangent

        tangents = V.reshape(-1, *self.z.shape).contiguous()  # forward mode refuses stride-0 tangents
        with _differentiable_kernels(), torch.inference_mode(False), torch.no_grad():
            JV: Tensor = torch.vmap(push, chunk_size=self.chunk, randomness="different")(tangents)
        self.counts.jvp += len(V)
        self.counts.primal += ceil(len(V) / self.chunk)
        return _finite(JV.reshape(len(V), -1), "a product J v")

    def vjp(self, U: Tensor) -> Tensor:
        """The rows Jᵀu (b, n) for the rows u of U (b, m), on kept graphs of replicated samples."""
        self.counts.vjp += len(U)
        rows = [self._pull(u) for u in torch.split(U, self.chunk)]
        return _finite(torch.cat(rows), "a product Jᵀu")

    def _pull(self, U: Tensor) -> Tensor:
        Z, H = self._graph(len(U))
        cotangents = U.reshape(H.shape).to(H)
        (JtU,) = torch.autograd.grad(H, Z, cotangents, retain_graph=True, materialize_grads=True)
        return JtU.reshape(len(U), -1)

    def _graph(self, size: int) -> tuple[Tensor, Tensor]:
        if size not in self._graphs:
            with _differentiable_kernels(), torch.inference_mode(False), torch.enable_grad():
                Z = self.z.repeat(size, *[1] * (self.z.ndim - 1)).requires_grad_()
                H = self._primal(Z)
            if not H.requires_grad:
                raise UsageError("f(z) carries no gradient: f detaches it or runs under torch.no_grad(); remove that")
            self._graphs[size] = Z, H
        return self._graphs[size]

    def _primal(self, Z: Tensor) -> Tensor:
        self.counts.primal += len(Z)
        return _finite(self._f(Z), "f(z)")


@contextmanager
def _differentiable_kernels() -> Iterator[None]:
    # Fused attention has no forward mode; both directions then differentiate one and the same function.
    with sdpa_kernel(SDPBackend.MATH):
        yield


@cache
def _load_forward_mode() -> None:
    # Its first use makes torch warn about a deprecated part of torch; nobody downstream can act on that.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script", category=FutureWarning)
        torch.func.jvp(torch.sin, (torch.zeros(1),), (torch.ones(1),))


def _check_point(z: Tensor) -> None:
    if z.dtype not in (torch.float32, torch.float64):
        raise UsageError(f"z is {z.dtype}; the singular vectors need float32 or float64, so cast f and z first")
    if z.ndim == 0 or len(z) != 1:
        raise UsageError(f"z must be one point of shape (1, ...); its shape is {tuple(z.shape)}")
    _finite(z, "z")


def _finite(x: Tensor, name: str) -> Tensor:
    if not x.isfinite().all():
        raise HspaceError(f"{name} contains NaN or infinity, so there is no Jacobian to decompose at this point")
    return x
