"""Directions by chance, for what is found to be compared with."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hspace.backbone import Backbone, State
from hspace.direction import Direction
from hspace.head import Head
from hspace.sampling import Edit, Edits

Edited = Callable[[float], Edits]
"""The edits of a strength."""


class AsLong(Head):
    """A head whose delta_h has a fixed random direction in h, and at every state the length of another head's."""

    def __init__(self, inner: Head, unit: Tensor) -> None:
        super().__init__()
        self.inner, self.unit = inner, unit

    def forward(self, state: State) -> Tensor:
        lengths: Tensor = self.inner(state).flatten(1).norm(dim=1)
        return lengths.reshape(-1, 1, 1, 1) * self.unit.to(state.h)


def by_chance(one: Direction, backbone: Backbone, seed: int, index: int) -> Edited:
    """The edits of a random direction in h that at every state is as long as `one`, and acts where it does.

    The seed and the index fix it. Raises as `Direction.head` does.
    """
    shape = one.meta.backbone.h_shape
    generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
    unit = normalize(torch.randn(shape, generator=generator).flatten(), dim=0).reshape(shape)
    along = Edit.along(one, 1.0, backbone)
    return lambda strength: [replace(along, head=AsLong(along.head, unit), strength=strength)]
