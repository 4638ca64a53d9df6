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

from hspace_jacobian.tape.convolution import laid_out, samples
from hspace_jacobian.tape.linear import Linear, Scale, by_tangent

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
        count, (B, C, *spatial) = t.shape[0], self.hat.shape
        N = count * B
        hat, zero, one = self._copies.get(N) or self._repeated(count)
        projected: Tensor = torch.ops.aten.native_group_norm_backward.default(
            samples(t), hat, zero, one, None, N, C, prod(spatial), self.groups, PROJECTED
        )[0]
        return by_tangent(projected, count)

    def _repeated(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """hat for so many tangents, and its means and spreads; the copies are those of the largest count so far."""
        N = count * len(self.hat)
        if max(self._copies, default=0) < N:
            self._copies.clear()
            hat = laid_out(self.hat.repeat(count, *[1] * (self.hat.ndim - 1)))
        else:
            hat = self._copies[max(self._copies)][0][:N]
        zero = hat.new_zeros(N, self.groups)
        self._copies[N] = hat, zero, zero + 1
        return self._copies[N]

    def to(self, dtype: torch.dtype) -> GroupNormal:
        return replace(super().to(dtype), _copies={})


@dataclass(frozen=True)
class LayerNormal(Normalise):
    """Over the last `dims` dimensions."""

    dims: int

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

    def _project(self, t: Tensor) -> Tensor:
        along = (t * self.hat).mean(tuple(range(-self.dims, 0)), keepdim=True)
        return torch.addcmul(t, self.hat, along, value=-1)
