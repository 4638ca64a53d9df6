"""States to evaluate heads on."""

import torch

from hspace import State

H_SHAPE = (8, 2, 3)
TEMB_DIM = 16


def state(n: int = 6, seed: int = 0) -> State:
    """n rows at several timesteps, of an h that is not square."""
    generator = torch.Generator().manual_seed(seed)
    h = torch.randn(n, *H_SHAPE, generator=generator)
    t = torch.tensor([100.0, 500.0, 900.0]).repeat(n // 3 + 1)[:n]
    return State(torch.zeros(n, 3, 8, 8), t, h, torch.randn(n, TEMB_DIM, generator=generator))


def at(*timesteps: float) -> State:
    """Rows at these timesteps, all of whose numbers are 0."""
    n = len(timesteps)
    return State(torch.zeros(n, 3, 8, 8), torch.tensor(timesteps), torch.zeros(n, 2, 1, 1), torch.zeros(n, 4))
