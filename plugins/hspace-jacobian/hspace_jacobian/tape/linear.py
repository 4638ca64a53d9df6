"""Linear maps that carry a tangent forward and a cotangent back.

A recorded value has the shape (s, *rest). b of its tangents come at once as (b s, *rest), like a larger batch, and so
do its cotangents; where s is 1, as for a batch of one, that is what the network's own operations take. A map that has
to see them one by one says so in `splits`, and is then given (b, s, *rest).
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
        """The images of tangents."""

    @abstractmethod
    def pull(self, c: Tensor) -> Tensor:
        """The images of cotangents under the transpose."""

    def splits(self, source: torch.Size) -> bool:
        """Whether tangents of a value of the shape `source` must come as (b, *source)."""
        return True

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
class Apart(Linear):
    """A map that sees tangents one by one, between values whose first dimensions are `source` and `target` (or ())."""

    inner: Linear
    source: tuple[int, ...]
    target: tuple[int, ...]

    def push(self, t: Tensor) -> Tensor:
        return _together(self.inner.push(_apart(t, self.source)), self.target)

    def pull(self, c: Tensor) -> Tensor:
        return _together(self.inner.pull(_apart(c, self.target)), self.source)

    def to(self, dtype: torch.dtype) -> Apart:
        return replace(self, inner=self.inner.to(dtype))

    def activations(self) -> list[Tensor]:
        return self.inner.activations()


def fitted(linear: Linear, source: torch.Size, target: torch.Size) -> Linear:
    """The map as it stands on a tape, between values of these shapes."""
    return Apart(linear, tuple(source[:1]), tuple(target[:1])) if linear.splits(source) else linear


def _apart(t: Tensor, first: tuple[int, ...]) -> Tensor:
    return t.reshape(-1, *first, *t.shape[1:]) if first else t


def _together(t: Tensor, first: tuple[int, ...]) -> Tensor:
    return t.flatten(0, 1) if first else t


@dataclass(frozen=True)
class Identity(Linear):
    """t -> t."""

    def push(self, t: Tensor) -> Tensor:
        return t

    def pull(self, c: Tensor) -> Tensor:
        return c

    def splits(self, source: torch.Size) -> bool:
        return False

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

    def splits(self, source: torch.Size) -> bool:
        return isinstance(self.d, Tensor) and self.d.ndim == len(source) and (not source or self.d.shape[0] > 1)

    def then(self, after: Linear) -> Linear | None:
        return Scale(self.d * after.d) if isinstance(after, Scale) else super().then(after)


@dataclass(frozen=True)
class Moved(Linear):
    """Entries moved, copied, left out or summed: a map without numbers, given with its transpose.

    `whole` where it takes (b s, *rest), as most operations do that leave the first dimension alone.
    """

    forward: Carry
    back: Carry
    whole: bool = True

    def push(self, t: Tensor) -> Tensor:
        return self.forward(t)

    def pull(self, c: Tensor) -> Tensor:
        return self.back(c)

    def splits(self, source: torch.Size) -> bool:
        return not self.whole


@dataclass(frozen=True)
class Through(Linear):
    """t -> operation(t) for an operation linear in t; autograd finds the transpose.

    `source` is the value's shape. `whole` as in `Moved`, for operations that keep the first dimension.
    """

    operation: Carry
    source: torch.Size
    whole: bool = False

    def push(self, t: Tensor) -> Tensor:
        return self.operation(t)

    def pull(self, c: Tensor) -> Tensor:
        with torch.enable_grad():
            t = self._zeros(c).requires_grad_()
            out = self.operation(t)
        return torch.autograd.grad(out, t, c)[0]

    def _zeros(self, c: Tensor) -> Tensor:
        lead = (c.shape[0],) if self.whole else (c.shape[0], *self.source[:1])
        return c.new_zeros(*lead, *self.source[1:])

    def splits(self, source: torch.Size) -> bool:
        return not self.whole


@dataclass(frozen=True)
class Times(Linear):
    """t -> t @ right."""

    right: Tensor

    def push(self, t: Tensor) -> Tensor:
        return t @ self.right

    def pull(self, c: Tensor) -> Tensor:
        return c @ self.right.mT

    def splits(self, source: torch.Size) -> bool:
        return self.right.ndim > 2 and self.right.shape[0] > 1


@dataclass(frozen=True)
class LeftTimes(Linear):
    """t -> left @ t."""

    left: Tensor

    def push(self, t: Tensor) -> Tensor:
        return self.left @ t

    def pull(self, c: Tensor) -> Tensor:
        return self.left.mT @ c

    def splits(self, source: torch.Size) -> bool:
        return len(source) == 2 or source[0] > 1


@dataclass(frozen=True)
class QueryTimes(Linear):
    """t -> q @ t transposed: how attention depends on its keys."""

    q: Tensor

    def push(self, t: Tensor) -> Tensor:
        return self.q @ t.mT

    def pull(self, c: Tensor) -> Tensor:
        return c.mT @ self.q

    def splits(self, source: torch.Size) -> bool:
        return len(source) == 2 or source[0] > 1


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

    def splits(self, source: torch.Size) -> bool:
        return self.P.shape[0] > 1


@dataclass(frozen=True)
class Broadcast(Linear):
    """t (b, *source) -> its broadcast to (b, *target); the transpose sums."""

    source: torch.Size
    target: torch.Size

    def push(self, t: Tensor) -> Tensor:
        return t.reshape(self._aligned(t)).expand(-1, *self.target)

    def pull(self, c: Tensor) -> Tensor:
        return c.sum_to_size(self._aligned(c)).reshape(len(c), *self.source)

    def _aligned(self, x: Tensor) -> tuple[int, ...]:
        return (len(x), *[1] * (len(self.target) - len(self.source)), *self.source)
