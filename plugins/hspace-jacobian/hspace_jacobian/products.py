"""Products of a Jacobian with blocks of vectors, without the Jacobian."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from hspace.errors import UsageError
from hspace_jacobian.choice import HALF, EngineName, choose, finite
from hspace_jacobian.engines import REVERSE, Map, Replay
from hspace_jacobian.tape.linear import Carry


@dataclass
class Counts:
    """How often the network was evaluated, pushed a tangent forward, and pulled a cotangent back (samples).

    `low_jvp` and `low_vjp` are those among them that were carried in a lower precision than the result is in.
    """

    primal: int = 0
    jvp: int = 0
    vjp: int = 0
    low_jvp: int = 0
    low_vjp: int = 0


class Products(Protocol):
    """A matrix J (m, n) known only by its products with blocks of row vectors."""

    counts: Counts
    z: Tensor  # (1, *domain): the point, in the precision that vectors are kept in, and on their device
    codomain: torch.Size

    @property
    def eps(self) -> float:
        """The relative precision of a product."""

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n): the sizes of codomain and domain."""

    def jvp(self, V: Tensor) -> Tensor:
        """The rows J v (b, m) for the rows v of V (b, n)."""

    def vjp(self, U: Tensor) -> Tensor:
        """The rows Jᵀu (b, n) for the rows u of U (b, m)."""


class MapProducts:
    """Products with J = df/dz at one point z (1, *domain), by the engine that works.

    `f` maps a batch (B, *domain) to (B, *codomain), row by row; whatever modules it closes over are left untouched.
    Up to `chunk` vectors travel at once. They are kept in the precision of z, in float32 where that is half.

    Raises UsageError where z is no single point, f does not keep the batch, or f cuts the gradient; HspaceError where
    z, f(z) or a product is not finite, or no engine works.
    """

    def __init__(self, f: Map, z: Tensor, chunk: int | None = None, engine: EngineName = "auto") -> None:
        _check_point(z)
        self.counts = Counts()
        self.chunk = (8 if z.device.type == "cpu" else 16) if chunk is None else chunk
        if self.chunk < 1:
            raise UsageError(f"chunk={self.chunk}; at least 1 vector must go through the network at once")
        self._f, self._point = f, z
        chosen = choose(f, z, engine)
        self._engine, self.note = chosen.engine, chosen.note
        self.z = z.detach().clone().to(torch.float32 if z.dtype in HALF else z.dtype)
        self.h = chosen.h.detach().to(self.z.dtype)
        self.codomain = self.h.shape[1:]
        self.low = False
        self._counted = 0

    def lowered(self, dtype: torch.dtype) -> MapProducts:
        """The same products computed in another precision, with the same counts."""
        other = copy(self)
        other.low, other._counted = True, 0
        if isinstance(self._engine, Replay):
            other._engine = self._engine.to(dtype)
        elif self._point.dtype not in HALF:
            other._engine = REVERSE[self.engine](self._f, self._point, low=dtype)
        return other

    @property
    def engine(self) -> str:
        """The engine's name."""
        return self._engine.name

    @property
    def eps(self) -> float:
        """The relative precision of a product."""
        return torch.finfo(self._engine.precision).eps

    @property
    def precision(self) -> str:
        """What products are computed in."""
        return str(self._engine.precision).removeprefix("torch.")

    @property
    def half(self) -> torch.dtype:
        """The half precision that goes with the point's own."""
        return self._point.dtype if self._point.dtype in HALF else torch.bfloat16

    @property
    def bytes(self) -> int:
        """What the network's derivative takes while `chunk` vectors travel, as far as that can be told."""
        return self._engine.bytes(self.chunk)

    @property
    def row_bytes(self) -> int:
        """What one vector of each side takes."""
        return sum(self.shape) * self.z.element_size()

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n): the sizes of codomain and domain."""
        return prod(self.codomain), self.z.numel()

    def jvp(self, V: Tensor) -> Tensor:
        """The rows J v (b, m) for the rows v of V (b, n)."""
        self.counts.jvp += len(V)
        self.counts.low_jvp += len(V) * self.low
        return self._carried(self._engine.push, V, self.z.shape, "a product J v")

    def vjp(self, U: Tensor) -> Tensor:
        """The rows Jᵀu (b, n) for the rows u of U (b, m)."""
        self.counts.vjp += len(U)
        self.counts.low_vjp += len(U) * self.low
        return self._carried(self._engine.pull, U, self.h.shape, "a product Jᵀu")

    def _carried(self, carry: Carry, rows: Tensor, shape: torch.Size, name: str) -> Tensor:
        parts = torch.split(rows.reshape(-1, *shape).to(self._engine.dtype), self.chunk)
        images = torch.cat([carry(part).flatten(1).to(self.z.dtype) for part in parts])
        self.counts.primal += self._engine.primals - self._counted
        self._counted = self._engine.primals
        return finite(images, name)


def _check_point(z: Tensor) -> None:
    if not z.is_floating_point():
        raise UsageError(f"z is {z.dtype}; a derivative needs float32, float64, float16 or bfloat16")
    if z.ndim == 0 or len(z) != 1:
        raise UsageError(f"z must be one point of shape (1, ...); its shape is {tuple(z.shape)}")
    finite(z, "z")
