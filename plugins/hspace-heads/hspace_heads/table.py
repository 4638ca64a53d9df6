"""The table head: delta_h written down, for every timestep or for some."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hspace import Head, State
from hspace.errors import UsageError


class Table(Head):
    """delta_h read from `vectors` (k, R, Ch, Hh, Wh): component k, at the row whose timestep is nearest to t.

    One row is a global vector, the same for all t; k components are a basis, of which `component` is used.
    """

    def __init__(self, h_shape: Sequence[int], timesteps: Sequence[float], components: int, component: int) -> None:
        super().__init__()
        self.component = component
        self.vectors = nn.Parameter(torch.zeros(components, len(timesteps), *h_shape))
        self.timesteps = torch.tensor(timesteps, dtype=torch.float32)

    def forward(self, state: State) -> Tensor:
        distances = (state.t.float().cpu()[:, None] - self.timesteps).abs()  # (B, R)
        rows = distances.argmin(dim=1).to(self.vectors.device)
        return self.vectors[self.component, rows].to(state.h.dtype)


def build(
    h_shape: Sequence[int],
    temb_dim: int | None,
    timesteps: Sequence[float] = (0,),
    components: int = 1,
    component: int = 0,
) -> Table:
    """A table for h of `h_shape`, all zeros: one row per entry of `timesteps`, `components` directions.

    Raises UsageError when there is no timestep, or the component is not one of them.
    """
    if not timesteps:
        raise UsageError("a table needs at least one timestep; timesteps=[] was given")
    if not 0 <= component < components:
        raise UsageError(f"component must be from 0 to {components - 1}; {component} was given")
    return Table(h_shape, timesteps, components, component)
