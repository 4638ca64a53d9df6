"""The noise schedules of the published models are those of the official code."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hspace.errors import UsageError
from hspace.schedule import alphas_cumprod
from hspace_backbones.diffusion import Diffusion

SHARED = Path(__file__).parents[4] / "shared" / "parity"
FACTS = sorted(path for path in SHARED.glob("*.json") if not path.name.startswith("asyrp"))
needs_reference = pytest.mark.skipif(not FACTS, reason="the reference tensors are not beside this checkout")
OFFICIAL: dict[str, dict[str, Any]] = {
    "linear1000": {},
    "linear4000": {"num_train_timesteps": 4000},
    "cosine1000": {"schedule": "cosine"},
    "cosine4000": {"schedule": "cosine", "num_train_timesteps": 4000},
    "ldm_0.0015_0.0195": {"schedule": "scaled_linear", "beta_start": 0.0015, "beta_end": 0.0195},
    "ldm_0.0015_0.0155": {"schedule": "scaled_linear", "beta_start": 0.0015, "beta_end": 0.0155},
}


@cache
def reference() -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(SHARED / "schedules.safetensors")


def alphas(given: dict[str, Any]) -> Tensor:
    read = Diffusion.read(given)
    return alphas_cumprod(read.beta_schedule, read.num_train_timesteps, read.beta_start, read.beta_end)


@needs_reference
@pytest.mark.parametrize("name", OFFICIAL)
def test_a_schedule_is_the_official_one_in_double_precision(name: str) -> None:
    ours, theirs = alphas(OFFICIAL[name]), reference()[f"{name}/alphas_cumprod"]
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=0)
    betas = 1 - ours / torch.cat([torch.ones(1, dtype=torch.float64), ours[:-1]])
    torch.testing.assert_close(betas, reference()[f"{name}/betas"], rtol=0, atol=1e-12)


@needs_reference
def test_every_official_schedule_is_compared() -> None:
    assert {name.partition("/")[0] for name in reference()} == set(OFFICIAL)


@needs_reference
@pytest.mark.parametrize("path", FACTS, ids=lambda path: path.stem)
def test_a_published_model_gets_one_of_them_and_the_timesteps_it_was_trained_with(path: Path) -> None:
    given = json.loads(path.read_text())["diffusion"]
    name = {"linear": "linear", "cosine": "cosine"}.get(given["schedule"])
    key = f"{name}{given['num_train_timesteps']}" if name else f"ldm_{given['beta_start']}_{given['beta_end']}"
    torch.testing.assert_close(alphas(given), reference()[f"{key}/alphas_cumprod"], rtol=1e-11, atol=0)
    rescaled = "1000 / 4000" in given["network_timestep"]
    assert Diffusion.read(given).timestep_scale == (0.25 if rescaled else 1.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"shedule": "linear"}, "diffusion takes no argument 'shedule'"),
        ({"schedule": "sigmoid"}, "schedule must be one of linear, cosine, scaled_linear"),
        ({"num_train_timesteps": 1}, "num_train_timesteps must be a number of steps; 1 was given"),
        ({"beta_start": 0.5, "beta_end": 0.1}, "beta_start and beta_end must be rising and from 0 to 1"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Diffusion.read(given)
