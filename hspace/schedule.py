"""Noise schedules and the timesteps that sampling and inversion walk through."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from hspace.errors import UsageError, not_found

CLEAN = -1
"""The timestep of a noise-free picture, where alphas_cumprod is 1."""

Pair = tuple[int, int]
"""(t, t_next): the network is asked at t, and the step goes from t to t_next."""


def alphas_cumprod(
    beta_schedule: str = "linear", T: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02
) -> Tensor:
    """alphas_cumprod (T,) float64 of a beta schedule, by the names that diffusers gives them.

    "linear" (Ho et al., DDPM), "scaled_linear" (latent diffusion: linear in sqrt(beta)),
    "squaredcos_cap_v2" (Nichol and Dhariwal, Improved DDPM, betas capped at 0.999).
    Raises NotFoundError for another name.
    """
    if beta_schedule == "linear":
        betas = torch.linspace(beta_start, beta_end, T, dtype=torch.float64)
    elif beta_schedule == "scaled_linear":
        betas = torch.linspace(beta_start**0.5, beta_end**0.5, T, dtype=torch.float64) ** 2
    elif beta_schedule == "squaredcos_cap_v2":
        f = torch.cos((torch.arange(T + 1, dtype=torch.float64) / T + 0.008) / 1.008 * torch.pi / 2) ** 2
        betas = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    else:
        known = ("linear", "scaled_linear", "squaredcos_cap_v2")
        raise not_found("beta schedule", beta_schedule, known, "It is named in the scheduler's config.")
    return torch.cumprod(1 - betas, dim=0)


def alpha_at(alphas_cumprod: Tensor, t: int) -> float:
    """alphas_cumprod at the integer timestep t; 1 at CLEAN."""
    return 1.0 if t == CLEAN else float(alphas_cumprod[t])


def interpolate(alphas_cumprod: Tensor, t: Tensor) -> Tensor:
    """alphas_cumprod (B,) float64 at timesteps t (B,), linear between integers for fractional ones."""
    alphas_cumprod = alphas_cumprod.to(t.device)
    t = t.double().clamp(0, len(alphas_cumprod) - 1)
    low = t.floor().long()
    return torch.lerp(alphas_cumprod[low], alphas_cumprod[(low + 1).clamp(max=len(alphas_cumprod) - 1)], t - low)


def asyrp(steps: int, T: int) -> list[int]:
    """Asyrp's timesteps, floor(k t_0 / (steps - 1) + 1e-6) with t_0 = T - 1: both ends of the schedule included."""
    return spread(steps, T - 1)


def spread(steps: int, t_0: int) -> list[int]:
    """`steps` timesteps from 0 to t_0, evenly spread and rounded down (DiffusionCLIP's and Asyrp's rule)."""
    if steps == 1:
        return [0]
    positions = torch.linspace(0, 1, steps, dtype=torch.float64) * t_0 + 1e-6
    return [int(position) for position in positions]


def leading(steps: int, T: int) -> list[int]:
    """OpenAI's "ddim" respacing: multiples of T // steps from 0 on."""
    return list(range(0, T, T // steps))[:steps]


def ldm(steps: int, T: int) -> list[int]:
    """Latent diffusion's timesteps: multiples of T // steps, all shifted by 1 (there may be more than `steps`)."""
    return [t + 1 for t in range(0, T - 1, T // steps)]


SEQUENCES: dict[str, Callable[[int, int], list[int]]] = {"asyrp": asyrp, "leading": leading, "ldm": ldm}


def timesteps(sequence: str, steps: int, T: int) -> list[int]:
    """The increasing timesteps of the named sequence.

    Raises NotFoundError for an unknown name, UsageError when steps is not in 1..T.
    """
    if sequence not in SEQUENCES:
        raise not_found("sequence", sequence, SEQUENCES, "It is how timesteps are spaced.")
    if not 1 <= steps <= T:
        raise UsageError(f"steps must be from 1 to {T}, the length of the schedule; {steps} was given")
    return SEQUENCES[sequence](steps, T)


def generation(sequence: str, steps: int, T: int) -> list[Pair]:
    """The pairs that sampling walks, from the noisiest timestep down.

    The last goes to CLEAN; for "ldm" it goes to timestep 0, whose noise that sampler leaves in.
    """
    ts = timesteps(sequence, steps, T)
    end = 0 if sequence == "ldm" else CLEAN
    return list(zip(ts, [end, *ts[:-1]], strict=True))[::-1]


def inversion(sequence: str, steps: int, T: int) -> list[Pair]:
    """The pairs that inversion walks, upwards; the picture itself stands at the first timestep, as published."""
    ts = timesteps(sequence, steps, T)
    return list(pairwise(ts))
