"""Which noise levels a v-prediction network learns at, how much each counts, and what it learns to say."""

from __future__ import annotations

import torch
from torch import Tensor

EDM_MEAN, EDM_STD = -1.2, 1.2
"""The log-normal of noise levels sigma that EDM trains at (Karras et al. 2022, table 1)."""


def diffuse(x_0: Tensor, eps: Tensor, a_t: Tensor) -> tuple[Tensor, Tensor]:
    """x_t = sqrt(a) x_0 + sqrt(1 - a) eps and v = sqrt(a) eps - sqrt(1 - a) x_0, with a = alphas_cumprod (B,).

    Source: Salimans and Ho, Progressive Distillation.
    """
    a = a_t.to(x_0).reshape(-1, 1, 1, 1)
    signal, noise = a.sqrt(), (1 - a).sqrt()
    return signal * x_0 + noise * eps, signal * eps - noise * x_0


def snr(alphas_cumprod: Tensor) -> Tensor:
    """The signal-to-noise ratio (T,) at each timestep, a / (1 - a)."""
    return alphas_cumprod / (1 - alphas_cumprod)


def min_snr_weights(alphas_cumprod: Tensor, gamma: float = 5.0) -> Tensor:
    """The weight (T,) of the squared error in v, (min(SNR, gamma) + 1) / (SNR + 1).

    Source: Hang et al., Min-SNR weighting, with the 1 that keeps it positive where there is no signal.
    """
    ratio = snr(alphas_cumprod)
    return (ratio.clamp(max=gamma) + 1) / (ratio + 1)


def timestep_shares(alphas_cumprod: Tensor, low_noise_share: float) -> Tensor:
    """The share (T,) of training that each timestep gets; the shares sum to 1.

    A mixture of the uniform density over t and EDM's density over log sigma, sigma = SNR^(-1/2), carried over
    to t. The second sharpens pictures, the first keeps the noisy end, where layout and colour are decided.
    """
    log_sigma = -0.5 * snr(alphas_cumprod).log()
    density = torch.exp(-0.5 * ((log_sigma - EDM_MEAN) / EDM_STD) ** 2) * torch.gradient(log_sigma)[0]
    uniform = torch.full_like(density, 1 / len(density))
    return (1 - low_noise_share) * uniform + low_noise_share * density / density.sum()


def stratified_timesteps(shares: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """n timesteps (n,) distributed as the shares (T,), one from each n-th part of the distribution."""
    offset = torch.rand(1, generator=generator, dtype=torch.float64)
    quantiles = (torch.arange(n) + offset) / n
    return torch.searchsorted(shares.cumsum(0), quantiles).clamp(max=len(shares) - 1)
