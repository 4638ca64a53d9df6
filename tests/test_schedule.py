import pytest
import torch
from diffusers import DDIMScheduler

from hspace.errors import NotFoundError, UsageError
from hspace.schedule import CLEAN, alpha_at, alphas_cumprod, generation, interpolate, inversion, timesteps


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_a_schedule_is_the_one_that_diffusers_calls_so(name: str) -> None:
    theirs = DDIMScheduler(beta_schedule=name, num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02)
    assert alphas_cumprod(name).dtype == torch.float64
    torch.testing.assert_close(alphas_cumprod(name).float(), theirs.alphas_cumprod, rtol=1e-4, atol=1e-8)


def test_the_linear_schedule_has_the_published_ends() -> None:
    alphas = alphas_cumprod()
    assert float(alphas[0]) == pytest.approx(1 - 1e-4, abs=1e-15)
    assert float(alphas[999]) == pytest.approx(4.0358e-5, rel=1e-4)  # DDPM: L_T near 1e-5


def test_an_unknown_schedule_is_refused_with_the_near_ones() -> None:
    with pytest.raises(NotFoundError, match="no beta schedule is called 'linea'; did you mean 'linear'"):
        alphas_cumprod("linea")


def test_a_clean_picture_has_alpha_1() -> None:
    assert alpha_at(alphas_cumprod(), CLEAN) == 1.0
    assert alpha_at(alphas_cumprod(), 0) == float(alphas_cumprod()[0])


def test_a_fractional_timestep_lies_between_its_neighbours() -> None:
    alphas = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)
    assert interpolate(alphas, torch.tensor([0.0, 0.25, 1.5, 2.0])).tolist() == pytest.approx([0.9, 0.8, 0.3, 0.1])


def test_a_timestep_outside_the_schedule_counts_as_its_end() -> None:
    alphas = torch.tensor([0.9, 0.5], dtype=torch.float64)
    assert interpolate(alphas, torch.tensor([-1.0, 7.0])).tolist() == [0.9, 0.5]


@pytest.mark.parametrize(
    ("sequence", "steps", "expected"),
    [
        ("asyrp", 4, [0, 333, 666, 999]),
        ("asyrp", 1, [0]),
        ("leading", 4, [0, 250, 500, 750]),
        ("leading", 3, [0, 333, 666]),
        ("ldm", 4, [1, 251, 501, 751]),
        ("ldm", 3, [1, 334, 667]),
    ],
)
def test_a_sequence_has_these_timesteps(sequence: str, steps: int, expected: list[int]) -> None:
    assert timesteps(sequence, steps, 1000) == expected


@pytest.mark.parametrize("sequence", ["asyrp", "leading", "ldm"])
@pytest.mark.parametrize("steps", [1, 2, 7, 40, 333, 999, 1000])
def test_timesteps_increase_within_the_schedule(sequence: str, steps: int) -> None:
    ts = timesteps(sequence, steps, 1000)
    assert ts == sorted(set(ts))
    assert 0 <= ts[0] <= ts[-1] < 1000


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_steps_outside_the_schedule_are_refused(steps: int) -> None:
    with pytest.raises(UsageError, match=f"from 1 to 1000, the length of the schedule; {steps} was given"):
        timesteps("asyrp", steps, 1000)


def test_an_unknown_sequence_is_refused_with_the_near_ones() -> None:
    with pytest.raises(NotFoundError, match="no sequence is called 'asirp'; did you mean 'asyrp'"):
        timesteps("asirp", 4, 1000)


def test_generation_walks_down_to_the_clean_picture() -> None:
    assert generation("asyrp", 3, 1000) == [(999, 499), (499, 0), (0, CLEAN)]


def test_latent_diffusion_stops_at_timestep_0() -> None:
    assert generation("ldm", 2, 1000) == [(501, 1), (1, 0)]


def test_inversion_walks_up_from_the_first_timestep() -> None:
    assert inversion("asyrp", 3, 1000) == [(0, 499), (499, 999)]
    assert inversion("asyrp", 1, 1000) == []
