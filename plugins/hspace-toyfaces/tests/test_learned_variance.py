"""The loss of a learned variance: nothing where it is right, and the divergence of two Gaussians elsewhere."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from hspace.schedule import alphas_cumprod
from hspace_toyfaces.learned_variance import posterior_variance, variance_loss

A = alphas_cumprod("linear")
T = torch.tensor([1, 10, 500, 999])
SMALLEST, LARGEST = -1.0, 1.0


def images(seed: int) -> torch.Tensor:
    return torch.randn(len(T), 2, 3, 3, generator=torch.Generator().manual_seed(seed)).double()


def test_the_true_variance_and_mean_cost_nothing() -> None:
    x_0 = images(0)
    loss = variance_loss(torch.full_like(x_0, SMALLEST), x_0, x_0, T, A)
    torch.testing.assert_close(loss, torch.zeros_like(loss), atol=1e-9, rtol=0)


@pytest.mark.parametrize("raw", [SMALLEST, 0.0, LARGEST])
def test_it_is_the_divergence_of_the_two_gaussians(raw: float) -> None:
    x_0, P_t, x_t = images(0), images(1), images(2)
    a, a_prev = (values.reshape(-1, 1, 1, 1) for values in (A[T], A[T - 1]))
    beta, low = 1 - a / a_prev, posterior_variance(A, T).reshape(-1, 1, 1, 1)

    def mean(clean: torch.Tensor) -> torch.Tensor:
        from_clean = a_prev.sqrt() * beta / (1 - a) * clean
        return from_clean + (a / a_prev).sqrt() * (1 - a_prev) / (1 - a) * x_t

    share = (raw + 1) / 2
    std = (share * beta.log() + (1 - share) * low.log()).exp().sqrt().expand_as(x_0)
    nats = kl_divergence(Normal(mean(x_0), low.sqrt().expand_as(x_0)), Normal(mean(P_t), std)).mean(dim=(1, 2, 3))
    loss = variance_loss(torch.full_like(x_0, raw), x_0, P_t, T, A)
    torch.testing.assert_close(loss, 1000 * nats / math.log(2), rtol=1e-9, atol=1e-9)


def test_the_last_step_costs_the_density_of_the_picture() -> None:
    x_0, P_t, t = images(0), images(1), torch.zeros(len(T), dtype=torch.long)
    std = posterior_variance(A, t + 1).sqrt()
    bits = -Normal(P_t, std.reshape(-1, 1, 1, 1)).log_prob(x_0).mean(dim=(1, 2, 3)) / math.log(2)
    loss = variance_loss(torch.full_like(x_0, SMALLEST), x_0, P_t, t, A)
    torch.testing.assert_close(loss, 1000 * bits, rtol=1e-9, atol=1e-9)
