"""The part of the loss from which a network learns its reverse process's variance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

VLB_WEIGHT = 1e-3
"""The weight of the variational bound beside the simple loss."""


def variance_loss(raw: Tensor, x_0: Tensor, P_t: Tensor, t: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """One term (B,) of the variational bound, in bits per dimension, times T: an estimate of the whole bound.

    `raw` (B, C, H, W) is the network's second half: -1 asks for the smallest variance of q(x_{t-1} | x_t), 1 for the
    largest, with their logarithms interpolated between. P_t is the predicted x_0; it is to come without gradient,
    so that the bound teaches the variance alone. The last step's term is a Gaussian's density, in place of the
    original's 256 bins.
    Source: Nichol and Dhariwal, Improved Denoising Diffusion Probabilistic Models.
    """
    a_t, a_prev = alphas_cumprod[t], torch.where(t > 0, alphas_cumprod[(t - 1).clamp(min=0)], 1.0)
    beta = 1 - a_t / a_prev
    # the posterior's variance is 0 at t = 0: the next one stands in for it
    low = posterior_variance(alphas_cumprod, t.clamp(min=1)).log()
    share = (raw + 1) / 2
    log_var = share * _column(beta.log(), raw) + (1 - share) * _column(low, raw)
    error = _column(a_prev.sqrt() * beta / (1 - a_t), raw) * (x_0 - P_t)
    spread = error.square() / log_var.exp()
    kl = 0.5 * (log_var - _column(low, raw) + (_column(low, raw) - log_var).exp() + spread - 1)
    likelihood = 0.5 * (math.log(2 * math.pi) + log_var + spread)
    nats = torch.where(_column(t, raw) > 0, kl, likelihood).mean(dim=(1, 2, 3))
    return len(alphas_cumprod) * nats / math.log(2)


def posterior_variance(alphas_cumprod: Tensor, t: Tensor) -> Tensor:
    """The variance (B,) of q(x_{t-1} | x_t, x_0) at timesteps t >= 1 (B,)."""
    a_t, a_prev = alphas_cumprod[t], alphas_cumprod[t - 1]
    return (1 - a_prev) / (1 - a_t) * (1 - a_t / a_prev)


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like).reshape(-1, 1, 1, 1)
