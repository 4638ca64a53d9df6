"""Directions written down row by row, on their way to a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hspace_jacobian.signs import largest_positive


@dataclass(frozen=True)
class Rows:
    """Shifts of h: `vectors` (k, R, Ch, Hh, Wh) on the CPU, with a row for each of R timesteps."""

    vectors: Tensor
    timesteps: tuple[int, ...]

    def at(self, timesteps: Sequence[int]) -> Rows:
        """The same shifts with a row for each of other timesteps: that of the nearest of its own."""
        own = torch.tensor(self.timesteps)
        nearest = (torch.tensor(timesteps)[:, None] - own).abs().argmin(dim=1)
        return Rows(self.vectors[:, nearest], tuple(timesteps))


def aligned(vectors: Tensor) -> Tensor:
    """The vectors (k, R, ...) with the largest entry of each first row positive, and no later row against it.

    Source: Haas et al., arXiv:2303.11073: every timestep is flipped to have a product with the first that is not
    negative.
    """
    rows = vectors.flatten(2)
    first = rows[:, 0] * largest_positive(rows[:, 0])[:, None]
    along = torch.einsum("km,krm->kr", first, rows)
    signs = torch.where(along < 0, -1.0, 1.0).to(rows)
    return (rows * signs[:, :, None]).reshape(vectors.shape)
