"""How a new head starts: weights that a seed fixes, and a last layer that edits nothing, or next to nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from hspace_heads.options import Init

SMALL = 0.01
"""What `small` leaves of the last layer's own start."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draws what is drawn inside from the seed, on the CPU; every generator is left as it was."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        yield


@torch.no_grad()
def start(last: nn.Module, init: Init) -> None:
    """Scales the weights of a head's last layer to the start that was asked for."""
    if init != "random":
        for parameter in last.parameters():
            parameter.mul_(SMALL) if init == "small" else parameter.zero_()
