"""A head that keeps what another one answers."""

import torch
from torch import Tensor

from hspace import Head, State


class Recording(Head):
    """The head inside, and the sums over pictures of its delta_h (Ch, Hh, Wh), float64 on the CPU, by timestep."""

    def __init__(self, inner: Head) -> None:
        super().__init__()
        self.inner = inner
        self.sums: dict[float, Tensor] = {}
        self.rows: dict[float, int] = {}

    def forward(self, state: State) -> Tensor:
        delta_h: Tensor = self.inner(state)
        for t in sorted(set(state.t.tolist())):
            there = delta_h[state.t == t].detach().cpu().double()
            self.sums[t] = self.sums.get(t, torch.zeros(())) + there.sum(dim=0)
            self.rows[t] = self.rows.get(t, 0) + len(there)
        return delta_h

    def means(self) -> dict[float, Tensor]:
        """The mean delta_h (Ch, Hh, Wh) at each timestep, in rising order."""
        return {t: self.sums[t] / self.rows[t] for t in sorted(self.sums)}
