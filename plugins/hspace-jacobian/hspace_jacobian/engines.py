"""Ways to carry tangents and cotangents through a network at one point."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from copy import copy
from functools import cache
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from hspace.errors import UsageError
from hspace_jacobian.tape import linearize

Map = Callable[[Tensor], Tensor]


class Engine(Protocol):
    """J = df/dz at a point z (1, *domain), as a map of tangents and of cotangents."""

    name: ClassVar[str]
    dtype: torch.dtype  # in which it takes and gives vectors
    precision: torch.dtype  # in which it computes
    primals: int  # samples that were evaluated so far

    def push(self, V: Tensor) -> Tensor:
        """J v (b, 1, *codomain) for the tangents v of V (b, 1, *domain)."""

    def pull(self, U: Tensor) -> Tensor:
        """Jᵀu (b, 1, *domain) for the cotangents u of U (b, 1, *codomain)."""

    def bytes(self, rows: int) -> int:
        """About how much memory it takes while so many vectors travel."""


class Replay:
    """One evaluation, recorded as a graph of linear maps: see `tape`.

    Needs one sample's activations, no gradient, and works on whatever attention kernel ran. With `lift`, a network
    in half precision is recorded in float32. Raises `tape.Unsupported`.
    """

    name: ClassVar[str] = "replay"

    def __init__(self, f: Map, z: Tensor, *, lift: bool = False) -> None:
        with torch.inference_mode(False), torch.no_grad():
            self.h, self.tape = linearize(f, z, lift=lift)
        self.dtype = self.precision = torch.float32 if lift else z.dtype
        self.primals = 1

    def push(self, V: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.no_grad():
            return self.tape.push(V.flatten(0, 1)).unsqueeze(1)

    def pull(self, U: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.no_grad():
            return self.tape.pull(U.flatten(0, 1)).unsqueeze(1)

    def bytes(self, rows: int) -> int:
        return (1 + rows) * self.tape.bytes

    def to(self, dtype: torch.dtype) -> Replay:
        """The same derivative, carried in another precision."""
        other = copy(self)
        other.tape, other.dtype, other.precision, other.primals = self.tape.to(dtype), dtype, dtype, 0
        return other


class Reverse:
    """Cotangents by reverse mode, on kept graphs of as many copies of the sample as there are cotangents.

    `low` is a precision for torch.autocast. Raises UsageError where f cuts the gradient.
    """

    name: ClassVar[str] = "vjp"

    def __init__(self, f: Map, z: Tensor, *, low: torch.dtype | None = None) -> None:
        self.dtype, self.precision, self.primals = z.dtype, low or z.dtype, 0
        self._z, self._low = z.detach().clone(), low
        self._f = f
        self._graphs: dict[int, tuple[Tensor, Tensor]] = {}
        _load_forward_mode()

    def pull(self, U: Tensor) -> Tensor:
        Z, H = self._graph(len(U))
        cotangents = U.reshape(H.shape).to(H)
        (JtU,) = torch.autograd.grad(H, Z, cotangents, retain_graph=True, materialize_grads=True)
        return JtU.unsqueeze(1)

    def bytes(self, rows: int) -> int:
        saved: dict[int, int] = {}

        def pack(x: Tensor) -> Tensor:
            saved[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x), torch.enable_grad(), self._kernels():
            self._f(self._z.clone().requires_grad_())
        self.primals += 1
        return rows * sum(saved.values())

    def _graph(self, size: int) -> tuple[Tensor, Tensor]:
        if size not in self._graphs:
            with self._kernels(), torch.inference_mode(False), torch.enable_grad():
                Z = self._z.repeat(size, *[1] * (self._z.ndim - 1)).requires_grad_()
                H = self._f(Z)
            self.primals += size
            if not H.requires_grad:
                raise UsageError("f(z) carries no gradient: f detaches it or runs under torch.no_grad(); remove that")
            self._graphs[size] = Z, H
        return self._graphs[size]

    @contextmanager
    def _kernels(self) -> Iterator[None]:
        # Fused attention has no forward mode and no second derivative; this one has both.
        low = nullcontext() if self._low is None else torch.autocast(self._z.device.type, self._low)
        with sdpa_kernel(SDPBackend.MATH), low:
            yield


class ForwardMode(Reverse):
    """Tangents by torch's forward mode, vectorised; cotangents by `Reverse`."""

    name: ClassVar[str] = "jvp"

    def push(self, V: Tensor) -> Tensor:
        def one(v: Tensor) -> Tensor:
            tangent: Tensor = torch.func.jvp(self._f, (self._z,), (v,))[1]
            return tangent

        self.primals += 1
        with self._kernels(), torch.inference_mode(False), torch.no_grad():
            JV: Tensor = torch.vmap(one, randomness="different")(V.contiguous())  # stride-0 tangents are refused
        return JV


class DoubleReverse(Reverse):
    """Tangents by reverse mode through reverse mode: Jᵀu is linear in u, and its transpose is J."""

    name: ClassVar[str] = "double_vjp"

    def __init__(self, f: Map, z: Tensor, *, low: torch.dtype | None = None) -> None:
        super().__init__(f, z, low=low)
        self._duals: dict[int, tuple[Tensor, Tensor]] = {}

    def push(self, V: Tensor) -> Tensor:
        U, JtU = self._dual(len(V))
        (JV,) = torch.autograd.grad(JtU, U, V.reshape(JtU.shape), retain_graph=True, materialize_grads=True)
        return JV.unsqueeze(1)

    def _dual(self, size: int) -> tuple[Tensor, Tensor]:
        if size not in self._duals:
            Z, H = self._graph(size)
            with self._kernels(), torch.inference_mode(False), torch.enable_grad():
                U = torch.zeros_like(H).requires_grad_()
                (JtU,) = torch.autograd.grad(H, Z, U, create_graph=True, materialize_grads=True)
            self._duals[size] = U, JtU
        return self._duals[size]


REVERSE: dict[str, type[ForwardMode] | type[DoubleReverse]] = {"jvp": ForwardMode, "double_vjp": DoubleReverse}
ENGINES = ("replay", *REVERSE)
"""From the fastest to the slowest."""


@cache
def _load_forward_mode() -> None:
    # Its first use makes torch warn about a deprecated part of torch; nobody downstream can act on that.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script", category=FutureWarning)
        torch.func.jvp(torch.sin, (torch.zeros(1),), (torch.ones(1),))
