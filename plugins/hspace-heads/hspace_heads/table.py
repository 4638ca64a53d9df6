"""The table head: delta_h written down, for every timestep or for some."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from hspace import Head, State
from hspace.errors import UsageError
from hspace.schedule import timesteps as sequence_of
from hspace_heads.options import Between, at_least_one, one_of


class Table(Head):
    """delta_h read from `vectors` (k, R, Ch, Hh, Wh): component k, at the row whose timestep is nearest to t.

    With `between="linear"` it is read on the line between the two rows around t, and beyond the ends at the end. One
    row is a global vector, the same for all t; k components are a basis, of which `component` is used. The vectors
    are its parameters, and start at 0: training them is training delta_h itself.
    """

    def __init__(
        self, h_shape: Sequence[int], timesteps: Sequence[float], components: int, component: int, between: Between
    ) -> None:
        super().__init__()
        self.component = component
        self.between = between
        self.vectors = nn.Parameter(torch.zeros(components, len(timesteps), *h_shape))
        self.timesteps = torch.tensor(timesteps, dtype=torch.float32)  # no buffer: bfloat16 would round it

    def forward(self, state: State) -> Tensor:
        rows, t = self.timesteps.to(state.t.device), state.t.float()
        vectors = self.vectors[self.component]
        if self.between == "linear" and len(rows) > 1:
            return _on_the_line(vectors, rows, t).to(state.h.dtype)
        nearest = (t[:, None] - rows).abs().argmin(dim=1)  # (B,)
        return vectors[nearest].to(state.h.dtype)


def _on_the_line(vectors: Tensor, rows: Tensor, t: Tensor) -> Tensor:
    upper = torch.searchsorted(rows, t).clamp(1, len(rows) - 1)
    low, high = rows[upper - 1], rows[upper]
    share = ((t - low) / (high - low)).clamp(0, 1).to(vectors.dtype)[:, None, None, None]
    return vectors[upper - 1] * (1 - share) + vectors[upper] * share


def build(
    h_shape: Sequence[int],
    temb_dim: int | None,
    timesteps: Sequence[float] | None = None,
    components: int = 1,
    component: int = 0,
    between: Between = "nearest",
    steps: int | None = None,
    t_edit: int = 0,
    T: int = 1000,
) -> Table:
    """A table for h of `h_shape`, all zeros: one row per entry of `timesteps`, `components` directions.

    In place of `timesteps`, `steps` makes a row for each timestep from t_edit up that sampling with so many steps
    visits on a schedule of T. With neither there is one row, a global vector.
    Raises UsageError when there is no timestep, the component is not one of them, or the rows of a table that is read
    on a line do not rise.
    """
    one_of("table", "between", between, Between)
    at_least_one("table", components=components, steps=steps)
    if steps is not None:
        if timesteps is not None:
            raise UsageError("table takes timesteps or steps; both were given")
        timesteps = [t for t in sequence_of("asyrp", steps, T) if t >= t_edit]
        if not timesteps:
            raise UsageError(f"no timestep of {steps} steps on a schedule of {T} is from t_edit = {t_edit} up")
    elif timesteps is None:
        timesteps = (0,)
    if not timesteps:
        raise UsageError("a table needs at least one timestep; timesteps=[] was given")
    if between == "linear" and any(low >= high for low, high in pairwise(timesteps)):
        raise UsageError(f"between=linear needs timesteps that rise; {list(timesteps)} was given")
    if not 0 <= component < components:
        raise UsageError(f"component must be from 0 to {components - 1}; {component} was given")
    return Table(h_shape, timesteps, components, component, between)
