"""Directions scaled per timestep by how strongly a map answers them there."""

from typing import Any

import pytest
import torch
from diffusers import UNet2DModel

from hspace import Task
from hspace.testing import PlantedBackbone
from hspace_jacobian.finder import build
from hspace_jacobian.local import Look
from hspace_jacobian.responses import response

from .conftest import MASK, Known, T, backbone_of, point

WINDOW = [999, 888, 777, 666, 555, 444]


def lengths(backbone: Any, x_T: torch.Tensor, **config: Any) -> torch.Tensor:
    """|delta_h| (R,) of the first component, relative to its first row's."""
    (direction,) = build(k=1, scale="sigma", **config).find(backbone, Task(x_T=x_T, steps=10))
    assert direction.meta.head.config["timesteps"] == WINDOW
    length: torch.Tensor = direction.weights["vectors"][0].flatten(1).norm(dim=1).double()
    return length / length[0]


@pytest.fixture
def x_T() -> torch.Tensor:
    return torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_where_eps_answers_less_h_is_shifted_less(x_T: torch.Tensor) -> None:
    toy = PlantedBackbone()
    sigma = (1 - toy.alphas_cumprod[WINDOW]).sqrt()  # of h -> eps, times the same for all t
    torch.testing.assert_close(lengths(toy, x_T, map="decoder"), sigma / sigma[0], rtol=1e-4, atol=0)


def test_where_the_predicted_picture_answers_more_h_is_shifted_more(x_T: torch.Tensor) -> None:
    toy = PlantedBackbone()
    a = toy.alphas_cumprod[WINDOW]
    sigma = (1 - a) / a.sqrt()  # sqrt((1 - a) / a) of P_t in eps, times sqrt(1 - a) of eps in h
    torch.testing.assert_close(lengths(toy, x_T, map="x0"), sigma / sigma[0], rtol=1e-4, atol=0)


def test_an_encoder_that_is_the_same_everywhere_shifts_h_equally(x_T: torch.Tensor) -> None:
    torch.testing.assert_close(lengths(PlantedBackbone(), x_T), torch.ones(6).double(), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("name", "jacobian"),
    [("encoder", "encoder"), ("decoder", "decoder"), ("decoder", "decoder, mask"), ("x0", "x0"), ("pmp", "x0")],
)
def test_a_response_is_the_length_of_the_full_jacobians_product(
    unet: UNet2DModel, maps: dict[str, Known], name: Any, jacobian: str
) -> None:
    shifts = torch.randn(3, 32, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    J = maps[jacobian].J.mT if name == "encoder" else maps[jacobian].J
    mask = MASK if "mask" in jacobian else None
    look = Look(name, None, "none", 5, 1e-3, None, None)
    told = response(backbone_of(unet), point(), T, shifts, look, mask)
    torch.testing.assert_close(told, (shifts.flatten(1) @ J.mT).norm(dim=1))
