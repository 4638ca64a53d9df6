"""v-prediction: the target, the weights, and which timesteps are trained."""

import pytest
import torch

from hspace.schedule import alphas_cumprod
from hspace.unet import to_eps
from hspace_toyfaces.noise_levels import diffuse, min_snr_weights, stratified_timesteps, timestep_shares

A = alphas_cumprod("linear")


def test_v_gives_back_eps_and_x_0() -> None:
    x_0, eps = torch.randn(2, 5, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    a = A[torch.tensor([0, 10, 200, 500, 999])]
    x_t, v = diffuse(x_0, eps, a)
    torch.testing.assert_close(to_eps(v, x_t, a), eps)
    signal, noise = a.sqrt().reshape(-1, 1, 1, 1), (1 - a).sqrt().reshape(-1, 1, 1, 1)
    torch.testing.assert_close(signal * x_t - noise * v, x_0)


def test_the_weight_of_v_is_1_where_the_signal_is_weak() -> None:
    weights = min_snr_weights(A)
    assert float(weights[-1]) == 1.0
    snr = float(A[0] / (1 - A[0]))
    assert float(weights[0]) == pytest.approx(6 / (snr + 1))


def test_without_low_noise_all_timesteps_are_equal() -> None:
    torch.testing.assert_close(timestep_shares(A, 0.0), torch.full((1000,), 1e-3, dtype=torch.float64))


def test_the_shares_sum_to_1() -> None:
    assert float(timestep_shares(A, 0.4).sum()) == pytest.approx(1)


def test_low_noise_alone_follows_edm() -> None:
    shares = timestep_shares(A, 1.0)
    log_sigma = 0.5 * ((1 - A) / A).log()
    mean = float((shares * log_sigma).sum())
    assert mean == pytest.approx(-1.2, abs=0.03)
    assert float((shares * (log_sigma - mean).square()).sum().sqrt()) == pytest.approx(1.2, abs=0.06)


def test_each_tenth_of_the_distribution_is_drawn_once() -> None:
    t = stratified_timesteps(timestep_shares(A, 0.0), 10, torch.Generator().manual_seed(0))
    assert (t // 100).tolist() == list(range(10))
