"""The finder jacobian-global, and the closed form that it rests on."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

import hspace
from hspace import Task
from hspace.errors import UsageError
from hspace.testing import FinderContract, PlantedBackbone
from hspace_jacobian.global_finder import build
from hspace_jacobian.mean_basis import mean_basis

from .planted import cosines, values


class TestJacobianGlobal(FinderContract):
    finder = "jacobian-global"
    config: Mapping[str, Any] = {"k": 3}

    def task(self, backbone: PlantedBackbone) -> Task:
        return latents(3)


class TestJacobianGlobalPerTimestepInSigma(FinderContract):
    finder = "jacobian-global"
    config: Mapping[str, Any] = {"k": 2, "at": [900, 500], "scale": "sigma"}

    def task(self, backbone: PlantedBackbone) -> Task:
        return latents(2)


@pytest.fixture
def toy() -> PlantedBackbone:
    return PlantedBackbone()


def latents(n: int, **fields: Any) -> Task:
    x_T = torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return Task(x_T=x_T, steps=10, **fields)


def bases(n: int, k: int, m: int) -> tuple[list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(4)
    shifts = [torch.linalg.qr(torch.randn(m, k, dtype=torch.float64, generator=generator)).Q.mT for _ in range(n)]
    return shifts, [torch.rand(k, dtype=torch.float64, generator=generator) + 0.5 for _ in range(n)]


@pytest.mark.parametrize("weights", ["sigma", "equal"])
def test_the_mean_basis_is_that_of_the_mean_metric(weights: Any) -> None:
    shifts, sigmas = bases(n=5, k=3, m=40)
    metric = sum(
        U.mT @ torch.diag(S.square() if weights == "sigma" else torch.ones_like(S)) @ U
        for U, S in zip(shifts, sigmas, strict=True)
    ) / len(shifts)
    assert isinstance(metric, Tensor)
    value, vector = torch.linalg.eigh(metric)
    found = mean_basis(shifts, sigmas, weights)
    torch.testing.assert_close(found.sigma.square(), value.flip(0)[:15])
    torch.testing.assert_close(found.share, value.flip(0)[:15] / metric.trace())
    assert float(cosines(found.directions, vector.mT.flip(0)[:15]).diagonal().min()) > 1 - 1e-9


def test_equal_bases_overlap_wholly() -> None:
    shifts, sigmas = bases(n=1, k=3, m=20)
    found = mean_basis(shifts * 4, sigmas * 4, "equal")
    torch.testing.assert_close(found.sigma, torch.ones(3, dtype=torch.float64))


def test_a_direction_that_one_sample_answers_strongly_leads_by_sigma_and_not_by_equal_weights() -> None:
    e = torch.eye(3, dtype=torch.float64)
    shifts, sigmas = [e[[0, 1]], e[[0, 2]]], [torch.tensor([1.0, 5.0]), torch.tensor([1.0, 0.1])]
    assert mean_basis(shifts, sigmas, "sigma").directions[0].abs().argmax() == 1
    assert mean_basis(shifts, sigmas, "equal").directions[0].abs().argmax() == 0


def test_every_component_reports_sigma_and_share(toy: PlantedBackbone) -> None:
    (direction,) = build(k=2, each=4).find(toy, latents(3))
    metrics = direction.meta.metrics
    assert values(metrics, "sigma") == pytest.approx(toy.S[:2].tolist(), rel=1e-5)
    share = toy.S[:2].square() / toy.S[:4].square().sum()
    assert values(metrics, "share") == pytest.approx(share.tolist(), rel=1e-5)
    assert {one.n for one in metrics} == {3}
    assert direction.meta.scope.kind == "global"


def test_equal_weights_report_the_overlap(toy: PlantedBackbone) -> None:
    (direction,) = build(k=2, weights="equal").find(toy, latents(2))
    assert values(direction.meta.metrics, "overlap") == pytest.approx([1, 1], abs=1e-4)


@pytest.mark.parametrize("map", ["decoder", "x0", "pmp"])
def test_every_map_that_has_directions_in_h_has_global_ones(toy: PlantedBackbone, map: Any) -> None:
    (direction,) = build(k=1, each=2, map=map).find(toy, latents(2))
    assert direction.id == f"planted/global-{map}-t555.jacobian-global"
    # eps answers U_i by 1 / S_i, and all but the first are about 1; P_t = c x_t answers all x_t alike
    span = toy.U if map == "pmp" else toy.U[20:]
    vector = direction.weights["vectors"][0].double()
    assert float(cosines(vector, span).square().sum()) == pytest.approx(1, abs=1e-3)


def test_several_timesteps_make_a_row_each_or_one_joint_row(toy: PlantedBackbone) -> None:
    (each,) = build(k=2, at=[900, 500]).find(toy, latents(2))
    (joint,) = build(k=2, at=[900, 500], joint=True).find(toy, latents(2))
    assert each.meta.head.config["timesteps"] == [888, 555]
    assert each.weights["vectors"].shape == (2, 2, 32, 4, 4)
    assert joint.weights["vectors"].shape == (2, 1, 32, 4, 4)
    assert {one.n for one in joint.meta.metrics} == {4}


def test_progress_counts_local_bases(toy: PlantedBackbone) -> None:
    seen: list[tuple[int, int]] = []
    task = latents(2, progress=lambda done, total: seen.append((done, total)))
    list(build(k=1, at=[900, 500]).find(toy, task))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_basis_found_on_some_latents_edits_others_by_the_unit(toy: PlantedBackbone) -> None:
    (direction,) = build(k=1).find(toy, latents(2))
    x_T = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(9))
    change = hspace.edit(toy, x_T, [(direction, 1)], steps=20) - hspace.sample(toy, x_T, steps=20)
    assert float(change.square().mean().sqrt()) == pytest.approx(0.1, rel=0.1)


def test_bad_calls_are_told() -> None:
    with pytest.raises(UsageError, match=r"at needs at least one timestep; at=\[\] was given"):
        build(at=[])
    with pytest.raises(UsageError, match="each must be at least k=8"):
        build(each=3)
    with pytest.raises(UsageError, match="null must be 0 or more; -1 was given"):
        build(null=-1)
