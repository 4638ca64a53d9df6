"""The derivatives of normalisations: a projection, then a scaling.

y = hat w + b with hat = (x - mean x) / std x, so dy = (w / std) (t - mean(t) - hat mean(hat t)): t loses what would
change the mean and the spread. The projection is symmetric, and it is what torch's own backward kernels compute.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from math import prod

import torch
from torch import Tensor

from hspace_jacobian.tape.convolution import laid_out
from hspace_jacobian.tape.linear import Linear, Scale

PROJECTED = (True, False, False)
"""Of the results of a backward kernel, that for the input."""


@dataclass(frozen=True)
class Normalise(Linear):
    """t -> scale (t - mean(t) - hat mean(hat t)); `hat` has the shape of the value, `scale` broadcasts to it."""

    hat: Tensor
    scale: Tensor

    def push(self, t: Tensor) -> Tensor:
        return self._project(t) * self.scale

    def pull(self, c: Tensor) -> Tensor:
        return self._project(c * self.scale)

    def then(self, after: Linear) -> Linear | None:
        return replace(self, scale=laid_out(self.scale * after.d)) if isinstance(after, Scale) else super().then(after)

    @abstractmethod
    def _project(self, t: Tensor) -> Tensor:
        """t - mean(t) - hat mean(hat t)."""


@dataclass(frozen=True)
class GroupNormal(Normalise):
    """Over groups of channels of values (B, C, *spatial). Keeps as many copies of hat as there were tangents."""

    groups: int
    _copies: dict[int, tuple[Tensor, Tensor, Tensor]] = field(default_factory=dict, compare=False)

    def _project(self, t: Tensor) -> Tensor:
        N, (_, C, *spatial) = t.shape[0], self.hat.shape
        hat, zero, one = self._copies.get(N) or self._repeated(N)
        projected: Tensor = torch.ops.aten.native_group_norm_backward.default(
            laid_out(t), hat, zero, one, None, N, C, prod(spatial), self.groups, PROJECTED
        )[0]
        return projected

    def _repeated(self, N: int) -> tuple[Tensor, Tensor, Tensor]:
        """N copies of hat, their means and spreads; the copies are those of the largest N so far."""
        if max(self._copies, default=0) < N:
            self._copies.clear()
            hat = laid_out(self.hat.repeat(N // len(self.hat), *[1] * (self.hat.ndim - 1)))
        else:
            hat = self._copies[max(self._copies)][0][:N]
        zero = hat.new_zeros(N, self.groups)
        self._copies[N] = hat, zero, zero + 1
        return self._copies[N]

    def splits(self, source: torch.Size) -> bool:
        return self.scale.shape[0] > 1

    def to(self, dtype: torch.dtype) -> GroupNormal:
        return replace(super().to(dtype), _copies={})


@dataclass(frozen=True)
class LayerNormal(Normalise):
    """Over the last `dims` dimensions."""

    dims: int

    def splits(self, source: torch.Size) -> bool:
        return len(self.hat) > 1 or len(source) == self.dims

    def _project(self, t: Tensor) -> Tensor:
        shape, lead = self.hat.shape[-self.dims :], t.shape[: -self.dims]
        zero = t.new_zeros(*lead, *[1] * self.dims)
        projected: Tensor = torch.ops.aten.native_layer_norm_backward(
            t.contiguous(),
            self.hat.expand(t.shape).contiguous(),
            shape,
            zero,
            zero + 1,
            None,
            None,
            (True, False, False),
        )[0]
        return projected


@dataclass(frozen=True)
class RMSNormal(Normalise):
    """Over the last `dims` dimensions, without the mean: hat = x / rms(x)."""

    dims: int

    def splits(self, source: torch.Size) -> bool:
        return len(self.hat) > 1 or len(source) == self.dims

    def _project(self, t: Tensor) -> Tensor:
        along = (t * self.hat).mean(tuple(range(-self.dims, 0)), keepdim=True)
        return torch.addcmul(t, self.hat, along, value=-1)
