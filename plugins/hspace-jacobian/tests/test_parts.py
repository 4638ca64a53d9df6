"""The finder jacobian-parts, and the rotation that it rests on."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from hspace import Task
from hspace.errors import UsageError
from hspace.testing import FinderContract, PlantedBackbone
from hspace_jacobian.global_finder import build as build_global
from hspace_jacobian.parts_finder import build
from hspace_jacobian.rotation import spread_of, varimax


class TestJacobianParts(FinderContract):
    finder = "jacobian-parts"
    config: Mapping[str, Any] = {"k": 1, "of": 1}

    def task(self, backbone: PlantedBackbone) -> Task:
        return latents(2)


def latents(n: int) -> Task:
    return Task(x_T=torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(1)), steps=10)


def rotation(k: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(k, k, dtype=torch.float64, generator=generator)).Q


def sparse(p: int, k: int) -> torch.Tensor:
    """Loadings (p, k) whose columns are non-zero on a part of their own, of different sizes."""
    loadings = torch.zeros(p, k, dtype=torch.float64)
    for column, rows in enumerate(torch.arange(p).tensor_split(k)):
        loadings[rows, column] = torch.linspace(1, 2, len(rows), dtype=torch.float64) * (1 + column)
    return loadings


def test_varimax_finds_the_parts_that_were_mixed() -> None:
    loadings = sparse(60, 5)
    found = loadings @ rotation(5) @ varimax(loadings @ rotation(5))
    cosines = torch.nn.functional.normalize(found, dim=0).mT @ torch.nn.functional.normalize(loadings, dim=0)
    assert torch.allclose(cosines.abs().max(dim=0).values, torch.ones(5, dtype=torch.float64), atol=1e-6)
    assert sorted(cosines.abs().argmax(dim=0).tolist()) == list(range(5))


def test_varimax_is_a_rotation() -> None:
    Q = varimax(torch.randn(40, 4, generator=torch.Generator().manual_seed(3)))
    assert torch.allclose(Q.mT @ Q, torch.eye(4, dtype=torch.float64), atol=1e-12)


def test_varimax_leaves_parts_alone() -> None:
    turned = sparse(60, 5) @ varimax(sparse(60, 5))
    assert torch.allclose(turned, sparse(60, 5), atol=1e-9)


def test_a_change_of_one_value_is_spread_over_one_of_them_and_an_even_one_over_all() -> None:
    changes = torch.zeros(2, 50, dtype=torch.float64)
    changes[0, 7], changes[1] = 3.0, -0.2
    assert torch.allclose(spread_of(changes), torch.tensor([1 / 50, 1.0], dtype=torch.float64))


def test_parts_span_what_the_global_directions_span_where_none_is_left_out() -> None:
    toy = PlantedBackbone()
    (parts,) = build(k=3, of=3).find(toy, latents(3))
    (whole,) = build_global(k=3, each=3).find(toy, latents(3))
    one, other = (torch.linalg.qr(found.weights["vectors"].flatten(1).double().mT).Q for found in (parts, whole))
    assert torch.allclose(torch.linalg.svdvals(one.mT @ other), torch.ones(3, dtype=torch.float64), atol=1e-5)


def test_sigma_of_parts_sums_to_that_of_the_global_directions() -> None:
    toy = PlantedBackbone()
    (parts,) = build(k=3, of=3).find(toy, latents(3))
    (whole,) = build_global(k=3, each=3).find(toy, latents(3))
    one, other = (
        sum(metric.value**2 for metric in found.meta.metrics if metric.name == "sigma") for found in (parts, whole)
    )
    assert one == pytest.approx(other, rel=1e-6)


def test_fewer_to_turn_than_to_keep_are_refused() -> None:
    with pytest.raises(UsageError, match="of must be at least k=5"):
        build(k=5, of=4)
