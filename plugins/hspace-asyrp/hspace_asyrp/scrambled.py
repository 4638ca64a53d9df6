"""Heads that nobody trained, as large as one that somebody did: what an edit of that size does by itself."""

import torch
from torch import Tensor

from hspace import Head, State


class Scrambled(Head):
    """The head inside, with the channels of its delta_h in another order and with random signs.

    So it is as large at every timestep and place, and means nothing.
    """

    def __init__(self, inner: Head, channels: int, seed: int) -> None:
        super().__init__()
        self.inner = inner
        generator = torch.Generator().manual_seed(seed)
        self.order = torch.randperm(channels, generator=generator)
        self.signs = torch.randint(2, (channels, 1, 1), generator=generator) * 2.0 - 1

    def forward(self, state: State) -> Tensor:
        delta_h: Tensor = self.inner(state)
        return delta_h[:, self.order.to(delta_h.device)] * self.signs.to(delta_h)
