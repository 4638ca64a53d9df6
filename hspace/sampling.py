"""Inversion, sampling and editing: three loops over (t, t_next)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import torch
from torch import Tensor

from hspace.backbone import Backbone, State
from hspace.direction import Direction
from hspace.errors import UsageError
from hspace.fingerprint import x_shape
from hspace.head import Head
from hspace.schedule import Pair, alpha_at, generation, inversion

Noise = Callable[[int, Tensor], Tensor]
"""z for the step at timestep t, of the shape, device and dtype of the given x_t."""

Callback = Callable[[int, int], None]
"""Called with (steps done, steps in all) after each step."""

Step = Callable[[Backbone, Tensor, int, Tensor], Tensor]
"""Where x_t (B, C, H, W) at timestep t is moved to by a backbone, at strengths (B or 1, 1, 1, 1); see hspace.moving."""

Saturation = Callable[[Backbone, Tensor, Tensor, int], Tensor]
"""A moved x_t, kept in range: called with the backbone, x_t before, x_t moved, and t; see hspace.moving."""

SPREAD = 0x9E3779B97F4A7C15
"""An odd number that keeps neighbouring seeds apart, so that no two of them share the noise of shifted timesteps."""


def gaussian(*seeds: int) -> Noise:
    """Standard normal noise from one seed for the batch, or a seed per picture.

    What is drawn at a timestep depends on the seed and the timestep alone: with its own seed a picture's noise depends
    neither on the batch nor on which steps are noisy. Drawn on the CPU, so that a seed means the same on every device.
    """

    def draw(t: int, x_t: Tensor) -> Tensor:
        generators = [torch.Generator().manual_seed((seed * SPREAD + t) % 2**64) for seed in seeds]
        parts = torch.split(x_t, 1) if len(generators) > 1 else [x_t]
        drawn = [torch.randn(part.shape, generator=one) for part, one in zip(parts, generators, strict=True)]
        return torch.cat(drawn).to(x_t)

    return draw


def latents(backbone: Backbone, n: int, seed: int) -> Tensor:
    """n latents x_T (n, C, H, W) of a seed, on the backbone's device; the first ones do not depend on n."""
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randn(1, *x_shape(backbone), generator=generator) for _ in range(n)]
    return torch.cat(drawn).to(next(backbone.parameters(), drawn[0]))


def predict_x0(x_t: Tensor, eps: Tensor, a_t: float) -> Tensor:
    """P_t, the x_0 that eps predicts: (x_t - sqrt(1 - a_t) eps) / sqrt(a_t), the first part of DDIM's eq. 12."""
    return (x_t - sqrt(1 - a_t) * eps) / sqrt(a_t)


def ddim_step(
    x_t: Tensor,
    eps: Tensor,
    a_t: float,
    a_next: float,
    *,
    eps_edit: Tensor | None = None,
    eta: float = 0.0,
    z: Tensor | None = None,
) -> Tensor:
    """x_next = sqrt(a_next) P_t + D_t + sigma z, where P_t is predicted from eps_edit and D_t points along eps.

    sigma = eta sqrt((1 - a_t / a_next)(1 - a_next) / (1 - a_t)); z is read only where that is not 0. Without
    eps_edit this is DDIM. Source: Song et al., DDIM, eq. 12 and 16; Kwon et al., Asyrp, the asymmetric step.
    """
    x_0 = predict_x0(x_t, eps if eps_edit is None else eps_edit, a_t)
    sigma = eta * sqrt((1 - a_t / a_next) * (1 - a_next) / (1 - a_t)) if eta else 0.0
    x_next = sqrt(a_next) * x_0 + sqrt(1 - a_next - sigma**2) * eps
    return x_next + sigma * z if sigma and z is not None else x_next


def _walk(
    pairs: list[Pair], alphas_cumprod: Tensor, callback: Callback | None
) -> Iterator[tuple[int, int, float, float]]:
    for done, (t, t_next) in enumerate(pairs, start=1):
        yield t, t_next, alpha_at(alphas_cumprod, t), alpha_at(alphas_cumprod, t_next)
        if callback is not None:
            callback(done, len(pairs))


def nearest(pairs: Sequence[Pair], t: int) -> int:
    """The timestep of a walk's pairs that is nearest to t."""
    return min((step for step, _ in pairs), key=lambda step: abs(step - t))


def at(t: int, x_t: Tensor) -> Tensor:
    """The timestep t for each of x_t (B, C, H, W), as a backbone is asked: (B,), no lower than 0."""
    return torch.full((x_t.shape[0],), float(max(t, 0)), device=x_t.device)


@torch.no_grad()
def invert(
    backbone: Backbone,
    x_0: Tensor,
    *,
    steps: int = 40,
    sequence: str = "asyrp",
    fixed_point: int = 1,
    callback: Callback | None = None,
) -> Tensor:
    """x_T (B, C, H, W): the latent from which `sample` returns x_0, by DDIM run backwards.

    `fixed_point` is how many times each step is refined by asking the network at the step's noisy end, where
    generation will ask it; each time costs one call a step. With any, every step of generation is undone, its last
    jump to the clean picture included. 0 is the published inversion, which takes the picture for the sample at the
    first timestep: one call a step, and 10 to 12 dB worse on the toy faces.
    Source: Song et al., DDIM, eq. 14 run backwards; Kwon et al., Asyrp (the walk). The refinement solves DDIM's own
    step for x_t.
    """
    T = len(backbone.alphas_cumprod)
    undone = [(t_next, t) for t, t_next in reversed(generation(sequence, steps, T))]
    pairs = undone if fixed_point else inversion(sequence, steps, T)
    x_t = x_0
    for t, t_next, a_t, a_next in _walk(pairs, backbone.alphas_cumprod, callback):
        x_next = ddim_step(x_t, backbone(x_t, at(t, x_t)), a_t, a_next)
        for _ in range(fixed_point):
            x_next = ddim_step(x_t, backbone(x_next, at(t_next, x_t)), a_t, a_next)
        x_t = x_next
    return x_t


@torch.no_grad()
def sample(
    backbone: Backbone,
    x_T: Tensor,
    *,
    steps: int = 40,
    sequence: str = "asyrp",
    eta: float = 0.0,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """x_0 (B, C, H, W) generated from x_T; deterministic at eta = 0, DDPM-like at eta = 1.

    `noise` defaults to `gaussian(0)`. Source: DDIM, eq. 12.
    """
    noise = noise or gaussian(0)
    pairs = generation(sequence, steps, len(backbone.alphas_cumprod))
    x_t = x_T
    for t, _, a_t, a_next in _walk(pairs, backbone.alphas_cumprod, callback):
        eps = backbone(x_t, at(t, x_t))
        x_t = ddim_step(x_t, eps, a_t, a_next, eta=eta, z=noise(t, x_t) if eta else None)
    return x_t


class _AtWork:
    strength: float | Tensor

    def moves(self, x_t: Tensor) -> Tensor:
        """Which pictures it edits (B,): those whose strength is not 0."""
        return (torch.as_tensor(self.strength) != 0).expand(x_t.shape[0]).to(x_t.device)


@dataclass(frozen=True)
class Edit(_AtWork):
    """One head at work: at t_edit <= t <= t_start, at a strength (one number, or one per picture (B,)).

    Steps below t_boost are boosted. Without t_start it is at work from the first step on.
    `steps_found` is the number of steps the head was found with; where sampling uses another, its shift is
    scaled by steps_found / steps so that the sum over the window stays (Asyrp's rule).
    """

    head: Head
    strength: float | Tensor = 1.0
    t_edit: int = 0
    steps_found: int | None = None
    t_boost: int = 0
    t_start: int | None = None

    @classmethod
    def along(cls, direction: Direction, strength: float | Tensor, backbone: Backbone) -> "Edit":
        """A direction at a strength, in its own window. Raises RefusedError when it is of another backbone."""
        meta = direction.meta
        return cls(direction.head(backbone), strength, meta.t_edit, meta.steps, meta.t_boost or 0, meta.t_start)

    def acts(self, t: int) -> bool:
        """Whether a timestep is in its window."""
        return t >= self.t_edit and (self.t_start is None or t <= self.t_start)

    def delta_h(self, state: State, steps: int) -> Tensor:
        """The scaled shift (B, Ch, Hh, Wh) that this edit adds to the state's h."""
        scale = torch.as_tensor(self.strength, dtype=state.h.dtype, device=state.h.device)
        scale = scale * ((self.steps_found or steps) / steps)
        delta_h: Tensor = self.head(state)
        return scale.reshape(-1, 1, 1, 1) * delta_h


@dataclass(frozen=True)
class Move(_AtWork):
    """One step of x_t at work: taken once, at t, at a strength (one number, or one per picture (B,)).

    Steps below t_boost are boosted.
    """

    step: Step
    strength: float | Tensor = 1.0
    t: int = 0
    t_boost: int = 0

    @classmethod
    def along(cls, direction: Direction, strength: float | Tensor, backbone: Backbone) -> "Move":
        """A direction of space "x" at a strength. Raises RefusedError when it is of another backbone."""
        return cls(direction.move(backbone), strength, direction.meta.t_edit, direction.meta.t_boost or 0)

    def displacement(self, backbone: Backbone, x_t: Tensor) -> Tensor:
        """How far it takes x_t (B, C, H, W) at its t."""
        strength = torch.as_tensor(self.strength, dtype=x_t.dtype, device=x_t.device).reshape(-1, 1, 1, 1)
        return self.step(backbone, x_t, self.t, strength) - x_t


Edits = Sequence[Edit | Move | tuple[Direction, float | Tensor]]
"""What is applied together: directions with their strengths, or heads and moves at work."""


def found_symmetric(edits: Edits) -> bool:
    """Whether the directions were found in symmetric mode. Raises UsageError when only some were."""
    shifting = [one[0] for one in edits if not isinstance(one, Edit | Move) and one[0].meta.space == "h"]
    modes = {one.meta.mode: one.id for one in shifting}
    if len(modes) > 1:
        found = " and ".join(f"{id!r} {mode}" for mode, id in modes.items())
        raise UsageError(f"the directions were found in different modes, {found}; say which to use with symmetric")
    return "symmetric" in modes


def _at_work(one: Edit | Move | tuple[Direction, float | Tensor], backbone: Backbone) -> Edit | Move:
    """A direction at its strength, as what applies it; what is at work already as it is."""
    if isinstance(one, Edit | Move):
        return one
    direction, strength = one
    return (Edit if direction.meta.space == "h" else Move).along(direction, strength, backbone)


def require_moves(edits: Edits, saturation: object) -> None:
    """Raises UsageError for a saturation where no direction moves x_t."""
    moving = [one for one in edits if isinstance(one, Move) or (not isinstance(one, Edit) and one[0].meta.space == "x")]
    if saturation is not None and not moving:
        raise UsageError("saturation is for directions of space 'x', which move x_t; none was given")


def _active(
    backbone: Backbone, x_T: Tensor, edits: Edits, t_edit: int | None, t_boost: int | None, normalise: bool
) -> tuple[list[Edit], list[Move]]:
    share = sqrt(len(edits)) if normalise and edits else 1.0
    shifts, moves = [], []
    for one in (_at_work(given, backbone) for given in edits):
        boosted = one.t_boost if t_boost is None else t_boost
        if not bool(one.moves(x_T).any()):
            continue
        if isinstance(one, Move):
            moves.append(replace(one, strength=one.strength / share, t_boost=boosted))
        else:
            own = one.t_edit if t_edit is None else t_edit
            shifts.append(replace(one, strength=one.strength / share, t_edit=own, t_boost=boosted))
    return shifts, moves


def _moved(backbone: Backbone, x_t: Tensor, moves: Sequence[Move], saturation: Saturation | None) -> Tensor:
    if not moves:
        return x_t
    moved = x_t + torch.stack([one.displacement(backbone, x_t) for one in moves]).sum(dim=0)
    if saturation is not None:
        moved = saturation(backbone, x_t, moved, moves[0].t)
    which = torch.stack([one.moves(x_t) for one in moves]).any(dim=0)
    return torch.where(which.reshape(-1, 1, 1, 1), moved, x_t)


@torch.no_grad()
def edit(
    backbone: Backbone,
    x_T: Tensor,
    edits: Edits,
    *,
    steps: int = 40,
    sequence: str = "asyrp",
    t_edit: int | None = None,
    t_boost: int | None = None,
    symmetric: bool | None = None,
    normalise: bool = False,
    saturation: Saturation | None = None,
    noise: Noise | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """x_0 (B, C, H, W) generated from x_T with every direction at its strength: the asymmetric reverse process.

    In the window t_edit <= t <= t_start the network's h is shifted by the sum of the directions' delta_h, all of which
    see the unedited h; `normalise` divides the sum by sqrt(N) for N directions. The predicted x_0 uses the edited eps,
    the direction to x_t the original one; `symmetric` uses the edited one for both. Below t_boost the steps are
    stochastic (eta = 1, quality boosting); of several directions, below the highest t_boost of those that move the
    picture. t_edit, t_boost and the mode default to what each direction was found with, and each acts in its own
    window. A picture all of whose strengths are 0 comes out bit for bit as from `sample`. Costs one encoder pass a
    step, and a second decoder pass inside the window only.

    Directions of space "x" move x_t itself, before the network is asked at the step nearest to their t, whatever t_edit
    says: all that move there see the same x_t, their displacements add up, and `saturation` then keeps the moved x_t in
    range.
    Raises RefusedError for a direction of another backbone, UsageError for directions of different modes, and for a
    saturation where nothing moves x_t.
    Source: Kwon et al., Asyrp; the moves have their own (hspace.moving).
    """
    if symmetric is None:
        symmetric = found_symmetric(edits)
    require_moves(edits, saturation)
    pairs = generation(sequence, steps, len(backbone.alphas_cumprod))
    shifting, moving = _active(backbone, x_T, edits, t_edit, t_boost, normalise)
    moving = [replace(one, t=nearest(pairs, one.t)) for one in moving]
    active: list[Edit | Move] = [*shifting, *moving]
    noise = noise or gaussian(0)
    x_t = x_T
    for t, _, a_t, a_next in _walk(pairs, backbone.alphas_cumprod, callback):
        x_t = _moved(backbone, x_t, [one for one in moving if one.t == t], saturation)
        state = backbone.encode_h(x_t, at(t, x_t))
        shifts = [one.delta_h(state, steps) for one in shifting if one.acts(t)]
        eps_edit = backbone.decode_h(state, sum(shifts[1:], shifts[0])) if shifts else None
        eps = eps_edit if symmetric and eps_edit is not None else backbone.decode_h(state)
        x_next = ddim_step(x_t, eps, a_t, a_next, eps_edit=eps_edit)
        boosting = [one.moves(x_t) for one in active if t < one.t_boost]
        if boosting:
            boosted = ddim_step(x_t, eps, a_t, a_next, eps_edit=eps_edit, eta=1.0, z=noise(t, x_t))
            x_next = torch.where(torch.stack(boosting).any(dim=0).reshape(-1, 1, 1, 1), boosted, x_next)
        x_t = x_next
    return x_t
