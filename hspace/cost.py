"""What a search will cost, before it starts: passes of the network, seconds on this machine, and memory."""

from __future__ import annotations

import sys
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hspace.backbone import Backbone, State
from hspace.finder import Finder
from hspace.sampling import latents

if TYPE_CHECKING:
    from hspace.finder import Task

TIMED = 3


@dataclass(frozen=True)
class Passes:
    """Network passes, counted in pictures: of the encoder half, of the decoder half, and of it with a graph."""

    encoder: int = 0
    decoder: int = 0
    decoder_with_graph: int = 0

    def __add__(self, other: Passes) -> Passes:
        return Passes(*(one + another for one, another in zip(self._all, other._all, strict=True)))

    def __mul__(self, times: int) -> Passes:
        return Passes(*(one * times for one in self._all))

    @property
    def _all(self) -> tuple[int, int, int]:
        return self.encoder, self.decoder, self.decoder_with_graph


PLAIN = Passes(encoder=1, decoder=1)
"""What an unedited step costs a picture."""
EDITED = Passes(encoder=1, decoder=2)
"""What an edited step costs a picture, inside the window."""


@dataclass(frozen=True)
class Stage:
    """A part of the work, in the order in which it is done."""

    name: str
    passes: Passes
    seconds: float


@dataclass(frozen=True)
class Cost:
    """The stages of a search, and the most memory in bytes that the process will hold; None where nobody can tell."""

    stages: tuple[Stage, ...]
    peak_bytes: int | None

    @property
    def seconds(self) -> float:
        """The seconds of all stages."""
        return sum(stage.seconds for stage in self.stages)


@dataclass(frozen=True)
class Estimate:
    """What a finder says of its own work: its stages, and the bytes that all pictures take beyond the few it tried."""

    stages: tuple[Stage, ...]
    more_bytes: int = 0


class EstimatingFinder(Finder):
    """A finder that can say what a search will cost."""

    @abstractmethod
    def estimate(self, backbone: Backbone, task: Task) -> Estimate:
        """What `find` would cost, from a few real steps; nothing is stored."""


class Counted(Backbone):
    """A backbone that counts the passes of both its halves, in pictures."""

    def __init__(self, inner: Backbone) -> None:
        super().__init__(inner.alphas_cumprod, inner.card)
        self.inner, self.condition = inner, inner.condition
        self.passes = Passes()

    def encode_h(self, x_t: Tensor, t: Tensor) -> State:
        self.passes += Passes(encoder=len(x_t))
        return self.inner.encode_h(x_t, t)

    def decode_h(self, state: State, delta_h: Tensor | None = None) -> Tensor:
        eps = self.inner.decode_h(state, delta_h)
        n = len(eps)
        self.passes += Passes(decoder=n, decoder_with_graph=n if eps.requires_grad else 0)
        return eps

    def image_to_x0(self, image: Tensor) -> Tensor:
        return self.inner.image_to_x0(image)

    def x0_to_image(self, x_0: Tensor) -> Tensor:
        return self.inner.x0_to_image(x_0)


@dataclass(frozen=True)
class Speed:
    """The seconds that a picture takes in each half of a network, without a graph."""

    encoder: float
    decoder: float

    def seconds(self, passes: Passes) -> float:
        """How long passes without a graph take."""
        return passes.encoder * self.encoder + passes.decoder * self.decoder


@torch.no_grad()
def speed(backbone: Backbone, batch: int = 4) -> Speed:
    """The speed of a backbone on this machine, the median of three timed passes over a batch."""
    x_t = latents(backbone, batch, 0)
    t = torch.full((batch,), len(backbone.alphas_cumprod) / 2, device=x_t.device)
    state = backbone.encode_h(x_t, t)
    backbone.decode_h(state)
    encoder = seconds_of(lambda: backbone.encode_h(x_t, t), x_t.device)
    decoder = seconds_of(lambda: backbone.decode_h(state), x_t.device)
    return Speed(encoder / batch, decoder / batch)


def seconds_of(work: Callable[[], Any], device: torch.device, times: int = TIMED) -> float:
    """The median of the seconds that a piece of work takes, what it leaves to an accelerator included."""

    def once() -> float:
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    return median(once() for _ in range(times))


def peak_bytes(device: torch.device) -> int | None:
    """The most memory that this process has held so far, the accelerator's where it works on one; None if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024


def total(stages: Sequence[Stage]) -> Passes:
    """The passes of all stages."""
    return sum((stage.passes for stage in stages), Passes())
