"""The finder pca on latents whose h varies in known ways."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from hspace import Direction, Task
from hspace.errors import HspaceError, UsageError
from hspace.testing import FinderContract, PlantedBackbone
from hspace_jacobian.pca import build
from hspace_jacobian.rows import aligned

from .planted import SIGNS, cosines, task, values


class TestPCA(FinderContract):
    finder = "pca"
    config: Mapping[str, Any] = {"k": 2}

    def task(self, backbone: PlantedBackbone) -> Task:
        return task(backbone)


class TestJointPCA(FinderContract):
    finder = "pca"
    config: Mapping[str, Any] = {"k": 2, "joint": True}

    def task(self, backbone: PlantedBackbone) -> Task:
        return task(backbone)


@pytest.fixture
def toy() -> PlantedBackbone:
    return PlantedBackbone()


def basis(toy: PlantedBackbone, **config: Any) -> Direction:
    (direction,) = build(k=2, **config).find(toy, task(toy))
    return direction


def test_sigma_is_the_standard_deviation_of_h_at_each_timestep(toy: PlantedBackbone) -> None:
    direction = basis(toy)
    angles = toy.alphas_cumprod[[999, 888, 777, 666, 555, 444]].sqrt().arccos()
    factors = torch.cat([torch.ones(1), angles.diff().cos()]).cumprod(0)  # of x_t, where eps = sqrt(1 - a_t) x_t
    told = [values(direction.meta.metrics, f"sigma@t{t}") for t in (999, 888, 777, 666, 555, 444)]
    expected = factors[:, None] * toy.S[:2] * (4 / 3) ** 0.5  # of coefficients 1, 1, -1, -1
    torch.testing.assert_close(torch.tensor(told, dtype=torch.float64), expected.double(), rtol=1e-4, atol=0)
    explained = toy.S[:2].square() / toy.S[:2].square().sum()
    assert values(direction.meta.metrics, "explained") == pytest.approx(explained.tolist(), rel=1e-4)


def test_there_is_a_row_for_each_timestep_as_long_as_h_varies_there(toy: PlantedBackbone) -> None:
    direction = basis(toy)
    assert direction.meta.head.config["timesteps"] == [999, 888, 777, 666, 555, 444]
    lengths = direction.weights["vectors"].flatten(2).norm(dim=2)
    told = torch.tensor([values(direction.meta.metrics, f"sigma@t{t}") for t in (999, 888, 777, 666, 555, 444)]).T
    torch.testing.assert_close(lengths / lengths[:, :1], told / told[:, :1], rtol=1e-4, atol=0)


def test_without_scale_all_rows_are_equally_long(toy: PlantedBackbone) -> None:
    lengths = basis(toy, scale="none").weights["vectors"].flatten(2).norm(dim=2)
    torch.testing.assert_close(lengths, lengths[:, :1].expand_as(lengths), rtol=1e-5, atol=0)


def test_joint_has_one_row_for_all_timesteps(toy: PlantedBackbone) -> None:
    direction = basis(toy, joint=True)
    assert direction.id == "planted/joint.pca"
    assert direction.weights["vectors"].shape == (2, 1, 32, 4, 4)


def test_a_constant_in_h_is_no_component(toy: PlantedBackbone) -> None:
    apart = Task(x_T=task(toy).x_T + 3 * toy.V[5].float(), steps=10)
    (direction,) = build(k=2).find(toy, apart)
    assert float(cosines(direction.weights["vectors"][:, 0], toy.U[:2]).diagonal().min()) > 1 - 1e-6


def test_rows_are_flipped_to_agree_with_the_first() -> None:
    vectors = torch.tensor([[[1.0, -2.0], [1.0, -1.0], [-1.0, 1.0]]])
    assert torch.equal(aligned(vectors), torch.tensor([[[-1.0, 2.0], [-1.0, 1.0], [-1.0, 1.0]]]))


def test_the_unit_is_told_in_standard_deviations(toy: PlantedBackbone) -> None:
    direction = basis(toy)
    longest = direction.weights["vectors"].flatten(2).norm(dim=2).amax(dim=1)
    told = torch.tensor(values(direction.meta.metrics, "unit")) * torch.tensor(
        values(direction.meta.metrics, "sigma@t999")
    )
    torch.testing.assert_close(longest, told, rtol=1e-4, atol=0)


def test_progress_ends_at_the_total(toy: PlantedBackbone) -> None:
    seen: list[tuple[int, int]] = []
    list(build(k=2).find(toy, task(toy, progress=lambda done, total: seen.append((done, total)))))
    assert seen[-1] == (6, 6)


def test_as_few_latents_as_components_are_refused(toy: PlantedBackbone) -> None:
    with pytest.raises(UsageError, match=r"4 components need at least 5 latents.*--samples"):
        list(build(k=4).find(toy, task(toy)))


def test_latents_that_are_all_the_same_have_no_components(toy: PlantedBackbone) -> None:
    with pytest.raises(HspaceError, match="h does not vary among 4 latents"):
        list(build(k=2).find(toy, task(toy, torch.ones_like(SIGNS))))


def test_latents_that_vary_in_fewer_ways_give_fewer_components(toy: PlantedBackbone) -> None:
    (direction,) = build(k=3).find(toy, task(toy))
    assert direction.meta.components == 2


def test_a_window_without_a_timestep_is_refused(toy: PlantedBackbone) -> None:
    with pytest.raises(UsageError, match="no timestep of 10 sampling steps is from t_edit = 1001 up; widen"):
        list(build(k=2, t_edit=1001).find(toy, task(toy)))
