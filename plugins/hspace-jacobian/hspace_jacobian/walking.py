"""Along the unedited sampling trajectory, where h is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hspace import Backbone, State
from hspace.errors import UsageError
from hspace.sampling import ddim_step
from hspace.schedule import Pair, alpha_at, generation

SEQUENCE = "asyrp"
BATCH = 8
"""How many latents walk at once."""


@dataclass(frozen=True)
class Window:
    """The timesteps t_edit <= t <= t_start at which a direction shifts h; no t_start is from the first step on."""

    t_edit: int
    t_start: int | None = None

    def timesteps(self, backbone: Backbone, steps: int) -> list[int]:
        """Those that sampling in so many steps visits, falling. Raises UsageError where there is none."""
        visited = [t for t, _ in generation(SEQUENCE, steps, len(backbone.alphas_cumprod))]
        inside = [t for t in visited if t >= self.t_edit and (self.t_start is None or t <= self.t_start)]
        if not inside:
            up = "up" if self.t_start is None else f"to t_start = {self.t_start}"
            raise UsageError(
                f"no timestep of {steps} sampling steps is from t_edit = {self.t_edit} {up}; widen the window"
            )
        return inside

    def described(self) -> dict[str, object]:
        """It as it is asked for."""
        told: dict[str, object] = {"t_edit": self.t_edit}
        return told if self.t_start is None else {**told, "t_start": self.t_start}


def nearest_step(backbone: Backbone, steps: int, at: int) -> int:
    """The timestep nearest to `at` that sampling in so many steps visits.

    Raises UsageError where `at` is not a timestep of the schedule.
    """
    T = len(backbone.alphas_cumprod)
    if not 0 <= at < T:
        raise UsageError(f"at must be a timestep from 0 to {T - 1}; {at} was given")
    return min((t for t, _ in generation(SEQUENCE, steps, T)), key=lambda t: abs(t - at))


@torch.no_grad()
def walk(backbone: Backbone, x_T: Tensor, steps: int, at: int) -> tuple[Tensor, int]:
    """(x_t (B, C, H, W), t): x_T sampled down to the step whose timestep t is nearest to `at`.

    Raises UsageError where `at` is not a timestep of the schedule.
    """
    nearest = nearest_step(backbone, steps, at)
    x_t = x_T
    for t, t_next in generation(SEQUENCE, steps, len(backbone.alphas_cumprod)):
        if t == nearest:
            break
        eps = backbone(x_t, torch.full((len(x_t),), float(t), device=x_t.device))
        x_t = _stepped(backbone, x_t, eps, (t, t_next))
    return x_t, nearest


@torch.no_grad()
def visits(
    backbone: Backbone, x_T: Tensor, steps: int, window: Window, callback: Callable[[int, int], None] | None = None
) -> Iterator[tuple[int, State]]:
    """(t, state) of all latents x_T (N, C, H, W) at each timestep of the window, `BATCH` latents at a time.

    All latents are visited at a timestep, in order, before any at the next lower one: what is kept of a timestep is
    complete before the next begins, and only x_t is held of all. `callback` gets (batches walked, batches in all).
    Raises UsageError where the window holds no timestep.
    """
    inside = window.timesteps(backbone, steps)
    first, last = inside[0], inside[-1]
    pairs = [pair for pair in generation(SEQUENCE, steps, len(backbone.alphas_cumprod)) if pair[0] >= last]
    parts = list(torch.split(x_T, BATCH))
    for step, (t, t_next) in enumerate(pairs):
        for index, x_t in enumerate(parts):
            state = backbone.encode_h(x_t, torch.full((len(x_t),), float(t), device=x_t.device))
            if t <= first:
                yield t, state
            if t != last:
                parts[index] = _stepped(backbone, x_t, backbone.decode_h(state), (t, t_next))
            if callback is not None:
                callback(step * len(parts) + index + 1, len(pairs) * len(parts))


def _stepped(backbone: Backbone, x_t: Tensor, eps: Tensor, pair: Pair) -> Tensor:
    a_t, a_next = (alpha_at(backbone.alphas_cumprod, t) for t in pair)
    return ddim_step(x_t, eps, a_t, a_next)
