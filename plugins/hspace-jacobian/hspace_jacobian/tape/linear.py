"""Linear maps that carry a tangent forward and a cotangent back.

A recorded value has the shape (*s); its tangents come as (b, *s), b of them at once, and its cotangents too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

Carry = Callable[[Tensor], Tensor]


class Linear(ABC):
    """One linear map between two recorded values."""

    @abstractmethod
    def push(self, t: Tensor) -> Tensor:
        """The image (b, *target) of tangents (b, *source)."""

    @abstractmethod
    def pull(self, c: Tensor) -> Tensor:
        """The image (b, *source) of cotangents (b, *target) under the transpose."""

    def then(self, after: Linear) -> Linear | None:
        """One map that does this and then `after`, where that is cheaper than both; else None."""
        return self if isinstance(after, Identity) else None

    def to(self, dtype: torch.dtype) -> Self:
        """The same map with its tensors in another precision."""
        changed: Self = replace(self, **{name: x.to(dtype) for name, x in self._tensors().items()})  # type: ignore[type-var]
        return changed

    def activations(self) -> list[Tensor]:
        """What it holds of the point."""
        return list(self._tensors().values())

    def _tensors(self) -> dict[str, Tensor]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: x for name, x in values.items() if isinstance(x, Tensor) and x.is_floating_point()}


@dataclass(frozen=True)
class Identity(Linear):
    """t -> t."""

    def push(self, t: Tensor) -> Tensor:
        return t

    def pull(self, c: Tensor) -> Tensor:
        return c

    def then(self, after: Linear) -> Linear | None:
        return after


@dataclass(frozen=True)
class Scale(Linear):
    """t -> d t, for d a number or of a shape that broadcasts to that of the value, which it leaves as it is."""

    d: Any  # Tensor | float

    def push(self, t: Tensor) -> Tensor:
        return torch.mul(t, self.d)

    def pull(self, c: Tensor) -> Tensor:
        return torch.mul(c, self.d)

    def then(self, after: Linear) -> Linear | None:
        return Scale(self.d * after.d) if isinstance(after, Scale) else super().then(after)


@dataclass(frozen=True)
class Moved(Linear):
    """Entries moved, copied, left out or summed: a map without numbers, given with its transpose."""

    forward: Carry
    back: Carry

    def push(self, t: Tensor) -> Tensor:
        return self.forward(t)

    def pull(self, c: Tensor) -> Tensor:
        return self.back(c)


@dataclass(frozen=True)
class Through(Linear):
    """t -> operation(t) for an operation linear in t; autograd finds the transpose. `source` is (*s)."""

    operation: Carry
    source: torch.Size

    def push(self, t: Tensor) -> Tensor:
        return self.operation(t)

    def pull(self, c: Tensor) -> Tensor:
        with torch.enable_grad():
            t = c.new_zeros(len(c), *self.source).requires_grad_()
            out = self.operation(t)
        return torch.autograd.grad(out, t, c)[0]


@dataclass(frozen=True)
class Times(Linear):
    """t -> t @ right."""

    right: Tensor

    def push(self, t: Tensor) -> Tensor:
        return t @ self.right

    def pull(self, c: Tensor) -> Tensor:
        return c @ self.right.mT


@dataclass(frozen=True)
class LeftTimes(Linear):
    """t -> left @ t."""

    left: Tensor

    def push(self, t: Tensor) -> Tensor:
        return self.left @ t

    def pull(self, c: Tensor) -> Tensor:
        return self.left.mT @ c


@dataclass(frozen=True)
class QueryTimes(Linear):
    """t -> q @ t transposed: how attention depends on its keys."""

    q: Tensor

    def push(self, t: Tensor) -> Tensor:
        return self.q @ t.mT

    def pull(self, c: Tensor) -> Tensor:
        return c.mT @ self.q


@dataclass(frozen=True)
class Softmax(Linear):
    """t -> P (t - sum(P t)), the derivative of a softmax with the value P along `dim` (negative); symmetric."""

    P: Tensor
    dim: int

    def push(self, t: Tensor) -> Tensor:
        Pt = self.P * t
        return Pt.sub_(self.P * Pt.sum(self.dim, keepdim=True))

    def pull(self, c: Tensor) -> Tensor:
        return self.push(c)


@dataclass(frozen=True)
class Broadcast(Linear):
    """t (b, *source) -> its broadcast to (b, *target); the transpose sums."""

    source: torch.Size
    target: torch.Size

    def push(self, t: Tensor) -> Tensor:
        return t.reshape(len(t), *[1] * (len(self.target) - len(self.source)), *self.source).expand(-1, *self.target)

    def pull(self, c: Tensor) -> Tensor:
        return c.sum_to_size(len(c), *[1] * (len(self.target) - len(self.source)), *self.source).reshape(
            len(c), *self.source
        )


def by_tangent(x: Tensor, count: int) -> Tensor:
    """(b, B, ...) of the samples (b B, ...) of b tangents."""
    return x.reshape(count, -1, *x.shape[1:])
