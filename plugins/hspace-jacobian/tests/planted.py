"""Latents of the planted toy whose h is known: h = sum_i S_i <V_i, x_t> U_i, and x_t is x_T up to a factor."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hspace import Task
from hspace.testing import PlantedBackbone

SIGNS = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
"""Four latents along two directions, which are uncorrelated among them and 0 in the mean."""


def along(toy: PlantedBackbone, coefficients: Tensor) -> Tensor:
    """x_T (N, 3, 8, 8), the sums of coefficients (N, r) times V_0 to V_{r-1}."""
    V = toy.V[: coefficients.shape[1]].float()
    return torch.einsum("nr,rchw->nchw", coefficients, V)


def task(toy: PlantedBackbone, coefficients: Tensor = SIGNS, **fields: object) -> Task:
    """A task on such latents, in ten steps."""
    return Task(x_T=along(toy, coefficients), steps=10, **fields)  # type: ignore[arg-type]


def cosines(found: Tensor, others: Tensor) -> Tensor:
    """|cos| (k, q) between the rows of two sets of shifts."""
    rows = [torch.nn.functional.normalize(some.flatten(1).double(), dim=1) for some in (found, others)]
    return (rows[0] @ rows[1].mT).abs()


def values(metrics: Sequence[object], name: str) -> list[float]:
    """The values of a measurement, component by component."""
    return [one.value for one in metrics if one.name == name]  # type: ignore[attr-defined]
