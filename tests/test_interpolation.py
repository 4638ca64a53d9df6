"""The arc from one latent to another."""

from math import cos, pi, sin

import pytest
import torch
from unets import noise

from hspace.errors import UsageError
from hspace.interpolation import interpolate


def test_both_ends_come_out_bit_for_bit() -> None:
    x_T, other = noise(1, 3, 8, 8), 1.3 * noise(1, 3, 8, 8, seed=1)
    frames = interpolate(x_T, other, 7)
    assert frames.shape == (7, 3, 8, 8)
    assert frames.dtype == x_T.dtype
    assert torch.equal(frames[:1], x_T)
    assert torch.equal(frames[-1:], other)


def test_a_right_angle_is_walked_in_equal_angles() -> None:
    x_T, other = torch.zeros(2, 1, 1, 1, 2, dtype=torch.float64)
    x_T[..., 0], other[..., 1] = 1, 1
    frames = interpolate(x_T, other, 4).flatten(1)
    angles = [index * pi / 6 for index in range(4)]
    torch.testing.assert_close(frames, torch.tensor([[cos(a), sin(a)] for a in angles], dtype=torch.float64))


def test_latents_of_one_length_stay_on_their_shell() -> None:
    x_T, other = (noise(1, 3, 8, 8, seed=seed, dtype=torch.float64) for seed in (0, 1))
    other = other * x_T.norm() / other.norm()
    lengths = interpolate(x_T, other, 5).flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, x_T.norm().expand(5))
    assert float(((x_T + other) / 2).norm() / x_T.norm()) < 0.8


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-5, 1e-3])
def test_nearly_parallel_latents_are_joined_without_a_jump(angle: float) -> None:
    x_T, aside = (noise(1, 3, 8, 8, seed=seed, dtype=torch.float64) for seed in (0, 1))
    aside = aside - (aside * x_T).sum() / x_T.square().sum() * x_T
    other = 2 * (cos(angle) * x_T + sin(angle) * aside * x_T.norm() / aside.norm())
    middle = interpolate(x_T, other, 3)[1:2]
    torch.testing.assert_close(middle, (x_T + other) / 2, rtol=1e-6, atol=1e-5)


def test_opposite_latents_are_refused() -> None:
    x_T = noise(1, 3, 8, 8)
    with pytest.raises(UsageError, match="opposite"):
        interpolate(x_T, -2 * x_T, 3)


def test_one_frame_is_no_interpolation() -> None:
    with pytest.raises(UsageError, match="at least 2 frames"):
        interpolate(noise(1, 3, 8, 8), noise(1, 3, 8, 8, seed=1), 1)
